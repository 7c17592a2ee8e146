"""Tests of the figures: that they are drawn, and of the right numbers."""

import matplotlib
import numpy as np
from absl.testing import parameterized
from report.figures import drawing

from thickets.report.figures import signals_plots

RNG = np.random.default_rng(0)
ROWS = [
  {
    "role": "base",
    "name": "base",
    "select_mse": 0.4,
    "judge_mse": 0.5,
    "judge_se": 0.02,
  },
  {"role": "median", "name": "population median", "select_mse": 0.6},
  {"role": "top-1", "name": "top-1", "judge_mse": 0.3, "judge_se": None},
  {
    "role": "primary",
    "name": "ensemble K=5 (primary)",
    "judge_mse": 0.2,
    "judge_se": 0.01,
  },
]
BY_K = [
  {"k": 1, "mse": 0.3, "se": 0.02},
  {"k": 2, "mse": 0.2, "se": None},
  {"k": 5, "mse": 0.1, "se": 0.01},
]
BY_N = [
  {"n": 10, "num_blocks": 7, "median_mse": 0.4, "min_mse": 0.2, "max_mse": 0.5},
  {"n": 99, "num_blocks": 1, "median_mse": 0.1, "min_mse": 0.1, "max_mse": 0.1},
]


def _horizontal(ax, style):
  """Heights of the lines across a panel in one style."""
  return [
    line.get_ydata()[0]
    for line in ax.lines
    if line.get_color() == style["color"]
    and len(line.get_xdata()) == 2
    and line.get_ydata()[0] == line.get_ydata()[1]
  ]


def _like(ax, style):
  """The curves of a panel in one style."""
  return [
    line
    for line in ax.lines
    if line.get_color() == style["color"]
    and line.get_linewidth() == style["linewidth"]
  ]


class SignalsPlotsTest(drawing.DrawingTestCase):
  module = signals_plots

  @parameterized.parameters(1, 3)
  def test_roll_outs(self, num_signals):
    x = np.linspace(-2.5, 4.4, 70)
    draw = lambda *shape: RNG.normal(size=shape)  # noqa: E731
    arrays = signals_plots.RollOuts(
      x_context=x[:10],
      context=draw(num_signals, 10),
      x_target=x[10:],
      target=draw(num_signals, 60),
      base=draw(num_signals, 60),
      random=draw(4, num_signals, 60),
      chosen=draw(2, num_signals, 60),
      ensemble=draw(num_signals, 60),
    )
    fig = self.draw(signals_plots.plot_roll_outs, arrays)
    self.assertLen(fig.axes, 2 * num_signals)
    for row in range(num_signals):
      left, right = fig.axes[2 * row : 2 * row + 2]
      for ax, style, curves_PT in (
        (left, signals_plots.MEMBER, arrays.random[:, row]),
        (right, signals_plots.CHOSEN, arrays.chosen[:, row]),
        *((ax, signals_plots.BASE, arrays.base[[row]]) for ax in (left, right)),
        *(
          (ax, signals_plots.TRUTH, arrays.target[[row]])
          for ax in (left, right)
        ),
        (right, signals_plots.ENSEMBLE, arrays.ensemble[[row]]),
        (left, signals_plots.ENSEMBLE, np.empty((0, 60))),
      ):
        got = [line.get_ydata() for line in _like(ax, style)]
        self.assertLen(got, len(curves_PT))
        np.testing.assert_array_equal(np.reshape(got, (-1, 60)), curves_PT)
      np.testing.assert_array_equal(
        left.lines[0].get_ydata(), arrays.context[row]
      )
    labels = [text.get_text() for text in fig.axes[1].get_legend().texts]
    self.assertEqual(labels, ["best 2 members", "base", "their mean", "truth"])
    labels = [text.get_text() for text in fig.axes[0].get_legend().texts]
    self.assertEqual(labels, ["4 random members", "base", "truth"])
    self.assertEqual(self.caption.topic, "Summary")
    self.assertStartsWith(self.caption.text, "Roll-outs of base, members")

  def test_bars(self):
    (ax,) = self.draw(signals_plots.plot_bars, ROWS, title="N=9").axes
    # What was not judged has no bar.
    self.assertEqual([b.get_height() for b in ax.patches], [0.5, 0.3, 0.2])
    names = [label.get_text() for label in ax.get_xticklabels()]
    self.assertEqual(names, ["base", "top-1", "ensemble\nK=5\n(primary)"])
    (whiskers,) = (c for c in ax.containers if hasattr(c, "has_yerr"))
    (segments,) = (c.get_segments() for c in whiskers.lines[2])
    np.testing.assert_allclose(
      [segment[:, 1] for segment in segments],
      [(0.48, 0.52), (0.3, 0.3), (0.19, 0.21)],
    )
    self.assertEqual(
      [text.get_text() for text in ax.texts], ["0.5", "0.3", "0.2"]
    )
    self.assertEqual(ax.get_ylabel(), "mean squared error (± s.e.)")
    self.assertEqual(ax.get_title(), "N=9")
    self.assertEqual(ax.get_ylim(), (0, 0.65))  # The authors' limits.

  def test_bars_keep_their_colour_and_say_whether_there_are_errors(self):
    rows = [row | {"judge_se": None} for row in ROWS[1:]]
    (ax,) = self.draw(signals_plots.plot_bars, rows, title="").axes
    colours = [matplotlib.colors.to_hex(b.get_facecolor()) for b in ax.patches]
    self.assertEqual(colours, ["#c0392b", "#d4a017"])
    self.assertEqual(ax.get_ylabel(), "mean squared error")
    self.assertFalse(any(hasattr(c, "has_yerr") for c in ax.containers))

  def test_bars_higher_than_the_authors_are_not_cut(self):
    rows = [{"role": "base", "name": "base", "judge_mse": 3.0, "judge_se": 0.5}]
    (ax,) = self.draw(signals_plots.plot_bars, rows, title="").axes
    self.assertGreater(ax.get_ylim()[1], 3.5)

  def test_histogram(self):
    errors = {0.2: RNG.uniform(1, 9, 30), 0.1: RNG.uniform(0.1, 1, 20)}
    (ax,) = self.draw(
      signals_plots.plot_score_histogram, errors, 20.0, title="t"
    ).axes
    # Smallest sigma first; every member is in a bin, the base is not.
    counts = [sum(bar.get_height() for bar in c) for c in ax.containers]
    self.assertEqual(counts, [20, 30])
    self.assertEqual([line.get_xdata()[0] for line in ax.lines], [20.0])
    self.assertEqual(
      {text.get_text() for text in ax.get_legend().texts},
      {"σ = 0.1 (n=20)", "σ = 0.2 (n=30)", "base 20"},
    )
    self.assertEqual(
      (ax.get_xlabel(), ax.get_ylabel(), ax.get_xscale()),
      ("mean squared error of a member", "members", "log"),
    )

  def test_histogram_of_members_that_are_all_alike(self):
    self.draw(
      signals_plots.plot_score_histogram, {0.0: np.full(5, 0.3)}, 0.3, title=""
    )

  def test_histogram_counts_what_a_logarithm_cannot_show(self):
    errors = {0.1: np.array([0.0, 0.2, 0.4, np.inf, np.nan])}
    (ax,) = self.draw(
      signals_plots.plot_score_histogram, errors, np.nan, title=""
    ).axes
    (text,) = ax.get_legend().texts  # And no line for a base that failed.
    self.assertEqual(text.get_text(), "σ = 0.1 (n=5, 3 not shown)")
    self.assertEqual(sum(bar.get_height() for bar in ax.patches), 2)

  def test_curves_leave_out_what_failed(self):
    by_k = [*BY_K[:1], BY_K[1] | {"mse": None}, *BY_K[2:]]
    fig = self.draw(
      signals_plots.plot_error_curves,
      by_k,
      BY_N,
      base=None,
      population_size=9,
      primary_k=5,
    )
    left = fig.axes[0]
    self.assertTrue(np.isnan(left.lines[0].get_ydata()[1]))
    self.assertIsNone(left.get_legend())

  def test_curves(self):
    fig = self.draw(
      signals_plots.plot_error_curves,
      BY_K,
      BY_N,
      base=0.35,
      population_size=99,
      primary_k=5,
    )
    left, right = fig.axes
    for ax in (left, right):
      self.assertEqual(_horizontal(ax, signals_plots.BASE), [0.35])
      self.assertEqual((ax.get_xscale(), ax.get_yscale()), ("log", "log"))
      self.assertEqual(ax.get_legend().texts[0].get_text(), "base 0.35")
    np.testing.assert_array_equal(
      left.lines[0].get_xydata(), [(1, 0.3), (2, 0.2), (5, 0.1)]
    )
    self.assertEqual(left.lines[1].get_xdata()[0], 5)  # The primary K.
    band = left.collections[0].get_paths()[0].vertices
    for corner in ((1, 0.28), (1, 0.32), (2, 0.2), (5, 0.09), (5, 0.11)):
      self.assertLess(np.abs(band - corner).sum(axis=1).min(), 1e-9, msg=corner)
    np.testing.assert_array_equal(
      right.lines[0].get_xydata(), [(10, 0.4), (99, 0.1)]
    )
    np.testing.assert_allclose(
      [s[:, 1] for s in right.collections[0].get_segments()],
      [(0.2, 0.5), (0.1, 0.1)],
    )
    self.assertEqual([text.get_text() for text in right.texts], ["7×", "1×"])
    self.assertEqual(left.get_xlabel(), "K, members in the ensemble (N=99)")
    self.assertEqual(right.get_xlabel(), "N, members in the population (K=5)")
    self.assertIn("± s.e.", left.get_ylabel())
    self.assertIn("median, range", right.get_ylabel())

  def test_groups(self):
    groups = {
      "mixed → line": {"base": [0.5, 0.7, 0.2], "top-1": [0.1, 0.3, 0.2]},
      "untrained": {"base": [0.9], "top-1": [0.4]},
    }
    (ax,) = self.draw(signals_plots.plot_groups, groups, title="4 runs").axes
    dots = [line.get_ydata().tolist() for line in ax.lines]
    self.assertEqual(dots, [[0.5, 0.7, 0.2], [0.9], [0.1, 0.3, 0.2], [0.4]])
    medians = [c.get_segments()[0][0, 1] for c in ax.collections]
    self.assertEqual(medians, [0.5, 0.9, 0.2, 0.4])
    # Dots lie nearest to the label of their own group.
    places = [np.round(line.get_xdata()).tolist() for line in ax.lines]
    self.assertEqual(places, [[0, 0, 0], [1], [0, 0, 0], [1]])
    labels = [label.get_text() for label in ax.get_xticklabels()]
    self.assertEqual(labels, ["mixed\n→\nline", "untrained"])
    for line, bar in zip(ax.lines, ax.collections, strict=True):
      start, end = bar.get_segments()[0][:, 0]
      self.assertBetween(line.get_xdata().min(), start, end)
      self.assertBetween(line.get_xdata().max(), start, end)
    legend = ax.get_legend()
    self.assertEqual(
      [text.get_text() for text in legend.texts], ["base", "top-1"]
    )
    self.assertEqual(
      [handle.get_marker() for handle in legend.legend_handles], ["s", "^"]
    )
    self.assertEqual(ax.get_yscale(), "log")
