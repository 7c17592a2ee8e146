"""Tests of thickets.scaling and thickets.scaling_plots."""

import dataclasses
import json
import math
import pathlib
import tempfile

import numpy as np
from absl.testing import absltest, parameterized

from thickets import scaling, scaling_plots, trends
from thickets.errors import UserError
from thickets.scaling import Estimate, Point

NORMS = (0.03, 0.07)


def make_point(rung="w1", step=100, weights=1000, loss=1.0, **changes):
  """A point whose density is a line in the logarithm of the size."""
  sigmas = {0.01 * norm: norm for norm in NORMS}
  share = 0.1 * math.log10(weights)
  density = {
    name: {sigma: Estimate(share, 0.01) for sigma in sigmas}
    for name in ("plain", "confirmed", "corrected")
  }
  gains = {"vote - base": 0.05, "best - base": 0.01, "vote - best": 0.04}
  return dataclasses.replace(
    Point(
      rung=rung,
      step=step,
      manners="several",
      num_weights=weights,
      loss=loss,
      norms=sigmas,
      density=density,
      discordance={sigma: Estimate(0.9, 0.05) for sigma in sigmas},
      num_ranked=dict.fromkeys(sigmas, 7),
      ensemble={
        **{
          name: Estimate(0.2, 0.01)
          for name in ("base", "random", "best", "vote")
        },
        **{name: Estimate(gain, 0.01) for name, gain in gains.items()},
      },
      tasks={
        "drills/maximum": {
          "num_prompts": 100,
          "density": [{"num_members": 32, "margin": 0.02}],
        }
      },
    ),
    **changes,
  )


def make_ladder():
  """Three sizes and three stages each, and one rung on one manner."""
  points = []
  for size, name in ((10**3, "w1"), (10**4, "w2"), (10**5, "w3")):
    for step in (0, 50, 100):
      points.append(
        make_point(name, step, size, loss=5 - math.log10(size) - step / 100)
      )
  points += [
    make_point("one", step, 10**4, manners="one") for step in (0, 50, 100)
  ]
  return points


class ClaimsTest(parameterized.TestCase):
  def test_a_line_in_the_size_is_found(self):
    claims = scaling.fit_claims(make_ladder())
    for level in range(2):
      found = claims["density rises with size"]["corrected"][level]
      self.assertAlmostEqual(found["slope"], 0.1)
      self.assertEqual(found["num_points"], 3)
      self.assertEqual(found["verdict"], "rises")

  def test_size_is_compared_after_as_many_steps(self):
    # A rung that was trained longer has no place on the axis of sizes.
    longer = [make_point("long", step, 10**6) for step in (0, 100, 300)]
    claims = scaling.fit_claims(make_ladder() + longer)
    found = claims["density rises with size"]["plain"][0]
    self.assertEqual(found["num_points"], 3)

  def test_scratch_and_trained_are_kept_apart(self):
    points = [
      dataclasses.replace(
        point,
        ensemble=point.ensemble
        | {"vote - base": Estimate(0.05 if point.step else 0.0, 0.01)},
      )
      for point in make_ladder()
    ]
    claims = scaling.fit_claims(points)
    self.assertAlmostEqual(claims["votes gain"]["value"], 0.05)
    self.assertAlmostEqual(claims["votes gain from scratch"]["value"], 0.0)
    self.assertEqual(claims["votes gain"]["num_points"], 8)
    self.assertEqual(claims["votes gain from scratch"]["num_points"], 4)

  def test_what_has_no_rank_is_left_out(self):
    points = make_ladder()
    points[2] = dataclasses.replace(points[2], discordance={})
    claims = scaling.fit_claims(points)
    self.assertIsNone(claims["discordance rises with size"][0])

  def test_training_is_measured_by_the_loss(self):
    points = [
      dataclasses.replace(
        point,
        density={
          name: {
            sigma: Estimate(0.5 - 0.1 * point.loss, 0.01)
            for sigma in point.norms
          }
          for name in point.density
        },
      )
      for point in make_ladder()
    ]
    found = scaling.fit_claims(points)["density rises with training"]
    self.assertAlmostEqual(found["plain"][1]["slope"], 0.1)


class MannersTest(absltest.TestCase):
  def test_differences_are_of_the_same_stage(self):
    points = make_ladder()
    rows = scaling.compare_manners(points, "w2", "one")
    self.assertEqual([row["step"] for row in rows], [0, 50, 100])
    self.assertAlmostEqual(rows[0]["vote_gain"]["value"], 0.0)
    low, high = rows[0]["vote_gain"]["interval"]
    self.assertAlmostEqual(high - low, 2 * scaling.Z * 0.01 * math.sqrt(2))

  def test_a_missing_rung_compares_with_nothing(self):
    self.assertEqual(scaling.compare_manners(make_ladder(), "w2", "absent"), [])


class FilesTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

  def test_points_are_read_back_as_they_were_written(self):
    points = make_ladder()
    path = self.folder / "ladder.json"
    path.write_text(json.dumps({"points": [p.to_json() for p in points]}))
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
  def test_equal_errors_give_the_plain_mean(self):
    found = trends.fit_mean([0.1, 0.2, 0.6], [0.05] * 3)
    self.assertAlmostEqual(found.value, 0.3)
    self.assertGreater(found.tau, 0.1)

  def test_points_within_their_errors_have_no_tau(self):
    found = trends.fit_mean([0.1, 0.11, 0.09], [0.2, 0.2, 0.2])
    self.assertEqual(found.tau, 0.0)
    self.assertTrue(found.interval[0] < 0 < found.interval[1])

  def test_a_precise_point_counts_more(self):
    found = trends.fit_mean([0.0, 1.0], [0.01, 10.0])
    self.assertLess(found.value, 0.5)

  def test_one_point_is_refused(self):
    with self.assertRaisesRegex(UserError, "at least 2 points"):
      trends.fit_mean([0.1], [0.1])

  def test_intervals_cover(self):
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(300):
      errors = rng.uniform(0.02, 0.1, 12)
      y = 0.3 + rng.normal(0, 0.05, 12) + rng.normal(0, errors)
      low, high = trends.fit_mean(y, errors).interval
      held += low <= 0.3 <= high
    self.assertGreater(held / 300, 0.92)


if __name__ == "__main__":
  absltest.main()
