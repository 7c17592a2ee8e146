"""Tests of the figures of diversity: drawn, and of the right numbers."""

import dataclasses

import numpy as np
from absl.testing import parameterized
from report.figures import drawing

from thickets.analysis import clusters, diversity, specialists
from thickets.report.figures import diversity_plots

NAMES = ("countdown", "gsm8k", "math")


def _tables(seed=0, size=40):
  rng = np.random.default_rng(seed)
  skill = rng.normal(size=(size, 1))
  return [skill + rng.normal(size=(size, 8)) for _ in NAMES]


def _measure(seed, **options):
  return diversity.measure_discordance(
    _tables(seed), names=NAMES, num_resamples=50, num_splits=5, **options
  )


def _heights(line):
  return np.asarray(line.get_ydata(), np.float64)  # Error bars keep objects.


class DiversityPlotsTest(drawing.DrawingTestCase):
  module = diversity_plots

  def draw_panel(self, plot, *args, **options):
    """Draws, and returns the panel beside which a bar of colours may stand."""
    return self.draw(plot, *args, **options).axes[0]

  def test_correlation(self):
    result = _measure(0, sigma=0.01)
    ax = self.draw_panel(diversity_plots.plot_correlation, result)
    shown = np.array(ax.images[0].get_array())
    np.testing.assert_allclose(np.diag(shown), result.reliability)
    np.testing.assert_allclose(shown[0, 1:], result.correlation[0, 1:])
    self.assertLen(ax.patches, 3)
    self.assertIn("n = 40 members, sigma = 0.01", ax.get_title())
    self.assertIn(f"D = {result.value:.2f} [", ax.get_title())
    self.assertEndsWith(self.caption.text, "of the members at sigma 0.01.")

  @parameterized.parameters(-1.06, 1.3)
  def test_the_scale_reaches_as_far_as_the_numbers(self, corrected):
    result = _measure(0, sigma=0.01)
    result.correlation[0, 1] = corrected
    image = self.draw_panel(diversity_plots.plot_correlation, result).images[0]
    self.assertEqual(image.get_clim(), (-abs(corrected), abs(corrected)))

  def test_overlap_frames_what_is_not_chance(self):
    rng = np.random.default_rng(0)
    scores = rng.random((200, 3))
    scores[:, 1] = scores[:, 0]
    overlap = specialists.topk_overlap(scores, 20, names=NAMES)
    ax = self.draw_panel(
      diversity_plots.plot_overlap, overlap, at=" at sigma 1e-05"
    )
    shown = np.ma.filled(ax.images[0].get_array(), np.nan)
    self.assertEqual(shown[0, 1], 100.0)
    self.assertTrue(np.isnan(np.diag(shown)).all())
    corners = {patch.get_xy() for patch in ax.patches}
    self.assertEqual(corners, {(0.54, -0.46), (-0.46, 0.54)})
    self.assertIn("by chance 10.0 % [", ax.get_title())
    self.assertEqual(self.caption.topic, "Diversity")
    self.assertEndsWith(self.caption.text, "of another at sigma 1e-05.")

  def test_rank_lines(self):
    scores = np.random.default_rng(0).random((50, 3))
    scores[0] = np.nan
    lines = specialists.rank_lines(scores, names=NAMES, num_lines=20)
    ax = self.draw_panel(diversity_plots.plot_rank_lines, lines)
    drawn = np.array([line.get_ydata() for line in ax.lines[:20]])
    np.testing.assert_allclose(drawn, 100 * lines.percentiles)
    best = ax.lines[20]
    self.assertEqual(best.get_ydata()[0], 100 * lines.percentiles[:, 0].max())
    self.assertIn("best drawn on countdown", best.get_label())
    self.assertEqual(ax.get_title(), "20 of n = 49 members, 1 failed")

  def test_clusters(self):
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(90, 3))
    scores[np.arange(90), np.repeat([0, 1, 1], 30)] += 9
    embedding = clusters.embed_members(
      scores, names=NAMES, most_clusters=3, num_nulls=3
    )
    ax = self.draw_panel(diversity_plots.plot_clusters, embedding)
    labels = [line.get_label() for line in ax.lines]
    self.assertEqual(
      labels, ["strong in gsm8k, n = 60", "strong in countdown, n = 30"]
    )
    drawn = np.vstack([line.get_xydata() for line in ax.lines])
    np.testing.assert_allclose(
      np.sort(drawn, axis=0), np.sort(embedding.points, axis=0)
    )
    markers = {line.get_marker() for line in ax.lines}
    self.assertLen(markers, 2)
    self.assertTrue(ax.get_title().startswith("clusters: best silhouette"))
    texts = [text.get_text() for text in ax.texts]
    for name in NAMES:
      self.assertIn(name, texts)

  def test_discordance(self):
    results = [
      _measure(0, sigma=0.01),
      dataclasses.replace(
        _measure(1, sigma=0.1),
        disattenuated=None,
        disattenuated_interval=None,
        num_failed=3,
      ),
      dataclasses.replace(_measure(2), pooled=True),
    ]
    ax = self.draw_panel(diversity_plots.plot_discordance, results)
    lines = {
      "D": ax.containers[0].lines[0],
      "clean": ax.containers[1].lines[0],
      "pooled": ax.containers[2].lines[0],
    }
    np.testing.assert_allclose(
      _heights(lines["D"]), [one.value for one in results[:2]]
    )
    np.testing.assert_allclose(
      _heights(lines["clean"]), [results[0].disattenuated, np.nan]
    )
    np.testing.assert_allclose(_heights(lines["pooled"]), results[2].value)
    ends = [s.get_segments() for s in ax.containers[0].lines[2]]
    got = np.array(ends[0])[:, :, 1]
    np.testing.assert_allclose(got, [one.interval for one in results[:2]])
    floors = [line for line in ax.lines if line.get_marker() == "^"]
    np.testing.assert_allclose(
      floors[0].get_ydata(), [one.floor for one in results[:2]]
    )
    ticks = [label.get_text() for label in ax.get_xticklabels()]
    self.assertEqual(
      ticks, ["0.01\nn=40", "0.1\nn=40\n3 failed", "pooled\nn=40"]
    )
    self.assertIn("bound M/(M-1) = 1.50", [t.get_text() for t in ax.texts])

  def test_a_pooled_result_alone(self):
    result = dataclasses.replace(_measure(2), pooled=True)
    ax = self.draw_panel(diversity_plots.plot_discordance, [result])
    ticks = [label.get_text() for label in ax.get_xticklabels()]
    self.assertEqual(ticks, ["pooled\nn=40"])
