"""Tests of memory: what a model needs, what there is, and when that is said."""

import contextlib
import pathlib
import tempfile
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized
from golden import transformer_cases as cases
from jax.sharding import Mesh

from thickets.errors import UserError
from thickets.models import checkpoint, families, hub, memory, transformer

QWEN2 = cases.CASES["qwen2"]


class CapacityTest(parameterized.TestCase):
  def test_a_model_that_does_not_fit_is_refused_before_weights_are_read(self):
    folder = self.enter_context(tempfile.TemporaryDirectory())
    directory = pathlib.Path(folder) / "model"
    hub.save(directory, cases.make_model())
    (directory / checkpoint.WEIGHTS_FILE).unlink()
    count = transformer.count_params(families.parse_config(QWEN2))
    limit = 8 * count - 1
    with (
      mock.patch.object(memory, "host_memory_bytes", lambda: limit),
      self.assertRaisesRegex(
        UserError, f"of {count:,} weights .* as float32, which needs .* got "
      ),
    ):
      hub.load(directory)

  @parameterized.parameters((0, True), (-1, False))
  def test_the_base_and_one_member_must_fit(self, spare, fits):
    config = families.parse_config(QWEN2)
    needed = 2 * 2 * transformer.count_params(config)
    with (
      mock.patch.object(memory, "host_memory_bytes", lambda: needed + spare),
      contextlib.nullcontext() if fits else self.assertRaises(UserError),
    ):
      memory.check_fits(config, jnp.bfloat16)

  def test_a_mesh_divides_what_each_device_needs(self):
    config = families.parse_config(QWEN2 | {"vocab_size": 96})
    mesh = Mesh(np.array(jax.devices()).reshape(4, 2), ("population", "model"))
    whole = memory.bytes_per_device(config, jnp.float32)
    part = memory.bytes_per_device(config, jnp.float32, mesh)
    self.assertEqual(whole, 4 * transformer.count_params(config))
    norms = 4 * (2 * config.num_layers + 1) * config.width
    self.assertEqual(part, (whole - norms) // 2 + norms)

  def test_devices_with_memory_of_their_own_count_by_themselves(self):
    config = families.parse_config(QWEN2)
    needed = 2 * 4 * transformer.count_params(config)
    with (
      mock.patch.object(
        memory, "device_memory_bytes", lambda device: needed - 1
      ),
      self.assertRaisesRegex(UserError, "on each cpu device"),
    ):
      memory.check_fits(config, jnp.float32)

  def test_this_machine_has_memory(self):
    limit = memory.host_memory_bytes()
    self.assertGreater(limit, 2**28)
    self.assertLess(limit, 2**46)
