"""Tests of the config of needle, thicket and plateau: its specs, what it refuses."""

from unittest import mock

from absl.testing import parameterized

from configs import conventions
from experiments.launch import convention_columns
from thickets.errors import UserError
from thickets.models import sources


def _read(variant="smoke", **overrides):
  config = conventions.get_config(variant)
  with config.unlocked():
    config.update_from_flattened_dict(overrides)
  return convention_columns.read_columns(config)


def _check_vocabulary(column):
  convention_columns.check_vocabularies(
    {f"columns.{column.name}.model": column.measure.model}
  )


class ReadTest(parameterized.TestCase):
  def test_every_column_asks_both_conventions_of_every_family(self):
    hidden, one, stated = _read("")
    names = [task.name for task in hidden.measure.tasks]
    self.assertLen(names, 6)
    self.assertEqual(
      names[:2],
      ["conventions/turning/right", "conventions/turning/left"],
    )
    self.assertEqual(
      [column.measure.population.sigmas for column in (hidden, one, stated)],
      [(0.014,), (0.02,), (0.014,)],
    )
    self.assertEqual(names, [task.name for task in one.measure.tasks])
    self.assertEqual(
      [f"{name}/stated" for name in names],
      [task.name for task in stated.measure.tasks],
    )
    self.assertEqual(
      [column.measure.model.name for column in (hidden, one, stated)],
      [f"shipped/conventions-{name}" for name in ("hidden", "one", "stated")],
    )
    self.assertEqual(hidden.measure.samples, 15)

  def test_questions_of_development_are_asked_by_their_name(self):
    *_, stated = _read(development=True)
    self.assertEqual(
      stated.measure.tasks[0].name,
      "conventions/turning/right/stated/development",
    )

  @parameterized.parameters(
    (
      "families",
      ("sorting", "dats"),
      "family must be .*'dats'. Nearest: dates",
    ),
    ("families", (), "families must hold at least one item"),
    ("top_k", 9, r"top_k must be at most 8 \(members of one sigma\), got 9"),
    ("top_k", 0, "top_k must be at least 1, got 0"),
    ("margins", (0.02, -0.1), "margins must be at least 0, got -0.1"),
    ("margins", (), "margins must hold at least one item"),
    ("resamples", 0, "resamples must be at least 1, got 0"),
    ("columns.one.modell", "x", "columns.one.modell is not a config key"),
    (
      "columns.one.sigmas",
      (),
      "columns.one.sigmas must hold at least one item",
    ),
    ("columns.one.sigmas", (0.01, -0.02), "sigmas? .*-0.02"),
    (
      "measure.population.sigmas",
      (0.01,),
      r"left empty, since columns.NAME.sigmas gives it, got \(0.01,\). Set col",
    ),
    ("measure.tasks.names", ("gsm8k",), "since families gives it, got"),
    ("measure.consistency.temperatures", (), "temperatures must hold at least"),
  )
  def test_what_is_wrong_is_refused(self, key, value, message):
    with self.assertRaisesRegex(UserError, message):
      _read(**{key: value})

  def test_a_base_of_another_vocabulary_is_refused(self):
    class Other:
      def encode(self, text):
        return [len(text)]

      def __len__(self):
        return 20

    (column, *_) = _read()
    for tokenizer, size in ((Other(), "20 tokens"), (None, "none")):
      found = mock.Mock(load_tokenizer=lambda tokenizer=tokenizer: tokenizer)
      with (
        mock.patch.object(sources, "find", return_value=found),
        self.assertRaisesRegex(
          UserError,
          "columns.hidden.model must have the vocabulary .*259 tokens.*got"
          f" shipped/conventions-hidden with {size}. Name a model",
        ),
      ):
        _check_vocabulary(column)

  def test_the_shipped_vocabulary_is_accepted(self):
    (column, *_) = _read(**{"columns.hidden.model": "shipped/drills"})
    _check_vocabulary(column)
