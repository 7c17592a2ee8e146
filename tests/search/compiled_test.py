"""Tests of the store of compiled programs: what is compiled anew, and counted."""

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest

from thickets.search.compiled import Programs


def _double(x):
  return x + x


class ProgramsTest(absltest.TestCase):
  def test_compiles_once_per_name_shape_dtype_and_sharding(self):
    programs = Programs()
    x = jnp.arange(4)
    spread = jax.device_put(
      x,
      jax.NamedSharding(
        jax.make_mesh((4,), ("a",), devices=jax.devices()[:4]),
        jax.P("a"),
      ),
    )
    for expected, (name, argument) in enumerate(
      [
        ("double", x),
        ("double", jnp.arange(5)),
        ("double", x.astype(jnp.float32)),
        ("double", spread),
        ("other", x),
      ],
      start=1,
    ):
      for _ in range(2):
        program = programs.get(name, _double, (argument,))
        np.testing.assert_array_equal(program(argument), 2 * argument)
      self.assertEqual(programs.num_compilations, expected)
    self.assertLen(list(programs), 5)
    self.assertGreater(programs.compile_s, 0)

  def test_compiles_from_shapes_alone(self):
    programs = Programs()
    x = jnp.arange(4)
    shape = jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding)
    program = programs.get("double", _double, (shape,))
    self.assertIs(programs.get("double", _double, (x,)), program)

  def test_donated_buffers_are_taken(self):
    programs = Programs()
    x = jnp.arange(4.0)
    programs.get("double", _double, (x,), donate=(0,))(x)
    self.assertTrue(x.is_deleted())
