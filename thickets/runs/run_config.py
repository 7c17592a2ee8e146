"""The configuration of a run, and what may change when the run is continued."""

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

from thickets.errors import UserError
from thickets.runs import json_files, locations
from thickets.runs.json_files import Difference, JsonObject
from thickets.runs.locations import Location, Place

_NAME = "config.json"


@dataclasses.dataclass(frozen=True)
class RunConfig:
  """What a run was asked to do.

  Attributes:
    fields: the configuration as JSON values, nested dicts at the outside.
    extendable: dotted keys that may differ when the run is continued, such as
      the size of the population.
    later: dotted keys that runs of earlier versions lack, with the values by which
      such runs were made.
  """

  fields: Mapping[str, Any]
  extendable: Collection[str] = ()
  later: Mapping[str, Any] = dataclasses.field(default_factory=dict)

  def find_differences(self, workdir: Place) -> list[Difference]:
    """Lists how this configuration differs from that of a directory's run.

    Where the directory holds no run, nothing differs.

    Raises:
      UserError: if the run's own configuration is corrupt.
    """
    path = locations.locate(workdir) / _NAME
    if not path.exists():
      return []
    old = read_config(path)
    return [
      difference
      for difference in json_files.find_differences(
        old, json_files.as_read(self.fields)
      )
      if difference.key not in self.extendable
      and not self._is_later(difference)
    ]

  def _is_later(self, difference: Difference) -> bool:
    """Whether a run lacks a key that says what the run was made by anyway."""
    return (
      difference.old == json_files.ABSENT
      and difference.key in self.later
      and difference.new == self.later[difference.key]
    )

  def check(self, workdir: Place) -> None:
    """Refuses to continue a run that means something else.

    Raises:
      UserError: if the configurations differ; the message lists the differences.
    """
    if different := self.find_differences(workdir):
      raise UserError(
        f"{workdir} holds a run whose config differs: "
        + "; ".join(map(str, different))
        + ". Choose another workdir, or the values it was made with."
      )

  def save(self, workdir: Location, environment: JsonObject) -> None:
    """Writes config.json: the configuration, and the machine and the code."""
    json_files.write_json(
      workdir / _NAME, {"config": self.fields, "environment": environment}
    )


def read_config(path: Location) -> JsonObject:
  """Reads the configuration out of a run's config.json.

  Raises:
    UserError: if the file is corrupt.
  """
  try:
    fields = json_files.read_json(path)["config"]
  except (ValueError, KeyError, TypeError) as error:
    raise UserError(
      f"{path} is corrupt ({error}). Delete the run, or restore the file."
    ) from error
  return fields
