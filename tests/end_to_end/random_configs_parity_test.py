"""A sample of `experiments.parity`; and that what is drawn is worth it."""

import pytest
from absl.testing import parameterized

from experiments.validation import random_configs
from thickets.models import families
from thickets.models.vision import fields as vision_fields

FAMILIES = set(families.FAMILIES) - set(vision_fields.FAMILIES)

NUM_AGREED = 2  # Configs of each family whose logits are compared,
MOST = 12  # among so many, of which the others are refused.


class RandomConfigsTest(parameterized.TestCase):
  def test_every_family_is_drawn(self):
    self.assertLessEqual(FAMILIES, set(random_configs.RULES))

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

    num_agreed = 0
    for number in range(MOST):
      found = parity.compare(random_configs.draw_fields(family, 0, number))
      self.assertNotEqual(found.outcome, parity.DIFFERENT, found.reason)
      num_agreed += found.outcome in (parity.AGREED, parity.ROUNDED)
      if num_agreed == NUM_AGREED:
        return
    self.fail(f"of {MOST} configs, {num_agreed} agreed")
