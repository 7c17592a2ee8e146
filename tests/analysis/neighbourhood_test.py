"""Tests of all estimators on one measurement, and of what is not measurable."""

import dataclasses
import functools
import json
from unittest import mock

import numpy as np
from absl.testing import parameterized

from thickets.analysis import neighbourhood
from thickets.analysis.density import solution_density
from thickets.analysis.measurement import Measurement, TaskScores
from thickets.analysis.neighbourhood import Settings
from thickets.errors import UserError
from thickets.members import Member
from thickets.report import density_table
from thickets.search.answers import Answers

QUICK = Settings(
  margins=(0.0, 0.1), num_resamples=20, num_splits=4, top_share=0.25
)


def _answers(right):
  score = right.astype(np.float64)
  vote = np.where(right, "r", "w")
  return Answers(score, right, right, np.ones(right.shape, bool), vote)


def _task(name, rng, num_members, num_select=8, num_dev=8):
  """Members of unequal skill, and a base in their middle."""
  size = num_select + num_dev
  skill = rng.uniform(0.1, 0.9, (num_members, 1))
  return TaskScores(
    name,
    _answers(rng.random((1, size)) < 0.5),
    _answers(rng.random((num_members, size)) < skill),
    num_select,
  )


def _measure(names=("a", "b", "c"), num_members=24, sigmas=(0.1, 0.2), **sizes):
  rng = np.random.default_rng(0)
  tasks = {name: _task(name, rng, num_members, **sizes) for name in names}
  members = tuple(
    Member(seed, sigmas[seed % len(sigmas)]) for seed in range(num_members)
  )
  return Measurement("toy", {}, members, tasks)


def _with_scores(measurement, name, scores):
  task = measurement.tasks[name]
  members = dataclasses.replace(task.members, score=scores)
  changed = dataclasses.replace(task, members=members)
  return dataclasses.replace(
    measurement, tasks={**measurement.tasks, name: changed}
  )


class _AnalysisTestCase(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    # The search for clusters takes seconds, and has tests of its own.
    quick = functools.partial(
      neighbourhood.embed_members, num_nulls=1, most_clusters=2
    )
    self.enter_context(mock.patch.object(neighbourhood, "embed_members", quick))


class AnalyseTest(_AnalysisTestCase):
  def test_every_part_is_there_and_is_json(self):
    measured = _measure()
    found = neighbourhood.analyse(measured, QUICK)
    plain = json.loads(json.dumps(found.to_json(), allow_nan=False))
    levels = {"0.1", "0.2"}
    self.assertEqual({*plain["regimes"]}, {"a", "b", "c"})
    for part in ("votes", "decomposition"):
      self.assertEqual({*plain[part]}, {"a", "b", "c"})
      for by_sigma in plain[part].values():
        self.assertEqual({*by_sigma}, levels)
    self.assertEqual([one["sigma"] for one in plain["diversity"]], [0.1, 0.2])
    self.assertEqual(plain["settings"]["margins"], [0.0, 0.1])
    self.assertEqual(plain["name"], "toy")
    text = density_table.format_analysis(found)
    # A header, a row for each density, a note, two lines for each D, and one for
    # each regime.
    self.assertLen(text.splitlines(), 1 + 3 * 2 * 2 + 1 + 2 * 2 + 3)
    for task in ("a", "b", "c"):
      call = found.regimes[task]
      self.assertIn(f"{task}: {call.regime} ({call.reason})", text)

  def test_densities_are_those_of_the_estimator(self):
    measured = _measure()
    task = measured.task("b")
    expected = solution_density(
      task.scores,
      measured.sigmas,
      task.base_scores,
      margins=(0.0, 0.1),
      num_resamples=20,
      num_splits=4,
    )
    found = neighbourhood.analyse(measured, QUICK).densities["b"]
    self.assertEqual(found.to_json(), expected.to_json())

  def test_votes_are_of_one_sigma_and_judged_on_dev(self):
    measured = _measure()
    found = neighbourhood.analyse(measured, QUICK)
    task = measured.task("c")
    rows = np.flatnonzero(measured.sigmas == 0.2)
    means = task.scores[rows, :8].mean(axis=1)
    best = rows[np.argsort(-means, kind="stable")[:3]]  # A quarter of twelve.
    won = task.members.lenient[best, 8:].sum(axis=0) >= 2
    vote = found.votes["c"][0.2]
    self.assertEqual((vote["top_k"], vote["num_judge"]), (3, 8))
    self.assertAlmostEqual(vote["accuracy"], won.mean())
    base = task.base.lenient[0, 8:].mean()
    self.assertAlmostEqual(vote["gain"], won.mean() - base)
    # What the gain is made of sums to it, and single members are the same ones.
    parts = found.parts["c"][0.2]
    self.assertAlmostEqual(parts[0].accuracy, won.mean())
    self.assertAlmostEqual(parts[0].base_lenient, base)
    self.assertAlmostEqual(
      parts[1].accuracy, task.members.lenient[best, 8:].mean()
    )
    self.assertAlmostEqual(vote["single"], parts[1].accuracy)
    self.assertAlmostEqual(
      parts[3].accuracy, task.members.lenient[rows[:3], 8:].mean()
    )

  def test_regimes_read_the_margin_above_zero(self):
    settings = dataclasses.replace(QUICK, margins=(0.3, 0.0, 0.1))
    self.assertEqual(settings.margin, 0.1)
    found = neighbourhood.analyse(_measure(), settings)
    for call in found.regimes.values():
      self.assertEqual(call.margin, 0.1)
    self.assertEqual(found.diversity[0].specialists.margin, 0.1)
    (column,) = np.flatnonzero(found.densities["a"].margins == 0.1)
    call = found.regimes["a"]
    row = found.densities["a"].sigmas.tolist().index(call.sigma)
    density = found.densities["a"].corrected[row, column]
    self.assertIn(f"density {density:.3f}", call.reason)
    gain = found.votes["a"][call.sigma]["gain"]
    self.assertIn(f"gain {gain:+.3f}", call.reason)

  def test_answers_tell_a_needle_where_all_scores_are_at_the_floor(self):
    """All answers are wrong, and those of members differ from the base's."""
    measured = _measure(names=("a",), num_members=200, num_select=8, num_dev=32)
    wrong = np.zeros((200, 40), bool)
    members = _answers(wrong)
    members.vote[:, ::2] = "v"
    calls = []
    for has_form in (True, False):
      task = TaskScores(
        "a",
        _answers(wrong[:1]),
        dataclasses.replace(members, format=wrong | has_form),
        num_select=8,
      )
      changed = dataclasses.replace(measured, tasks={"a": task})
      calls.append(neighbourhood.analyse(changed, QUICK).regimes["a"])
    self.assertEqual([c.regime for c in calls], ["needle", "undecided"])
    self.assertIn("in the form on 0% of the prompts", calls[1].reason)

  def test_a_sigma_that_destroys_all_members_makes_no_needle(self):
    """At the larger sigma nobody says anything; at the smaller, all are equal."""
    measured = _measure()
    base = np.arange(16) % 2 == 0
    tasks = {}
    for name, task in measured.tasks.items():
      right = np.where(measured.sigmas[:, None] == 0.2, False, base)
      flipped = np.where(measured.sigmas[:, None] == 0.1, np.eye(24, 16), 0)
      tasks[name] = dataclasses.replace(
        task,
        base=_answers(base[None]),
        members=_answers(right ^ (flipped > 0)),
      )
    measured = dataclasses.replace(measured, tasks=tasks)
    call = neighbourhood.analyse(measured, QUICK).regimes["a"]
    self.assertEqual(call.regime, "undecided")
    self.assertIn("lost more than 50%", call.set_aside[0.2])
    self.assertIn("no sigma says anything of the model", call.reason)

  def test_diversity_is_within_each_sigma(self):
    measured = _measure()
    rows = np.flatnonzero(measured.sigmas == 0.2)
    alone = Measurement(
      "toy",
      {},
      tuple(measured.members[row] for row in rows),
      {
        name: dataclasses.replace(
          task, members=task.members.take(rows.tolist())
        )
        for name, task in measured.tasks.items()
      },
    )
    both = neighbourhood.analyse(measured, QUICK).to_json()["diversity"]
    (one,) = neighbourhood.analyse(alone, QUICK).to_json()["diversity"]
    self.assertEqual(both[1], one)
    self.assertNotEqual(both[0]["discordance"], one["discordance"])

  def test_depends_on_seed_and_scores_alone(self):
    names = ("a", "b")
    first, again = (
      neighbourhood.analyse(_measure(names), QUICK).to_json() for _ in range(2)
    )
    self.assertEqual(first, again)
    other = neighbourhood.analyse(
      _measure(names), dataclasses.replace(QUICK, seed=1)
    )
    self.assertNotEqual(first["densities"], other.to_json()["densities"])

  def test_ratios_are_left_out_where_the_base_knows_nothing(self):
    measured = _measure()
    task = measured.task("a")
    base = _answers(np.zeros((1, 16), bool))
    tasks = measured.tasks | {"a": dataclasses.replace(task, base=base)}
    measured = dataclasses.replace(measured, tasks=tasks)
    settings = dataclasses.replace(QUICK, ratios=(1.1,))
    with self.assertLogs("absl", "WARNING") as logs:
      found = neighbourhood.analyse(measured, settings)
    self.assertRegex(logs.output[0], "a: relative margins are left out")
    self.assertEqual(found.densities["a"].margins.tolist(), [0.0, 0.1])
    self.assertLen(found.densities["b"].margins, 3)

  def test_destroyed_members_are_counted_and_left_out(self):
    """Four of each sigma answer everything wrongly."""
    measured = _measure(num_members=48, num_select=30, num_dev=30)
    for name, task in measured.tasks.items():
      scores = task.scores.copy()
      scores[:8] = 0.0
      measured = _with_scores(measured, name, scores)
    found = neighbourhood.analyse(measured, QUICK)
    for one in found.diversity:
      self.assertTrue(one.destroyed.is_destroyed[:4].all())
      self.assertLess(one.destroyed.count, 8)
      self.assertEqual(one.discordance.num_members, 24)
      self.assertEqual(
        one.discordance_without.num_members, 24 - one.destroyed.count
      )
      self.assertGreater(
        one.discordance_without.value, one.discordance.value + 0.1
      )
    text = density_table.format_analysis(found)
    one = found.diversity[0]
    self.assertRegex(
      text,
      rf"everything: {one.destroyed.count} of 24 members, .* \[.*\]; without them"
      rf" D is {one.discordance_without.value:.3f} \[",
    )
    json.dumps(found.to_json(), allow_nan=False)

  def test_without_destroyed_members_d_is_one_number(self):
    found = neighbourhood.analyse(_measure(num_select=30, num_dev=30), QUICK)
    one = found.diversity[0]
    self.assertEqual(one.destroyed.count, 0)
    self.assertIs(one.discordance_without, one.discordance)


class MissingTest(_AnalysisTestCase):
  """What cannot be measured is empty and said, or refused by name."""

  def test_a_single_task_has_no_diversity(self):
    with self.assertLogs("absl", "INFO") as logs:
      found = neighbourhood.analyse(_measure(names=("a",)), QUICK)
    self.assertEqual(found.diversity, ())
    self.assertIn("No diversity of a single task", "".join(logs.output))
    self.assertIn("a", found.regimes)

  @parameterized.parameters((8, 0), (0, 8), (8, 1))
  def test_without_both_kinds_of_prompts_there_is_no_vote(self, select, dev):
    measured = _measure(num_select=select, num_dev=dev)
    with self.assertLogs("absl", "INFO") as logs:
      found = neighbourhood.analyse(measured, QUICK)
    self.assertEqual((found.votes, found.parts, found.regimes), ({}, {}, {}))
    self.assertRegex(logs.output[0], "a: no votes and no regime, which need")
    self.assertLen(found.diversity, 2)

  def test_one_member_is_refused_with_the_task(self):
    with self.assertRaisesRegex(UserError, "^a: .*at least two members"):
      neighbourhood.analyse(_measure(num_members=1), QUICK)

  @parameterized.parameters(
    ((1.5,), "^a: .*1.5"), ((0.1, -0.2), "^a: .*-0.2"), ((0.1, 2.0), "^a: .*2")
  )
  def test_margins_outside_the_range_are_refused(self, margins, message):
    settings = dataclasses.replace(QUICK, margins=margins)
    with self.assertRaisesRegex(UserError, message):
      neighbourhood.analyse(_measure(), settings)

  def test_scores_outside_the_range_are_refused(self):
    measured = _measure()
    scores = measured.task("b").scores.copy()
    scores[3, 2] = 7.0
    with self.assertRaisesRegex(
      UserError, "^b: scores must lie within .*got 7"
    ):
      neighbourhood.analyse(_with_scores(measured, "b", scores), QUICK)

  def test_a_base_that_failed_is_refused(self):
    measured = _measure()
    task = measured.task("b")
    base = dataclasses.replace(
      task.base, score=np.full(task.base.score.shape, np.nan)
    )
    tasks = measured.tasks | {"b": dataclasses.replace(task, base=base)}
    with self.assertRaisesRegex(UserError, "^b: base_scores must hold no NaN"):
      neighbourhood.analyse(dataclasses.replace(measured, tasks=tasks), QUICK)

  @parameterized.parameters(
    ({"margins": (0.0,)}, r"margins must hold one above 0, got \(0.0,\)"),
    ({"top_share": 0.0}, "top_share must be above 0 and at most 1, got 0.0"),
    ({"top_share": 1.5}, "top_share must be above 0 and at most 1, got 1.5"),
  )
  def test_settings_are_checked(self, changes, message):
    with self.assertRaisesRegex(UserError, message):
      dataclasses.replace(QUICK, **changes)

  def test_failed_members_are_counted_in_every_part(self):
    measured = _measure()
    scores = measured.task("b").scores.copy()
    scores[[1, 3, 4]] = np.nan  # Two of sigma 0.2, and one of 0.1.
    found = neighbourhood.analyse(_with_scores(measured, "b", scores), QUICK)
    json.dumps(found.to_json(), allow_nan=False)
    self.assertEqual(found.densities["b"].num_failed.tolist(), [1, 2])
    for one, failed in zip(found.diversity, (1, 2), strict=True):
      self.assertEqual(one.left_out, ())
      self.assertEqual(one.discordance.num_failed, failed)
      self.assertEqual(one.lines.num_failed, failed)
      self.assertEqual(one.embedding.num_failed, failed)
      self.assertEqual(one.overlap.num_failed, (0, failed, 0))
      self.assertEqual(one.specialists.num_failed, failed)
      self.assertEqual(one.overlap.num_members, 12)

  def test_a_task_on_which_all_fail_leaves_the_others(self):
    measured = _measure(num_members=30)
    scores = measured.task("b").scores.copy()
    scores[1::2] = np.nan
    with self.assertLogs("absl", "WARNING") as logs:
      found = neighbourhood.analyse(_with_scores(measured, "b", scores), QUICK)
    json.dumps(found.to_json(), allow_nan=False)
    self.assertRegex(logs.output[0], "b: no vote at sigma 0.2, where too few")
    self.assertIn("left out of diversity at sigma 0.2", "".join(logs.output))
    self.assertEqual([*found.votes["b"]], [0.1])
    dead = found.diversity[1]
    self.assertEqual(dead.left_out, ("b",))
    self.assertEqual(dead.discordance.names, ("a", "c"))
    self.assertEqual(dead.discordance.num_failed, 0)
    self.assertEqual(dead.specialists.num_failed, 15)
    density_table.format_analysis(found)

  def test_tasks_on_which_all_score_alike_are_left_out_and_named(self):
    measured = _measure()
    alike = _with_scores(measured, "a", np.zeros((24, 16)))
    with self.assertLogs("absl", "WARNING") as logs:
      found = neighbourhood.analyse(alike, QUICK)
    self.assertRegex(logs.output[0], "toy: left out of diversity .* fail: a")
    one = found.diversity[0]
    self.assertEqual(one.discordance.names, ("b", "c"))
    self.assertEqual(one.specialists.names, ("a", "b", "c"))
    # With one task left there is nothing to compare.
    alike = _with_scores(alike, "b", np.ones((24, 16)))
    found = neighbourhood.analyse(alike, QUICK)
    one = found.diversity[0]
    self.assertEqual(one.left_out, ("a", "b"))
    self.assertIsNone(one.discordance)
    self.assertIsNone(one.embedding)
    self.assertEqual(one.specialists.experts[1], 12)
    json.dumps(found.to_json(), allow_nan=False)
    density_table.format_analysis(found)

  def test_members_that_hardly_differ_have_no_clusters(self):
    """An untrained model is such: one member of all says something else."""
    measured = _measure()
    for name in measured.tasks:
      scores = np.zeros((24, 16))
      scores[4:6, 0] = 1.0  # One of each sigma.
      measured = _with_scores(measured, name, scores)
    tasks = {
      name: dataclasses.replace(task, base=_answers(np.zeros((1, 16), bool)))
      for name, task in measured.tasks.items()
    }
    measured = dataclasses.replace(measured, tasks=tasks)
    with self.assertLogs("absl", "WARNING") as logs:
      found = neighbourhood.analyse(measured, QUICK)
    self.assertIn("not sorted into clusters", "".join(logs.output))
    self.assertIsNone(found.diversity[0].embedding)
    self.assertAlmostEqual(found.diversity[0].discordance.value, 0.0)
    json.dumps(found.to_json(), allow_nan=False)
    density_table.format_analysis(found)

  def test_sigmas_of_few_members_are_measured_as_far_as_they_go(self):
    measured = _measure(num_members=5, sigmas=(0.1, 0.1, 0.1, 0.1, 0.2))
    found = neighbourhood.analyse(measured, QUICK)
    self.assertEqual(found.densities["a"].num_members.tolist(), [4, 1])
    self.assertIsNone(found.diversity[1].discordance)
    self.assertEqual(found.diversity[1].specialists.num_members, 1)
    json.dumps(found.to_json(), allow_nan=False)
    density_table.format_analysis(found)
