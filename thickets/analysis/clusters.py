"""Kinds of members: the map of their performance, and whether it has clusters.

Reference: Gan and Isola (2026), arXiv:2603.12228, figure 4 (right).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import sklearn.cluster
import sklearn.decomposition
import sklearn.metrics
import threadpoolctl
from jaxtyping import Float, Int

from thickets.analysis import score_tables
from thickets.errors import UserError

# The silhouette compares all pairs of members, and is sharp with as many.
_SEARCH_MEMBERS = 400


@dataclasses.dataclass(frozen=True)
class Embedding:
  """Members as points, by how they perform on the tasks.

  Attributes:
    points: [P, 2] coordinates of the members that did not fail, in units of the
      standardized scores' principal axes.
    axes: [2, M] what each task adds to each coordinate.
    explained: [2] shares of the variance that the coordinates keep.
    members: [P] positions of the members.
    labels: [P] number of the cluster, from the largest; all 0 for no clusters.
    centres: [C, M] mean standardized score of each cluster on each task.
    cluster_names: [C] by their strongest task.
    silhouettes: the mean silhouette, by the number of clusters that was tried.
    null_permuted: largest of the best silhouettes of tables whose columns are
      permuted independently.
    null_cloud: the same of normal tables with the same correlations.
    has_clusters: whether the best silhouette exceeds both.
    names: [M] of the tasks.
    constant: tasks on which all members score alike, which tell nothing.
    num_failed: members left out since a score of theirs is not finite.
  """

  points: Float[np.ndarray, "P 2"]
  axes: Float[np.ndarray, "2 M"]
  explained: Float[np.ndarray, " 2"]
  members: Int[np.ndarray, " P"]
  labels: Int[np.ndarray, " P"]
  centres: Float[np.ndarray, "C M"]
  cluster_names: tuple[str, ...]
  silhouettes: dict[int, float]
  null_permuted: float
  null_cloud: float
  has_clusters: bool
  names: tuple[str, ...]
  constant: tuple[str, ...]
  num_failed: int

  def to_json(self) -> dict[str, Any]:
    """Plain values, without the points."""
    return {
      "units": (
        "silhouettes are within -1 and 1; centres are in standard deviations of"
        " the members' scores on a task"
      ),
      "explained": self.explained.tolist(),
      "silhouettes": {str(k): v for k, v in self.silhouettes.items()},
      "null_permuted": self.null_permuted,
      "null_cloud": self.null_cloud,
      "has_clusters": self.has_clusters,
      "clusters": [
        {
          "name": name,
          "size": int((self.labels == label).sum()),
          "centre": self.centres[label].tolist(),
        }
        for label, name in enumerate(self.cluster_names)
      ],
      "names": list(self.names),
      "constant": list(self.constant),
      "num_members": len(self.members),
      "num_failed": self.num_failed,
    }


@dataclasses.dataclass(frozen=True)
class _Clusters:
  """What the search for clusters found; see the fields of `Embedding`."""

  labels: Int[np.ndarray, " P"]
  silhouettes: dict[int, float]
  null_permuted: float
  null_cloud: float
  has_clusters: bool


def embed_members(
  scores: Float[np.ndarray, "P M"],
  *,
  names: Sequence[str],
  most_clusters: int = 8,
  num_nulls: int = 19,
  seed: int = 0,
) -> Embedding:
  """Maps members to the plane and sorts them into clusters, if there are any.

  Scores are standardized per task, so that no task counts more for its unit.
  k-means is tried with 2 to `most_clusters` clusters, and the best silhouette
  wins, if the same search does worse in each of `num_nulls` tables of either
  kind without clusters: columns permuted independently, which keep each task's
  scores and lose all dependence; and normal ones with the same correlations,
  one cloud, stretched as much. (Without the second, members that are good or
  bad at everything by degrees would pass for two kinds.) With 19 tables, one
  test in twenty finds clusters where there are none. If it fails, all members
  are one cluster: k-means divides any cloud, and its parts mean nothing.

  Args:
    scores: [P, M] each member's score on each task; members should be of one
      sigma.
    names: [M] names of the tasks.
    most_clusters: largest number of clusters that is tried, at least 2.
    num_nulls: number of tables without clusters, of each kind.
    seed: for k-means, the tables and the 400 members that are searched.

  Raises:
    UserError: with fewer than two tasks on which members differ, or fewer than
      three members of distinct performance.
  """
  names = score_tables.check_names(names, scores.shape[1])
  members = np.flatnonzero(score_tables.is_complete(scores))
  kept = np.asarray(scores[members], np.float64)
  standard, is_constant = _standardize(kept)
  found = _find_clusters(
    standard, most_clusters, num_nulls, np.random.default_rng(seed)
  )
  centres = np.stack(
    [
      standard[found.labels == label].mean(axis=0)
      for label in np.unique(found.labels)
    ]
  )
  pca = sklearn.decomposition.PCA(2, svd_solver="full").fit(standard)
  return Embedding(
    points=pca.transform(standard),
    axes=np.asarray(pca.components_),
    explained=pca.explained_variance_ratio_,
    members=members,
    centres=centres,
    cluster_names=name_clusters(centres, names),
    **dataclasses.asdict(found),
    names=names,
    constant=tuple(
      name for name, flag in zip(names, is_constant, strict=True) if flag
    ),
    num_failed=len(scores) - len(members),
  )


def _standardize(kept: Float[np.ndarray, "P M"]):
  """[P, M] scores of mean 0 and deviation 1, and [M] which tasks are constant."""
  is_constant = (
    np.ptp(kept, axis=0) == 0 if len(kept) else np.ones(kept.shape[1])
  )
  if kept.shape[1] - is_constant.sum() < 2:
    raise UserError(
      "Members must differ on at least two tasks to be mapped, got"
      f" {len(kept)} members without failures that differ on"
      f" {int(kept.shape[1] - is_constant.sum())}."
    )
  deviation = np.where(is_constant, 1.0, kept.std(axis=0))
  return (kept - kept.mean(axis=0)) / deviation, is_constant


def _find_clusters(
  standard: Float[np.ndarray, "P M"],
  most_clusters: int,
  num_nulls: int,
  rng: np.random.Generator,
) -> _Clusters:
  """Sorts members into clusters by their standardized scores, if there are any."""
  sample = rng.permutation(standard, axis=0)[:_SEARCH_MEMBERS]
  distinct = len(np.unique(sample.round(9), axis=0))
  most = min(most_clusters, distinct - 1)
  if most < 2:
    raise UserError(
      "Clusters must be sought among at least three distinct members, got"
      f" {most + 1}. Draw more members."
    )
  # Threads would wait for each other: the tables are small, and there are many.
  with threadpoolctl.threadpool_limits(1):
    silhouettes = _search(sample, most, rng)
    null_permuted, null_cloud = (
      max(max(_search(draw(), most, rng).values()) for _ in range(num_nulls))
      for draw in (
        lambda: rng.permuted(sample, axis=0),
        lambda: _draw_cloud(sample, rng),
      )
    )
  best = max(silhouettes, key=silhouettes.__getitem__)
  has_clusters = silhouettes[best] > max(null_permuted, null_cloud)
  labels = np.zeros(len(standard), np.int64)
  if has_clusters:
    labels = _divide(standard, best, rng).astype(np.int64)
  return _Clusters(
    labels=_order_by_size(labels),
    silhouettes=silhouettes,
    null_permuted=null_permuted,
    null_cloud=null_cloud,
    has_clusters=bool(has_clusters),
  )


def name_clusters(
  centres: Float[np.ndarray, "C M"], names: Sequence[str]
) -> tuple[str, ...]:
  """Names clusters by the task on which each stands out the most.

  Args:
    centres: [C, M] mean standardized score of each cluster on each task.
    names: [M] of the tasks.

  Returns:
    [C] names: "all members" for a single cluster; "strong in X" for the task of
    the highest centre; "weak in all" where every centre is below zero. Clusters
    of one name get their number as well.
  """
  if len(centres) == 1:
    return ("all members",)
  found = [
    f"strong in {names[int(centre.argmax())]}"
    if centre.max() > 0
    else "weak in all"
    for centre in centres
  ]
  return tuple(
    name if found.count(name) == 1 else f"{name} ({found[:i].count(name) + 1})"
    for i, name in enumerate(found)
  )


def _search(sample, most, rng):
  """Mean silhouettes by number of clusters; -1 for fewer clusters than asked."""
  distances = sklearn.metrics.pairwise_distances(sample)
  np.fill_diagonal(distances, 0.0)  # Where rounding left a trace.
  silhouettes = {}
  for count in range(2, most + 1):
    labels = _divide(sample, count, rng)
    silhouettes[count] = (
      float(
        sklearn.metrics.silhouette_score(
          distances, labels, metric="precomputed"
        )
      )
      if 2 <= len(np.unique(labels)) < len(sample)
      else -1.0
    )
  return silhouettes


def _divide(standard, count, rng):
  state = int(rng.integers(2**31))
  means = sklearn.cluster.KMeans(
    count,
    n_init=2,  # pyright: ignore[reportArgumentType]  # Its default is a word.
    random_state=state,
  )
  return means.fit_predict(standard)


def _draw_cloud(sample, rng):
  """A normal table with the correlations of another."""
  centred = sample - sample.mean(axis=0)
  mix = rng.normal(size=(len(sample), len(sample))) / np.sqrt(len(sample))
  return mix @ centred


def _order_by_size(labels):
  counts = np.bincount(labels)
  order = np.argsort(-counts, kind="stable")
  place = np.empty_like(order)
  place[order] = np.arange(len(order))
  return place[labels]
