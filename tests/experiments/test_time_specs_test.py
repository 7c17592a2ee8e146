"""Tests of the door of `experiments.test_time`."""

from absl.testing import absltest, parameterized

from configs import test_time as test_time_keys
from experiments.launch import test_time_specs
from thickets.errors import UserError


def _read(**changes):
  config = test_time_keys.get_config("smoke").unlock()
  for key, value in changes.items():
    section, _, name = key.partition("__")
    config[section][name] = value
  return test_time_specs.read_test_time(config)


class SpecsTest(parameterized.TestCase):
  def test_all_samples_vote_and_so_do_some_of_them(self):
    spec = _read(votes__count=9, votes__also=(4, 1, 4))
    self.assertEqual(spec.counts, (1, 4, 9))
    self.assertEqual(spec.num_samples, 9)

  @parameterized.parameters(
    ({"votes__count": 0}, "votes.count must be at least 1, got 0"),
    ({"votes__also": (4,)}, r"votes.also must be at most 3 \(votes.count\)"),
    ({"consistency__temperatures": ()}, "temperatures must hold at least one"),
    (
      {"consistency__temperatures": (0.5, 1.0), "task__num_dev": 0},
      "task.num_dev must be at least 1 to choose among 2",
    ),
  )
  def test_refusals(self, changes, expected):
    with self.assertRaisesRegex(UserError, expected):
      _read(**changes)

  @parameterized.parameters("laptop", "smoke", "qwen2_5_3b-gsm8k")
  def test_variants(self, variant):
    config = test_time_keys.get_config(variant)
    self.assertNotEmpty(test_time_specs.read_test_time(config).counts)


if __name__ == "__main__":
  absltest.main()
