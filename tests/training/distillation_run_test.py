"""Tests of which stage of a distillation is chosen."""

import math

from absl.testing import parameterized

from thickets.training import distillation_run
from thickets.training.train import Schedule


class ChoiceTest(parameterized.TestCase):
  @parameterized.parameters(
    ({0: 0.5, 2: 0.7, 4: 0.6}, 2),
    ({0: 0.5, 2: 0.7, 4: 0.7}, 2),  # The first of equals.
    ({0: 0.5, 2: 0.5, 4: 0.4}, None),  # As good as the base is not enough.
    ({0: 0.5, 2: math.nan, 4: 0.6}, 4),
    ({0: 0.5, 2: math.nan}, None),
    ({0: 0.5}, None),
  )
  def test_dev_is_a_gate(self, scores, expected):
    self.assertEqual(distillation_run.choose_step(scores), expected)

  def test_the_base_and_the_last_step_are_watched(self):
    schedule = Schedule(7, 10, 3)
    self.assertEqual(distillation_run.list_watched(schedule), [0, 3, 6, 7])
