"""Tests of thickets.analysis.scaling, claims and scaling_plots."""

import dataclasses
import json
import math
import pathlib
import tempfile

import numpy as np
import scipy.stats
from absl.testing import absltest, parameterized

from thickets.analysis import claims, intervals, scaling, trends
from thickets.analysis.intervals import Estimate
from thickets.analysis.scaling import LadderPoint, Ranking
from thickets.errors import UserError
from thickets.report import ladder_table
from thickets.report.figures import scaling_plots

NORMS = (0.03, 0.07)
TASK = "drills/maximum"
OVER = {
  "plain": "members",
  "confirmed": "members",
  "corrected": "prompts and members",
}


def make_point(rung="w1", step=100, weights=1000, loss=1.0, **changes):
  """A point whose density is a line in the logarithm of the size."""
  share = 0.1 * math.log10(weights)
  around = Estimate(share, share - 0.02, share + 0.02, "members")
  point = LadderPoint(
    rung=rung,
    step=step,
    manners="several",
    identity=f"{rung}/{step}",
    num_weights=weights,
    loss=loss,
    norms=NORMS,
    density={
      name: (dataclasses.replace(around, over=over),) * 2
      for name, over in OVER.items()
    },
    num_trusted=(1, 1),
    rankings=(Ranking(Estimate(0.9, 0.8, 1.0, "members"), 0.7, 1),) * 2,
    right={
      "base": {TASK: (1, 0, 0, 0, 1)},
      "best": {TASK: (1, 0, 0, 1, 0)},
      "vote": {TASK: (1, 1, 0, 0, 1)},
    },
    random=0.3,
    tasks={
      TASK: {
        "num_prompts": 100,
        "density": [{"num_members": 32, "margin": 0.02}],
      }
    },
  )
  return dataclasses.replace(point, **changes)


def make_ladder():
  """Three sizes and four stages each, and one rung on one manner."""
  points = []
  for size, name in ((10**3, "w1"), (10**4, "w2"), (10**5, "w3")):
    for step in (0, 30, 50, 100):
      loss = 6 - math.log10(size) - step / 100
      points.append(make_point(name, step, size, loss))
  points += [
    make_point("one", step, 10**4, manners="one") for step in (0, 30, 50, 100)
  ]
  return points


class PointTest(absltest.TestCase):
  def test_gains_are_paired(self):
    point = make_point()
    np.testing.assert_array_equal(point.gains("vote", "base"), [0, 1, 0, 0, 0])
    self.assertAlmostEqual(point.accuracy("vote"), 0.6)
    self.assertAlmostEqual(point.gain("vote", "base").value, 0.2)

  def test_a_vote_that_changes_nothing_is_not_certain(self):
    point = make_point()
    same = point.gain("base", "base")
    # Seven prompts, of which one was won and one lost.
    half = scipy.stats.norm.ppf(0.975) * math.sqrt(2 / 7) / math.sqrt(7)
    self.assertAlmostEqual(same.value, 0.0)
    self.assertAlmostEqual(same.high, half)
    self.assertAlmostEqual(same.low, -half)


class ClaimsTest(parameterized.TestCase):
  def test_a_line_in_the_size_is_found(self):
    found = claims.fit_claims(make_ladder())
    for level in range(2):
      trend = found["density rises with size"]["corrected"][level]
      self.assertAlmostEqual(trend["slope"], 0.1)
      self.assertEqual(trend["num_points"], 3)
      self.assertEqual(trend["verdict"], "rises")

  def test_size_is_compared_after_as_many_steps(self):
    # Rungs that were trained longer, or are not finished, have no place there.
    longer = [make_point("long", step, 10**6) for step in (0, 100, 300)]
    begun = [make_point("begun", step, 10**7) for step in (0, 30)]
    with self.assertLogs("absl", "WARNING") as logs:
      final = claims.final_points(make_ladder() + longer + begun)
    self.assertEqual([p.rung for p in final], ["w1", "w2", "w3"])
    self.assertIn("not finished: begun", logs.output[0])

  def test_rungs_on_one_manner_alone_have_no_final_point(self):
    self.assertEqual(claims.final_points([make_point(manners="one")]), [])

  def test_scratch_and_trained_are_kept_apart(self):
    nothing = {name: {TASK: (0,) * 5} for name in scaling.RESPONDENTS}
    points = [
      point if point.is_trained else dataclasses.replace(point, right=nothing)
      for point in make_ladder()
    ]
    found = claims.fit_claims(points)
    self.assertAlmostEqual(found["votes gain"]["value"], 0.2)
    self.assertEqual(found["votes gain"]["num_points"], 3)
    scratch = found["votes gain from scratch"]
    self.assertEqual((scratch["value"], scratch["num_prompts"]), (0.0, 5))
    self.assertLess(scratch["interval"][0], 0)  # Not certain, either.

  @parameterized.parameters((0, 0.0, "floor"), (1, 1.0, "ceiling"))
  def test_at_the_edges_of_the_score_nothing_can_be_told(
    self, right, random, at
  ):
    """Models that answer nothing, or everything, show no gain and no lack of one."""
    same = {name: {TASK: (right,) * 5} for name in scaling.RESPONDENTS}
    points = [
      dataclasses.replace(point, right=same, random=random)
      for point in make_ladder()
    ]
    found = claims.fit_claims(points)
    for name, count in (("votes gain", 3), ("votes gain from scratch", 4)):
      self.assertEqual(
        found[name]["verdict"], f"cannot be told: scores are at the {at}"
      )
      self.assertEqual(found[name][f"num_at_{at}"], count)
    trend = found["density rises with size"]["plain"][0]
    self.assertIn(f"cannot be told: scores are at the {at}", trend["verdict"])
    rows = claims.compare_manners(points, "w2", "one")
    self.assertEqual(rows[0]["edges"], [at, at])
    text = ladder_table.format_claims(found)
    self.assertRegex(text, f"votes gain from scratch: .*at the {at}")

  @parameterized.parameters("best", "vote", "random")
  def test_one_respondent_off_the_floor_is_a_measurement(self, name):
    same = {one: {TASK: (0,) * 5} for one in scaling.RESPONDENTS}
    change = {"right": same, "random": 0.0}
    if name == "random":
      change["random"] = 0.3
    else:
      change["right"] = same | {name: {TASK: (1, 1, 1, 1, 1)}}
    points = [dataclasses.replace(p, **change) for p in make_ladder()]
    found = claims.fit_claims(points)["votes gain"]
    self.assertEqual(
      found["verdict"], "gains" if name == "vote" else "not shown"
    )

  def test_the_same_untrained_weights_count_once(self):
    points = [
      dataclasses.replace(point, identity="same")
      if point.rung in ("w2", "one") and not point.is_trained
      else point
      for point in make_ladder()
    ]
    found = claims.fit_claims(points)["votes gain from scratch"]
    self.assertEqual(found["num_points"], 3)

  def test_what_has_no_rank_is_left_out(self):
    points = [
      dataclasses.replace(point, rankings=(None, point.rankings[1]))
      if point.rung == "w1"
      else point
      for point in make_ladder()
    ]
    found = claims.fit_claims(points)
    self.assertIsNone(found["discordance rises with size"][0])
    above = found["discordance above its floor rises with size"][1]
    self.assertAlmostEqual(above["slope"], 0.0)

  def test_training_is_measured_within_rungs(self):
    """The slope within rungs is 0.2; between them the density falls."""
    points = []
    for point in make_ladder():
      value = 0.5 - 0.2 * (point.loss + 3 * math.log10(point.num_weights))
      found = (Estimate(value, value - 0.1, value + 0.1, "members"),) * 2
      density = dict.fromkeys(scaling.ESTIMATES, found)
      points.append(dataclasses.replace(point, density=density))
    trend = claims.fit_claims(points)["density rises with training"]["plain"][1]
    self.assertAlmostEqual(trend["slope"], 0.2)
    self.assertEqual(trend["num_points"], 3)
    self.assertEqual(trend["verdict"], "rises")


class MannersTest(absltest.TestCase):
  def test_differences_are_of_the_same_stage(self):
    rows = claims.compare_manners(make_ladder(), "w2", "one")
    self.assertEqual([row["step"] for row in rows], [0, 30, 50, 100])
    self.assertAlmostEqual(rows[0]["vote_gain"]["value"], 0.0)
    self.assertLess(rows[0]["vote_gain"]["low"], 0)
    difference = rows[0]["density_plain"][1]
    self.assertAlmostEqual(difference["high"], 0.02 * math.sqrt(2))

  def test_a_missing_rung_is_refused_by_name(self):
    with self.assertRaisesRegex(
      UserError, r"one of \['one', 'w1'.*got 'absent'"
    ):
      claims.compare_manners(make_ladder(), "w2", "absent")


class FilesTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

  def test_points_are_read_back_as_they_were_written(self):
    points = make_ladder()
    path = self.folder / "ladder.json"
    path.write_text(json.dumps({"points": [p.to_json() for p in points]}))
    self.assertEqual(scaling.load_points(path), points)

  def test_files_that_do_not_say_what_intervals_are_over_are_read(self):
    points = make_ladder()[:1]
    content = json.dumps({"points": [p.to_json() for p in points]})
    for over in {*OVER.values()}:
      content = content.replace(f', "over": "{over}"', "")
    self.assertNotIn("over", content)
    path = self.folder / "ladder.json"
    path.write_text(content)
    self.assertEqual(scaling.load_points(path), points)

  def test_another_file_is_refused_by_name(self):
    path = self.folder / "other.json"
    path.write_text("{}")
    with self.assertRaisesRegex(UserError, "other.json must be a ladder.json"):
      scaling.load_points(path)

  def test_a_folder_without_stages_is_refused(self):
    with self.assertRaisesRegex(UserError, "must be the directory of a ladder"):
      scaling.read_ladder(self.folder, scaling.Settings(), top_k=4)

  def test_figures_are_drawn(self):
    points = make_ladder()
    scaling_plots.plot_ladder(self.folder / "ladder.png", points)
    scaling_plots.plot_manners(self.folder / "manners.png", points, "w2", "one")
    for name in ("ladder.png", "manners.png"):
      self.assertGreater((self.folder / name).stat().st_size, 10_000)


class MeanTest(parameterized.TestCase):
  def test_of_points_that_agree_is_the_paired_interval(self):
    one = np.random.default_rng(0).choice([-1.0, 0.0, 1.0], 50)
    np.testing.assert_allclose(
      trends.fit_mean(np.tile(one, (6, 1))).interval,
      intervals.paired_interval(one),
    )

  def test_of_many_prompts_that_agree_is_that_of_student_over_points(self):
    means = np.random.default_rng(0).normal(0.3, 0.1, 6)
    found = trends.fit_mean(np.tile(means[:, None], (1, 10**5)))
    expected = scipy.stats.t.interval(
      0.95, 5, means.mean(), scipy.stats.sem(means)
    )
    np.testing.assert_allclose(found.interval, expected, atol=1e-4)

  def test_without_a_discordant_prompt_is_not_certain(self):
    low, high = trends.fit_mean(np.zeros((6, 40))).interval
    self.assertEqual((low, high), intervals.paired_interval(np.zeros(40)))
    self.assertLess(low, 0)

  def test_intervals_cover(self):
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):
      chance = 0.3 + rng.normal(0, 0.1, (6, 1)) + rng.normal(0, 0.1, (1, 40))
      table = (rng.random((6, 40)) < chance).astype(np.float64)
      low, high = trends.fit_mean(table).interval
      held += low <= 0.3 <= high
    self.assertGreater(held / 400, 0.93)

  @parameterized.parameters(((1, 5),), ((5, 1),))
  def test_one_point_or_prompt_is_refused(self, shape):
    with self.assertRaisesRegex(UserError, "at least 2 points and 2 prompts"):
      trends.fit_mean(np.zeros(shape))


if __name__ == "__main__":
  absltest.main()
