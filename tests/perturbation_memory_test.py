"""Tests of what programs that perturb hold beside the weights."""

import functools

import jax
import jax.numpy as jnp
from absl.testing import parameterized

from thickets import naming
from thickets.members import Member
from thickets.perturbation import perturb


class StackOfHalvesTest(parameterized.TestCase):
  """A stack of layers in 16 bits, whose noise is drawn layer by layer."""

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    base = {"layers": {"w": jax.ShapeDtypeStruct((8, 256, 256), jnp.bfloat16)}}
    names = naming.tensor_names(base, stacked=["layers"])
    member = jax.eval_shape(lambda: Member(3, 0.01).arrays)
    perturbed = jax.jit(functools.partial(perturb, names=names))
    cls.traced = perturbed.trace(base, member)

  @parameterized.parameters("tpu", "cuda", "rocm")
  def test_accelerators_hold_no_copy_of_it_as_bits(self, platform):
    # A TPU would write one for the base and one for each member.
    program = self.traced.lower(lowering_platforms=(platform,)).as_text()
    self.assertIn("8x256x256xbf16", program)
    self.assertNotIn("8x256x256xui16", program)

  def test_cpus_hold_no_copy_of_it_in_float32(self):
    memory = self.traced.lower().compile().memory_analysis()
    assert memory is not None
    self.assertLess(memory.temp_size_in_bytes, 4 * 8 * 256 * 256)
