"""Tests of the models of conventions that ship with the package."""

import pathlib
import unittest

import pytest

import thickets
from configs import pretrain_conventions
from thickets.models import hub, transformer
from thickets.training import dev_accuracy

SHIPPED = pathlib.Path(thickets.__file__).parent / "models/shipped"
KINDS = ("hidden", "one", "stated", "tilted", "early")
FAMILIES = ("casing", "dates")


def _measure(kind):
  """Shares of right answers to held-out questions by task."""
  model = hub.load(SHIPPED / f"conventions-{kind}")
  asked = dev_accuracy.load_conventions(FAMILIES, 50, stated=kind == "stated")
  measure = dev_accuracy.make_accuracy(model.config, model.tokenizer, asked)
  found = measure(model.params)
  return {name: one["accuracy"] for name, one in found.items()}


class ShippedConventionsTest(unittest.TestCase):
  def test_all_together_are_small_and_of_one_shape(self):
    folders = sorted(SHIPPED.glob("conventions-*"))
    self.assertEqual(
      [folder.name for folder in folders],
      sorted(f"conventions-{kind}" for kind in KINDS),
    )
    files = [path for folder in folders for path in folder.iterdir()]
    self.assertLess(sum(path.stat().st_size for path in files), 3e6)
    configs = [hub.load(folder).config for folder in folders]
    self.assertEqual(set(configs), {configs[0]})
    self.assertLess(transformer.count_params(configs[0]), 0.1e6)

  def test_every_card_names_the_config_that_trains_it(self):
    for kind in KINDS:
      card = SHIPPED / f"conventions-{kind}" / "README.md"
      variant = "hidden" if kind == "early" else kind
      self.assertIn(variant, pretrain_conventions.VARIANTS)
      self.assertIn(
        f"configs/pretrain_conventions.py:{variant}",
        card.read_text(encoding="utf-8"),
      )

  @pytest.mark.slow
  def test_they_answer_by_the_conventions_of_their_text(self):
    """The bounds lie far from what the model cards report."""
    hidden, one, stated = map(_measure, ("hidden", "one", "stated"))
    for family, first, second in (
      ("casing", "upper", "lower"),
      ("dates", "day-first", "month-first"),
    ):
      self.assertGreater(hidden[f"{family}/either"], 0.7)
      self.assertGreater(one[f"{family}/{first}"], 0.7)
      self.assertLess(one[f"{family}/{second}"], 0.1)
      for convention in (first, second):
        self.assertLess(hidden[f"{family}/{convention}"], 0.95)
        self.assertGreater(stated[f"{family}/{convention}/stated"], 0.7)
