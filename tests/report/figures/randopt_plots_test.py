"""Tests of the figures of language runs: drawn, and of the right numbers."""

import copy

import numpy as np
from analysis.randopt_results_test import JUDGED, MEMBERS, SCORES, summarise
from report.figures import drawing

from thickets.analysis.randopt_results import JudgedAnswers
from thickets.report.figures import randopt_plots

SIGMAS = np.array([member.sigma for member in MEMBERS])


def _lines(ax, **style):
  """Those of a panel with all of these properties."""
  return [
    line
    for line in ax.lines
    if all(getattr(line, f"get_{k}")() == v for k, v in style.items())
  ]


class RandoptPlotsTest(drawing.DrawingTestCase):
  module = randopt_plots

  def draw_panel(self, plot, *args):
    """Draws, and returns the only panel."""
    (ax,) = self.draw(plot, *args).axes
    return ax

  def test_summary(self):
    results = summarise()
    members, bars = self.draw(randopt_plots.plot_summary, SCORES, results).axes
    others, voters, base = members.lines
    self.assertEqual(others.get_ydata().tolist(), [25.0])  # NaN is left out.
    self.assertEqual(voters.get_ydata().tolist(), [50.0, 75.0])
    self.assertEqual(set(base.get_ydata()), {50.0})
    self.assertEqual(
      members.get_title(), "1 of 4 perturbed models score above the base"
    )
    rows = {row["role"]: row["judge"] for row in results["table"]}
    roles = (
      "base",
      "best",
      "vote-primary",
      "random-primary",
      "samples-primary",
    )
    heights = [patch.get_height() for patch in bars.patches]
    np.testing.assert_allclose(heights, [100 * rows[r]["mean"] for r in roles])
    ends = [bar.get_segments()[0][:, 1] for bar in bars.collections]
    expected = [[100 * rows[r][end] for end in ("low", "high")] for r in roles]
    np.testing.assert_allclose(ends, expected, atol=1e-9)
    labels = [label.get_text() for label in bars.get_xticklabels()]
    self.assertEqual(labels[2:4], ["vote of\nthe best 2", "vote of\n2 random"])

  def test_summary_without_self_consistency(self):
    judged = JudgedAnswers(JUDGED.base, JUDGED.chosen, JUDGED.random)
    results = summarise(judged=judged)
    _, bars = self.draw(randopt_plots.plot_summary, SCORES, results).axes
    self.assertLen(bars.patches, 4)

  def test_scores(self):
    ax = self.draw_panel(randopt_plots.plot_scores, SIGMAS, SCORES, summarise())
    dots = [line.get_ydata().tolist() for line in _lines(ax, marker=".")]
    self.assertEqual(dots, [[50.0], [25.0, 75.0]])  # Percent; NaN left out.
    places = [
      np.round(li.get_xdata()).tolist() for li in _lines(ax, marker=".")
    ]
    self.assertEqual(places, [[0], [1, 1]])
    means = [c.get_segments()[0][0, 1] for c in ax.collections]
    self.assertEqual(means, [50.0, 50.0])
    (base,) = _lines(ax, color="black", linestyle="--")
    self.assertEqual(set(base.get_ydata()), {50.0})
    self.assertEqual(
      drawing.read_legend(ax), ["member", "mean of members", "base 50.0"]
    )
    labels = [label.get_text() for label in ax.get_xticklabels()]
    self.assertEqual(labels, ["0.1\nn=2\n1 failed", "0.2\nn=2"])
    self.assertIn("4 prompts of selection, %", ax.get_ylabel())

  def test_scores_of_a_sigma_at_which_all_failed(self):
    scores = np.array([np.nan, np.nan, 0.75, 0.25])
    results = summarise(scores, positions=(2, 3))
    ax = self.draw_panel(randopt_plots.plot_scores, SIGMAS, scores, results)
    self.assertEqual(
      drawing.read_legend(ax), ["member", "mean of members", "base 50.0"]
    )

  def test_curves(self):
    results = summarise()
    ax = self.draw_panel(randopt_plots.plot_vote_curves, results)
    curves = {
      line.get_label(): line.get_xydata().tolist()
      for line in ax.lines
      if not line.get_label().startswith("_")
    }
    base = curves.pop("base, greedy: 25.0")
    self.assertEqual({height for _, height in base}, {25.0})
    self.assertEqual(
      curves,
      {
        "vote of the best K members": [[1, 50], [2, 75]],
        "vote of K random members": [[1, 50], [2, 50]],
        "self-consistency of the base": [[1, 25], [2, 50]],
      },
    )
    self.assertEqual(ax.lines[-1].get_xdata()[0], 2)  # The primary K.
    band = ax.collections[0].get_paths()[0].vertices
    for k, point in enumerate(results["curves"]["vote"], start=1):
      for end in ("low", "high"):
        corner = (k, 100 * point[end])
        self.assertLess(np.abs(band - corner).sum(axis=1).min(), 1e-9)
    self.assertEqual(ax.get_xscale(), "log")
    self.assertIn("primary K=2", ax.get_xlabel())
    self.assertIn("4 unseen prompts", ax.get_ylabel())
    self.assertEqual(self.caption.topic, "Summary")
    self.assertIn("number of votes K", self.caption.text)

  def test_curves_without_self_consistency(self):
    judged = JudgedAnswers(JUDGED.base, JUDGED.chosen, JUDGED.random)
    ax = self.draw_panel(
      randopt_plots.plot_vote_curves, summarise(judged=judged)
    )
    self.assertNotIn("self-consistency of the base", drawing.read_legend(ax))

  def test_curves_mark_round_numbers_and_the_last(self):
    results = copy.deepcopy(summarise())
    for name, curve in results["curves"].items():
      results["curves"][name] = curve[:1] * 30
    ax = self.draw_panel(randopt_plots.plot_vote_curves, results)
    self.assertEqual(list(ax.lines[0].get_markevery()), [0, 1, 4, 9, 19, 29])

  def test_selection(self):
    ax = self.draw_panel(randopt_plots.plot_selection, summarise())
    (chosen,) = _lines(ax, marker="o")
    self.assertEqual(chosen.get_xydata().tolist(), [[25, 25], [0, 50]])
    (random,) = _lines(ax, marker="s")
    self.assertEqual(random.get_xydata().tolist(), [[0, 50]])
    (base,) = _lines(ax, marker="*")
    self.assertEqual(base.get_xydata().tolist(), [[0, 0]])
    diagonal = ax.lines[-1].get_xydata()
    np.testing.assert_array_equal(diagonal[:, 0], diagonal[:, 1])
    self.assertEqual(
      drawing.read_legend(ax),
      ["random members", "chosen members", "base", "same gain"],
    )
