"""Every estimator on one measurement: what `experiments.density` reports.

Density by task and sigma, diversity within each sigma, what ensembles of the
members reach, what their gains are made of, and the regime that follows. It
reads scores only, so it runs wherever the records are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging
from jaxtyping import Float

from thickets.analysis import (
  destroyed,
  diversity,
  score_tables,
  specialists,
  votes_by_sigma,
)
from thickets.analysis.clusters import Embedding, embed_members
from thickets.analysis.decomposition import Decomposition
from thickets.analysis.density import Density, solution_density
from thickets.analysis.destroyed import Destroyed
from thickets.analysis.diversity import Discordance
from thickets.analysis.measurement import Measurement, TaskScores
from thickets.analysis.prompt_groups import Groups
from thickets.analysis.regimes import RegimeCall
from thickets.analysis.specialists import Overlap, RankLines, SpecialistTable
from thickets.analysis.votes_by_sigma import SigmaVote
from thickets.errors import UserError

# The version of what density.json holds. Files of version 1 do not name theirs,
# and have neither a regime over sigmas nor destroyed members.
VERSION = 2


@dataclasses.dataclass(frozen=True)
class Settings:
  """What to measure.

  Attributes:
    margins: least gains that make an expert, in score; the smallest above zero
      is the one that regimes and specialists are measured at.
    ratios: least ratios of a member's score to the base's that make an expert;
      left out on tasks on which the base's score is 0.
    score_range: least and largest score of the tasks.
    top_share: K/N, above 0 and at most 1: the share of the members that vote, and
      that form the sets whose overlap is measured.
    num_resamples: draws of each bootstrap.
    num_splits: number of times the prompts are split at random into halves.
    clusters: whether members are sorted into clusters, which takes longest.
    seed: the seed of everything that is drawn at random.
  """

  margins: tuple[float, ...] = (0.0, 0.02, 0.05)
  ratios: tuple[float, ...] = ()
  score_range: tuple[float, float] = (0.0, 1.0)
  top_share: float = 0.1
  num_resamples: int = 1000
  num_splits: int = 50
  clusters: bool = True
  seed: int = 0

  def __post_init__(self):
    if not any(margin > 0 for margin in self.margins):
      raise UserError(
        f"margins must hold one above 0, got {self.margins}. At 0 a member that"
        " changes no answer is an expert."
      )
    if not 0 < self.top_share <= 1:
      raise UserError(
        f"top_share must be above 0 and at most 1, got {self.top_share}."
      )

  @property
  def margin(self) -> float:
    """The margin of regimes and of specialists."""
    return float(min(margin for margin in self.margins if margin > 0))


@dataclasses.dataclass(frozen=True)
class Diversity:
  """How tasks rank the members of one sigma.

  Members that failed on a task are left out of ranks, and each part counts them.

  Attributes:
    sigma: standard deviation of the members' noise.
    left_out: tasks on which all members score alike, or fail.
    discordance: how far the tasks disagree; None where fewer than two tasks or
      members are left.
    destroyed: the members that are bad at everything, which make tasks agree.
    discordance_without: the discordance of the other members; `discordance`
      itself where nobody is destroyed, None where the others have none.
    lines: percentile ranks to draw; None where `discordance` is.
    embedding: the members as points, by their scores; None where `discordance`
      is, and where fewer than three members score differently.
    overlap: how many of their best members tasks share; None where `discordance`
      is, and where too few members have a score.
    specialists: experts in one task, in several and in all; of all tasks.
  """

  sigma: float
  left_out: tuple[str, ...]
  discordance: Discordance | None
  destroyed: Destroyed
  discordance_without: Discordance | None
  lines: RankLines | None
  embedding: Embedding | None
  overlap: Overlap | None
  specialists: SpecialistTable

  def to_json(self) -> dict[str, Any]:
    """As plain values; without the lines, which are for pictures."""
    parts = ("discordance", "destroyed", "discordance_without")
    parts += ("embedding", "overlap", "specialists")
    return {
      "sigma": self.sigma,
      "left_out": list(self.left_out),
      **{name: _plain(getattr(self, name)) for name in parts},
    }


@dataclasses.dataclass(frozen=True)
class Analysis:
  """All results on one measurement.

  Attributes:
    name: name of the measurement.
    settings: what was measured, and how.
    densities: solution density by task.
    diversity: how tasks rank members, by sigma; empty for a single task.
    votes: by task and sigma, the vote of the best members, chosen on `select`
      and judged on `dev`, as `votes_by_sigma.vote_of_best` describes it; empty where the members
      did not answer both.
    parts: by task and sigma, what the gains of that vote are made of.
    regimes: the regime by task, called over its sigmas; empty without votes.
  """

  name: str
  settings: Settings
  densities: Mapping[str, Density]
  diversity: tuple[Diversity, ...]
  votes: Mapping[str, Mapping[float, dict[str, Any]]]
  parts: Mapping[str, Mapping[float, tuple[Decomposition, ...]]]
  regimes: Mapping[str, RegimeCall]

  def to_json(self) -> dict[str, Any]:
    """Everything as plain values, keyed by task and by sigma as text."""
    return {
      "version": VERSION,
      "name": self.name,
      "settings": {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in dataclasses.asdict(self.settings).items()
      },
      "densities": {k: v.to_json() for k, v in self.densities.items()},
      "diversity": [one.to_json() for one in self.diversity],
      "votes": {
        task: {f"{sigma:g}": vote for sigma, vote in by_sigma.items()}
        for task, by_sigma in self.votes.items()
      },
      "decomposition": {
        task: {
          f"{s:g}": [p.to_json() for p in parts] for s, parts in of.items()
        }
        for task, of in self.parts.items()
      },
      "regimes": {task: call.to_json() for task, call in self.regimes.items()},
    }


def analyse(
  measurement: Measurement, settings: Settings | None = None
) -> Analysis:
  """Runs all estimators.

  Args:
    measurement: scores by task.
    settings: what to measure, `Settings()` by default.

  Returns:
    The results; what cannot be measured (diversity of one task, votes without
    prompts of `dev`) is empty, and the log says so.

  Raises:
    UserError: if a table cannot be measured; it names the task.
  """
  settings = Settings() if settings is None else settings
  tasks, sigmas = measurement.tasks, measurement.sigmas
  densities = {
    name: _measure_density(task, sigmas, settings)
    for name, task in tasks.items()
  }
  ensembles = _measure_ensembles(tasks, sigmas, densities, settings)

  def pick(part: str) -> dict[str, dict[float, Any]]:
    return {
      name: {sigma: getattr(one, part) for sigma, one in by_sigma.items()}
      for name, by_sigma in ensembles.items()
    }

  return Analysis(
    name=measurement.name,
    settings=settings,
    densities=densities,
    diversity=measure_diversity(measurement, settings),
    votes=pick("vote"),
    parts=pick("parts"),
    regimes={
      name: votes_by_sigma.call_regime(
        [*by_sigma.values()],
        tasks[name],
        margin=settings.margin,
        score_range=settings.score_range,
      )
      for name, by_sigma in ensembles.items()
    },
  )


def _measure_ensembles(
  tasks: Mapping[str, TaskScores],
  sigmas: Float[np.ndarray, " P"],
  densities: Mapping[str, Density],
  settings: Settings,
) -> dict[str, dict[float, SigmaVote]]:
  """Votes by task and sigma, of the tasks that have prompts of both splits."""
  ensembles = {}
  for name, task in tasks.items():
    if not 0 < task.num_select <= task.scores.shape[1] - 2:
      logging.info(
        "%s: no votes and no regime, which need prompts of select and at least"
        " two of dev.",
        name,
      )
      continue
    found = votes_by_sigma.measure_votes(
      task,
      sigmas,
      densities[name],
      top_share=settings.top_share,
      margin=settings.margin,
    )
    if found:
      ensembles[name] = found
  return ensembles


def measure_diversity(
  measurement: Measurement, settings: Settings
) -> tuple[Diversity, ...]:
  """Diversity within each sigma; empty for a single task."""
  if len(measurement.tasks) < 2:
    logging.info("No diversity of a single task, %s.", [*measurement.tasks])
    return ()
  return tuple(
    _measure_level(measurement, float(sigma), settings)
    for sigma in np.unique(measurement.sigmas)
  )


def _measure_density(task: TaskScores, sigmas, settings) -> Density:
  ratios = settings.ratios
  if ratios and not task.base_scores.mean() > 0:
    logging.warning(
      "%s: relative margins are left out, since the base's score is 0.",
      task.name,
    )
    ratios = ()
  try:
    return solution_density(
      task.scores,
      sigmas,
      task.base_scores,
      margins=settings.margins,
      ratios=ratios,
      groups=task.groups,
      score_range=settings.score_range,
      num_resamples=settings.num_resamples,
      num_splits=settings.num_splits,
      seed=settings.seed,
    )
  except UserError as error:
    raise UserError(f"{task.name}: {error}") from error


def _measure_level(measurement, sigma: float, settings) -> Diversity:
  rows = np.flatnonzero(measurement.sigmas == sigma)
  tables = {n: t.scores[rows] for n, t in measurement.tasks.items()}
  means = np.stack([table.mean(axis=1) for table in tables.values()], axis=1)
  is_dead = ~np.isfinite(means).any(axis=0)
  complete = np.isfinite(means[:, ~is_dead]).all(axis=1)
  finite = score_tables.restore_ties(means[complete])
  varies = (
    np.ptp(finite, axis=0) > 0 if len(finite) else np.zeros(len(tables), bool)
  )
  is_kept = np.asarray(~is_dead & varies)
  kept = [name for name, keep in zip(tables, is_kept, strict=True) if keep]
  left_out = tuple(name for name in tables if name not in kept)
  if left_out:
    logging.warning(
      "%s: left out of diversity at sigma %g, as all members score alike or"
      " fail: %s.",
      *(measurement.name, sigma, ", ".join(left_out)),
    )
  experts = specialists.specialist_table(
    means,
    np.array([t.base_scores.mean() for t in measurement.tasks.values()]),
    margin=settings.margin,
    names=[*tables],
  )
  lost = destroyed.find_destroyed(
    [*tables.values()],
    [task.base_scores for task in measurement.tasks.values()],
    names=[*tables],
    groups=[task.groups for task in measurement.tasks.values()],
    score_range=settings.score_range,
  )
  if len(kept) < 2 or complete.sum() < 2:
    return Diversity(
      sigma, left_out, None, lost, None, None, None, None, experts
    )
  # With the failed members: each estimator leaves them out and counts them.
  scores = means[:, is_kept]
  k = max(1, round(settings.top_share * len(scores)))
  num_scored = int(np.isfinite(scores).sum(axis=0).min())
  ranked = {name: tables[name] for name in kept}
  groups = [measurement.tasks[name].groups for name in kept]
  discordance = _rank_tasks(ranked, groups, sigma, settings)
  without = discordance
  if lost.count:
    rest = {name: t[~lost.is_destroyed] for name, t in ranked.items()}
    without = _rank_others(rest, groups, sigma, settings)
  return Diversity(
    sigma=sigma,
    left_out=left_out,
    discordance=discordance,
    destroyed=lost,
    discordance_without=without,
    lines=specialists.rank_lines(scores, names=kept),
    embedding=_embed(scores, kept, settings.seed)
    if settings.clusters
    else None,
    overlap=specialists.topk_overlap(scores, k, names=kept)
    if k <= num_scored
    else None,
    specialists=experts,
  )


def _rank_tasks(
  tables: Mapping[str, np.ndarray],
  groups: Sequence[Groups | None],
  sigma: float,
  settings: Settings,
) -> Discordance:
  return diversity.measure_discordance(
    [*tables.values()],
    names=[*tables],
    groups=groups,
    num_resamples=settings.num_resamples,
    num_splits=settings.num_splits,
    seed=settings.seed,
    sigma=sigma,
  )


def _rank_others(
  tables: Mapping[str, np.ndarray],
  groups: Sequence[Groups | None],
  sigma: float,
  settings: Settings,
) -> Discordance | None:
  """D of the members that are not destroyed, if they have one."""
  try:
    return _rank_tasks(tables, groups, sigma, settings)
  except score_tables.UndefinedError as error:
    logging.warning("No D without the destroyed members: %s", error)
    return None


def _embed(scores, names, seed: int) -> Embedding | None:
  try:
    return embed_members(scores, names=names, seed=seed)
  except UserError as error:  # Too few members that differ.
    logging.warning("Members are not sorted into clusters: %s", error)
    return None


def _plain(part: Any) -> Any:
  return None if part is None else part.to_json()
