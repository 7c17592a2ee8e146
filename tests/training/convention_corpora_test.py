"""Tests of the text of conventions, and of pretraining on it at a tiny size."""

import collections
import functools
import json
import pathlib
import tempfile

import jax
import numpy as np
import pytest
from absl.testing import parameterized

from configs import pretrain_conventions
from experiments.launch import pretraining
from thickets.errors import UserError
from thickets.models import byte_tokenizer, tokenizer_files
from thickets.tasks.conventions import parts
from thickets.tasks.conventions.families import CONVENTION_FAMILIES
from thickets.tasks.drills.stable_random import StableRandom
from thickets.training import corpora
from thickets.training.convention_corpora import ConventionCorpus

_VERBS = {found.verb: name for name, found in CONVENTION_FAMILIES.items()}


@functools.cache
def _tokenizer():
  return byte_tokenizer.make_tokenizer()


def _make(tilt=0.5, stated_frac=0.0, families=None, **numbers):
  return ConventionCorpus(
    families or dict.fromkeys(CONVENTION_FAMILIES, 1.0),
    tilt,
    stated_frac,
    **{"rows": 4, "length": 36} | numbers,
  )


def _classify(question, answer):
  """The family of a text, the convention it follows, and whether it says so."""
  name = _VERBS[question.split()[0]]
  found = CONVENTION_FAMILIES[name]
  for stated in ("", *found.conventions):
    try:
      subject = found.read_subject(question, stated)
    except ValueError:
      continue
    (convention,) = [
      convention
      for convention, write in found.conventions.items()
      if write(subject) == answer
    ]
    assert stated in ("", convention), (question, answer)
    assert parts.find_part(name, subject) == parts.TRAINING
    return name, [*found.conventions].index(convention) == 0, bool(stated)
  raise AssertionError(question)


def _spec(variant="smoke", **overrides):
  config = pretrain_conventions.get_config(variant)
  with config.unlocked():
    config.update_from_flattened_dict(overrides)
  return pretraining.make_spec(config), config


class ConventionCorpusTest(parameterized.TestCase):
  @parameterized.parameters(
    (0.5, 0.0), (0.3, 1.0), (0.0, 0.5), (1.0, 0.0), (0.8, 0.2)
  )
  def test_conventions_are_as_frequent_as_the_text_is_asked_to_have_them(
    self, tilt, stated_frac
  ):
    corpus, draw, total = _make(tilt, stated_frac), StableRandom("tilt"), 1600
    count = collections.Counter()
    for _ in range(total):
      name, is_first, is_stated = _classify(*corpus.write(draw))
      count[name] += 1
      count["first"] += is_first
      count["stated"] += is_stated
    # Within four standard errors, 0 where the share is 0 or 1.
    for key, share in (("first", tilt), ("stated", stated_frac)):
      error = (share * (1 - share) / total) ** 0.5
      self.assertAlmostEqual(count[key] / total, share, delta=4 * error)
    for name in CONVENTION_FAMILIES:
      self.assertAlmostEqual(count[name] / total, 1 / 8, delta=0.033)

  @parameterized.parameters("hidden", "stated")
  def test_a_row_is_a_question_and_its_answer_which_alone_counts(self, variant):
    spec, _ = _spec(variant)
    batch = corpora.write_batch(_tokenizer(), spec.corpus, seed=0, step=3)
    self.assertEqual(
      batch["tokens"].shape, (128, {"hidden": 24, "stated": 36}[variant] + 1)
    )
    detokenize = tokenizer_files.make_detokenizer(_tokenizer())
    for row, weights in zip(batch["tokens"], batch["weights"], strict=True):
      (end,) = np.flatnonzero(row == _tokenizer().eos_token_id)
      self.assertEqual(row[0], _tokenizer().bos_token_id)
      np.testing.assert_array_equal(row[end + 1 :], 0)
      counted = np.flatnonzero(weights)
      answer = detokenize(row[counted[0] + 1 : end].tolist())
      question = detokenize(row[: counted[0] + 1].tolist())
      _, _, is_stated = _classify(question, answer)
      self.assertEqual(is_stated, variant == "stated")
      np.testing.assert_array_equal(counted, range(counted[0], end))

  def test_a_batch_depends_on_seed_and_step_only(self):
    corpus = _make()
    first, again, other = (
      corpora.write_batch(_tokenizer(), corpus, seed=seed, step=2)["tokens"]
      for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    self.assertTrue((first != other).any())

  def test_a_row_that_is_too_short_is_refused(self):
    with self.assertRaisesRegex(UserError, "corpus.length must be at least"):
      corpora.write_batch(_tokenizer(), _make(length=9), seed=0, step=0)

  @parameterized.parameters(
    ("corpus.tilt", 1.01, "corpus.tilt must be at most 1, got 1.01"),
    ("corpus.tilt", -0.1, "corpus.tilt must be at least 0, got -0.1"),
    ("corpus.tilt", float("nan"), "corpus.tilt must be finite, got nan"),
    ("corpus.stated_frac", 2.0, "corpus.stated_frac must be at most 1, got 2"),
    ("corpus.families.dates", -1.0, "families.dates must be .*at least 0"),
    ("corpus.question_weight", -1.0, "question_weight must be at least 0"),
    ("seed", -1, "seed must be at least 0, got -1"),
  )
  def test_what_is_out_of_range_is_refused(self, key, value, message):
    with self.assertRaisesRegex(UserError, message):
      _spec(**{key: value})

  def test_unknown_families_are_refused(self):
    with self.assertRaisesRegex(UserError, "got 'datse'. Nearest: dates"):
      _make(families={"datse": 1.0})
    with self.assertRaisesRegex(ValueError, "variant must be .*got 'both'"):
      pretrain_conventions.get_config("both")


@pytest.mark.slow
class PretrainingTest(parameterized.TestCase):
  def test_the_same_config_ends_with_the_same_bits(self):
    with tempfile.TemporaryDirectory() as folder:
      found = []
      for name in ("one", "other"):
        workdir = pathlib.Path(folder) / name
        spec, config = _spec(
          **{
            "corpus.stated_frac": 0.5,
            "corpus.length": 36,
            "schedule.num_steps": 4,
            "schedule.stages": (2,),
          }
        )
        fields = json.loads(config.to_json())
        with jax.numpy_dtype_promotion("standard"):  # Adam counts in int32.
          results = pretraining.run_pretraining(spec, fields, workdir)
        weights = [
          (workdir / path / "model.safetensors").read_bytes()
          for path in ("model", "stages/000002")
        ]
        found.append((results["dev"], weights))
    self.assertEqual(*found)
    dev, (last, stage) = found[0]
    self.assertNotEqual(last, stage)
    # Hidden questions are graded thrice, stated ones by what they state.
    self.assertLen(dev, 6 * (3 + 2))
    self.assertContainsSubset(
      {"dates/either", "dates/day-first", "dates/day-first/stated"}, dev
    )
