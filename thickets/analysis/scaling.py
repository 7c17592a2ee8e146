"""Ladders: the same measurements at several sizes and stages of training.

A *ladder* is what `experiments.ladder` leaves behind: several pretrainings
(rungs), each measured after several numbers of steps (stages). Here it becomes a
list of points; `claims` says what follows from them.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging
from jaxtyping import Bool, Float

from thickets.analysis import (
  intervals,
  measurement,
  neighbourhood,
  prompt_groups,
  votes,
)
from thickets.analysis.intervals import Estimate
from thickets.analysis.measurement import Measurement, TaskScores
from thickets.analysis.neighbourhood import Analysis, Settings
from thickets.errors import UserError

# What the interval of each density ranges over.
_OVER = {
  "plain": "members",
  "confirmed": "members",
  "corrected": "prompts and members",
}
ESTIMATES = tuple(_OVER)
RESPONDENTS = ("base", "best", "vote")


@dataclasses.dataclass(frozen=True)
class Ranking:
  """Discordance at one sigma, with what noise alone would make of it.

  Attributes:
    discordance: D, with its interval over members.
    floor: what D would be if all tasks ranked members alike, up to the noise.
    num_tasks: number of tasks that rank members; on the others all score alike.
  """

  discordance: Estimate
  floor: float | None
  num_tasks: int

  def to_json(self) -> dict[str, Any]:
    """As plain values."""
    return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class LadderPoint:
  """One model of a ladder, measured.

  Attributes:
    rung: name of the pretraining.
    step: number of training steps that the model has taken.
    manners: in how many manners its text answers, "several" or "one".
    identity: identity of its weights; untrained rungs of one size may share it.
    num_weights: number of the model's weights.
    loss: loss on text that it has not seen, in nats per weighted token.
    norms: relative norm ‖σε‖/‖θ‖ of each sigma, ascending in sigma.
    density: mean over tasks by estimate, one for each sigma. Tasks are fixed;
      intervals take those of the tasks as independent.
    num_trusted: for each sigma, tasks whose gains are wider than the shift that
      members share: where they are not, `corrected` says little.
    rankings: for each sigma; None where fewer than two tasks rank members.
    right: by respondent ("base"; "best", the member chosen on `select`; "vote",
      of the best K of all sigmas) and task, whether its answers on `dev` are
      right, [Q].
    groups: by task, the group of each prompt of `dev`; only tasks whose prompts come
      in groups.
    random: mean accuracy of all members on `dev`, mean over tasks.
    tasks: by task base score, densities and regime, for the data file.
  """

  rung: str
  step: int
  manners: str
  identity: str
  num_weights: int
  loss: float
  norms: tuple[float, ...]
  density: Mapping[str, tuple[Estimate, ...]]
  num_trusted: tuple[int, ...]
  rankings: tuple[Ranking | None, ...]
  right: Mapping[str, Mapping[str, tuple[int, ...]]]
  random: float
  tasks: Mapping[str, Any]
  groups: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)

  @property
  def is_trained(self) -> bool:
    """Whether it has taken a step."""
    return self.step > 0

  def accuracy(self, name: str) -> float:
    """Mean over tasks of a respondent's accuracy on `dev`."""
    return float(
      np.mean([np.mean(right) for right in self.right[name].values()])
    )

  def gains(self, name: str, over: str) -> Float[np.ndarray, " Q"]:
    """[Q] paired differences of two respondents on all prompts of all tasks."""
    return np.concatenate(
      [
        np.subtract(right, self.right[over][task], dtype=np.float64)
        for task, right in self.right[name].items()
      ]
    )

  def gain(self, name: str, over: str) -> Estimate:
    """Mean paired difference of two respondents, with its interval over prompts."""
    return intervals.estimate_difference(
      self.gains(name, over), groups=self.all_groups
    )

  @property
  def all_groups(self) -> list[str] | None:
    """[Q] group of each prompt of all tasks; None where prompts are independent."""
    return prompt_groups.join_groups(
      {
        task: (self.groups.get(task), len(right))
        for task, right in self.right["base"].items()
      }
    )

  def to_json(self) -> dict[str, Any]:
    """As plain values; flags as texts of zeros and ones."""
    fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
    return fields | {
      "norms": list(self.norms),
      "num_trusted": list(self.num_trusted),
      "density": {
        name: [e.to_json() for e in found]
        for name, found in self.density.items()
      },
      "rankings": [r and r.to_json() for r in self.rankings],
      "right": {
        name: {
          task: "".join(map(str, right)) for task, right in by_task.items()
        }
        for name, by_task in self.right.items()
      },
    }


def read_ladder(
  workdir: str | os.PathLike[str],
  settings: Settings,
  *,
  top_k: int,
  measured: str = "measure",
) -> list[LadderPoint]:
  """Reads and measures all points of a ladder that are finished.

  Args:
    workdir: directory that `experiments.ladder` wrote.
    settings: what to measure; densities are at `settings.margin`.
    top_k: number of members that vote.
    measured: name of the folder with the measurements of each rung.

  Raises:
    UserError: if there is none, or one is damaged; it names the directory.
  """
  folder, points = pathlib.Path(workdir), []
  for path in sorted(folder.glob("*/stages.json")):
    stages = _read_json(path)
    for step, fields in stages["stages"].items():
      where = path.parent / measured / f"{int(step):06d}"
      if not where.exists():
        continue  # A stage that was not asked for.
      if not (where / "results.json").exists():
        logging.warning("%s: left out, not finished.", where)
        continue
      try:
        points.append(
          _measure_point(where, stages, int(step), fields, settings, top_k)
        )
      except UserError as error:
        raise UserError(f"{where}: {error}") from error
  if not points:
    raise UserError(
      f"{folder} must be the directory of a ladder with a measured stage, got"
      " none. Run experiments/ladder.py to its end."
    )
  if len({len(point.norms) for point in points}) > 1:
    raise UserError(
      f"{folder} must have as many sigmas at every point, got"
      f" {sorted({len(point.norms) for point in points})}."
    )
  return sorted(points, key=lambda p: (p.num_weights, p.rung, p.step))


def load_points(path: str | os.PathLike[str]) -> list[LadderPoint]:
  """Reads the points that `experiments.scaling` wrote to ladder.json.

  Raises:
    UserError: if it is not such a file.
  """
  content = _read_json(pathlib.Path(path))
  try:
    return [_read_point(dict(fields)) for fields in content["points"]]
  except (ValueError, KeyError, TypeError) as error:
    raise UserError(
      f"{path} must be a ladder.json of experiments.scaling, got"
      f" {type(error).__name__}: {error}. Write it anew."
    ) from error


def _read_json(path: pathlib.Path) -> dict[str, Any]:
  try:
    return json.loads(path.read_text(encoding="utf-8"))
  except (OSError, ValueError) as error:
    raise UserError(f"{path} must be a JSON file, got {error}.") from error


def _read_point(fields: dict[str, Any]) -> LadderPoint:
  """The inverse of `LadderPoint.to_json`."""
  return LadderPoint(
    **fields
    | {
      "norms": tuple(fields["norms"]),
      "num_trusted": tuple(fields["num_trusted"]),
      "density": {
        name: tuple(_read_estimate(e, _OVER[name]) for e in found)
        for name, found in fields["density"].items()
      },
      "groups": fields.get("groups", {}),
      "rankings": tuple(
        r
        and Ranking(
          _read_estimate(r["discordance"], "members"),
          r["floor"],
          r["num_tasks"],
        )
        for r in fields["rankings"]
      ),
      "right": {
        name: {task: tuple(map(int, right)) for task, right in by_task.items()}
        for name, by_task in fields["right"].items()
      },
    }
  )


def _read_estimate(fields: dict[str, Any], over: str) -> Estimate:
  """An estimate; files of earlier versions do not say what it ranges over."""
  return Estimate(**(fields | {"over": fields.get("over", over)}))


def _measure_point(where, stages, step, fields, settings, top_k) -> LadderPoint:
  measured = measurement.read_measurement(where)
  norms = _read_json(where / "results.json")["relative_norms"]
  # Clusters take longest, and no trend has a use for them.
  found = neighbourhood.analyse(
    measured, dataclasses.replace(settings, clusters=False)
  )
  right = {name: _judge(task, top_k) for name, task in measured.tasks.items()}
  return LadderPoint(
    rung=where.parent.parent.name,
    step=step,
    manners=stages["manners"],
    identity=measured.base_identity,
    num_weights=stages["num_weights"],
    loss=fields["loss"],
    norms=tuple(norms[sigma] for sigma in sorted(norms, key=float)),
    density={name: _mean_density(found, name) for name in ESTIMATES},
    num_trusted=tuple(
      int(count)
      for count in np.sum(
        [d.gain_sd > d.shared_sd for d in found.densities.values()], axis=0
      )
    ),
    rankings=tuple(_rank(one, len(measured.tasks)) for one in found.diversity),
    right={
      name: {
        task: tuple(int(flag) for flag in judged[name])
        for task, judged in right.items()
      }
      for name in RESPONDENTS
    },
    groups={
      name: list(task.dev_groups)
      for name, task in measured.tasks.items()
      if task.dev_groups is not None
    },
    random=float(
      np.mean(
        [
          t.members.lenient[:, t.num_select :].mean()
          for t in measured.tasks.values()
        ]
      )
    ),
    tasks=_describe_tasks(measured, found),
  )


def _mean_density(found: Analysis, name: str) -> tuple[Estimate, ...]:
  """Mean over tasks at the settings' margin, for each sigma.

  Distances to the ends of the tasks' intervals add up as independent ones.
  """
  first = next(iter(found.densities.values()))
  column = int(np.argmin(np.abs(first.margins - found.settings.margin)))
  values = np.stack(
    [getattr(d, name)[:, column] for d in found.densities.values()]
  )
  ends = np.stack(
    [
      getattr(d, f"{name}_interval")[:, column]
      for d in found.densities.values()
    ]
  )
  mean, size = values.mean(axis=0), len(values)
  below = np.linalg.norm(values - ends[..., 0], axis=0) / size
  above = np.linalg.norm(ends[..., 1] - values, axis=0) / size
  return tuple(
    Estimate(float(m), float(m - b), float(m + a), first.over[name])
    for m, b, a in zip(mean, below, above, strict=True)
  )


def _rank(one: neighbourhood.Diversity, num_tasks: int) -> Ranking | None:
  found = one.discordance
  # With a resample in ten undefined, the interval is one of the others only.
  if found is None or found.num_undefined > 0.1 * found.num_resamples:
    return None
  return Ranking(
    Estimate(found.value, *found.interval, "members"),
    found.floor,
    num_tasks - len(one.left_out),
  )


def _judge(task: TaskScores, top_k: int) -> dict[str, Bool[np.ndarray, " Q"]]:
  """[Q] whether each respondent is right on `dev`."""
  size = len(task.scores)
  best, vote = (
    votes.resample_votes(task, populations=(size,), top_k=(k,), shares=())[0]
    for k in (1, min(top_k, size))
  )
  return {
    "base": task.base.lenient[0, task.num_select :],
    # Of one population: shares of one, so 0 or 1.
    "best": best.by_prompt > 0.5,
    "vote": vote.by_prompt > 0.5,
  }


def _describe_tasks(measured: Measurement, found: Analysis) -> dict[str, Any]:
  """Base scores and the rows of densities above zero, by task."""
  return {
    name: {
      "base": float(measured.tasks[name].base_scores.mean()),
      "num_prompts": density.num_prompts,
      "density": [
        {key: row[key] for key in _KEPT}
        for row in density.rows()
        if row["margin"] > 0
      ],
      "regime": found.regimes[name].regime if name in found.regimes else None,
    }
    for name, density in found.densities.items()
  }


_KEPT: Sequence[str] = (
  "sigma",
  "margin",
  "num_members",
  "num_failed",
  *(
    f"{name}{end}"
    for name in (*ESTIMATES, "null")
    for end in ("", "_low", "_high")
  ),
)
