"""Tests of what a run says of its machine."""

import os
from unittest import mock

import jax
from absl.testing import absltest

from thickets.runs import environment


class EnvironmentTest(absltest.TestCase):
  def test_flags_that_change_bits_are_written_down(self):
    flags = "--xla_gpu_deterministic_ops=true"
    with mock.patch.dict(os.environ, {"XLA_FLAGS": flags}):
      described = environment.describe()
    self.assertEqual(described["xla_flags"], flags)
    self.assertEqual(described["num_devices"], jax.device_count())
    self.assertEqual(described["versions"]["jax"], jax.__version__)
