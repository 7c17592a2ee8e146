"""Tests of the density figures: drawn, and of the right numbers."""

import pathlib

import numpy as np
from report.figures import drawing

from thickets.analysis import density
from thickets.analysis.synthetic import NormalGains, SyntheticPopulation
from thickets.errors import UserError
from thickets.report.figures import density_plots


def measure(num_levels=2, **settings):
  sample = SyntheticPopulation(NormalGains(0.0, 0.05), copies=0.1).sample(
    np.random.default_rng(0), 20 * num_levels, 30
  )
  sample.scores[0, 0] = np.nan
  return density.solution_density(
    sample.scores,
    np.repeat(10.0 ** -np.arange(1, num_levels + 1), 20),
    sample.base_scores,
    num_resamples=20,
    num_splits=5,
    **settings,
  )


class DensityPlotsTest(drawing.DrawingTestCase):
  module = density_plots

  def curves(self, ax):
    return {
      line.get_label().split(":")[0]: line
      for line in ax.lines
      if not line.get_label().startswith("_")
    }

  def check_panel(self, ax, found, levels, margins, at):
    curves = self.curves(ax)
    self.assertCountEqual(curves, ["plain", "confirmed", "corrected", "null"])
    for name, line in curves.items():
      values = 100 * getattr(found, name)[levels, margins]
      np.testing.assert_allclose(line.get_xdata(), at)
      np.testing.assert_allclose(line.get_ydata(), values)
    # Bars of the narrow intervals, bands with edges of the wide ones.
    bars = [
      c.get_segments() for c in ax.collections if hasattr(c, "get_segments")
    ]
    ends = 100 * found.plain_interval[levels, margins]
    np.testing.assert_allclose(np.array(bars[0])[:, :, 1], ends)
    edges = [line.get_ydata() for line in ax.lines[1:3]]
    np.testing.assert_allclose(
      np.transpose(edges), 100 * found.corrected_interval[levels, margins]
    )

  def test_against_the_margin(self):
    found = measure(ratios=(1.02,))
    fig = self.draw(
      density_plots.plot_density, {"a": found, "b": measure(num_levels=1)}
    )
    self.assertLen(fig.axes, 4)
    order = np.argsort(found.margins)
    for s in range(2):
      at = 100 * found.margins[order]
      self.check_panel(fig.axes[s], found, s, order, at)
    self.assertFalse(fig.axes[3].axison)  # One sigma, where the other has two.
    titles = [ax.get_title() for ax in fig.axes[:3]]
    self.assertEqual(titles[0], "a, sigma 0.01\nn=20, 30 prompts")
    self.assertEqual(titles[1], "a, sigma 0.1\nn=20 (1 failed), 30 prompts")
    self.assertIn("95 % intervals", fig.axes[0].get_ylabel())
    (legend,) = fig.legends
    self.assertLen(legend.texts, 4)
    self.assertEqual(self.caption.topic, "Density")
    self.assertStartsWith(
      self.caption.text, "Solution density against the margin"
    )

  def test_curves_differ_without_colour(self):
    curves = self.curves(
      self.draw(density_plots.plot_density, {"a": measure()}).axes[0]
    )
    styles = {(li.get_linestyle(), li.get_marker()) for li in curves.values()}
    self.assertLen({style for style, _ in styles}, 4)
    self.assertLen({marker for _, marker in styles}, 4)

  def test_against_sigma(self):
    found = measure()
    fig = self.draw(
      density_plots.plot_density_by_sigma, {"a": found}, margin=0.05
    )
    (ax,) = fig.axes
    self.check_panel(ax, found, slice(None), 2, [0.01, 0.1])
    self.assertEqual(ax.get_xscale(), "log")
    self.assertEqual(
      ax.get_title(), "a, margin 5 points\nn=20 each (1 failed), 30 prompts"
    )
    self.assertIn("Solution density against sigma", self.caption.text)

  def test_four_names_fill_two_rows(self):
    found = measure()
    fig = self.draw(
      density_plots.plot_density_by_sigma, dict.fromkeys("abcd", found)
    )
    self.assertEqual([ax.axison for ax in fig.axes], [True] * 4 + [False] * 2)

  def test_a_margin_that_was_not_measured_is_refused(self):
    with self.assertRaisesRegex(UserError, r"got 0.03 \(a\). .* 0, 0.02, 0.05"):
      density_plots.plot_density_by_sigma(
        pathlib.Path("unused"), {"a": measure()}, margin=0.03
      )

  def test_too_many_sigmas_are_refused(self):
    with self.assertRaisesRegex(UserError, r"at most 12 .* got 13 \(a\)"):
      density_plots.plot_density(
        pathlib.Path("unused"), {"a": measure(num_levels=13)}
      )
