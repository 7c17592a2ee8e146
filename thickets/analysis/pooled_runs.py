"""Runs of RandOpt that differ in their seed alone, pooled.

With the seed a run draws other members, other prompts where these are generated, and
other samples of the base. What stands here of a run is who answered which prompt
rightly; the pooled numbers and their intervals follow from that, and one file holds it
for all runs.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from thickets.analysis import measurement, population_means, randopt_results
from thickets.analysis.intervals import Estimate
from thickets.analysis.vote_comparisons import DIFFERENCES
from thickets.errors import UserError
from thickets.runs import json_files, locations
from thickets.runs.json_files import JsonObject
from thickets.runs.locations import Location, Place
from thickets.runs.record_log import Record
from thickets.runs.split_labels import Split

# Parts of a config in which runs may differ: they say how work is laid out.
_LAYOUT = ("seed", "compute", "log_responses")
_UNITS = (
  "right: 1 where the answer is right, by prompt of judge; differences of shares,"
  " with the 95 % intervals of each run by itself, and pooled"
)


@dataclasses.dataclass(frozen=True)
class SeedRun:
  """What one run found on the prompts that judge.

  Attributes:
    seed: its seed.
    right: [Q] by row (`base`, `best`, `vote`, `random` and, where the base was
      sampled, `samples`), whether its answer is right.
    groups: [Q] names of the groups of prompts; None where prompts are independent.
    prompts: a hash of the prompts.
    differences: by name, as in `DIFFERENCES`, what the run's own table says.
  """

  seed: int
  right: Mapping[str, Float[np.ndarray, " Q"]]
  groups: Sequence[str] | None
  prompts: str
  differences: Mapping[str, Mapping[str, Any]]

  def subtract(self, name: str) -> Float[np.ndarray, " Q"]:
    """[Q] a difference, such as "vote - base", on each prompt."""
    left, other = DIFFERENCES[name]
    return self.right[left] - self.right[other]


@dataclasses.dataclass(frozen=True)
class Pool:
  """Runs that differ in their seed alone.

  Attributes:
    config: what all were asked to do, without the seed.
    runs: the runs, by seed.
  """

  config: Mapping[str, Any]
  runs: Sequence[SeedRun]

  @property
  def rows(self) -> list[str]:
    """Who answered, in the order of tables."""
    return [*self.runs[0].right]

  @property
  def names(self) -> list[str]:
    """The differences that can be taken."""
    return [n for n, pair in DIFFERENCES.items() if {*pair} <= {*self.rows}]

  @property
  def primary_k(self) -> int:
    """Number of responses that vote."""
    return self.config["ensemble"]["top_k"]

  def rates(self, row: str) -> list[float]:
    """[S] the share of prompts that each run has right."""
    return [float(run.right[row].mean()) for run in self.runs]

  def gains(self, name: str) -> list[float]:
    """[S] a difference of each run."""
    return [float(run.subtract(name).mean()) for run in self.runs]

  def estimate_rate(self, row: str) -> Estimate:
    """The share of prompts that is right, over populations and prompts."""
    found = self._estimate([run.right[row] for run in self.runs])
    return dataclasses.replace(found, low=max(found.low, 0.0))

  def estimate_gain(self, name: str) -> Estimate:
    """A difference, over populations and prompts."""
    return self._estimate([run.subtract(name) for run in self.runs])

  def count_signs(self, name: str) -> dict[str, int]:
    """How many runs lie on which side of zero, and with their whole interval."""
    gains = np.array(self.gains(name))
    own = [run.differences[name] for run in self.runs]
    return {
      "num_runs": len(gains),
      "num_above_zero": int((gains > 0).sum()),
      "num_below_zero": int((gains < 0).sum()),
      "num_shown_above_zero": sum(found["low"] > 0 for found in own),
      "num_shown_below_zero": sum(found["high"] < 0 for found in own),
    }

  def to_json(self) -> JsonObject:
    """What a file keeps, and what follows from it."""
    return {
      "units": _UNITS,
      "config": dict(self.config),
      "right": {
        row: self.estimate_rate(row).to_json("mean") for row in self.rows
      },
      "differences": {
        name: {
          **self.estimate_gain(name).to_json("mean"),
          **self.count_signs(name),
        }
        for name in self.names
      },
      "runs": [
        dataclasses.asdict(run)
        | {"right": {r: v.astype(int).tolist() for r, v in run.right.items()}}
        for run in self.runs
      ],
    }

  def _estimate(self, values: Sequence[Float[np.ndarray, " _Q"]]) -> Estimate:
    are_same = len({run.prompts for run in self.runs}) == 1
    return population_means.estimate_over_populations(
      values, [_label_prompts(run, are_same) for run in self.runs]
    )


def read_pool(sources: Sequence[Place]) -> Pool:
  """Reads finished runs of `experiments.randopt`, or the file of a pool.

  Args:
    sources: directories of at least two runs, or one file that `save_pool` wrote.

  Raises:
    UserError: if a run is not finished, or runs differ in more than the seed.
  """
  paths = [locations.locate(source) for source in sources]
  if len(paths) == 1 and paths[0].is_file():
    return _load_pool(paths[0])
  if len(paths) < 2:
    raise UserError(
      f"Runs to pool must be at least two, got {len(paths)}. How seeds differ"
      " cannot be seen in one run: name others too."
    )
  found = [(_read_config(path), read_run(path)) for path in paths]
  first = found[0][0]
  for path, (config, _) in zip(paths, found, strict=True):
    if different := json_files.find_differences(first, config):
      raise UserError(
        f"Runs to pool must differ in their seed alone, got {paths[0]} and {path},"
        f" of which {'; '.join(map(str, different))}. Leave one out."
      )
  runs = sorted((run for _, run in found), key=lambda run: run.seed)
  seeds = [run.seed for run in runs]
  if len({*seeds}) < len(seeds):
    raise UserError(
      f"Runs to pool must have seeds of their own, got the seeds {seeds}. A run"
      " counts once: leave the others out."
    )
  return Pool(first, runs)


def save_pool(path: Location, pool: Pool) -> None:
  """Writes a pool, one run to a line, since their numbers are for programs."""
  content = pool.to_json()
  runs = [
    json.dumps(run, allow_nan=False, separators=(",", ":"))
    for run in content.pop("runs")
  ]
  json_files.write_text(
    path,
    json.dumps(content, indent=1, allow_nan=False)[:-2]
    + ',\n "runs": [\n'
    + ",\n".join(runs)
    + "\n ]\n}\n",
  )


def _load_pool(path: Location) -> Pool:
  try:
    content = json_files.read_json(path)
    runs = [
      SeedRun(
        run["seed"],
        {row: np.array(v, np.float64) for row, v in run["right"].items()},
        run["groups"],
        run["prompts"],
        run["differences"],
      )
      for run in content["runs"]
    ]
    return Pool(content["config"], runs)
  except (ValueError, KeyError, TypeError, AttributeError) as error:
    raise UserError(
      f"{path} must be a file of pooled runs, as experiments.repeats writes it,"
      f" got {type(error).__name__}: {error}. Name the directories of the runs."
    ) from error


def _read_config(workdir: Location) -> JsonObject:
  config = measurement.read_run_config(workdir)["config"]
  if config.get("experiment") != "randopt":
    raise UserError(
      f"{workdir} must be a run of experiments.randopt, got one of"
      f" {config.get('experiment')}."
    )
  return {key: value for key, value in config.items() if key not in _LAYOUT}


def read_run(workdir: Location) -> SeedRun:
  """Reads who is right, from the records of a finished run of RandOpt.

  Raises:
    UserError: if it is not finished.
  """
  header, found = measurement.read_records(workdir)
  results = _read_results(workdir)
  data = header["task"]["data"]["judge"]
  judged = randopt_results.read_judged(
    _Records(found),
    [row["position"] for row in results["chosen"]],
    _find_temperature(found, workdir),
    data.get("groups"),
  )
  k = results["primary_k"] - 1
  right = {
    "base": judged.base.lenient[0],
    "best": judged.chosen.lenient[0],
    "vote": judged.chosen.elect()[:, k],
    "random": judged.random.elect()[:, k],
  }
  if judged.samples is not None:
    right["samples"] = judged.samples.elect()[:, k]
  (best,) = (row for row in results["table"] if row["role"] == "best")
  told = {"best member - base": best["gain"]} | {
    row["name"]: row for row in results["differences"]
  }
  return SeedRun(
    measurement.read_run_config(workdir)["config"]["seed"],
    {row: values.astype(np.float64) for row, values in right.items()},
    data.get("groups"),
    data["sha256"],
    {
      name: {key: told[name][key] for key in ("mean", "low", "high", "over")}
      for name, pair in DIFFERENCES.items()
      if {*pair} <= right.keys()
    },
  )


def _read_results(workdir: Location) -> JsonObject:
  size = measurement.read_run_config(workdir)["config"]["population"]["size"]
  try:
    results = json_files.read_json(workdir / "results.json")
    reached = results["population"]["size"]
    if reached != size:  # From before it was enlarged.
      raise ValueError(f"it tells of {reached} members, and not of {size}")
  except (OSError, ValueError, KeyError) as error:
    raise UserError(
      f"{workdir} must hold a finished run with results.json, got {error}. Let the"
      " run finish: the same command continues it."
    ) from error
  return results


@dataclasses.dataclass(frozen=True)
class _Records:
  """The records of a run as a source of answers."""

  found: Mapping[str, Mapping[int, Record]]

  def channels(self, split: str, position: int) -> dict[str, np.ndarray]:
    return self.found[split][position].channels()


def _find_temperature(found, workdir: Location) -> float | None:
  """The temperature at which the base was sampled; None where it was not."""
  splits = [Split.parse(label) for label in found]
  sampled = {
    split.temperature
    for split in splits
    if split.name == "judge" and split.temperature is not None
  }
  if len(sampled) > 1:
    raise UserError(
      f"{workdir} must hold samples of the base at one temperature on the prompts"
      f" of judge, got {sorted(sampled)}. Run it anew in another directory."
    )
  return next(iter(sampled), None)


def _label_prompts(run: SeedRun, are_same: bool) -> list[tuple[Any, ...]]:
  """Labels that are equal where prompts of two runs are of one group.

  Prompts without a group are those of other runs only where all runs ask the same.
  Otherwise they are taken to be other ones, as generated prompts nearly always are.
  """
  owner = "all" if are_same else run.seed
  if run.groups is None:
    return [(owner, place) for place in range(len(run.right["base"]))]
  return [
    (owner, place) if name == f"judge prompt {place}" else (name,)
    for place, name in enumerate(run.groups)
  ]
