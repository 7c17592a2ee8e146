"""Tests of rank lines, overlaps, specialists and clusters."""

import itertools
import json

import numpy as np
import scipy.stats
from absl.testing import parameterized

from thickets.analysis import clusters, specialists
from thickets.errors import UserError
from thickets.search import selection

NAMES = ("countdown", "gsm8k", "math")


def _table(seed=0, size=40):
  return np.random.default_rng(seed).random((size, 3))


class RankLinesTest(parameterized.TestCase):
  def test_ranks_among_all_and_keeps_the_first(self):
    scores = _table()
    scores[1, 2] = np.nan
    got = specialists.rank_lines(scores, names=NAMES, num_lines=5)
    self.assertEqual(got.members.tolist(), [0, 2, 3, 4, 5])
    self.assertEqual((got.num_members, got.num_failed), (39, 1))
    rest = np.delete(scores, 1, axis=0)
    ranks = scipy.stats.rankdata(rest, axis=0)
    np.testing.assert_allclose(got.percentiles, ((ranks - 0.5) / 39)[:5])

  def test_without_members_is_refused(self):
    with self.assertRaisesRegex(UserError, "got none of 4"):
      specialists.rank_lines(np.full((4, 3), np.nan), names=NAMES)


class OverlapTest(parameterized.TestCase):
  def test_counts_what_selection_chooses(self):
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 4, (30, 3)) / 4  # Many ties.
    scores[2, 0] = np.nan
    got = specialists.topk_overlap(scores, 7, names=NAMES)
    chosen = [set(selection.select_top_k(c, 7).tolist()) for c in scores.T]
    for j, k in itertools.product(range(3), repeat=2):
      self.assertEqual(got.share[j, k], len(chosen[j] & chosen[k]) / 7)
    self.assertEqual(got.expected, 7 / 30)
    self.assertEqual(got.num_failed, (1, 0, 0))
    json.dumps(got.to_json(), allow_nan=False)

  def test_ties_go_to_those_drawn_first(self):
    scores = np.ones((10, 3))
    got = specialists.topk_overlap(scores, 4, names=NAMES)
    np.testing.assert_array_equal(got.share, np.ones((3, 3)))

  def test_rounding_breaks_no_ties(self):
    scores = np.ones((4, 3))
    scores[0] = 1 - 1e-16
    scores[3, 1] = 1 + 3e-16
    got = specialists.topk_overlap(scores, 1, names=NAMES)
    np.testing.assert_array_equal(got.share, np.ones((3, 3)))

  def test_chance_stays_within_its_interval(self):
    inside, shares = 0, []
    for seed in range(200):
      got = specialists.topk_overlap(_table(seed, 60), 15, names=NAMES)
      share = got.share[0, 1]
      shares.append(share)
      inside += got.low[0, 1] <= share <= got.high[0, 1]
    self.assertAlmostEqual(np.mean(shares), got.expected, delta=0.025)
    self.assertGreaterEqual(inside / 200, 0.93)
    low, high = scipy.stats.hypergeom(60, 15, 15).interval(0.95)
    self.assertEqual((got.low[0, 1], got.high[0, 1]), (low / 15, high / 15))

  def test_refusals(self):
    scores = _table(size=5)
    scores[0, 1] = np.nan
    for k in (0, 5):
      with self.assertRaisesRegex(UserError, f"got {k} with 4 of 5 on 'gsm8k'"):
        specialists.topk_overlap(scores, k, names=NAMES)
    with self.assertRaisesRegex(UserError, "one distinct name per task"):
      specialists.topk_overlap(scores, 2, names=NAMES[:2])
    with self.assertRaisesRegex(UserError, "got 2 with 0 of 0"):
      specialists.topk_overlap(scores[:0], 2, names=NAMES)


class SpecialistTest(parameterized.TestCase):
  def test_worked_case(self):
    base = np.array([0.5, 0.2, 0.7])
    gain = np.array(
      [
        [0.02, 0.0, 0.0],  # In the first only; a gain of the margin counts.
        [0.1, 0.1, -0.1],
        [0.1, 0.1, 0.1],
        [0.019, 0.0, 0.0],
        [np.nan, 0.3, 0.0],  # Failed on the first: an expert in the second.
        [0.0, np.nan, np.nan],
      ]
    )
    got = specialists.specialist_table(
      base + gain, base, margin=0.02, names=NAMES
    )
    self.assertEqual(got.experts.tolist(), [3, 3, 1])
    self.assertEqual(got.specialists.tolist(), [1, 1, 0])
    self.assertEqual(got.by_count.tolist(), [2, 2, 1, 1])
    self.assertEqual((got.several, got.generalists, got.num_failed), (2, 1, 2))
    # Rates 1/2, 1/2, 1/6 of six members.
    np.testing.assert_allclose(
      got.expected_specialists, [6 * 5 / 24, 6 * 5 / 24, 6 / 24]
    )
    np.testing.assert_allclose(
      got.expected_by_count, np.array([5, 11, 7, 1]) * 6 / 24
    )
    plain = json.loads(json.dumps(got.to_json(), allow_nan=False))
    self.assertEqual(plain["generalists"]["count"], 1)
    self.assertEqual(plain["in_at_least_two"]["expected_if_independent"], 2.0)
    self.assertEqual(plain["tasks"][0]["experts"]["frac"], 0.5)
    lines = got.format().splitlines()
    self.assertEqual(lines[1].split(), ["countdown", "3", "1", "1.2"])
    self.assertIn("of 6 members, 2 failed; gain of at least 0.02", lines[-1])

  def test_expects_what_independent_tasks_show(self):
    rng = np.random.default_rng(0)
    scores = rng.random((200_000, 3))
    got = specialists.specialist_table(
      scores, np.array([0.5, 0.8, 0.9]), margin=0.0, names=NAMES
    )
    np.testing.assert_allclose(got.by_count, got.expected_by_count, rtol=0.02)
    np.testing.assert_allclose(
      got.specialists, got.expected_specialists, rtol=0.02
    )

  def test_refusals(self):
    scores, base = _table(), np.zeros(3)
    with self.assertRaisesRegex(UserError, "must not be negative, got -0.1"):
      specialists.specialist_table(scores, base, margin=-0.1, names=NAMES)
    with self.assertRaisesRegex(UserError, "must not be negative, got nan"):
      specialists.specialist_table(scores, base, margin=np.nan, names=NAMES)
    with self.assertRaisesRegex(UserError, "at least one member, got none"):
      specialists.specialist_table(scores[:0], base, margin=0.1, names=NAMES)
    base[2] = np.nan
    with self.assertRaisesRegex(UserError, "got another for 'math'"):
      specialists.specialist_table(scores, base, margin=0.1, names=NAMES)


class ClusterTest(parameterized.TestCase):
  def groups(self, seed=0, shift=6.0):
    """Members good at one task each, in groups of 60, 40 and 20."""
    rng = np.random.default_rng(seed)
    kind = np.repeat([1, 0, 2], [60, 40, 20])
    scores = rng.normal(size=(120, 3))
    scores[np.arange(120), kind] += shift
    return scores * [1, 10, 100], kind  # Units do not matter.

  def embed(self, scores, **options):
    options = {"most_clusters": 5, "num_nulls": 19, **options}
    return clusters.embed_members(scores, names=NAMES, **options)

  def test_finds_and_names_groups(self):
    scores, kind = self.groups()
    scores[3, 1] = np.nan
    got = self.embed(scores)
    self.assertTrue(got.has_clusters)
    self.assertEqual(
      got.cluster_names,
      ("strong in gsm8k", "strong in countdown", "strong in math"),
    )
    self.assertEqual(got.num_failed, 1)
    self.assertNotIn(3, got.members)
    order = np.array([1, 0, 2])  # By size.
    self.assertGreater(np.mean(order[got.labels] == kind[got.members]), 0.97)
    self.assertEqual(max(got.silhouettes, key=got.silhouettes.get), 3)
    plain = json.loads(json.dumps(got.to_json(), allow_nan=False))
    self.assertEqual(sum(c["size"] for c in plain["clusters"]), 119)

  def test_points_are_the_principal_components(self):
    scores, _ = self.groups()
    got = self.embed(scores, num_nulls=1)
    standard = scipy.stats.zscore(scores, axis=0)
    _, singular, rows = np.linalg.svd(standard)
    np.testing.assert_allclose(
      got.explained, singular[:2] ** 2 / (singular**2).sum()
    )
    np.testing.assert_allclose(
      np.abs(got.points), np.abs(standard @ rows[:2].T), atol=1e-9
    )
    np.testing.assert_allclose(got.points, standard @ got.axes.T, atol=1e-9)

  @parameterized.parameters(0.0, 2.0)
  def test_a_cloud_has_no_clusters(self, shared):
    # With a common skill the cloud is long, and k-means cuts it well.
    found = 0
    for seed in range(4):
      rng = np.random.default_rng(seed)
      scores = rng.normal(size=(100, 3)) + shared * rng.normal(size=(100, 1))
      got = self.embed(scores, most_clusters=3)
      found += got.has_clusters
      if shared:  # The permuted tables alone would have been fooled.
        self.assertGreater(max(got.silhouettes.values()), got.null_permuted)
      if not got.has_clusters:
        self.assertEqual(got.cluster_names, ("all members",))
        self.assertEqual(set(got.labels.tolist()), {0})
    self.assertLessEqual(found, 1)

  def test_depends_on_seed_and_scores_alone(self):
    scores, _ = self.groups()
    first = self.embed(scores, num_nulls=3).to_json()
    self.assertEqual(self.embed(scores, num_nulls=3).to_json(), first)
    other = self.embed(scores, num_nulls=3, seed=1).to_json()
    self.assertNotEqual(other["null_cloud"], first["null_cloud"])

  def test_a_constant_task_tells_nothing(self):
    scores, _ = self.groups()
    scores[:, 2] = 0.1
    got = self.embed(scores, num_nulls=2)
    self.assertEqual(got.constant, ("math",))
    self.assertEqual(np.abs(got.axes[:, 2]).max(), 0.0)

  def test_names(self):
    centres = np.array([[1, 0, -1], [2, 0, 0], [-1, -2, -1], [0, 0.1, 0]])
    self.assertEqual(
      clusters.name_clusters(centres, NAMES),
      (
        "strong in countdown (1)",
        "strong in countdown (2)",
        "weak in all",
        "strong in gsm8k",
      ),
    )

  def test_refusals(self):
    scores, _ = self.groups()
    scores[:, 1:] = 0.5
    with self.assertRaisesRegex(UserError, "differ on at least two tasks"):
      self.embed(scores)
    with self.assertRaisesRegex(UserError, "three distinct members, got 2"):
      self.embed(_table(size=2))
    with self.assertRaisesRegex(UserError, "0 members without failures"):
      self.embed(np.full((5, 3), np.nan))
