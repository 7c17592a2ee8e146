"""Tests of runs on pictures that are pooled over trainings and populations."""

import json
import pathlib
import tempfile

import numpy as np
from absl.testing import parameterized

from thickets.analysis import picture_repeats, repeated_runs
from thickets.errors import UserError
from thickets.report import diffusion_table

_ROLES = ("base", "top-1", "primary", "random", "members")
_NUM_PICTURES = 10


def draw_hits(role, training, seed):
  rng = np.random.default_rng((_ROLES.index(role), training, seed))
  share = 0.7 if role in ("top-1", "primary") else 0.25
  return (rng.random(_NUM_PICTURES) < share).astype(float)


class PictureRepeatsTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    self.folder = pathlib.Path(folder.name)

  def write_run(self, training, seed, *, name=None, hits=None, **changes):
    run = self.folder / (name or f"{training}-{seed}")
    run.mkdir()
    config = {
      "seed": seed,
      "model": {"name": f"models/{training}", "steps": 10},
      "population": {"size": 64},
    }
    config |= changes
    if hits is None:
      hits = {role: draw_hits(role, training, seed).tolist() for role in _ROLES}
    results = {
      "target": "blue",
      "targets": ["pink", "yellow", "green", "blue"],
      "primary_k": 8,
      "num_judge": _NUM_PICTURES,
      "population": {"size": 64},
      "hits_by_picture": hits,
    }
    (run / "config.json").write_text(json.dumps({"config": config}))
    (run / "results.json").write_text(json.dumps(results))
    return run

  def write_runs(self):
    return [self.write_run(t, s) for t in (0, 1, 2) for s in (9, 3)]

  def test_rows_are_over_trainings_populations_and_pictures(self):
    found = picture_repeats.summarise_repeats(self.write_runs())
    self.assertEqual(found["models"], ["models/0", "models/1", "models/2"])
    self.assertEqual(found["seeds"], [3, 9])
    base, best = (
      np.array([[draw_hits(role, t, s) for s in (3, 9)] for t in (0, 1, 2)])
      for role in ("base", "top-1")
    )
    rows = {row["role"]: row for row in found["table"]}
    self.assertEqual([*rows], [*_ROLES])
    self.assertEqual(rows["primary"]["name"], "mean of best 8")
    np.testing.assert_allclose(rows["top-1"]["by_run"], best.mean(axis=2))
    for key, values in (("hits", best), ("hits_gain", best - base)):
      expected = repeated_runs.estimate_repeated(values)
      self.assertEqual(rows["top-1"][key]["mean"], expected.value)
      self.assertEqual(rows["top-1"][key]["high"], expected.high)
      self.assertEqual(rows["top-1"][key]["over"], repeated_runs.OVER)
    self.assertNotIn("hits_gain", rows["base"])

  def test_the_table_says_what_was_repeated(self):
    text = diffusion_table.format_repeats(
      picture_repeats.summarise_repeats(self.write_runs())
    )
    self.assertIn("one of 4 hues: 3 trainings, 2 populations each", text)
    self.assertIn("mean of random 8", text)

  def test_a_seed_that_a_model_lacks_is_named(self):
    runs = self.write_runs()[:-1]
    with self.assertRaisesRegex(UserError, "none of seed 3 for models/2"):
      picture_repeats.summarise_repeats(runs)

  def test_runs_that_differ_otherwise_are_refused(self):
    runs = [self.write_run(0, 1), self.write_run(1, 1, sigma=0.5)]
    with self.assertRaisesRegex(UserError, r"model\.name and seed alone.*1-1"):
      picture_repeats.summarise_repeats(runs)

  def test_a_run_that_is_being_continued_is_refused(self):
    runs = self.write_runs()[:-1]
    runs.append(self.write_run(2, 3, name="larger", population={"size": 128}))
    with self.assertRaisesRegex(UserError, "larger, which is being continued"):
      picture_repeats.summarise_repeats(runs)

  def test_a_run_that_is_there_twice_is_refused(self):
    runs = [self.write_run(0, 1), self.write_run(0, 1, name="again")]
    with self.assertRaisesRegex(UserError, "twice, the second in .*again"):
      picture_repeats.summarise_repeats(runs)

  def test_runs_of_one_model_are_refused(self):
    runs = [self.write_run(0, seed) for seed in (1, 2)]
    with self.assertRaisesRegex(UserError, "at least two models"):
      picture_repeats.summarise_repeats(runs)

  def test_runs_without_hits_or_results_are_refused(self):
    without = self.write_run(0, 1, hits={})
    with self.assertRaisesRegex(UserError, "CLIP alone"):
      picture_repeats.summarise_repeats([without])
    (without / "results.json").unlink()
    with self.assertRaisesRegex(UserError, "finished run"):
      picture_repeats.summarise_repeats([without])
