"""The files of finished runs that a report is made of, and what may be compared."""

import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from thickets.analysis import measurement
from thickets.errors import UserError
from thickets.runs import record_log

# Where keys of results.json say which binary wrote it.
_KINDS = {"measure": "relative_norms", "signals": "ensemble_by_n"} | {
  "randopt": "winners_curse"
}


@dataclasses.dataclass(frozen=True)
class RunFiles:
  """What a report says about a run.

  Attributes:
    name: in titles; of several runs that by which they differ.
    workdir: where the run is.
    kind: "measure", "randopt" or "signals".
    config: as it was run.
    environment: code and machine.
    header: what the records mean.
    results: of the run.
    density: the contents of density.json, None without.
    landscape: the contents of landscape.json, None without.
  """

  name: str
  workdir: pathlib.Path
  kind: str
  config: Mapping[str, Any]
  environment: Mapping[str, Any]
  header: Mapping[str, Any]
  results: Mapping[str, Any]
  density: Mapping[str, Any] | None
  landscape: Mapping[str, Any] | None

  @property
  def tasks(self) -> Mapping[str, Mapping[str, Any]]:
    """What the records say about each task, by name."""
    task = self.header["task"]
    return task["tasks"] if "tasks" in task else {task["name"]: task}

  @property
  def num_members(self) -> int:
    """Of the population, failed ones included."""
    return (
      self.results["num_members"]
      if self.kind == "measure"
      else self.results["population"]["size"]
    )


def read_run(
  workdir: str | os.PathLike[str], *, name: str | None = None
) -> RunFiles:
  """Reads the files of a finished run.

  Args:
    workdir: of a run of `experiments.measure`, `randopt` or `signals`.
    name: in titles; the directory's by default.

  Raises:
    UserError: if it is no finished run of one of them; it names the file.
  """
  folder = pathlib.Path(workdir).resolve()
  saved = measurement.read_run_config(folder)
  results = _read_json(folder / "results.json")
  if results is None:
    raise UserError(
      f"{folder} must hold a finished run, got no results.json. Let the run"
      " finish: the same command continues it."
    )
  kinds = [kind for kind, key in _KINDS.items() if key in results]
  if not kinds or "config" not in saved:
    raise UserError(
      f"{folder} must hold a run of experiments.measure, randopt or signals, got"
      " a results.json with the keys"
      f" {', '.join(sorted(results)[:8])}. Check the path."
    )
  logs = sorted((folder / "records").glob("*.jsonl"))
  header = next(filter(None, map(record_log.read_header, logs)), None)
  if header is None:
    raise UserError(
      f"{folder} must hold records that say what they mean, got"
      f" {len(logs)} logs without a header. Check the path."
    )
  return RunFiles(
    name=folder.name if name is None else name,
    workdir=folder,
    kind=kinds[0],
    config=saved["config"],
    environment=saved.get("environment", {}),
    header=header,
    results=results,
    density=_read_json(folder / "density.json"),
    landscape=_read_json(folder / "landscape.json"),
  )


def read_runs(workdirs: Sequence[str | os.PathLike[str]]) -> list[RunFiles]:
  """Reads runs that are to be compared, named by where they differ.

  Raises:
    UserError: as `read_run`, or if they cannot be compared; it names both.
  """
  folders = [pathlib.Path(workdir).resolve() for workdir in workdirs]
  for place, folder in enumerate(folders):
    if folder in folders[:place]:
      raise UserError(
        f"The runs of a report must differ, got {folder} twice. Name it once."
      )
  if len(folders) == 1:
    return [read_run(folders[0])]
  shared = os.path.commonpath(folders)
  found = [
    read_run(
      folder, name=pathlib.Path(os.path.relpath(folder, shared)).as_posix()
    )
    for folder in folders
  ]
  _check_comparable(found)
  return found


def _check_comparable(found: Sequence[RunFiles]) -> None:
  first = found[0]
  for other in found[1:]:
    if "signals" in {first.kind, other.kind} and first.kind != other.kind:
      raise UserError(
        f"Runs that are compared must have scores of one kind, got {first.kind}"
        f" ({first.workdir}) and {other.kind} ({other.workdir}): squared errors"
        " and shares of right answers. Write a report of each."
      )
    earlier = [run for run in found if run is not other]
    if not any(set(run.tasks) & set(other.tasks) for run in earlier):
      raise UserError(
        f"Runs that are compared must share a task, got {sorted(other.tasks)} in"
        f" {other.workdir}, which no other run has. Write a report of each."
      )
    for task in set(first.tasks) & set(other.tasks):
      _check_task(task, first, other)


def _check_task(task: str, first: RunFiles, other: RunFiles) -> None:
  """Refuses scores of one task that mean different things."""
  fields = ("version", "rules", "grader", "family", "horizon", "score")
  one, two = (
    {field: run.tasks[task].get(field) for field in fields}
    for run in (first, other)
  )
  if differences := record_log.differences(one, two, task):
    raise UserError(
      "Runs that are compared must score a task alike, got"
      f" {'; '.join(differences)} ({first.workdir} and {other.workdir}). Write a"
      " report of each."
    )


def _read_json(path: pathlib.Path) -> dict[str, Any] | None:
  if not path.exists():
    return None
  try:
    found = json.loads(path.read_text(encoding="utf-8"))
  except (OSError, ValueError) as error:
    raise UserError(
      f"{path} must be JSON, got {error}. Delete it and run the command again"
      " that made it."
    ) from error
  if not isinstance(found, dict):
    raise UserError(f"{path} must hold an object, got {type(found).__name__}.")
  return found
