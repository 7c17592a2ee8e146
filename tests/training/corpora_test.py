"""Tests of the corpus of drills and of the tokenizer that it is read with."""

import collections
import functools
import json
import pathlib
import tempfile

import hypothesis
import numpy as np
from absl.testing import parameterized
from hypothesis import strategies as st

from thickets.errors import UserError
from thickets.models import byte_tokenizer, tokenizer_files
from thickets.tasks.drills.exercises import is_held_out
from thickets.tasks.drills.families import DRILL_FAMILIES
from thickets.tasks.drills.family_tasks import DRILL_TASKS
from thickets.tasks.drills.stable_random import StableRandom
from thickets.training import corpora
from thickets.training.corpora import Mixture

MIXTURE = Mixture(
  {"countdown3": 3, "addition": 1, "reversal": 0},
  {"countdown3": {"formula": 1, "steps": 2}},
)


@functools.lru_cache
def _tokenizer():
  return byte_tokenizer.make_tokenizer()


@functools.lru_cache
def _reloaded():
  with tempfile.TemporaryDirectory() as folder:
    _tokenizer().save_pretrained(folder)
    return tokenizer_files.load_tokenizer(folder)


def _write_batch(step, *, seed=0, **changes):
  corpus = corpora.CorpusSpec(MIXTURE, **{"rows": 6, "length": 90} | changes)
  return corpora.write_batch(_tokenizer(), corpus, seed=seed, step=step)


class TokenizerTest(parameterized.TestCase):
  @hypothesis.given(st.text())
  @hypothesis.example("<|eos|> of <|bos|>\x00\r\n  don 't . ,\u2028é\U0001d518")
  def test_any_text_survives(self, text):
    for tokenizer in (_tokenizer(), _reloaded()):
      ids = tokenizer.encode(text)
      self.assertEqual(
        ids,
        [tokenizer.bos_token_id, *(3 + byte for byte in text.encode("utf-8"))],
      )
      self.assertEqual(tokenizer_files.make_detokenizer(tokenizer)(ids), text)

  def test_is_small_and_plain_as_its_files_say(self):
    tokenizer = _reloaded()
    self.assertLen(tokenizer, byte_tokenizer.NUM_TOKENS)
    self.assertEqual(
      (
        tokenizer.pad_token_id,
        tokenizer.bos_token_id,
        tokenizer.eos_token_id,
      ),
      (0, 1, 2),
    )
    self.assertIsNone(tokenizer.chat_template)
    with tempfile.TemporaryDirectory() as folder:
      tokenizer.save_pretrained(folder)
      path = pathlib.Path(folder) / "tokenizer.json"
      vocabulary = json.loads(path.read_text(encoding="utf-8"))["model"][
        "vocab"
      ]
    self.assertLen(set(vocabulary.values()), byte_tokenizer.NUM_TOKENS)


class CorpusTest(parameterized.TestCase):
  def texts(self, batch):
    """The exercises of a batch as text, row by row; the last is cut off."""
    for row, weights in zip(batch["tokens"], batch["weights"], strict=True):
      starts = np.flatnonzero(row == _tokenizer().bos_token_id)
      self.assertEqual(starts[0], 0)
      ends = [*starts[1:], len(row)]
      for start, end in zip(starts, ends, strict=True):
        yield (
          row[start:end],
          weights[max(start - 1, 0) : end - 1],
          end < len(row),
        )

  def test_rows_hold_exercises_that_are_not_held_out_and_their_answers(self):
    count = collections.Counter()
    for step in range(3):
      for tokens, _, is_whole in self.texts(_write_batch(step)):
        if not is_whole:
          continue
        self.assertEqual(tokens[-1], _tokenizer().eos_token_id)
        text = tokenizer_files.make_detokenizer(_tokenizer())(tokens.tolist())
        question, answer = text.split("?")
        family = "addition" if "+" in question else "countdown3"
        count[family] += 1
        if family == "addition":
          identity, reference = question, str(eval(question))
        else:
          left, target = question.split("=")
          numbers = [int(word) for word in left.split()]
          identity = f"{','.join(map(str, sorted(numbers)))}={target}"
          reference = {"numbers": numbers, "target": int(target)}
        self.assertFalse(is_held_out(family, identity))
        task = DRILL_TASKS[f"drills/{family}"]
        row = {"id": identity, "prompt": question, "reference": reference}
        example = task.make_example(row, 0)
        self.assertTrue(task.grader("standard")(example, answer).correct)
    self.assertGreater(min(count["addition"], count["countdown3"]), 5)

  def test_questions_have_a_weight_of_their_own(self):
    batch = _write_batch(0, question_weight=0.25)
    question_mark = _tokenizer().encode("?")[-1]
    for tokens, weights, _ in self.texts(batch):
      # A row's first token is not predicted.
      predicted = tokens[len(tokens) - len(weights) :]
      (ends,) = np.nonzero(predicted == question_mark)
      split = ends[0] + 1 if len(ends) else len(weights)
      np.testing.assert_array_equal(weights[:split], 0.25)
      np.testing.assert_array_equal(weights[split:], 1.0)

  def test_a_batch_depends_on_seed_and_step_only(self):
    batches = [_write_batch(step) for step in (0, 1, 2)]
    for step in (2, 0, 1):
      for name, values in _write_batch(step).items():
        np.testing.assert_array_equal(values, batches[step][name])
    seen = [batch["tokens"].tobytes() for batch in batches]
    self.assertLen({*seen, _write_batch(0, seed=1)["tokens"].tobytes()}, 4)
    self.assertEqual(batches[0]["tokens"].shape, (6, 91))
    self.assertEqual(batches[0]["weights"].shape, (6, 90))


class MixtureTest(parameterized.TestCase):
  def test_frequencies_are_kept(self):
    draw, total = StableRandom("mixture"), 3000
    count = collections.Counter()
    for _ in range(total):
      question, answer = MIXTURE.write(draw)
      is_sum = "+" in question
      count["addition" if is_sum else "countdown3"] += 1
      count["steps"] += not is_sum and " " in answer
    # Within four standard errors.
    self.assertAlmostEqual(count["addition"] / total, 1 / 4, delta=0.032)
    self.assertAlmostEqual(count["steps"] / total, 3 / 4 * 2 / 3, delta=0.037)
    self.assertEqual(sum(count.values()) - count["steps"], total)

  def test_without_frequencies_all_manners_occur(self):
    mixture, draw = Mixture({"maximum": 1}), StableRandom("all")
    manners = DRILL_FAMILIES["maximum"].manners
    forms = {
      (" " in answer, "=" in answer, "," in answer)
      for _, answer in (mixture.write(draw) for _ in range(200))
    }
    self.assertLen(forms, len(manners))

  @parameterized.parameters(
    ({"countdown": 1}, {}, "families must name .* got 'countdown'.*countdown3"),
    ({"maximum": -1}, {}, "families.maximum must be .* at least 0, got -1"),
    ({"maximum": 0}, {}, "families must have a frequency above 0, got none"),
    ({"maximum": 1}, {"max": {}}, "manners must name .* got 'max'.*maximum"),
    (
      {"maximum": 1},
      {"maximum": {"quick": 1}},
      "manners.maximum must name .* got 'quick'",
    ),
  )
  def test_what_it_cannot_write_is_refused(self, families, manners, message):
    with self.assertRaisesRegex(UserError, message):
      Mixture(families, manners)
