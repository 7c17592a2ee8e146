"""Tests of the figures of landscapes: drawn, and of the right numbers."""

import dataclasses
import pathlib
from unittest import mock

import numpy as np
from absl.testing import parameterized
from matplotlib import colormaps
from report.figures import drawing

from thickets.analysis.interpolation import measure_explained
from thickets.analysis.landscape import make_landscape, slice_members
from thickets.errors import UserError
from thickets.members import Member
from thickets.report.figures import composite_plots, landscape_plots

NUM_PROMPTS = 20


def _slice():
  """Better to the right of the base, worse to the left; one member failed."""
  members, coordinates = slice_members(1, 2, (0.02, 0.01), 5)
  right = np.round(NUM_PROMPTS * (0.5 + 10 * coordinates[:, 0])).astype(int)
  scores = (np.arange(NUM_PROMPTS) < right[:, None]).astype(float)
  base_scores = scores[12]
  scores = np.where(np.arange(25)[:, None] == 3, np.nan, scores)
  return make_landscape("toy", members, coordinates, scores, base_scores)


def _projection(task="toy", seed=0, failed=2, base=0.5):
  """Scores that have nothing to do with the place."""
  rng = np.random.default_rng(seed)
  members = [Member(seed, 0.01) for seed in range(60)]
  scores = (rng.random((60, NUM_PROMPTS)) < 0.5).astype(float)
  scores[failed] = np.nan
  base_scores = (np.arange(NUM_PROMPTS) < base * NUM_PROMPTS).astype(float)
  coordinates = 0.01 * np.random.default_rng(9).normal(size=(60, 2))
  return make_landscape(
    task, members, coordinates, scores, base_scores, norms=np.full(60, 5.0)
  )


class _LandscapeTest(drawing.DrawingTestCase):
  """With coarse backgrounds, which take most of the time otherwise."""

  module = landscape_plots

  def setUp(self):
    super().setUp()
    self.enter_context(mock.patch.object(landscape_plots, "_RESOLUTION", 41))


class SliceTest(_LandscapeTest):
  def test_cells_marks_and_words(self):
    made = _slice()
    fig = self.draw(landscape_plots.plot_slice, made, sigmas=(0.01, 0.02))
    ax, bar = fig.axes
    mesh = ax.collections[0]
    np.testing.assert_allclose(
      np.ma.filled(mesh.get_array(), np.nan).reshape(-1), made.shown
    )
    # The base is the middle of the colours, whatever the scores.
    self.assertEqual(mesh.norm.vmin, -mesh.norm.vmax)
    rings = [line for line in ax.lines if line.get_linestyle() == "--"]
    radii = [np.hypot(*line.get_xydata().T) for line in rings]
    for got, sigma in zip(radii, (0.01, 0.02), strict=True):
      np.testing.assert_allclose(got, sigma)
    self.assertEqual([t.get_text() for t in ax.texts], ["σ = 0.01", "σ = 0.02"])
    self.assertEqual(
      drawing.read_legend(ax),
      [
        "as far out as a member at σ",
        "failed (1)",
        "base",
        "best on these prompts, 70.0 %",
      ],
    )
    title = ax.get_title(loc="left")
    self.assertIn("toy: a slice, 5 × 5 members", title)
    self.assertIn("n = 20 prompts; standard error of one member's gain", title)
    self.assertIn("% of its score (base 50.0 %)", bar.get_ylabel())
    self.assertEqual(self.caption.topic, "Landscape")
    self.assertStartsWith(
      self.caption.text, "A slice through weight space of toy:"
    )

  def test_the_sign_is_in_the_contours(self):
    fig = self.draw(landscape_plots.plot_slice, _slice())
    styles = {}
    for lines in fig.axes[0].collections[1:]:
      (level,) = lines.levels
      styles[np.sign(level)] = (
        lines.get_linestyles()[0][1] is None,
        tuple(lines.get_edgecolor()[0][:3]),
      )
    black, white = (0, 0, 0), (1, 1, 1)
    self.assertEqual(
      styles, {-1: (False, white), 0: (True, black), 1: (True, white)}
    )

  def test_equal_scores_and_none_at_all(self):
    made = _slice()
    for scores in (np.full(25, made.base_score), np.full(25, np.nan)):
      flat = dataclasses.replace(made, scores=scores)
      self.draw(landscape_plots.plot_slice, flat)

  def test_refuses_what_is_no_grid(self):
    for made in (
      _projection(),
      dataclasses.replace(_slice(), coordinates=_slice().coordinates[::-1]),
    ):
      with self.assertRaisesRegex(UserError, "must be a grid, row by row"):
        landscape_plots.plot_slice(pathlib.Path("never.png"), made)


class ColoursTest(parameterized.TestCase):
  def test_lightness_grows_with_the_gain(self):
    # So that the sign survives greyscale: grey in the middle, no turning back.
    rgb = colormaps[landscape_plots._COLOURS](np.linspace(0, 1, 64))[:, :3]
    light = rgb @ np.array([0.299, 0.587, 0.114])
    self.assertTrue((np.diff(light) > 0).all())
    self.assertLess(np.ptp(rgb[32]), 0.05)

  def test_the_limit_withstands_single_members(self):
    shown = np.append(np.linspace(-10, 10, 199), 1000)
    self.assertLess(landscape_plots.colour_limit(shown), 10.1)
    self.assertEqual(landscape_plots.colour_limit(np.zeros(5)), 1)
    self.assertEqual(landscape_plots.colour_limit(np.full(5, np.nan)), 1)
    rare = np.zeros(200)
    rare[7] = -3
    self.assertEqual(landscape_plots.colour_limit(rare), 3)


class ProjectionTest(_LandscapeTest):
  def draw_projection(self, made, **options):
    return self.draw(landscape_plots.plot_projection, made, **options)

  def test_members_marks_and_words(self):
    made = _projection()
    explained = measure_explained(made.coordinates, made.scores, seed=0)
    fig = self.draw_projection(made, explained=explained)
    ax, _ = fig.axes
    signs = {1: "better", 0: "as good", -1: "worse"}
    for sign, label in signs.items():
      chosen = np.sign(made.shown) == sign
      (points,) = (
        c for c in ax.collections if str(c.get_label()).startswith(label)
      )
      self.assertEqual(points.get_label(), f"{label} ({chosen.sum()})")
      np.testing.assert_array_equal(
        points.get_offsets(), made.coordinates[chosen]
      )
      np.testing.assert_array_equal(points.get_array(), made.shown[chosen])
    (star,) = (line for line in ax.lines if line.get_marker() == "*")
    best = np.nanargmax(made.scores)
    np.testing.assert_array_equal(star.get_xydata()[0], made.coordinates[best])
    (ring,) = (line for line in ax.lines if line.get_linestyle() == "--")
    distance = np.hypot(*made.coordinates.T).mean()
    np.testing.assert_allclose(np.hypot(*ring.get_xydata().T), distance)
    title = ax.get_title(loc="left")
    self.assertIn(f"5 from the base, {5 / distance:.0f} times as far", title)
    self.assertIn(
      f"explains {100 * explained.share:.1f} % of the scores' variance", title
    )
    self.assertIn(f"p = {explained.p_value:.2g}", title)
    self.assertIn("failed (1)", drawing.read_legend(ax))
    self.assertStartsWith(
      self.caption.text, "Members on a random plane of toy, coloured"
    )

  def test_the_background_ends_at_the_hull(self):
    fig = self.draw_projection(_projection())
    (image,) = fig.axes[0].images
    values = np.ma.filled(image.get_array().astype(float), np.nan)
    self.assertTrue(np.isnan(values[0]).all() and np.isnan(values[:, -1]).all())
    self.assertTrue(np.isfinite(values[20, 20]))

  def test_says_what_was_not_measured(self):
    made = dataclasses.replace(_projection(), norms=None)
    title = self.draw_projection(made).axes[0].get_title(loc="left")
    self.assertIn("not measured", title)
    self.assertIn("not side by side in weight space", title)
    alike = dataclasses.replace(made, scores=np.full(60, 0.5))
    explained = measure_explained(alike.coordinates, alike.scores, seed=0)
    title = (
      self.draw_projection(alike, explained=explained)
      .axes[0]
      .get_title(loc="left")
    )
    self.assertIn("score alike", title)


class CompositeTest(_LandscapeTest):
  module = composite_plots

  def test_channels_by_hand(self):
    made = dataclasses.replace(_projection(), scores=np.linspace(0.4, 0.6, 60))
    values, limit = composite_plots.channel(made)
    self.assertBetween(limit, 19, 20)  # 0.1 of 0.5 is 20 %, less the ends.
    np.testing.assert_allclose(
      values, np.clip(0.5 + made.shown / 2 / limit, 0, 1)
    )
    self.assertTrue((np.diff(values) >= 0).all())
    self.assertEqual((values[0], values[-1]), (0, 1))

  def test_three_tasks(self):
    tasks = [
      _projection(name, seed, failed)
      for seed, (name, failed) in enumerate([("a", 2), ("b", 2), ("c", 7)])
    ]
    fig = self.draw(composite_plots.plot_composite, tasks)
    composite, *rest = fig.axes[:4]
    values = np.stack([composite_plots.channel(t)[0] for t in tasks], axis=1)
    good = ~np.isnan(values).any(axis=1)
    self.assertEqual(good.sum(), 58)
    points = composite.collections[0]
    np.testing.assert_allclose(points.get_facecolor()[:, :3], values[good])
    self.assertIn("58 members (2 more failed", composite.get_title(loc="left"))
    for ax, task, column, name in zip(
      rest, tasks, values.T, ("red", "green", "blue"), strict=True
    ):
      np.testing.assert_allclose(
        ax.collections[0].get_array(), column[~np.isnan(column)]
      )
      self.assertStartsWith(ax.get_title(loc="left"), f"{name}: {task.task}")
    (legend,) = fig.legends
    texts = [text.get_text() for text in legend.texts]
    self.assertIn("better on a + c", texts)
    self.assertLen(texts, 10)
    self.assertIn("on a random plane, coloured by three", self.caption.text)

  @parameterized.parameters(
    (lambda: [_projection()] * 2, "must be three, .* got 2"),
    (
      lambda: [_projection("a"), _projection("b"), _slice()],
      "got others for task 'toy' than for 'a'",
    ),
  )
  def test_refuses(self, make, message):
    with self.assertRaisesRegex(UserError, message):
      composite_plots.plot_composite(pathlib.Path("never.png"), make())
