"""How density, diversity and ensembles change with size and with training.

A *ladder* is what `experiments.ladder` leaves behind: several pretrainings
(rungs), each measured after several numbers of steps (stages). Here it becomes a
list of points, and the claims of the paper become trends over them, each with an
interval. Points differ in more than what is on the axis (one initialisation and
one order of the text each), which random-effects regression allows for.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging
from jaxtyping import Float

from thickets import analysis, budgets, measurements, trends
from thickets.analysis import Analysis, Settings
from thickets.errors import UserError
from thickets.measurements import Measurement

Z = 1.959963984540054


@dataclasses.dataclass(frozen=True)
class Estimate:
  """A number with its standard error."""

  value: float
  error: float

  def to_json(self) -> dict[str, float]:
    """Value and standard error."""
    return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Point:
  """One model of a ladder, measured.

  Attributes:
    rung: name of the pretraining.
    step: after how many steps.
    manners: of answering in its text, "several" or "one".
    num_weights: of the model.
    loss: on text that it has not seen, nats per weighted token.
    norms: relative norm ‖σε‖/‖θ‖ of each sigma, by sigma.
    density: mean over tasks, by estimate ("plain", "confirmed", "corrected"), by
      sigma. Tasks are fixed; errors of tasks are taken as independent.
    discordance: by sigma, where at least two tasks rank members.
    num_ranked: by sigma, tasks that rank members.
    ensemble: mean over tasks on `dev`, members of all sigmas together: "base",
      "random" (mean of members), "best" (one member, chosen on `select`), "vote"
      (of the best K), and the paired differences "vote - base", "best - base"
      and "vote - best".
    tasks: by task the same three, without errors, for the data file.
  """

  rung: str
  step: int
  manners: str
  num_weights: int
  loss: float
  norms: Mapping[float, float]
  density: Mapping[str, Mapping[float, Estimate]]
  discordance: Mapping[float, Estimate]
  num_ranked: Mapping[float, int]
  ensemble: Mapping[str, Estimate]
  tasks: Mapping[str, Any]

  @property
  def is_trained(self) -> bool:
    """Whether it has taken a step."""
    return self.step > 0

  def to_json(self) -> dict[str, Any]:
    """As plain values."""
    plain = {
      name: getattr(self, name)
      for name in ("rung", "step", "manners", "num_weights", "loss", "tasks")
    }
    return plain | {
      "relative_norms": {repr(s): norm for s, norm in self.norms.items()},
      "density": {
        name: {repr(s): e.to_json() for s, e in by_sigma.items()}
        for name, by_sigma in self.density.items()
      },
      "discordance": {
        repr(s): e.to_json() for s, e in self.discordance.items()
      },
      "num_ranked_tasks": {repr(s): n for s, n in self.num_ranked.items()},
      "ensemble": {name: e.to_json() for name, e in self.ensemble.items()},
    }


def load_points(path: str | os.PathLike[str]) -> list[Point]:
  """Reads the points that `experiments.scaling` wrote to ladder.json.

  Raises:
    UserError: if it is not such a file.
  """
  try:
    content = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    return [_read_point(fields) for fields in content["points"]]
  except (OSError, ValueError, KeyError, TypeError) as error:
    raise UserError(
      f"{path} must be a ladder.json of experiments.scaling, got"
      f" {type(error).__name__}: {error}. Write it anew."
    ) from error


def _read_point(fields: Mapping[str, Any]) -> Point:
  """The inverse of `Point.to_json`."""

  def by_sigma(found):
    return {float(sigma): Estimate(**e) for sigma, e in found.items()}

  same = ("rung", "step", "manners", "num_weights", "loss", "tasks")
  return Point(
    **{name: fields[name] for name in same},
    norms={float(s): norm for s, norm in fields["relative_norms"].items()},
    density={n: by_sigma(found) for n, found in fields["density"].items()},
    discordance=by_sigma(fields["discordance"]),
    num_ranked={float(s): n for s, n in fields["num_ranked_tasks"].items()},
    ensemble={n: Estimate(**e) for n, e in fields["ensemble"].items()},
  )


def read_ladder(
  workdir: str | os.PathLike[str], settings: Settings, *, top_k: int
) -> list[Point]:
  """Reads and measures all points of a ladder that are finished.

  Args:
    workdir: of `experiments.ladder`.
    settings: of the estimators; densities are at `settings.margin`.
    top_k: members of an ensemble.

  Raises:
    UserError: if there is none.
  """
  folder, points = pathlib.Path(workdir), []
  for path in sorted(folder.glob("*/stages.json")):
    stages = json.loads(path.read_text(encoding="utf-8"))
    for step, fields in stages["stages"].items():
      where = path.parent / "measure" / f"{int(step):06d}"
      if not (where / "results.json").exists():
        logging.warning("%s: left out, not finished.", where)
        continue
      points.append(
        _measure_point(
          where, stages, int(step), fields["loss"], settings, top_k
        )
      )
  if not points:
    raise UserError(
      f"{folder} must be the directory of a ladder with a measured stage, got"
      " none. Run experiments/ladder.py to its end."
    )
  return sorted(points, key=lambda p: (p.num_weights, p.rung, p.step))


def _measure_point(where, stages, step, loss, settings, top_k) -> Point:
  measured = measurements.read_measurement(where)
  results = json.loads((where / "results.json").read_text(encoding="utf-8"))
  found = analysis.analyse(
    measured, dataclasses.replace(settings, clusters=False)
  )
  norms = {float(s): norm for s, norm in results["relative_norms"].items()}
  return Point(
    rung=where.parent.parent.name,
    step=step,
    manners=stages["manners"],
    num_weights=stages["num_weights"],
    loss=loss,
    norms=norms,
    density=_mean_density(found),
    discordance={
      one.sigma: Estimate(
        one.discordance.value,
        (one.discordance.interval[1] - one.discordance.interval[0]) / (2 * Z),
      )
      for one in found.diversity
      if one.discordance is not None
    },
    num_ranked={
      one.sigma: len(measured.tasks) - len(one.left_out)
      for one in found.diversity
    },
    ensemble=_measure_ensembles(measured, top_k),
    tasks=_describe_tasks(measured, found),
  )


def _mean_density(found: Analysis) -> dict[str, dict[float, Estimate]]:
  """Mean over tasks at the settings' margin."""
  first = next(iter(found.densities.values()))
  column = int(np.argmin(np.abs(first.margins - found.settings.margin)))
  means = {}
  for name in ("plain", "confirmed", "corrected"):
    values = np.stack(
      [getattr(d, name)[:, column] for d in found.densities.values()]
    )
    ends = np.stack(
      [
        getattr(d, f"{name}_interval")[:, column]
        for d in found.densities.values()
      ]
    )
    known = np.isfinite(values).all(axis=0)
    errors = np.sqrt(
      np.sum(((ends[..., 1] - ends[..., 0]) / (2 * Z)) ** 2, axis=0)
    )
    means[name] = {
      float(sigma): Estimate(
        float(values[:, row].mean()), float(errors[row] / len(values))
      )
      for row, sigma in enumerate(first.sigmas)
      if known[row]
    }
  return means


def _measure_ensembles(measured: Measurement, top_k) -> dict[str, Estimate]:
  """Means over tasks on `dev`, with errors over prompts within tasks."""
  by_task = [_judge(task, top_k) for task in measured.tasks.values()]
  means = {}
  for name, (first, second) in {
    "base": ("base", None),
    "random": ("random", None),
    "best": ("best", None),
    "vote": ("vote", None),
    "vote - base": ("vote", "base"),
    "best - base": ("best", "base"),
    "vote - best": ("vote", "best"),
  }.items():
    values = [
      judged[first] - (judged[second] if second else 0) for judged in by_task
    ]
    errors = [np.std(v, ddof=1) / math.sqrt(len(v)) for v in values]
    means[name] = Estimate(
      float(np.mean([v.mean() for v in values])),
      float(np.linalg.norm(errors) / len(errors)),
    )
  return means


def _judge(task, top_k) -> dict[str, Float[np.ndarray, " Q"]]:
  """[Q] how right each was on `dev`, from 0 to 1."""
  right_PQ = task.members.lenient[:, task.num_select :].astype(np.float64)
  size = len(task.scores)
  best, vote = (
    budgets.resample_budgets(task, populations=(size,), top_k=(k,), shares=())[
      0
    ]
    for k in (1, min(top_k, size))
  )
  return {
    "base": task.base.lenient[0, task.num_select :].astype(np.float64),
    "random": right_PQ.mean(axis=0),
    "best": best.by_prompt,
    "vote": vote.by_prompt,
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
      "regimes": {
        repr(sigma): call.regime
        for sigma, call in found.regimes.get(name, {}).items()
      },
    }
    for name, density in found.densities.items()
  }


_KEPT = (
  "sigma",
  "margin",
  "num_members",
  "num_failed",
  *(
    f"{name}{end}"
    for name in ("plain", "confirmed", "corrected", "null")
    for end in ("", "_low", "_high")
  ),
)


def fit_claims(points: Sequence[Point]) -> dict[str, Any]:
  """The paper's claims as trends over a ladder, each with an interval.

  Levels of sigma are told apart by their order, since rungs share relative
  norms and not sigmas. A claim that has too few points is None.

  Args:
    points: from `read_ladder`.

  Returns:
    JSON values by claim; slopes are per factor of ten in the number of weights,
    and per nat of loss.
  """
  several = [p for p in points if p.manners == "several"]
  lengths = {
    p.rung: max(q.step for q in several if q.rung == p.rung) for p in several
  }
  # The same number of steps on every rung, so that size alone differs.
  common = min(lengths.values(), default=0)
  last = [p for p in several if p.step == common and lengths[p.rung] == common]
  trained = [p for p in points if p.is_trained]
  scratch = [p for p in points if not p.is_trained]
  levels = range(max((len(p.norms) for p in points), default=0))
  return {
    "units": "slopes per factor of ten in weights, or per nat of loss",
    "density rises with size": {
      name: [_trend(last, _size, _density_at(name, level)) for level in levels]
      for name in ("plain", "confirmed", "corrected")
    },
    "density rises with training": {
      name: [
        _trend(several, _minus_loss, _density_at(name, level))
        for level in levels
      ]
      for name in ("plain", "confirmed", "corrected")
    },
    "discordance rises with size": [
      _trend(last, _size, _discordance_at(level)) for level in levels
    ],
    "discordance rises with training": [
      _trend(several, _minus_loss, _discordance_at(level)) for level in levels
    ],
    "votes gain": _mean(trained, "vote - base"),
    "single members gain": _mean(trained, "best - base"),
    "votes gain more than single members": _mean(trained, "vote - best"),
    "votes gain more with size": _trend(last, _size, _ensemble("vote - base")),
    "votes gain from scratch": _mean(scratch, "vote - base"),
    "single members gain from scratch": _mean(scratch, "best - base"),
  }


def compare_manners(
  points: Sequence[Point], several: str, one: str
) -> list[dict[str, Any]]:
  """Stage by stage, a rung on several manners of answering minus one on one.

  Args:
    points: from `read_ladder`.
    several: name of the rung whose text answers in several manners.
    one: name of the other, of the same size.

  Returns:
    For each stage that both have, base accuracies and differences with 95 %
    intervals, as JSON values; empty if a rung is missing.
  """
  by_key = {(p.rung, p.step): p for p in points}
  rows = []
  for (rung, step), first in by_key.items():
    second = by_key.get((one, step))
    if rung != several or second is None:
      continue
    row: dict[str, Any] = {
      "step": step,
      "base_several": first.ensemble["base"].value,
      "base_one": second.ensemble["base"].value,
      "vote_gain": _subtract(
        first.ensemble["vote - base"], second.ensemble["vote - base"]
      ),
    }
    for name in ("plain", "confirmed", "corrected"):
      row[f"density_{name}"] = [
        _subtract(a, b)
        for a, b in zip(
          first.density[name].values(),
          second.density[name].values(),
          strict=False,
        )
      ]
    rows.append(row)
  return rows


def _subtract(first: Estimate, second: Estimate) -> dict[str, Any]:
  value = first.value - second.value
  half = Z * math.hypot(first.error, second.error)
  return {"value": value, "interval": [value - half, value + half]}


def _size(point: Point) -> float:
  return math.log10(point.num_weights)


def _minus_loss(point: Point) -> float:
  return -point.loss


Read = Callable[[Point], Estimate | None]


def _density_at(name: str, level: int) -> Read:
  def read(point):
    sigma = sorted(point.norms)[level]
    return point.density[name].get(sigma)

  return read


def _discordance_at(level: int) -> Read:
  return lambda point: point.discordance.get(sorted(point.norms)[level])


def _ensemble(name: str) -> Read:
  return lambda point: point.ensemble[name]


def _trend(
  points: Sequence[Point], x: Callable[[Point], float], read: Read
) -> dict[str, Any] | None:
  found = [(x(p), e) for p in points if (e := read(p)) is not None]
  if len({place for place, _ in found}) < 3:
    return None
  return trends.fit_trend(
    [place for place, _ in found],
    [e.value for _, e in found],
    [e.error for _, e in found],
  ).to_json()


def _mean(points: Sequence[Point], name: str) -> dict[str, Any] | None:
  if len(points) < 2:
    return None
  found = [point.ensemble[name] for point in points]
  return trends.fit_mean(
    [e.value for e in found], [e.error for e in found]
  ).to_json()
