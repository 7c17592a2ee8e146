"""Tests of the results of runs on pictures, without and with a judge of hits."""

import pathlib
import tempfile

import numpy as np
from absl.testing import parameterized
from scipy import stats

from thickets.analysis import diffusion_results
from thickets.analysis.diffusion_results import Drawn, Judged
from thickets.analysis.picture_density import Selected
from thickets.report import diffusion_table
from thickets.report.figures import diffusion_figures
from thickets.search import population

_NAMES = ("blue", "red")


def draw(seed, *, shift=0.0, has_hits=False):
  """Cosines of six pictures, with noise that all who draw have in common."""
  shared = np.random.default_rng(0).normal(0.2, 0.05, 6)
  own = np.random.default_rng(seed + 1).normal(0, 0.002, 6)
  hits = np.array([0, 1, -1, 0, 0, 1]) if has_hits else None
  return Drawn(shared + own + shift, hits, 0.3 + own - shift / 2)


def judge(best, **options):
  return Judged(
    base=draw(0, **options),
    best=best,
    ensembles={1: best, 2: draw(2, shift=0.01, **options)},
    random_ensembles={2: draw(3, **options)},
    random=[draw(4, **options), draw(5, **options)],
  )


def select(num_members=12):
  targets = np.random.default_rng(9).normal(0.2, 0.02, (num_members, 4, 2))
  return Selected(
    members=population.sample_members(0, num_members, (0.003,)),
    targets=targets,
    hits=None,
    base_targets=targets[:6].mean(axis=0),
    base_hits=None,
    names=_NAMES,
    target=0,
  )


def summarise(best):
  return diffusion_results.summarise_diffusion(
    select(), judge(best), primary_k=2, margins=(0.01,)
  )


class WithoutHitsTest(parameterized.TestCase):
  def test_gains_are_paired_and_have_students_interval(self):
    best = draw(1, shift=0.02)
    results = summarise(best)
    row = {row["role"]: row for row in results["table"]}["top-1"]
    self.assertNotIn("hits", row)
    for name in ("score", "fidelity"):
      differences = getattr(best, name) - getattr(draw(0), name)
      found, gain = row[name], row[f"{name}_gain"]
      self.assertAlmostEqual(gain["mean"], differences.mean())
      low, high = stats.t.interval(
        0.95, 5, differences.mean(), stats.sem(differences)
      )
      self.assertAlmostEqual(gain["low"], low)
      self.assertAlmostEqual(gain["high"], high)
      self.assertEqual(gain["over"], "pictures")
      # Pairing is what shows a gain that is smaller than pictures differ.
      if name == "score":
        self.assertLess(
          gain["high"] - gain["low"], 0.2 * (found["high"] - found["low"])
        )
        self.assertGreater(gain["low"], 0)

  def test_cosines_are_no_shares(self):
    row = summarise(draw(1))["table"][0]
    low, high = stats.t.interval(
      0.95, 5, row["fidelity"]["mean"], stats.sem(draw(0).fidelity)
    )
    self.assertAlmostEqual(row["fidelity"]["low"], low)
    self.assertAlmostEqual(row["fidelity"]["high"], high)

  def test_random_members_have_intervals_over_members(self):
    row = summarise(draw(1))["table"][-1]
    means = [draw(seed).score.mean() - draw(0).score.mean() for seed in (4, 5)]
    self.assertAlmostEqual(row["score_gain"]["mean"], np.mean(means))
    self.assertEqual(row["score_gain"]["over"], "members")

  def test_one_random_member_alone_has_no_interval(self):
    judged = judge(draw(1))
    judged.random[0].score[3] = np.nan  # It has failed, and the other is left.
    row = diffusion_results.tabulate(judged, 0, 2)[-1]
    self.assertEqual(row["num_failed"], 1)
    for name in ("score", "fidelity", "score_gain", "fidelity_gain"):
      self.assertIsNone(row[name])

  def test_targets_have_densities_and_discordance(self):
    results = summarise(draw(1))
    self.assertEqual({row["target"] for row in results["density"]}, {*_NAMES})
    self.assertEmpty(results["hit_density"])
    (row,) = results["discordance"]
    self.assertBetween(row["discordance"], 0, row["most"])

  def test_pictures_that_failed_are_counted_and_left_out(self):
    best = draw(1, shift=0.02)
    best.score[2] = best.fidelity[2] = np.nan
    results = summarise(best)
    row = {row["role"]: row for row in results["table"]}["top-1"]
    self.assertEqual(row["num_failed"], 1)
    kept = np.isfinite(best.score)
    self.assertAlmostEqual(row["score"]["mean"], best.score[kept].mean())
    gains = (best.score - draw(0).score)[kept]
    self.assertAlmostEqual(row["score_gain"]["mean"], gains.mean())
    text = diffusion_table.format_diffusion_results(results)
    self.assertIn("best member (1 failed)", text)

  def test_all_pictures_may_fail(self):
    best = draw(1)
    best.score[:] = np.nan
    results = summarise(best)
    row = {row["role"]: row for row in results["table"]}["top-1"]
    self.assertIsNone(row["score"])
    self.assertIsNone(row["score_gain"])
    text = diffusion_table.format_diffusion_results(results)
    self.assertIn("best member (6 failed)", text)

  def test_the_table_shows_gains_and_no_hits(self):
    (table, *_) = diffusion_table.tabulate_diffusion(
      summarise(draw(1, shift=0.02))
    )
    self.assertNotIn("% blue", table.header)
    self.assertEqual(table.header.count("over base"), 2)
    self.assertIn("Scores are cosines of CLIP", table.caption)
    best = table.rows[1]
    self.assertRegex(best[3], r"^\+0\.0\d{3}$")
    self.assertEqual({len(row) for row in table.rows}, {len(table.header)})


class WithHitsTest(parameterized.TestCase):
  def test_hits_and_fidelity_are_shares(self):
    best = draw(1, has_hits=True)
    best.fidelity[:] = [1, 1, 0, 1, 1, 1]
    rows = diffusion_results.tabulate(judge(best, has_hits=True), 0, 2)
    row = rows[1]
    self.assertAlmostEqual(row["hits"]["mean"], 0.5)
    self.assertBetween(row["fidelity"]["high"], 0.83, 1.0)
    self.assertIn("hits_gain", row)
    results = summarise(draw(1)) | {"table": rows}
    (table, *_) = diffusion_table.tabulate_diffusion(results)
    self.assertIn("% blue", table.header)
    self.assertEqual({len(row) for row in table.rows}, {len(table.header)})

  def test_no_interval_has_a_width_of_zero(self):
    """Six pictures that are alike, or six members, are not all there are."""
    judged = judge(draw(1, has_hits=True), has_hits=True)
    everyone = [judged.base, judged.best, *judged.random]
    everyone += [*judged.ensembles.values(), *judged.random_ensembles.values()]
    for drawn in everyone:
      drawn.score[:], drawn.fidelity[:], drawn.hit[:] = 0.0, 1.0, -1
    for row in diffusion_results.tabulate(judged, 0, 2):
      for name, found in row.items():
        if isinstance(found, dict):
          self.assertLess(found["low"], found["high"], (row["name"], name))
          least = -1.0 if name.endswith("gain") else 0.0
          self.assertBetween(found["low"], least, found["high"])
          self.assertLessEqual(found["high"], 1.0)

  def test_random_members_are_compared_with_the_base(self):
    judged = judge(draw(1, has_hits=True), has_hits=True)
    judged.random[0].hit[1] = 0
    row = diffusion_results.tabulate(judged, 0, 2)[-1]
    self.assertAlmostEqual(row["hits_gain"]["mean"], 1 / 12)
    self.assertEqual(row["hits_gain"]["over"], "members")

  def test_members_that_are_all_alike_have_no_discordance(self):
    results = summarise(draw(1))
    (row,) = results["discordance"]
    for value, shown in ((None, "–"), (2e-16, "0.00")):
      row["discordance"] = value
      table = diffusion_table.tabulate_diffusion(results)[-1]
      self.assertEqual(table.rows[0][-2], shown)

  def test_shares_are_drawn_of_those_who_have_any(self):
    judged = judge(draw(1, has_hits=True), has_hits=True)
    judged.best.score[:] = np.nan  # All of its pictures have failed.
    rows = diffusion_results.tabulate(judged, 0, 2)
    results = summarise(draw(1)) | {"table": rows}
    with tempfile.TemporaryDirectory() as folder:
      path = pathlib.Path(folder) / "hits.png"
      diffusion_figures.plot_shares(path, results)
      self.assertTrue(path.exists())
