"""Tests of the model that ships with the package."""

import functools
import pathlib
import unittest

import thickets
from configs import pretrain
from thickets.generation import prompts
from thickets.models import hub, tokenizer_files, transformer
from thickets.tasks.base import Message
from thickets.training import dev_accuracy

DIRECTORY = pathlib.Path(thickets.__file__).parent / "models/shipped/drills"


@functools.lru_cache
def _model():
  return hub.load(DIRECTORY)


class ShippedModelTest(unittest.TestCase):
  def test_is_small(self):
    size = sum(path.stat().st_size for path in DIRECTORY.iterdir())
    self.assertLess(size, 4e6)
    self.assertLess(transformer.count_params(_model().config), 0.5e6)

  def test_texts_survive_its_tokenizer(self):
    text = "3 5 7=22? \u2028 na\u00efve <|eos|>\n"
    tokenizer = _model().tokenizer
    ids = prompts.render_prompt(tokenizer, [Message("user", text)])
    self.assertEqual(ids[0], tokenizer.bos_token_id)
    self.assertEqual(tokenizer_files.make_detokenizer(tokenizer)(ids), text)
    self.assertEqual(_model().stop_tokens, (tokenizer.eos_token_id,))

  def test_answers_held_out_drills(self):
    """The floors lie far below what the model card reports."""
    floors = {"countdown3": 0.1, "maximum": 0.5}
    measure = dev_accuracy.make_accuracy(
      _model().config, _model().tokenizer, dev_accuracy.load_drills(floors, 50)
    )
    found = measure(_model().params)
    for family, floor in floors.items():
      self.assertGreaterEqual(found[family]["accuracy"], floor, msg=family)

  def test_its_card_names_what_it_was_trained_on(self):
    card = (DIRECTORY / "README.md").read_text(encoding="utf-8")
    for family, often in pretrain.get_config().corpus.families.items():
      self.assertEqual(f"`{family}`" in card, often > 0, msg=family)
    self.assertIn("configs/pretrain.py", card)
