"""Tests of claims on studies of conventions: points, verdicts, discordance."""

import itertools
import json
import pathlib
import tempfile

import numpy as np
from absl.testing import parameterized

from thickets.analysis import (
  convention_claims,
  convention_discordance,
  convention_points,
  diversity,
)
from thickets.analysis.convention_claims import Claim
from thickets.analysis.intervals import Estimate
from thickets.errors import UserError
from thickets.report import claims_table

TASKS = ("conventions/turning/right", "conventions/turning/left")
FAMILIES = [
  *TASKS,
  *("conventions/casing/upper", "conventions/casing/lower"),
  *("conventions/dates/day-first", "conventions/dates/month-first"),
]


def _run(
  seed, population, vote, *, group="hidden", density=0.3, regime="thicket"
):
  """A run whose base is always wrong and whose vote is right on some prompts."""
  rows = {
    "base": [0.0] * 10,
    "best": [0.0] * 10,
    "vote": [1.0] * vote + [0.0] * (10 - vote),
    "random": [0.0] * 10,
    "samples": [0.0] * 10,
  }
  sets = {
    name: {"right": rows, "either": rows}
    for name in ("first", "second", "skill")
  }
  task = {"density": {"0.05": [density, density - 0.02, density + 0.02]}}
  return {
    "training": f"{group}-{seed}",
    "group": group,
    "seed": seed,
    "step": 10,
    "population": population,
    "levels": {
      "0.01": {
        "num_members": 96,
        "sets": sets,
        "tasks": dict.fromkeys(TASKS, task),
      }
    },
    "regimes": {task: {"regime": regime} for task in TASKS},
  }


def _rank(run, tasks=TASKS, seed=0):
  """Adds how tasks' rankings correlate, of which two of a family are opposite."""
  lean = np.random.default_rng(seed).normal(size=(40, len(FAMILIES) // 2))
  columns = [
    lean[:, place // 2] * (1 - 2 * (place % 2))
    for place, name in enumerate(FAMILIES)
    if name in tasks
  ]
  run["levels"]["0.01"]["discordance"] = {
    "names": [*tasks],
    "correlation": np.corrcoef(np.array(columns)).tolist(),
  }
  run["levels"]["0.01"]["tasks"] = dict.fromkeys(
    tasks, next(iter(run["levels"]["0.01"]["tasks"].values()))
  )
  return run


def _measure_others():
  """What families other than the first give by themselves."""
  runs = [_rank(_run(seed, 0, 0), FAMILIES[2:]) for seed in range(3)]
  (others,) = convention_points.make_points({"runs": runs})
  return convention_discordance.measure_discordance_of_pairs(others)


def _judge_families(point):
  return convention_discordance.judge_discordance(
    convention_discordance.measure_discordance_of_pairs(point),
    convention_discordance.say_families(point),
  )


class PointsTest(parameterized.TestCase):
  def test_runs_of_a_group_are_trainings_by_populations(self):
    runs = [_run(s, p, 4 + s) for p in (1, 0) for s in (2, 0, 1)]
    (point,) = convention_points.make_points({"runs": runs})
    values = point.values("vote", "base")
    self.assertEqual(values.shape, (3, 2, 10))
    np.testing.assert_allclose(values.mean(axis=(1, 2)), [0.4, 0.5, 0.6])
    self.assertEqual(point.estimate("vote").value, 0.5)
    self.assertEqual(
      point.estimate("vote").over, "trainings, populations and prompts"
    )
    self.assertEqual(point.count_dense(TASKS[0]), 6)
    self.assertEqual(point.count_regimes(TASKS), {"thicket": 12})
    self.assertIn(
      "3 trainings x 2 populations", convention_points.say_size(point)
    )

  def test_intervals_of_shares_hold_shares_alone(self):
    runs = [
      _run(seed, 0, vote, density=density)
      for seed, vote, density in ((0, 0, 0.0), (1, 10, 0.9), (2, 10, 1.0))
    ]
    (point,) = convention_points.make_points({"runs": runs})
    share, density = (
      point.estimate("vote"),
      convention_points.estimate_density(point),
    )
    self.assertEqual((share.low, share.high), (0.0, 1.0))
    self.assertEqual((density.low, density.high), (0.0, 1.0))
    self.assertLess(point.estimate("vote", "base").low, 0.0)

  def test_of_one_training_the_interval_is_over_prompts(self):
    (point,) = convention_points.make_points({"runs": [_run(0, 0, 5)]})
    self.assertEqual(point.estimate("vote", "base").over, "prompts")

  def test_populations_must_be_the_same(self):
    runs = [_run(0, 0, 5), _run(1, 1, 5)]
    with self.assertRaisesRegex(UserError, "same populations at step 10"):
      convention_points.make_points({"runs": runs})


class ClaimsTest(parameterized.TestCase):
  @parameterized.parameters(
    (0.1, 0.2, "shown"),
    (-0.2, -0.1, "refuted"),
    (-0.1, 0.2, "not shown"),
  )
  def test_the_interval_decides(self, low, high, verdict):
    found = Estimate((low + high) / 2, low, high, "prompts")
    self.assertEqual(
      convention_claims.judge("text", found, "n").verdict, verdict
    )

  def test_populations_around_one_model_are_repeated_with_their_prompts(self):
    runs = [
      _run(0, p, vote, group="shipped", density=density)
      for p, (vote, density) in enumerate([(4, 0.2), (5, 0.1), (6, 0.15)])
    ]
    points = convention_points.make_points({"runs": runs})
    claims = convention_claims.judge_populations(points)
    by_text = {claim.text: claim for claim in claims}
    gain = by_text["shipped: vote - base is above 10 points"]
    # Student's quantile of two degrees of freedom, times the standard error.
    half = 4.302653 * 0.1 / np.sqrt(3)
    np.testing.assert_allclose(
      (gain.found.value, gain.found.low, gain.found.high),
      (0.5, 0.5 - half, 0.5 + half),
      rtol=1e-6,
    )
    self.assertEqual(gain.found.over, "populations and prompts")
    self.assertEqual(gain.verdict, "shown")
    dense = by_text[
      f"shipped: the density of {TASKS[0]} at +0.05 is at least 0.05"
    ]
    self.assertEqual(dense.verdict, "not shown")
    np.testing.assert_allclose(
      (dense.found.value, dense.found.low),
      (0.15, 0.15 - 4.302653 * 0.05 / np.sqrt(3)),
      rtol=1e-5,
    )

  def test_of_one_population_nothing_follows_for_others(self):
    points = convention_points.make_points({"runs": [_run(0, 0, 5)]})
    (claim,) = convention_claims.judge_populations(points)
    self.assertEqual(claim.verdict, "cannot be told")

  def test_repeated_trainings_and_their_controls(self):
    runs = [_run(s, p, 6 + s % 2) for s in range(4) for p in range(2)]
    runs += [
      _run(s, 0, 0, group=group, density=0.01, regime=regime)
      for s in range(3)
      for group, regime in (("one", "needle"), ("stated", "plateau"))
    ]
    points = convention_points.make_points({"runs": runs})
    claims = convention_claims.judge_seeds(points)
    verdicts = {claim.text: claim.verdict for claim in claims}
    self.assertEqual(
      verdicts["hidden: vote - base is above 10 points"], "shown"
    )
    self.assertEqual(
      verdicts["hidden: best member - base is above 0 points"], "not shown"
    )
    self.assertEqual(
      verdicts[
        "hidden: the density of conventions/turning/left at +0.05 is at"
        " least 0.05"
      ],
      "shown",
    )
    self.assertEqual(
      verdicts["one: the tasks that it did not are called needle"], "shown"
    )
    # The same runs are not plateaus.
    self.assertEqual(
      verdicts["one: the tasks that the text taught are called plateau"],
      "not shown",
    )
    text = claims_table.format_claims("seeds", claims)
    self.assertIn("3 calls of 3 trainings: 3 needle", text)
    json.dumps([claim.to_json() for claim in claims], allow_nan=False)

  def test_predictions_are_judged_by_their_error(self):
    def rows(error):
      return [
        {"sigma": 0.01, "measured": 0.5 + error, "predicted": 0.5, "n": 64}
        for _ in range(6)
      ]

    for error, verdict in ((0.01, "shown"), (0.3, "refuted")):
      (claim,) = convention_claims.judge_predictions(rows(error))
      self.assertIsInstance(claim, Claim)
      self.assertEqual(claim.verdict, verdict)


class MissingTest(parameterized.TestCase):
  """Studies that lack something: what is left is judged, and the rest named."""

  def make(self, *runs):
    return convention_points.make_points({"runs": runs})

  @parameterized.parameters(0, 2)
  def test_stages_before_which_nothing_was_learnt(self, num_early):
    """The base is right by neither convention, at any stage but the last."""
    runs = [
      _run(seed, 0, 4) | {"step": step}
      for seed in range(3)
      for step in [*range(num_early), 10]
    ]
    claims = convention_claims.judge_stages(self.make(*runs))
    self.assertEqual(
      [claim.verdict for claim in claims[:2]], ["cannot be told"] * 2
    )
    self.assertLen(claims, 2 + num_early + 1)
    self.assertIn("no stage before 10 steps", claims[0].n)

  def test_stages_are_compared_over_the_trainings_that_have_both(self):
    """A lacking one must not be paired with another."""
    runs = [_run(seed, 0, 2 + seed) for seed in range(4)]
    for seed in (1, 3):
      early = _run(seed, 0, 1) | {"step": 5}
      rows = early["levels"]["0.01"]["sets"]["skill"]["right"]
      early["levels"]["0.01"]["sets"]["skill"]["right"] = rows | {
        "base": [0.1] * 10
      }
      runs.append(early)
    claim = convention_claims.judge_stages(self.make(*runs))[0]
    self.assertAlmostEqual(claim.found.value, np.mean([3, 5]) / 10 - 0.1)
    self.assertIn("2 trainings", claim.n)

  def test_no_common_training_is_refused(self):
    points = self.make(_run(0, 0, 1, group="0"), _run(1, 0, 1, group="1"))
    with self.assertRaisesRegex(UserError, "runs of the same seeds"):
      convention_points.match(*points)

  def test_controls_are_judged_without_the_hidden_trainings(self):
    points = self.make(*(_run(s, 0, 0, group="one") for s in range(3)))
    verdicts = [c.verdict for c in convention_claims.judge_seeds(points)]
    self.assertEqual(verdicts, ["cannot be told", "not shown", "not shown"])

  def test_a_single_training_has_no_interval_over_trainings(self):
    claims = convention_claims.judge_seeds(self.make(_run(0, 0, 9)))
    verdicts = {claim.text: claim.verdict for claim in claims}
    self.assertEqual(
      verdicts["hidden: vote - base is above 10 points"], "shown"
    )
    self.assertEqual(
      verdicts["hidden: the density at +0.05, mean of tasks, is at least 0.05"],
      "cannot be told",
    )

  def test_regimes_are_counted_once_whatever_the_sigmas(self):
    runs = [_run(s, 0, 0, group="one", regime="needle") for s in range(3)]
    for run in runs:
      run["levels"]["0.02"] = run["levels"]["0.01"]
    points = self.make(*runs)
    self.assertLen(points, 2)
    claims = convention_claims.judge_seeds(points)
    (needle,) = [c for c in claims if c.text.endswith("called needle")]
    self.assertIn("3 calls of 3 trainings", needle.n)
    self.assertLen(convention_points.without_sigmas(points), 1)

  def test_without_samples_the_other_differences_are_judged(self):
    run = _run(0, 0, 5)
    for found in run["levels"]["0.01"]["sets"].values():
      found["right"].pop("samples", None)
    texts = [c.text for c in convention_claims.judge_seeds(self.make(run))]
    self.assertIn("hidden: vote - base is above 10 points", texts)
    self.assertNotIn("hidden: vote - self-consistency is above 0 points", texts)

  def test_predictions_of_several_trainings_are_rows_of_their_own(self):
    runs = [_run(s, 0, 0, group="tilt 0.5") for s in range(2)]
    for run in runs:
      run["levels"]["0.01"]["tasks"] = {
        task: {"leaning": 0.5, "num_scored": 64, "members": 0.3}
        for task in TASKS
      }
      run["predicted"] = {"turning": {"0.01": 0.4}}
    rows = convention_claims.compare_predictions(self.make(*runs))
    self.assertEqual(
      [row["group"] for row in rows],
      [f"tilt 0.5, training {s}, population 0" for s in range(2)],
    )
    runs = [_run(0, 0, 0)]
    self.assertEmpty(convention_claims.compare_predictions(self.make(*runs)))
    (claim,) = convention_claims.judge_predictions(rows[:1])
    self.assertEqual(claim.verdict, "cannot be told")


class DiscordanceTest(parameterized.TestCase):
  def test_it_is_the_mean_over_all_sets_of_families(self):
    """As `spectral_discordance` of the tasks of each set would give it."""
    rng = np.random.default_rng(0)
    lean = rng.normal(size=(60, 3))
    scores = np.stack(
      [
        sign * lean[:, f] + 0.3 * rng.normal(size=60)
        for f in range(3)
        for sign in (1, -1)
      ],
      axis=1,
    )
    ranks = scores.argsort(axis=0).argsort(axis=0)
    runs = [_run(seed, 0, 0) for seed in range(2)]
    for run in runs:
      run["levels"]["0.01"]["discordance"] = {
        "correlation": np.corrcoef(ranks.T).tolist(),
        "names": FAMILIES,
      }
      run["levels"]["0.01"]["tasks"] = {name: {} for name in FAMILIES}
    (point,) = convention_points.make_points({"runs": runs})
    rows = convention_discordance.measure_discordance_of_pairs(point)
    for row in rows:
      sets = itertools.combinations(range(3), row["k"])
      found = [
        diversity.spectral_discordance(
          scores[:, [2 * f + side for f in chosen for side in (0, 1)]]
        )
        for chosen in sets
      ]
      self.assertAlmostEqual(row["both"]["value"], np.mean(found), places=6)
    self.assertLess(abs(rows[-1]["first"]["value"] - 1), 0.2)
    self.assertGreater(rows[0]["both"]["value"], 1.8)

  @parameterized.parameters(
    (0.95, 1.05, "shown"), (0.5, 1.5, "not shown"), (0.2, 0.8, "refuted")
  )
  def test_a_wide_interval_does_not_show_that_families_are_independent(
    self, low, high, verdict
  ):
    found = {"value": (low + high) / 2, "low": low, "high": high, "over": "x"}
    both = {"value": 1.5, "low": 1.4, "high": 1.6, "over": "x"}
    rows = [
      {"k": k, "both": both, "first": found, "rise": both} for k in (1, 2)
    ]
    first = convention_discordance.judge_discordance(rows, "n")[0]
    self.assertEqual(first.verdict, verdict)

  @parameterized.parameters(
    (0.1, 0.3, "shown"), (-0.1, 0.3, "not shown"), (-0.3, -0.1, "refuted")
  )
  def test_the_rise_since_one_family_decides(self, low, high, verdict):
    both = {"value": 1.5, "low": 1.4, "high": 1.6, "over": "x"}
    rise = {"value": (low + high) / 2, "low": low, "high": high, "over": "x"}
    rows = [{"k": k, "both": both, "first": both, "rise": rise} for k in (1, 2)]
    self.assertEqual(
      convention_discordance.judge_discordance(rows, "n")[2].verdict, verdict
    )

  def test_one_training_does_not_say_how_far_they_differ(self):
    self.assertIsNone(
      convention_points.estimate_over_trainings(np.zeros((1, 3)))
    )
    (point,) = convention_points.make_points({"runs": [_rank(_run(0, 0, 0))]})
    (claim,) = _judge_families(point)
    self.assertEqual(claim.verdict, "cannot be told")

  def test_families_that_a_run_does_not_rank_are_left_out(self):
    """Their tasks are missing from its matrix, which others must not shift."""
    runs = [_rank(_run(seed, 0, 0), FAMILIES) for seed in range(3)]
    lacking = [*FAMILIES[:1], *FAMILIES[2:]]  # The second task ranks nobody.
    runs[1] = _rank(_run(1, 0, 0), lacking)
    (point,) = convention_points.make_points({"runs": runs})
    for run in (run for of in point.runs for run in of):
      run["levels"]["0.01"]["tasks"] = {name: {} for name in FAMILIES}
    rows = convention_discordance.measure_discordance_of_pairs(point)
    self.assertEqual([row["k"] for row in rows], [1, 2])
    self.assertEqual(
      [row["both"]["value"] for row in rows],
      [row["both"]["value"] for row in _measure_others()],
    )
    self.assertIn("without turning, which", _judge_families(point)[0].n)

  def test_runs_that_rank_nobody_cannot_tell(self):
    runs = [_rank(_run(seed, 0, 0)) for seed in range(3)]
    runs[2]["levels"]["0.01"]["discordance"] = None
    (point,) = convention_points.make_points({"runs": runs})
    self.assertEmpty(convention_discordance.measure_discordance_of_pairs(point))
    (claim,) = _judge_families(point)
    self.assertEqual((claim.verdict, claim.found), ("cannot be told", None))
    self.assertIn("| – |", claims_table.format_claims("families", [claim]))
    json.dumps(claim.to_json(), allow_nan=False)


class ReadTest(parameterized.TestCase):
  def test_files_of_studies_are_read_and_others_left(self):
    with tempfile.TemporaryDirectory() as folder:
      path = pathlib.Path(folder)
      (path / "claims.json").write_text("{}", encoding="utf-8")
      with self.assertRaisesRegex(UserError, "experiments.convention_study"):
        convention_points.read_studies(folder)
      study = {"study": "seeds", "runs": [_run(0, 0, 5)]}
      (path / "seeds.json").write_text(json.dumps(study), encoding="utf-8")
      self.assertEqual([*convention_points.read_studies(folder)], ["seeds"])
      (path / "stages.json").write_text("{", encoding="utf-8")
      with self.assertRaisesRegex(UserError, "stages.json must be a JSON file"):
        convention_points.read_studies(folder)
