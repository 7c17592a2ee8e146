"""Tests of summaries of tasks in pairs: skill, leaning, what is kept."""

import json

import numpy as np
from absl.testing import absltest

from thickets.analysis import paired_tasks
from thickets.analysis.measurement import Measurement, TaskScores
from thickets.analysis.neighbourhood import Settings
from thickets.members import Member
from thickets.search.answers import Answers

SETTINGS = Settings(
  margins=(0.0, 0.05),
  num_resamples=10,
  num_splits=2,
  top_share=0.25,
  clusters=False,
)
PAIRS = [("sort/up", "sort/down")]


def _answers(votes, wanted):
  right = votes == wanted
  return Answers(
    right.astype(float), right, right, np.ones(right.shape, bool), votes
  )


def _measure():
  """Members that answer "u" or "d" or neither; sixteen prompts of select, eight of dev."""
  rng = np.random.default_rng(0)
  lean = np.linspace(0.1, 0.9, 8)[:, None]
  drawn = rng.random((8, 24))
  votes = np.where(drawn < lean, "u", "d")
  votes[:, ::6] = "n"  # Nobody knows every sixth.
  base = np.array([["u", "d", "n"] * 8])
  tasks = {
    name: TaskScores(
      name, _answers(base, wanted), _answers(votes, wanted), num_select=16
    )
    for name, wanted in zip(PAIRS[0], "ud", strict=True)
  }
  members = tuple(Member(seed, 0.01) for seed in range(8))
  samples = np.array([["u", "d"] * 4, ["u", "n"] * 4])
  return Measurement("toy", {}, members, tasks), {
    name: _answers(samples, wanted)
    for name, wanted in zip(PAIRS[0], "ud", strict=True)
  }


def _summarise(**options):
  measured, samples = _measure()
  given = {"k": 2, "settings": SETTINGS, "same_questions": True} | options
  return paired_tasks.summarise(measured, samples, PAIRS, **given)


class PairedTasksTest(absltest.TestCase):
  def test_either_answer_is_skill(self):
    found = _summarise()
    level = found["levels"]["0.01"]
    first, second, skill = (
      level["sets"][name]["right"] for name in ("first", "second", "skill")
    )
    np.testing.assert_array_equal(
      np.add(first["base"], second["base"]), skill["base"]
    )
    self.assertAlmostEqual(np.mean(skill["base"]), 5 / 8)  # Prompts 16 to 23.
    # The first of two samples that tie is elected, by both tasks the same.
    np.testing.assert_array_equal(skill["samples"], np.ones(8))
    self.assertEqual(skill["best"][2], 0.0)  # Prompt 18, which nobody knows.
    self.assertEqual([*found["skill_regimes"]], ["sort/up"])
    self.assertEqual([*found["regimes"]], ["sort/up", "sort/down"])
    json.dumps(found, allow_nan=False)

  def test_members_lean_to_one_task_or_the_other(self):
    tasks = _summarise()["levels"]["0.01"]["tasks"]
    up, down = (tasks[name]["leaning"] for name in PAIRS[0])
    self.assertEqual(up + down, 1.0)
    self.assertBetween(up, 0.3, 0.7)
    measured, _ = _measure()
    scores = measured.tasks["sort/up"].scores.mean(axis=1)
    others = measured.tasks["sort/down"].scores.mean(axis=1)
    ties = (scores == others).mean()
    self.assertEqual(up, (scores > others).mean() + ties / 2)

  def test_questions_that_say_what_is_wanted_have_no_skill_beside(self):
    found = _summarise(same_questions=False)
    self.assertEqual([*found["levels"]["0.01"]["sets"]], ["first", "second"])
    self.assertEqual(found["skill_regimes"], {})
    self.assertEqual(found["levels"]["0.01"]["sets"]["first"]["either"], {})

  def test_a_base_that_was_not_sampled_has_no_samples(self):
    measured, _ = _measure()
    found = paired_tasks.summarise(
      measured, {}, PAIRS, k=2, settings=SETTINGS, same_questions=True
    )
    sets = found["levels"]["0.01"]["sets"]
    self.assertNotIn("samples", sets["skill"]["right"])
    self.assertNotIn("samples", sets["first"]["right"])


if __name__ == "__main__":
  absltest.main()
