"""Studies of conventions as points: runs that differ in their seeds alone.

A *point* is a group of trainings at one stage, measured at one sigma. Its runs differ
in the seed of the training and in the seed of the population, which also draws the
prompts.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy import special

from thickets.analysis import intervals, repeated_runs
from thickets.analysis.intervals import Estimate
from thickets.analysis.paired_tasks import FIRST, SECOND
from thickets.analysis.vote_comparisons import DIFFERENCES
from thickets.errors import UserError

BOTH = (FIRST, SECOND)
MIN_DENSITY, MARGIN = 0.05, "0.05"


@dataclasses.dataclass(frozen=True)
class Point:
  """A group of trainings at one stage and one sigma.

  Attributes:
    group: name of what was repeated.
    step: number of steps of the trainings.
    sigma: standard deviation of the members' noise, as text.
    runs: summaries of `paired_tasks.summarise` by training and population; every
      training has the same populations.
  """

  group: str
  step: int
  sigma: str
  runs: tuple[tuple[Mapping[str, Any], ...], ...]

  @property
  def levels(self) -> list[Mapping[str, Any]]:
    """What all runs say of the sigma."""
    return [run["levels"][self.sigma] for of in self.runs for run in of]

  @property
  def tasks(self) -> list[str]:
    """Names of the tasks, the first of each pair before the second."""
    return [*self.levels[0]["tasks"]]

  @property
  def differences(self) -> dict[str, tuple[str, str]]:
    """The differences that can be taken: who is compared with whom, by name."""
    rows = self.levels[0]["sets"][FIRST]["right"].keys()
    return {name: two for name, two in DIFFERENCES.items() if {*two} <= rows}

  def values(
    self,
    left: str,
    other: str = "",
    *,
    sets: Sequence[str] = BOTH,
    accepted: str = "right",
  ) -> Float[np.ndarray, "T S Q"]:
    """What a respondent reaches on each prompt, or reaches more than another.

    Args:
      left: name of the respondent, such as "vote".
      other: name of the one that is subtracted; "" for none.
      sets: the sets of tasks over which the mean is taken.
      accepted: "right", or "either" for what either task of a pair wants.
    """

    def read(run: Mapping[str, Any], row: str) -> Float[np.ndarray, " Q"]:
      found = run["levels"][self.sigma]["sets"]
      if missing := [name for name in sets if name not in found]:
        raise UserError(
          f"Runs of {self.group} must have the set of tasks {missing[0]!r}, got"
          f" {[*found]}. Where questions state what is wanted, there is no skill"
          " beside the tasks: study trainings that hide it."
        )
      return np.mean([found[name][accepted][row] for name in sets], axis=0)

    return np.array(
      [
        [read(run, left) - (read(run, other) if other else 0.0) for run in of]
        for of in self.runs
      ]
    )

  def estimate(self, left: str, other: str = "", **options: Any) -> Estimate:
    """The mean of `values`, over trainings where there are several."""
    found = estimate_values(self.values(left, other, **options))
    return found if other else _clip(found)

  def mean_by_run(self, task: str, *keys: str) -> Float[np.ndarray, "T S"]:
    """One number of a task of every run."""
    found = []
    for of in self.runs:
      found.append([])
      for run in of:
        value = run["levels"][self.sigma]["tasks"][task]
        for key in keys:
          value = value[key]
        found[-1].append(value[0] if isinstance(value, list) else value)
    return np.array(found)

  def density(self, task: str, margin: str = MARGIN) -> Estimate | None:
    """The corrected density of a task, mean over populations, over trainings."""
    found = estimate_over_trainings(self.mean_by_run(task, "density", margin))
    return found and _clip(found)

  def count_dense(self, task: str, margin: str = MARGIN) -> int:
    """In how many runs the task's density is shown to be `MIN_DENSITY` at least.

    By the interval of the run alone, over its members and prompts.
    """
    return sum(
      level["tasks"][task]["density"][margin][1] >= MIN_DENSITY
      for level in self.levels
    )

  def count_regimes(
    self, tasks: Sequence[str], key: str = "regimes"
  ) -> dict[str, int]:
    """How often each regime was called for some tasks, over all runs."""
    counts: dict[str, int] = {}
    for run in (run for of in self.runs for run in of):
      for task in tasks:
        regime = run[key][task]["regime"] if task in run[key] else "none"
        counts[regime] = counts.get(regime, 0) + 1
    return dict(sorted(counts.items()))


def read_studies(folder: str | os.PathLike[str]) -> dict[str, dict[str, Any]]:
  """Reads the files that `experiments.convention_study` wrote, by study.

  Raises:
    UserError: if there are none, or one is damaged.
  """
  studies = {}
  for path in sorted(pathlib.Path(folder).glob("*.json")):
    try:
      content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
      raise UserError(f"{path} must be a JSON file, got {error}.") from error
    if isinstance(content, dict) and {"study", "runs"} <= content.keys():
      studies[content["study"]] = content
  if not studies:
    raise UserError(
      f"{folder} must hold what experiments.convention_study wrote, such as"
      " seeds.json, got no such file. Run it to its end."
    )
  return studies


def make_points(study: Mapping[str, Any]) -> list[Point]:
  """Sorts the runs of a study into points, in the order of the file.

  Raises:
    UserError: if trainings of one point have different populations.
  """
  found: dict[tuple[str, int, str], dict[int, dict[int, Any]]] = {}
  for run in study["runs"]:
    for sigma in run["levels"]:
      key = (run["group"], run["step"], sigma)
      of_group = found.setdefault(key, {})
      of_group.setdefault(run["seed"], {})[run["population"]] = run
  points = []
  for key, by_seed in found.items():
    populations = {tuple(sorted(runs)) for runs in by_seed.values()}
    if len(populations) > 1:
      raise UserError(
        f"Trainings of {key[0]} must have the same populations at step {key[1]},"
        f" got {sorted(populations)}. Run experiments.convention_study to its end."
      )
    points.append(
      Point(
        *key,
        tuple(
          tuple(runs[seed] for seed in sorted(runs))
          for _, runs in sorted(by_seed.items())
        ),
      )
    )
  return points


def keep_last(points: Sequence[Point]) -> list[Point]:
  """The points of the last stage, one for each sigma."""
  steps = max(point.step for point in points)
  return [point for point in points if point.step == steps]


def without_sigmas(points: Sequence[Point]) -> list[Point]:
  """One point for each group and stage: regimes are called over all sigmas."""
  return [*{(p.group, p.step): p for p in reversed(points)}.values()][::-1]


def by_sigma(points: Sequence[Point]) -> dict[str, list[Point]]:
  """The points of each sigma, from the smallest one on."""
  found: dict[str, list[Point]] = {}
  for point in sorted(points, key=lambda point: float(point.sigma)):
    found.setdefault(point.sigma, []).append(point)
  return found


def match(first: Point, second: Point) -> tuple[Point, Point]:
  """Two points with the runs that both have, so that they can be subtracted.

  Raises:
    UserError: if they have none in common.
  """

  def list_seeds(point: Point) -> set[tuple[int, int]]:
    return {(run["seed"], run["population"]) for of in point.runs for run in of}

  common = list_seeds(first) & list_seeds(second)
  if not common:
    raise UserError(
      f"{first.group} after {first.step} steps and {second.group} after"
      f" {second.step} must have runs of the same seeds, got {list_seeds(first)} and"
      f" {list_seeds(second)} (training, population). Add such to the study."
    )

  def keep(point: Point) -> Point:
    rows = [
      tuple(run for run in of if (run["seed"], run["population"]) in common)
      for of in point.runs
    ]
    return dataclasses.replace(point, runs=tuple(filter(None, rows)))

  return keep(first), keep(second)


def estimate_values(values: Float[np.ndarray, "T S Q"]) -> Estimate:
  """The mean, over all that was repeated; of one training over prompts alone."""
  if len(values) > 1:
    return repeated_runs.estimate_repeated(values)
  return repeated_runs.estimate_one(values[0])


def estimate_over_trainings(
  values: Float[np.ndarray, "T S"],
) -> Estimate | None:
  """The mean with Student's interval over trainings.

  None for a single training, from which nothing follows for others.
  """
  means = np.asarray(values, np.float64).mean(axis=1)
  return None if len(means) < 2 else _estimate_mean(means, "trainings")


def estimate_by_population(
  values: Float[np.ndarray, " S"], bounds: tuple[float, float]
) -> Estimate:
  """The mean with Student's interval over populations around one model.

  Every population has prompts of its own, so that the interval is over both.

  Args:
    values: [S] what each of at least two populations says.
    bounds: the least and the largest value that is possible.
  """
  found = _estimate_mean(
    np.asarray(values, np.float64), "populations and prompts"
  )
  return dataclasses.replace(
    found, low=max(found.low, bounds[0]), high=min(found.high, bounds[1])
  )


def _estimate_mean(means: Float[np.ndarray, " N"], over: str) -> Estimate:
  mean = float(means.mean())
  quantile = float(special.stdtrit(len(means) - 1, 0.975))
  half = quantile * intervals.standard_error(means)
  return Estimate(mean, mean - half, mean + half, over)


def _clip(share: Estimate) -> Estimate:
  """A share with an interval that holds shares alone."""
  return dataclasses.replace(
    share, low=max(share.low, 0.0), high=min(share.high, 1.0)
  )


def say_size(point: Point) -> str:
  """Returns what the numbers of a point rest on, in words."""
  _, num_populations, num_prompts = point.values("base").shape
  level = point.levels[0]
  return (
    f"{len(point.runs)} training{'s' * (len(point.runs) > 1)} x"
    f" {num_populations} population{'s' * (num_populations > 1)} of"
    f" {level['num_members']} members, {len(point.tasks)} tasks,"
    f" {num_prompts} prompts a population"
  )


def estimate_density(point: Point) -> Estimate | None:
  """The corrected density, mean over tasks and populations, over trainings."""
  found = estimate_over_trainings(mean_density(point))
  return found and _clip(found)


def mean_density(point: Point) -> Float[np.ndarray, "T S"]:
  """The corrected density of every run, mean over tasks."""
  return np.mean(
    [point.mean_by_run(task, "density", MARGIN) for task in point.tasks], axis=0
  )
