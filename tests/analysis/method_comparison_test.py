"""Tests of methods that are compared over seeds and prompts."""

import numpy as np
from absl.testing import absltest, parameterized

from thickets.analysis import intervals, method_comparison, population_means
from thickets.analysis.method_comparison import (
  ONE_PASS,
  VOTES,
  Method,
  MethodRun,
)
from thickets.errors import UserError


def _run(one_pass, votes, seed, *, flops=10.0, groups=None):
  cost = {"flops": flops, "paper_flops": 2 * flops, "num_responses": 3}
  return MethodRun(
    {ONE_PASS: np.array(one_pass, float), VOTES: np.array(votes, float)},
    f"prompts of {seed}",
    groups,
    {"num_steps": 4, "search": cost, "choosing": cost | {"flops": 1.0}},
    {ONE_PASS: 5.0, VOTES: 15.0},
  )


_BASE = Method(
  "base", [_run([0, 0, 1, 0], [0, 0, 1, 1], s, flops=0.0) for s in (0, 1)]
)
_VOTERS = Method(
  "RandOpt",
  [_run([1, 0, 1, 0], [1, 1, 1, 1], 0), _run([1, 1, 1, 0], [1, 1, 1, 0], 1)],
)
_TRAINED = Method(
  "trained",
  [
    _run([1, 1, 1, 1], [1, 1, 1, 1], 0, flops=20.0),
    _run([1, 1, 1, 1], [1, 1, 0, 1], 1, flops=40.0),
  ],
  tuning_flops=7.0,
)


class CompareTest(parameterized.TestCase):
  def test_prompts_are_paired_within_a_seed(self):
    found = method_comparison.compare_methods(
      [_BASE, _VOTERS, _TRAINED], reference="RandOpt"
    )
    base, voters, trained = found["rows"]
    self.assertEqual(base["right"][ONE_PASS]["mean"], 0.25)
    self.assertNotIn("over_base", base)
    self.assertNotIn("over_reference", voters)
    # 0 to 1 better on the prompts of each seed: 1 and 2 of 4.
    self.assertEqual(voters["over_base"][ONE_PASS]["mean"], 0.375)
    gain = trained["over_reference"][VOTES]
    expected = population_means.estimate_over_populations(
      [np.zeros(4), np.array([0.0, 0.0, -1.0, 1.0])],
      [[(s, q) for q in range(4)] for s in range(2)],
    )
    self.assertEqual(
      (gain["mean"], gain["low"], gain["high"]),
      (expected.value, expected.low, expected.high),
    )
    self.assertEqual(gain["over"], "seeds and prompts")
    self.assertEqual(trained["search_flops"], 30.0)
    self.assertEqual(trained["paper_flops"], 60.0)
    self.assertEqual(trained["tuning_flops"], 7.0)
    self.assertEqual(trained["answer_flops"], {ONE_PASS: 5.0, VOTES: 15.0})
    self.assertEqual(trained["by_seed"][VOTES], [1.0, 0.75])

  def test_methods_with_other_prompts_are_refused(self):
    other = Method("other", _TRAINED.runs[::-1])
    with self.assertRaisesRegex(UserError, "same prompts of judge.* for other"):
      method_comparison.compare_methods(
        [_BASE, _VOTERS, other], reference="RandOpt"
      )

  def test_of_one_seed_the_interval_is_over_prompts(self):
    methods = [Method(m.name, m.runs[:1]) for m in (_BASE, _VOTERS)]
    found = method_comparison.compare_methods(methods, reference="RandOpt")
    gain = found["rows"][1]["over_base"][ONE_PASS]
    expected = intervals.estimate_difference(np.array([1.0, 0, 0, 0]))
    self.assertEqual((gain["low"], gain["high"]), (expected.low, expected.high))
    self.assertEqual(gain["over"], "prompts")
    rate = found["rows"][1]["right"][ONE_PASS]
    low, high = intervals.wilson_interval(2, 4)
    self.assertAlmostEqual(rate["low"], low)
    self.assertAlmostEqual(rate["high"], high)

  def test_prompts_of_a_group_count_together_in_all_seeds(self):
    groups = ["a", "a", "b", "b"]
    runs = [_run([1, 1, 0, 0], [1, 1, 0, 0], s, groups=groups) for s in (0, 1)]
    base = [_run([0] * 4, [0] * 4, s, groups=groups) for s in (0, 1)]
    found = method_comparison.compare_methods(
      [Method("base", base), Method("other", runs)], reference="other"
    )
    gain = found["rows"][1]["over_base"][VOTES]
    self.assertEqual(gain["over"], "seeds and groups of prompts")
    self.assertLess(gain["low"], 0.0)  # Two groups say next to nothing.


if __name__ == "__main__":
  absltest.main()
