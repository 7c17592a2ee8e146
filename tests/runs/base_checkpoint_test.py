"""Tests of the base's checkpoint: it comes back bit for bit."""

import tempfile

import ml_dtypes
import numpy as np
from absl.testing import parameterized

from thickets.errors import UserError
from thickets.runs import base_checkpoint


class BaseCheckpointTest(parameterized.TestCase):
  @parameterized.parameters(np.float32, ml_dtypes.bfloat16)
  def test_the_base_comes_back_bit_for_bit(self, dtype):
    weights = np.random.default_rng(0).normal(size=(3, 5)).astype(dtype)
    weights[0, :2] = -0.0, np.nan
    base = {"layer": {"w": weights, "b": np.zeros(2, dtype)}}
    with tempfile.TemporaryDirectory() as workdir:
      self.assertIsNone(base_checkpoint.load_base(workdir, base))
      base_checkpoint.save_base(workdir, base)
      got = base_checkpoint.load_base(workdir, base)
    self.assertEqual(got["layer"]["w"].dtype, dtype)
    self.assertEqual(np.asarray(got["layer"]["w"]).tobytes(), weights.tobytes())
    self.assertEqual(
      np.asarray(got["layer"]["b"]).tobytes(), base["layer"]["b"].tobytes()
    )

  def test_the_base_of_a_run_is_read_without_knowing_its_shape(self):
    base = {"layer": {"w": np.arange(6, dtype=np.float32).reshape(2, 3)}}
    with tempfile.TemporaryDirectory() as workdir:
      base_checkpoint.save_base(workdir, base)
      got = base_checkpoint.read_base(workdir)
    self.assertEqual(got.keys(), base.keys())
    np.testing.assert_array_equal(got["layer"]["w"], base["layer"]["w"])

  def test_a_directory_without_a_base_is_refused(self):
    with (
      tempfile.TemporaryDirectory() as workdir,
      self.assertRaises(UserError),
    ):
      base_checkpoint.read_base(workdir)
