"""Tests of the vision-language model in miniature that ships with the package."""

import pathlib
import unittest

import jax
import jax.numpy as jnp
import pytest

import thickets
from thickets.models import hub
from thickets.tasks.scenes import scene_tasks
from thickets.training import scene_accuracy, scene_corpora

FOLDER = pathlib.Path(thickets.__file__).parent / "models/shipped/scenes"


class ShippedScenesTest(unittest.TestCase):
  def test_it_is_small_and_sees(self):
    size = sum(path.stat().st_size for path in FOLDER.iterdir())
    self.assertLess(size, 3e6)
    model = hub.load(FOLDER, dtype=None)
    self.assertEqual(model.dtype, jnp.bfloat16)
    weights = sum(leaf.size for leaf in jax.tree.leaves(model.params))
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    self.assertIn(f"{weights:,} ", card)
    self.assertIn("configs/pretrain_scenes.py", card)
    assert model.vision is not None
    self.assertEqual(model.vision.config.family, "qwen2_5_vl")
    ids = model.tokenizer.convert_tokens_to_ids([*scene_corpora.WORDS])
    self.assertNotIn(model.tokenizer.unk_token_id, ids)

  @pytest.mark.slow
  def test_it_uses_its_picture(self):
    """The bounds lie far from what the card reports."""
    model = hub.load(FOLDER)
    measure = scene_accuracy.make_accuracy(
      model, scene_tasks.GROUPS["what"], 60
    )
    found = measure(model.params)
    shares = {name: one["accuracy"] for name, one in found.items()}
    self.assertGreater(shares["all"] - shares["all/anothers-picture"], 0.1)
    self.assertGreater(shares["all"] - shares["all/no-picture"], 0.1)
