"""Tests of when a training ends."""

from absl.testing import parameterized

from thickets.generation.ledger import Cost
from thickets.training.spending import Spending


class SpendingTest(parameterized.TestCase):
  @parameterized.parameters(
    # Steps cost 10, 10, 30, 10, ...: the third passes what was foreseen.
    (None, 3, 3),
    (29.9, None, 2),
    (30.0, None, 3),
    (49.9, None, 3),
    (79.9, None, 3),  # After the third 50 are spent; another such would be 80.
    (80.0, None, 6),
    (80.0, 2, 2),
    (5.0, None, 1),  # The first is not for it to refuse.
  )
  def test_a_run_ends_by_its_steps_or_its_budget(
    self, budget, num_steps, expected
  ):
    counted = []

    def count(step):
      counted.append(step)
      return Cost(num_responses=1, flops=30.0 if step == 2 else 10.0)

    spending = Spending(count, num_steps, budget)
    step = 0
    while spending.goes_on(step):
      step += 1
    self.assertEqual(step, expected)
    again = Spending(count, num_steps, budget)
    self.assertFalse(again.goes_on(step))  # As a run that was stopped asks.
    self.assertEqual(spending.total(step).num_responses, step)
    spending.total(step)
    self.assertLessEqual(len(counted), 2 * step)  # Each once.
