"""Tests of the comparison with transformers, where it does not begin."""

from unittest import mock

from absl.testing import absltest

from experiments import parity
from thickets.errors import UserError


class TorchTest(absltest.TestCase):
  def test_it_is_looked_for_before_a_model_is_loaded(self):
    for name in parity.FLAGS.values:  # Other tests read commands as well.
      parity.FLAGS.values[name].unparse()
    parity.FLAGS.parse(["parity", "--model=./nowhere"])
    with (
      mock.patch.object(parity.importlib.util, "find_spec", lambda _: None),
      self.assertRaisesRegex(UserError, "package torch must be installed"),
    ):
      parity.main([])


if __name__ == "__main__":
  absltest.main()
