"""A sample of `experiments.parity`; and that what is drawn is worth it."""

import pytest
from absl.testing import parameterized

from experiments.validation import random_configs
from thickets.models.families import FAMILIES

NUM_EACH = 3  # Configs of each family.


class RandomConfigsTest(parameterized.TestCase):
  def test_every_family_is_drawn(self):
    self.assertLessEqual(set(FAMILIES), set(random_configs.RULES))

  def test_a_seed_and_a_number_decide(self):
    def draw(seed, number):
      return random_configs.draw_fields("llama", seed, number)

    self.assertEqual(draw(1, 2), draw(1, 2))
    self.assertNotEqual(draw(1, 2), draw(1, 3))
    self.assertNotEqual(draw(1, 2), draw(2, 2))

  @parameterized.parameters(*sorted(FAMILIES))
  @pytest.mark.slow
  def test_logits_agree_or_a_field_is_named(self, family):
    from experiments.validation import transformers_parity as parity

    found = [
      parity.compare(random_configs.draw_fields(family, 0, number))
      for number in range(NUM_EACH)
    ]
    for one in found:
      self.assertNotEqual(one.outcome, parity.DIFFERENT, one.reason)
    # Configs that are all refused would show little.
    self.assertIn(parity.AGREED, [one.outcome for one in found])
