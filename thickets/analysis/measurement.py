"""Score tables of finished runs, read back from their records.

Everything that is measured about a neighbourhood (density, diversity,
landscapes, scaling) starts here, and never needs a model again.
"""

from __future__ import annotations

import collections
import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging
from jaxtyping import Float

from thickets.analysis import prompt_groups
from thickets.errors import UserError
from thickets.members import Member
from thickets.runs import directory, locations, record_files, record_log
from thickets.runs.json_files import JsonObject
from thickets.runs.locations import Place
from thickets.runs.split_labels import SLICE, Split
from thickets.search.answers import Answers


@dataclasses.dataclass(frozen=True)
class TaskScores:
  """What the base and the members answered to the prompts of one task.

  Attributes:
    name: name of the task.
    base: [1, Q] the base's answers.
    members: [P, Q] the members' answers.
    num_select: the first so many prompts are those of `select`, the others of
      `dev`.
    groups: [Q] name of each prompt's group; None where prompts are independent.
  """

  name: str
  base: Answers
  members: Answers
  num_select: int
  groups: Sequence[str] | None = None

  @property
  def dev_groups(self) -> Sequence[str] | None:
    """Groups of the prompts of `dev`."""
    return None if self.groups is None else self.groups[self.num_select :]

  @property
  def scores(self) -> Float[np.ndarray, "P Q"]:
    """[P, Q] each member's scores; NaN where it failed."""
    return self.members.score

  @property
  def base_scores(self) -> Float[np.ndarray, " Q"]:
    """[Q] the base's scores."""
    return self.base.score[0]


@dataclasses.dataclass(frozen=True)
class Measurement:
  """A population around one base, and its answers by task.

  Attributes:
    name: name of the run, for figures and messages.
    header: what the records mean, as the log's first line says it.
    members: [P] the members, in the order in which they were drawn.
    tasks: answers to the prompts of each task, by its name.
  """

  name: str
  header: Mapping[str, Any]
  members: tuple[Member, ...]
  tasks: Mapping[str, TaskScores]

  @property
  def sigmas(self) -> Float[np.ndarray, " P"]:
    """[P] the standard deviation of each member's noise.

    For a member of several terms, the root of the sum of their squares.
    """
    return np.array(
      [np.sqrt(sum(s * s for _, s in m.terms)) for m in self.members]
    )

  @property
  def base_identity(self) -> str:
    """Identity of the base's weights."""
    return self.header["base"]["identity"]

  def task(self, name: str) -> TaskScores:
    """One of the tasks.

    Raises:
      UserError: if it was not measured.
    """
    if name not in self.tasks:
      raise UserError(
        f"task must be one of {sorted(self.tasks)}, got {name!r} ({self.name})."
      )
    return self.tasks[name]


def read_measurement(
  workdir: Place, *, splits: Sequence[str] = ("select", "dev")
) -> Measurement:
  """Reads what all members of a run answered.

  Of a run of `experiments.measure` these are the prompts of `select` and `dev`,
  of one of `experiments.randopt` those of `select`. Members that lack a record
  are left out, and the log says how many.

  Args:
    workdir: directory of the run.
    splits: the prompts to read, as far as the run has them.

  Raises:
    UserError: if there are no records, no base among them, or records that mean
      different things; it names the file.
  """
  folder = locations.locate(workdir)
  header, found = read_records(folder)
  parts = _find_parts(header, found, splits, folder)
  positions = _find_complete(found, parts, folder)
  base = _read_answers(found, parts, [directory.BASE_POSITION])
  answers = _read_answers(found, parts, positions)
  tasks = {}
  for name, several in parts.items():
    sizes = {
      part.split.name: part.rows.stop - part.rows.start for part in several
    }
    tasks[name] = TaskScores(
      name,
      base[name],
      answers[name],
      num_select=sizes.get("select", 0),
      groups=_read_groups(header, name, sizes),
    )
  first = next(iter(parts.values()))[0]
  members = tuple(found[first.label][position].member for position in positions)
  return Measurement(str(folder), header, members, tasks)


def read_slice(
  workdir: Place,
) -> tuple[tuple[Member, ...], dict[str, TaskScores]] | None:
  """Reads the members of a two-dimensional slice, where a run has one.

  Args:
    workdir: directory of a run of `experiments.measure`.

  Returns:
    The members, row by row, and their answers by task; None without a slice.
  """
  folder = locations.locate(workdir)
  header, found = read_records(folder)
  if not any(Split.parse(label).name == SLICE for label in found):
    return None
  parts = _find_parts(header, found, (SLICE,), folder)
  bases = _find_parts(header, found, ("select",), folder)
  positions = _find_complete(found, parts, folder, bases)
  base = _read_answers(found, bases, [directory.BASE_POSITION])
  answers = _read_answers(found, parts, positions)
  tasks = {}
  for name, several in parts.items():
    size = several[0].rows.stop - several[0].rows.start
    groups = _read_groups(header, name, {"select": size})
    tasks[name] = TaskScores(name, base[name], answers[name], size, groups)
  first = next(iter(parts.values()))[0]
  members = tuple(found[first.label][position].member for position in positions)
  return members, tasks


def read_samples(
  workdir: Place,
) -> dict[str, tuple[float, Answers]]:
  """Reads what was sampled from the base on the prompts of `dev`.

  Args:
    workdir: directory of a run of `experiments.measure`.

  Returns:
    By task, the temperature and the answers [K, Q]; no tasks where the base was
    not sampled.
  """
  header, found = read_records(workdir)
  samples = {}
  for label in found:
    split = Split.parse(label)
    if split.name != "dev" or split.temperature is None:
      continue
    for name, fields in header["task"].get("tasks", {}).items():
      if fields["group"] == split.group:
        parts = {name: [_Part(split, slice(*fields["rows"]["dev"]))]}
        answers = _read_answers(found, parts, sorted(found[label]))
        samples[name] = split.temperature, answers[name]
  return samples


def read_records(
  workdir: Place,
) -> tuple[JsonObject, Mapping[str, Mapping[int, record_log.Record]]]:
  """Reads the header of a run, and its records by label of split and position.

  Raises:
    UserError: if there are none, or records that mean different things.
  """
  folder = locations.locate(workdir)
  paths = record_files.list_logs(folder)
  if not paths:
    raise UserError(
      f"{folder} must be the directory of a run, with records/**/*.jsonl; it"
      " has none. Check the path."
    )
  header = next(filter(None, map(record_log.read_header, paths)), None)
  if header is None:
    raise UserError(f"{paths[0]} must begin with a header, got an empty log.")
  found: dict[str, dict[int, record_log.Record]] = collections.defaultdict(dict)
  for path in reversed(paths):  # As `directory.Run` reads them.
    record_log.check_header(path, header)
    for record in record_log.read_log(path):
      found[record.split][record.position] = record
  return header, found


@dataclasses.dataclass(frozen=True)
class _Part:
  """Where a log holds a task's prompts of one split.

  Attributes:
    split: whose records hold them, beside the prompts of other tasks.
    rows: places of the task's prompts in such a record.
  """

  split: Split
  rows: slice

  @property
  def label(self) -> str:
    """Label of the split in the log."""
    return self.split.label


def _find_parts(header, found, splits, folder) -> dict[str, list[_Part]]:
  """Finds the parts of each task that the log has."""
  task = header["task"]
  parts = {}
  if "tasks" in task:
    for name, fields in task["tasks"].items():
      parts[name] = [
        _Part(split, slice(*fields["rows"][rows]))
        for name_of_split in splits
        # A slice's members answer the prompts of selection.
        if (rows := "select" if name_of_split == SLICE else name_of_split)
        in fields["rows"]
        and (split := Split(name_of_split, fields["group"])).label in found
      ]
      lacking = [
        split
        for split in splits
        if split in fields["rows"]
        and Split(split, fields["group"]).label not in found
      ]
      if parts[name] and lacking:
        logging.warning(
          "%s: %s is left out of %s, of which there is no record yet; the run"
          " was not finished.",
          *(folder, " and ".join(lacking), name),
        )
  else:
    # Of a RandOpt run all members have answered the prompts of selection only.
    size = task["prompts"]["select"]["size"] if "prompts" in task else 0
    parts[task.get("name", "")] = [
      _Part(Split("select"), slice(0, size))
    ] * bool(size and "select" in found)
  missing = [name for name, several in parts.items() if not several]
  if missing:
    raise UserError(
      f"{folder} must have records of {missing[0] or 'a task on language'} on"
      f" {' or '.join(splits)}, got {sorted(found)}. Let the run finish: the same"
      " command continues it."
    )
  return parts


def _read_groups(header, task: str, sizes: Mapping[str, int]):
  """Groups of a task's prompts, as the header says; None where it names none."""
  fields = header["task"]
  data = fields.get("tasks", {}).get(task, fields).get("data", {})
  return prompt_groups.read_groups(data, sizes)


def _find_complete(found, parts, folder, bases=None) -> list[int]:
  """Positions of the members that have a record in every split."""
  labels = sorted(
    {part.label for several in parts.values() for part in several}
  )
  for several in (bases or parts).values():
    for part in several:
      if directory.BASE_POSITION not in found[part.label]:
        raise UserError(
          f"{folder} must have a record of the base on {part.label!r}, got none."
          " Let the run finish: the same command continues it."
        )
  members = [set(found[label]) - {directory.BASE_POSITION} for label in labels]
  complete = set.intersection(*members)
  seen = set.union(*members)
  if len(seen) > len(complete):
    logging.warning(
      "%s: left out %d of %d members that lack a record in one of %s; the run"
      " was not finished.",
      *(folder, len(seen) - len(complete), len(seen), labels),
    )
  if not complete:
    raise UserError(
      f"{folder} must have at least one member with records in all of {labels},"
      " got none. Let the run finish: the same command continues it."
    )
  return sorted(complete)


def _read_answers(
  found, parts: Mapping[str, Sequence[_Part]], positions
) -> dict[str, Answers]:
  """Answers of some respondents by task, the splits side by side."""
  names = [field.name for field in dataclasses.fields(Answers)]
  # Each record once: it holds the prompts of all tasks of a group.
  labels = {part.label for several in parts.values() for part in several}
  whole = {
    label: Answers.stack(
      found[label][position].channels(names) for position in positions
    )
    for label in labels
  }
  return {
    task: Answers(
      **{
        name: np.concatenate(
          [getattr(whole[part.label], name)[:, part.rows] for part in several],
          axis=1,
        )
        for name in names
      }
    )
    for task, several in parts.items()
  }


def read_run_config(workdir: Place) -> dict[str, Any]:
  """Reads a run's config and environment.

  Raises:
    UserError: if there is none.
  """
  path = locations.locate(workdir) / "config.json"
  try:
    return json.loads(path.read_text(encoding="utf-8"))
  except (OSError, ValueError) as error:
    raise UserError(
      f"{path} must be the config of a run, got {error}. Check the path."
    ) from error
