"""Tests of machines by name: which there are, and what others are told."""

from unittest import mock

from absl.testing import parameterized
from jax.experimental import topologies

from thickets.errors import UserError
from thickets.search import targets


class ParseTest(parameterized.TestCase):
  @parameterized.parameters(
    ("v5e:4x4", 16, "v5litepod-16"),
    ("v5p:2x2x2", 8, "v5p-16"),  # Two cores to a chip.
    ("v6e:2x4", 8, "v6e-8"),
    ("h100:1", 1, "a3-highgpu-1g"),
    ("h100:8", 8, "a3-highgpu-8g, p5.48xlarge"),
    ("h200:16", 16, "2 x a3-ultragpu-8g, 2 x p5en.48xlarge"),
  )
  def test_knows_machines_by_the_compilers_names(self, name, count, cloud):
    target = targets.parse(name)
    self.assertEqual(target.num_devices, count)
    self.assertEqual(target.name, name)
    self.assertEqual(target.cloud, cloud)

  @parameterized.parameters(
    ("h1000:8", "Nearest: h100:8"),
    ("H100", "Nearest: h100:8"),
    ("v5litepod-16", "Nearest: v5"),
    ("", "must be a machine"),
    ("v5e", "slice that exists.*Nearest: v5e:2x2"),
    ("v5e:3x5", "Nearest: v5e:4x4"),
    ("v5e:4", "Nearest: v5e:2x2"),
    ("v5p:4x4", "Nearest: v5p:2x2x4"),
    ("v6e:64x64", "Nearest: v6e:16x16"),
    ("v5e:0x0", "Nearest: v5e:2x2"),
    ("h100:12", "whole nodes of 8"),
    ("h100:0", "1 to 8 GPUs"),
    ("h100:4x2", "1 to 8 GPUs"),
    ("h100:-1", "1 to 8 GPUs"),
    ("h100:8 ", "1 to 8 GPUs"),
  )
  def test_refuses_others_and_names_the_nearest(self, name, message):
    with self.assertRaisesRegex(UserError, message):
      targets.parse(name)


class DevicesTest(parameterized.TestCase):
  def _make(self, name="v5e:2x4", *, is_installed=True, **described):
    with (
      mock.patch.object(targets, "_is_installed", lambda _: is_installed),
      mock.patch.object(topologies, "get_topology_desc", **described),
    ):
      return targets.parse(name).make_devices()

  @parameterized.parameters(
    ("v5e:2x4", "libtpu, got none.*thickets.compile-tpu"),
    ("h100:1", "jax_plugins.xla_cuda12, got none.*thickets.compile-cuda"),
  )
  def test_a_compiler_that_is_missing_is_to_be_installed(self, name, message):
    with self.assertRaisesRegex(UserError, message):
      self._make(name, is_installed=False)

  def test_one_that_is_there_has_the_word(self):
    with self.assertRaisesRegex(
      UserError, "must be known .* got from it: no such slice[.].* old version"
    ):
      self._make(side_effect=RuntimeError("no such slice\n at line 3"))

  @parameterized.parameters(("v4:2x2x1", True), ("v5e:2x2", False))
  def test_two_cores_of_a_chip_are_one_device(self, name, is_told):
    found = mock.Mock(return_value=mock.Mock(devices=[1, 2, 3, 4]))
    self.assertLen(self._make(name, new=found), 4)
    self.assertEqual("chip_config_name" in found.call_args.kwargs, is_told)

  def test_as_many_devices_as_the_name_says_are_needed(self):
    found = mock.Mock(devices=[1, 2, 3])
    with self.assertRaisesRegex(UserError, "must have 8 devices, got 3"):
      self._make(return_value=found)
