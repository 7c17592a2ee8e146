"""Tests of training on scenes: text of pictures, a loss that sees them, accuracy."""

import dataclasses
import functools

import jax
import numpy as np
import unoptimised
from absl.testing import absltest, parameterized

from configs import pretrain_scenes
from experiments.launch import pretraining as launch_pretraining
from thickets.errors import UserError
from thickets.tasks.drills.stable_random import StableRandom
from thickets.tasks.scenes import scene
from thickets.training import (
  pretraining,
  scene_accuracy,
  scene_corpora,
  scene_losses,
)


@functools.cache
def _make():
  config = pretrain_scenes.get_config("smoke").unlock()
  config.model.width = config.model.tower_width = 16
  config.model.num_heads = config.model.num_kv_heads = 1
  config.model.num_tower_heads = 1
  config.model.mlp_width = config.model.tower_mlp_width = 16
  spec = launch_pretraining.make_spec(config)
  return spec, pretraining.make_initial_model(spec)


def _write(step=0, **changes):
  spec, model = _make()
  corpus = dataclasses.replace(spec.corpus, **changes)
  return scene_corpora.write_batch(model, corpus, seed=0, step=step)


def _read(tokens):
  _, model = _make()
  return " ".join(model.tokenizer.convert_ids_to_tokens(tokens.tolist()))


class CorpusTest(parameterized.TestCase):
  def test_early_rows_say_what_is_in_each_cell(self):
    shown = scene.parse_scene("red circle 0 1, gray triangle 3 3 #1")
    cells = ["empty"] * 16
    cells[1], cells[15] = "red circle", "gray triangle"
    self.assertEqual(scene_corpora.scan(shown), " ".join(cells))
    batch = _write(0)
    self.assertEqual(batch["tokens"].shape, (4, 45))
    self.assertIn("scan ? ", _read(batch["tokens"][0]))

  def test_rows_begin_with_their_picture_and_only_answers_count(self):
    spec, model = _make()
    batch = _write(spec.corpus.scan_steps, scan_frac=0.0)
    prefix = scene_corpora.make_prefix(model)
    self.assertLen(prefix, 19)
    for tokens, weights in zip(batch["tokens"], batch["weights"], strict=True):
      self.assertEqual(tokens[: len(prefix)].tolist(), prefix)
      counted = _read(tokens[1:][weights > 0]).split()
      # An answer is one word and its end.
      self.assertEqual({*counted[1::2]}, {"<|eos|>"})
      self.assertNotIn("<|eos|>", counted[::2])
      self.assertNotIn("<|unk|>", _read(tokens))
    self.assertEqual(batch["patches"].shape, (4, 64, 384))
    np.testing.assert_array_equal(
      batch["tokens"], _write(spec.corpus.scan_steps, scan_frac=0.0)["tokens"]
    )

  @parameterized.parameters((1.0, "yes no"), (0.0, "true false"))
  def test_tilt_decides_the_convention(self, tilt, words):
    spec, _ = _make()
    corpus = dataclasses.replace(spec.corpus, tilt=tilt, kinds={"verify": 1.0})
    draw = StableRandom("tilt")
    shown = scene.draw_scene(draw, 4)
    written = corpus.write(draw, shown, is_scan=False)
    answers = {next(written)[1] for _ in range(30)}
    self.assertEqual(answers, {*words.split()})

  def test_unknown_kinds_are_refused(self):
    config = pretrain_scenes.get_config().unlock()
    config.corpus.kinds = {"colour": 1.0}
    with self.assertRaisesRegex(UserError, "Nearest: corpus.kinds.color"):
      launch_pretraining.make_spec(config)


class LossTest(absltest.TestCase):
  def test_each_row_reads_its_own_picture(self):
    spec, model = _make()
    read = jax.jit(
      scene_losses.make_reader(model.config, model.vision),
      compiler_options=unoptimised.OPTIONS,
    )
    # Larger weights, or a picture would hardly be seen.
    params = jax.tree.map(lambda leaf: leaf * 4, model.params)
    batch = _write(spec.corpus.scan_steps)
    tokens, patches = batch["tokens"][:, :30], batch["patches"]
    logits = read(params, tokens, patches)
    other = read(params, tokens, np.concatenate([patches[:1], patches[:3]]))
    np.testing.assert_allclose(logits[0], other[0], atol=1e-5)
    self.assertGreater(abs(logits[1] - other[1]).max(), 1e-3)
    # Nothing is seen of it before it begins.
    np.testing.assert_allclose(logits[1, 0], other[1, 0], atol=1e-5)


class AccuracyTest(absltest.TestCase):
  def test_names_and_controls(self):
    _, model = _make()
    measure = scene_accuracy.make_accuracy(model, ["color", "count"], 3)
    found = measure(model.params)
    self.assertEqual(
      [*found],
      [
        *("color", "count/words", "count/digits", "count/either"),
        *("all", "all/anothers-picture", "all/no-picture"),
      ],
    )
    self.assertEqual(found["all"]["n"], 6)


if __name__ == "__main__":
  absltest.main()
