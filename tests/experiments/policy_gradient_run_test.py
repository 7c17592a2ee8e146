"""Tests of what a run of GRPO or PPO refuses at its end."""

from absl.testing import absltest, parameterized

from experiments.launch import policy_gradient_run
from thickets.errors import UserError


class ScoreTest(parameterized.TestCase):
  @parameterized.parameters(float("nan"), float("inf"))
  def test_weights_that_the_last_update_broke_are_refused(self, score):
    with self.assertRaisesRegex(
      UserError, "after 3 steps must have finite scores .* Lower policy.learn"
    ):
      policy_gradient_run.check_score(score, 3)

  def test_any_other_score_will_do(self):
    policy_gradient_run.check_score(0.0, 3)


if __name__ == "__main__":
  absltest.main()
