"""Tests of density against size: what is read, and what follows."""

import json
import math
import pathlib
import tempfile

import numpy as np
from absl.testing import parameterized

from thickets.analysis import convention_points, convention_sizes
from thickets.errors import UserError

TASKS = ("conventions/turning/right", "conventions/turning/left")
SIZES = (1000, 10_000, 100_000)


def _run(size, seed, densities, *, leaning=0.1, gain=5):
  """A run with two sigmas, whose density is that of its norm."""
  rows = {"base": [0.0] * 10, "vote": [1.0] * gain + [0.0] * (10 - gain)}
  sets = {
    name: {"right": rows, "either": rows}
    for name in ("first", "second", "skill")
  }
  # Sigmas differ by size; their norms do not, but for their last digits.
  norms = {
    f"{norm / math.sqrt(size):.4g}": norm * (1 + 1e-4 * seed)
    for norm in densities
  }
  return {
    "group": f"w{size}",
    "seed": seed,
    "step": 100 + seed,
    "population": 6,
    "num_weights": size,
    "relative_norms": norms,
    "stage": {"loss": 0.5, "log_odds": {"turning": 0.0, "dates": 0.0}},
    "preferences": {
      "turning": {"gradient_norm": 10.0, "log_odds": -leaning},
      "dates": {"gradient_norm": 10.0, "log_odds": leaning},
    },
    "levels": {
      sigma: {
        "num_members": 48,
        "sets": sets,
        "tasks": {
          task: {"density": {"0.05": [density, 0.0, 1.0]}} for task in TASKS
        },
      }
      for sigma, density in zip(norms, densities.values(), strict=True)
    },
  }


def _judge(runs):
  points = convention_sizes.read_points(
    convention_points.make_points({"runs": runs})
  )
  claims = convention_sizes.judge_sizes(points)
  json.dumps([claim.to_json() for claim in claims], allow_nan=False)
  return points, {claim.text: claim for claim in claims}


class SizesTest(parameterized.TestCase):
  @parameterized.parameters(
    (0.1, "shown"), (-0.1, "refuted"), (0.0, "not shown")
  )
  def test_the_slope_per_factor_of_ten_decides(self, slope, verdict):
    rng = np.random.default_rng(0)
    noise = 0.01 * rng.normal(size=9)
    noise -= noise.mean()
    runs = [
      _run(
        size,
        seed,
        {0.05: 0.0, 0.1: 0.4 + slope * place + noise[3 * place + seed]},
      )
      for place, size in enumerate(SIZES)
      for seed in range(3)
    ]
    points, claims = _judge(runs)
    self.assertLen(points, 18)
    claim = claims[
      "at a relative norm of 0.1 the density at +0.05 rises with size"
    ]
    self.assertEqual(claim.verdict, verdict)
    self.assertAlmostEqual(claim.found.value, slope, delta=0.02)
    self.assertIn("9 trainings of 3 sizes, 1000 to 100000 weights", claim.n)
    checked = [text for text in claims if text.startswith("the ")]
    self.assertLen(checked, 2)  # Once, whatever the norms.
    flat = claims[
      "at a relative norm of 0.05 the density at +0.05 rises with size"
    ]
    self.assertEqual(flat.verdict, "not shown")
    self.assertEqual(points[0].leaning, 0.1)

  def test_what_comes_of_leaning_alone_is_not_of_size(self):
    """Smaller models lean further here, and density falls with leaning only."""
    rng = np.random.default_rng(1)
    runs = []
    for place, size in enumerate(SIZES):
      for seed in range(3):
        leaning = 1.0 - 0.3 * place + 0.2 * rng.normal()
        density = 0.5 - 0.3 * leaning + 0.002 * rng.normal()
        runs.append(_run(size, seed, {0.1: density}, leaning=leaning))
    _, claims = _judge(runs)
    text = "at a relative norm of 0.1 the density at +0.05 rises with size"
    self.assertEqual(claims[text].verdict, "shown")
    alike = claims[f"{text}, among bases that lean as far"]
    self.assertLess(abs(alike.found.value), 0.02)

  @parameterized.parameters(0, 1, 2, 3)
  def test_few_trainings_tell_nothing(self, count):
    runs = [_run(size, 0, {0.1: 0.3}) for size in SIZES[:count]]
    points, claims = _judge(runs)
    self.assertEqual(convention_sizes.can_fit(points), count == 3)
    for text, claim in claims.items():
      if count < 3 or "lean as far" in text:
        self.assertEqual(claim.verdict, "cannot be told")

  def test_trainings_that_never_know_as_much_are_named(self):
    study = {
      "chosen": {
        "a": {"chosen": {"step": 5}, "lowest_loss": 0.2},
        "b": {"chosen": None, "lowest_loss": 1.3},
      }
    }
    self.assertEqual(convention_sizes.find_left_out(study), {"b": 1.3})
    self.assertEqual(convention_sizes.find_left_out({}), {})


class RealTest(parameterized.TestCase):
  def test_a_real_model_is_read_by_sigma_and_margin(self):
    model = {
      "model": "package:some-model",
      "num_weights": 135,
      "relative_norms": {"0.002": 0.02, "0.004": 0.04},
    }
    row = {"ratio": None, "corrected_low": 0.1, "corrected_high": 0.9}
    density = {
      "densities": {
        task: {
          "rows": [
            row | {"sigma": 0.004, "margin": 0.05, "corrected": value},
            row | {"sigma": 0.004, "margin": 0.02, "corrected": 1.0},
            row | {"sigma": 0.008, "margin": 0.05, "corrected": 1.0},
          ]
        }
        for task, value in (("a", 0.2), ("b", 0.4))
      }
    }
    with tempfile.TemporaryDirectory() as folder:
      where = pathlib.Path(folder)
      (where / "preferences.json").write_text(json.dumps(model))
      with self.assertRaisesRegex(
        UserError, "density.json must be a JSON file"
      ):
        convention_sizes.read_real(folder)
      (where / "density.json").write_text(json.dumps(density))
      (found,) = convention_sizes.read_real(folder)
      del model["relative_norms"]["0.004"]
      (where / "preferences.json").write_text(json.dumps(model))
      with self.assertRaisesRegex(UserError, "densities at .* got none"):
        convention_sizes.read_real(folder)
    self.assertEqual(found["name"], "some-model")
    self.assertEqual((found["sigma"], found["relative_norm"]), (0.004, 0.04))
    self.assertAlmostEqual(found["density"], 0.3)
    self.assertEqual(found["tasks"]["a"], [0.2, 0.1, 0.9])
