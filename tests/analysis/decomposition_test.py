"""Tests of what a gain is made of: worked cases, and parts that sum."""

import json
import pathlib
import tempfile
from unittest import mock

import hypothesis
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import matplotlib.image
import numpy as np
from absl import logging
from absl.testing import parameterized

from thickets.analysis import decomposition, intervals
from thickets.errors import UserError
from thickets.report.figures import decomposition_plots, style
from thickets.search.answers import Answers

# Base strictly right, base leniently right, method right: by PARTS.
_CASES = ((1, 1, 1), (0, 1, 1), (0, 0, 1), (1, 1, 0), (0, 1, 0), (0, 0, 0))


def _flags(counts):
  return np.repeat(np.array(_CASES, bool), counts, axis=0).T


def _answers(correct, lenient, votes=None):
  correct, lenient = np.atleast_2d(correct), np.atleast_2d(lenient)
  if votes is None:
    votes = np.where(lenient, "right", "wrong")
  return Answers(
    score=correct.astype(np.float64),
    correct=correct,
    lenient=lenient,
    format=correct,
    vote=np.atleast_2d(votes),
  )


class DecomposeTest(parameterized.TestCase):
  def test_reproduces_the_papers_figure(self):
    # 1319 prompts: 86.7 = 55.4 + 12.3 + 19.0, regression 0.7, and a lenient
    # base of 79.8, from which follows what the paper does not show.
    counts = (731, 251, 162, 9, 62, 104)
    self.assertEqual(sum(counts), 1319)
    got = decomposition.decompose(*_flags(counts), name="vote of 50")
    self.assertEqual(got.counts.tolist(), [list(counts)])
    percent = {part: round(100 * s, 1) for part, s in got.shares.items()}
    self.assertEqual(
      percent,
      {
        "kept": 55.4,
        "format": 19.0,
        "reasoning": 12.3,
        "regression": 0.7,
        "lost": 4.7,
        "both_wrong": 7.9,
      },
    )
    self.assertAlmostEqual(100 * got.accuracy, 86.7, delta=0.05)
    self.assertAlmostEqual(100 * got.base_strict, 56.1, delta=0.05)
    self.assertAlmostEqual(100 * got.base_lenient, 79.8, delta=0.05)
    plain = got.to_json()
    strict, lenient = plain["over_strict_base"], plain["over_lenient_base"]
    self.assertAlmostEqual(100 * strict["gain"]["mean"], 31.3, delta=0.05)
    self.assertAlmostEqual(100 * strict["net"]["mean"], 30.6, delta=0.05)
    self.assertAlmostEqual(100 * lenient["gain"]["mean"], 12.3, delta=0.05)
    self.assertAlmostEqual(100 * lenient["loss"]["mean"], 5.4, delta=0.05)
    self.assertAlmostEqual(100 * lenient["net"]["mean"], 6.9, delta=0.05)
    self.assertEqual(
      (plain["name"], plain["num_prompts"]), ("vote of 50", 1319)
    )

  @hypothesis.settings(max_examples=15)
  @hypothesis.given(hnp.arrays(bool, st.tuples(st.just(5), st.integers(1, 30))))
  def test_parts_sum(self, flags):
    strict, lenient, *members = flags
    lenient = lenient | strict
    correct = np.stack(members)
    got = decomposition.decompose(strict, lenient, correct, name="members")
    size = flags.shape[1]
    self.assertEqual(got.counts.sum(axis=1).tolist(), [size] * 3)
    self.assertEqual(
      got.counts[:, :3].sum(axis=1).tolist(), correct.sum(axis=1).tolist()
    )
    self.assertAlmostEqual(sum(got.shares.values()), 1.0, 12)
    self.assertAlmostEqual(got.accuracy, correct.mean(), 12)
    self.assertAlmostEqual(got.base_strict, strict.mean(), 12)
    self.assertAlmostEqual(got.base_lenient, lenient.mean(), 12)
    plain = got.to_json()
    for base, key in (
      (got.base_strict, "over_strict_base"),
      (got.base_lenient, "over_lenient_base"),
    ):
      net = plain[key]["net"]["mean"]
      self.assertAlmostEqual(net, got.accuracy - base, 12)
      gross = plain[key]["gain"]["mean"] - plain[key]["loss"]["mean"]
      self.assertAlmostEqual(net, gross, 12)
    for member, row in zip(correct, got.counts, strict=True):
      one = decomposition.decompose(strict, lenient, member, name="one")
      self.assertEqual(one.counts.tolist(), [row.tolist()])

  def test_intervals(self):
    flags = _flags((40, 15, 10, 5, 10, 20))
    plain = decomposition.decompose(*flags, name="vote").to_json()
    kept, accuracy = plain["parts"]["kept"], plain["accuracy"]
    self.assertEqual(
      (kept["low"], kept["high"]), intervals.wilson_interval(40, 100)
    )
    self.assertEqual(
      (accuracy["low"], accuracy["high"]), intervals.wilson_interval(65, 100)
    )
    strict, lenient, right = flags
    for name, base in (("strict", strict), ("lenient", lenient)):
      net = plain[f"over_{name}_base"]["net"]
      self.assertEqual(
        (net["low"], net["high"]),
        intervals.paired_interval(right.astype(float) - base),
      )
      self.assertEqual(net["over"], "prompts")
    members = np.stack([right, ~right, right])
    plain = decomposition.decompose(
      strict, lenient, members, name="members"
    ).to_json()
    np.testing.assert_allclose(
      (plain["accuracy"]["low"], plain["accuracy"]["high"]),
      intervals.mean_interval(members.mean(axis=0)),
    )
    json.dumps(plain, allow_nan=False)

  def test_failed_members_are_left_out_and_counted(self):
    strict, lenient, right = _flags((4, 3, 2, 1, 1, 1))
    members = np.stack([right, np.zeros_like(right)])
    got = decomposition.decompose(
      strict, lenient, members, name="m", failed=np.array([False, True])
    )
    self.assertEqual(got.num_failed, 1)
    self.assertEqual(got.counts.tolist(), [[4, 3, 2, 1, 1, 1]])
    # Without being told, an answer that is never right is simply wrong.
    got = decomposition.decompose(strict, lenient, members, name="m")
    self.assertEqual(got.counts[1].tolist(), [0, 0, 0, 5, 4, 3])

  def test_contradictions_are_told(self):
    strict, lenient, right = _flags((2, 0, 0, 1, 0, 1))
    lenient = np.array([False, True, True, False])
    with mock.patch.object(logging, "warning") as warning:
      got = decomposition.decompose(strict, lenient, right, name="m")
    warning.assert_called_once()
    self.assertEqual(got.num_contradictions, 1)
    self.assertEqual(got.counts.tolist(), [[2, 0, 0, 1, 0, 1]])

  def test_refusals(self):
    strict, lenient, right = _flags((1, 1, 1, 1, 1, 1))
    with self.assertRaisesRegex(UserError, "got 6 strict and 6 lenient.* 5 of"):
      decomposition.decompose(strict, lenient, right[1:], name="m")
    none = np.zeros(0, bool)
    with self.assertRaisesRegex(UserError, "at least one, got 0 strict"):
      decomposition.decompose(none, none, none, name="m")
    for failed in ([True], [False, False]):
      with self.assertRaisesRegex(UserError, "one flag per member"):
        decomposition.decompose(
          strict, lenient, right, name="m", failed=np.array(failed)
        )


class RunTest(parameterized.TestCase):
  def answers(self):
    base = _answers([True, False, False, True], [True, True, False, True])
    chosen = _answers(
      [
        [True, False, False, False],
        [False, True, True, False],
        [True, True, True, True],
      ],
      [
        [True, False, True, False],
        [True, True, True, False],
        [True, True, True, True],
      ],
      [
        ["a", "x", "c", "y"],
        ["a", "b", "c", "y"],
        ["a", "b", "c", "d"],
      ],
    )
    return base, chosen

  def test_vote_and_single_members(self):
    base, chosen = self.answers()
    vote, lenient, strict, *rest = decomposition.decompose_run(
      base, chosen, k=3, random=chosen.first(1)
    )
    # Elected: a, b, c right; y wrong.
    self.assertEqual(vote.counts.tolist(), [[1, 1, 1, 1, 0, 0]])
    self.assertEqual(
      lenient.counts.tolist(),
      [[1, 0, 1, 1, 1, 0], [1, 1, 1, 1, 0, 0], [2, 1, 1, 0, 0, 0]],
    )
    self.assertEqual(
      strict.counts.tolist(),
      [[1, 0, 0, 1, 1, 1], [0, 1, 1, 2, 0, 0], [2, 1, 1, 0, 0, 0]],
    )
    self.assertEqual(
      [one.name for one in (vote, lenient, strict, *rest)],
      [
        "vote of 3",
        "mean of 3 chosen members, lenient",
        "mean of 3 chosen members, strict",
        "mean of 1 random members, lenient",
        "mean of 1 random members, strict",
      ],
    )

  def test_k_counts_from_the_best(self):
    base, chosen = self.answers()
    vote, lenient, _ = decomposition.decompose_run(base, chosen, k=1)
    self.assertEqual(vote.counts.tolist(), lenient.counts.tolist())
    self.assertEqual(vote.counts.tolist(), [[1, 0, 1, 1, 1, 0]])
    for k in (0, 4):
      with self.assertRaisesRegex(UserError, f"got {k} of 3"):
        decomposition.decompose_run(base, chosen, k=k)


class PlotTest(parameterized.TestCase):
  def test_bars_are_the_shares(self):
    base, chosen = RunTest.answers(self)
    parts = decomposition.decompose_run(base, chosen, k=3)
    folder = self.enter_context(tempfile.TemporaryDirectory())
    path = pathlib.Path(folder) / "decomposition.png"
    with mock.patch.object(
      decomposition_plots, "save_figure", side_effect=style.save_figure
    ) as spy:
      decomposition_plots.plot_decomposition(path, parts)
    (fig, _, _), _ = spy.call_args
    pixels = matplotlib.image.imread(path)
    self.assertGreater(np.ptp(pixels[..., :3]), 0.5)
    (ax,) = fig.axes
    widths = np.array([bar.get_width() for bar in ax.patches]).reshape(3, 6)
    for row, one in zip(widths, parts, strict=True):
      np.testing.assert_allclose(row, 100 * np.array(list(one.shares.values())))
      self.assertAlmostEqual(row.sum(), 100.0)
    marks = [
      line.get_xdata()[0] for line in ax.lines if len(line.get_xdata()) == 2
    ]
    self.assertEqual(marks[-2:], [50.0, 75.0])
    self.assertIn("4 prompts", ax.get_xlabel())
    names = [label.get_text() for label in ax.get_yticklabels()]
    self.assertEqual(names[0], "vote of 3\n75.0 right")
    legend = [text.get_text() for text in ax.get_legend().texts]
    self.assertIn("base, strict: 50.0", legend)
    self.assertLen(legend, 8)
