"""Several measurements around one base, joined into one."""

import collections
import dataclasses
from collections.abc import Sequence

from thickets.analysis.measurement import Measurement
from thickets.errors import UserError
from thickets.runs import json_files


def join_measurements(measurements: Sequence[Measurement]) -> Measurement:
  """One measurement of the tasks of several, over the members in common.

  Args:
    measurements: runs around the same base with the same population, each on
      other tasks.

  Raises:
    UserError: if bases or noise differ, a task occurs twice, or fewer than two
      members are in common; it names the runs.
  """
  first = measurements[0]
  for other in measurements[1:]:
    check_same_base(first, other)
  names = [name for m in measurements for name in m.tasks]
  for name, count in collections.Counter(names).items():
    if count > 1:
      raise UserError(
        f"Runs that are joined must measure different tasks, got {name} in"
        f" {count} of {[m.name for m in measurements]}. Leave one out."
      )
  shared = set.intersection(*(set(m.members) for m in measurements))
  common = [member for member in first.members if member in shared]
  if len(common) < 2:
    raise UserError(
      "Runs that are joined must share at least 2 members, got"
      f" {len(common)} in {[m.name for m in measurements]}. Use the same seed,"
      " sigmas and design."
    )
  tasks = {}
  for measurement in measurements:
    places = {member: row for row, member in enumerate(measurement.members)}
    rows = [places[member] for member in common]
    for name, task in measurement.tasks.items():
      tasks[name] = dataclasses.replace(task, members=task.members.take(rows))
  return Measurement(
    "+".join(m.name for m in measurements), first.header, tuple(common), tasks
  )


def check_same_base(first: Measurement, other: Measurement) -> None:
  """Checks that two runs perturbed the same base in the same way.

  Raises:
    UserError: if they differ; the message lists the differences.
  """
  different = [
    difference
    for key in ("base", "kind", "noise", "precision")
    for difference in json_files.find_differences(
      first.header[key], other.header[key], key
    )
  ]
  if different:
    raise UserError(
      f"{first.name} and {other.name} must be around the same base, got"
      f" {'; '.join(map(str, different))}. Analyse them apart."
    )
