"""The files of finished runs of which a report is made, and what may be compared."""

import dataclasses
import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

from thickets.analysis import measurement
from thickets.errors import UserError
from thickets.report import run_kinds, saved_analyses
from thickets.report.run_kinds import RunKind
from thickets.runs import json_files, locations, record_files, record_log
from thickets.runs.locations import Location, Place


@dataclasses.dataclass(frozen=True)
class RunFiles:
  """The contents of a finished run's directory, without its records.

  Attributes:
    name: what the run is called in titles; of several runs, the part of their
      paths in which they differ.
    workdir: the run's directory.
    kind: which binary made the run, and how a report treats it.
    config: the configuration that was run.
    environment: the code and the machine that ran it.
    header: what the records mean, as the log says it.
    results: the contents of results.json.
    density: the contents of density.json, None if there is no such file.
    landscape: the contents of landscape.json, None if there is no such file.
  """

  name: str
  workdir: Location
  kind: RunKind
  config: Mapping[str, Any]
  environment: Mapping[str, Any]
  header: Mapping[str, Any]
  results: Mapping[str, Any]
  density: Mapping[str, Any] | None
  landscape: Mapping[str, Any] | None

  @property
  def tasks(self) -> Mapping[str, Mapping[str, Any]]:
    """Returns what the header says about each task, by the task's name."""
    task = self.header["task"]
    return task["tasks"] if "tasks" in task else {task["name"]: task}

  @property
  def num_members(self) -> int:
    """Returns the size of the population, failed members included."""
    return self.kind.count_members(self.results)


def read_run(workdir: Place, *, name: str | None = None) -> RunFiles:
  """Reads the files of a finished run.

  Args:
    workdir: the directory of a run of `experiments.measure`, `randopt` or
      `signals`.
    name: what to call the run in titles; by default the directory's name.

  Raises:
    UserError: if it does not hold a finished run of one of them; it names the
      file.
  """
  folder = locations.locate(workdir).resolve()
  saved = measurement.read_run_config(folder)
  config = saved.get("config", {})
  kind = run_kinds.find_kind(config.get("experiment"), folder / "config.json")
  results = _read_json(folder / "results.json")
  if results is None:
    raise UserError(
      f"{folder} must hold a finished run, got no results.json. Let the run"
      " finish: the same command continues it."
    )
  if missing := [key for key in kind.result_keys if key not in results]:
    raise UserError(
      f"{folder / 'results.json'} must hold what experiments.{kind.name} writes,"
      f" with the keys {', '.join(missing)}, got the keys"
      f" {', '.join(sorted(results)[:8])}. Is it of an earlier version? Run the"
      " command again that made it: it evaluates nothing twice."
    )
  logs = record_files.list_logs(folder)
  header = next(filter(None, map(record_log.read_header, logs)), None)
  if header is None:
    raise UserError(
      f"{folder} must hold records that say what they mean, got"
      f" {len(logs)} logs without a header. Check the path."
    )
  return RunFiles(
    name=folder.name if name is None else name,
    workdir=folder,
    kind=kind,
    config=config,
    environment=saved.get("environment", {}),
    header=header,
    results=results,
    density=_read_json(folder / saved_analyses.DENSITY),
    landscape=_read_json(folder / saved_analyses.LANDSCAPE),
  )


def read_runs(workdirs: Sequence[Place]) -> list[RunFiles]:
  """Reads runs that are to be compared.

  Args:
    workdirs: the directories of the runs; a single one is allowed.

  Raises:
    UserError: if one of them cannot be read, see `read_run`, or if two of them
      cannot be compared; it names both.
  """
  folders = [locations.locate(workdir).resolve() for workdir in workdirs]
  for place, folder in enumerate(folders):
    if folder in folders[:place]:
      raise UserError(
        f"The runs of a report must differ, got {folder} twice. Name it once."
      )
  if len(folders) == 1:
    return [read_run(folders[0])]
  found = [
    read_run(folder, name=name)
    for folder, name in zip(folders, _name_apart(folders), strict=True)
  ]
  _check_comparable(found)
  return found


def _name_apart(folders: Sequence[Location]) -> list[str]:
  """Names for runs without what all of their directories have in common."""
  parts = [str(folder).split("/") for folder in folders]
  alike = itertools.takewhile(
    lambda one: len(set(one)) == 1, zip(*parts, strict=False)
  )
  num_shared = sum(1 for _ in alike)
  return ["/".join(names[num_shared:]) or "." for names in parts]


def _check_comparable(found: Sequence[RunFiles]) -> None:
  first = found[0]
  for other in found[1:]:
    if first.kind.scores != other.kind.scores:
      raise UserError(
        "Runs that are compared must have scores of one kind, got"
        f" {first.kind.scores} of a run of {first.kind.name} ({first.workdir})"
        f" and {other.kind.scores} of a run of {other.kind.name}"
        f" ({other.workdir}). Write a report of each."
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
  """Refuses two runs whose scores of one task mean different things."""
  fields = ("version", "rules", "grader", "family", "horizon", "score")
  one, two = (
    {field: run.tasks[task].get(field) for field in fields}
    for run in (first, other)
  )
  if differences := json_files.find_differences(one, two, task):
    raise UserError(
      "Runs that are compared must score a task in the same way, got"
      f" {'; '.join(map(str, differences))} ({first.workdir} and {other.workdir}). Write a"
      " report of each."
    )


def _read_json(path: Location) -> dict[str, Any] | None:
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
