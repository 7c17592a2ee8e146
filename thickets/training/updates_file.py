"""The file of a run's updates: from it and the base its weights are made again."""

import pathlib
from collections.abc import Sequence

from thickets import noise
from thickets.errors import UserError
from thickets.members import Member
from thickets.perturbation import Kind, kind_from_json
from thickets.runs import json_files
from thickets.runs.json_files import JsonObject

FORMAT = "thickets.updates"
VERSION = 1


def describe_updates(
  header: JsonObject, updates: Sequence[Member], source: JsonObject | None
) -> JsonObject:
  """Returns the contents of the file as JSON values.

  Args:
    header: what the records of the run mean, as in its log.
    updates: the update of each step.
    source: where the base can be loaded from.
  """
  return {
    "format": FORMAT,
    "version": VERSION,
    "base": {"identity": header["base"]["identity"], "source": source},
    "noise": header["noise"],
    "kind": header["kind"],
    "steps": [[list(term) for term in update.terms] for update in updates],
  }


def read_updates(
  path: pathlib.Path, identity: str
) -> tuple[Kind, list[Member]]:
  """Reads the kind of noise and the update of each step, for `evolution.replay`.

  Args:
    path: the file.
    identity: the identity of the base at hand, such as `hub.Model.identity`.

  Raises:
    UserError: if it cannot be read, or belongs to another base or other noise.
  """
  try:
    fields = json_files.read_json(path)
    if (fields["format"], fields["version"]) != (FORMAT, VERSION):
      raise ValueError(f"its format must be {FORMAT} of version {VERSION}")
    found, drawn = fields["base"]["identity"], fields["noise"]
    kind = kind_from_json(fields["kind"])
    updates = [
      Member(tuple(seed for seed, _ in terms), tuple(c for _, c in terms))
      for terms in fields["steps"]
    ]
  except (OSError, ValueError, KeyError, TypeError) as error:
    raise UserError(
      f"{path} must hold the updates of a run, got {error}. Name the updates.json"
      " of a finished run of experiments.evolution or experiments.consolidate."
    ) from error
  if found != identity:
    raise UserError(
      f"{path} belongs to the base {found[:16]}…, got {identity[:16]}…. Load the"
      " base that the run started from."
    )
  here = {"version": noise.NOISE_VERSION, "prng": noise.PRNG}
  if drawn != here:
    raise UserError(
      f"{path} was drawn by noise {drawn}, but this version of thickets draws"
      f" {here} and would make other weights. Use the version that wrote it."
    )
  return kind, updates
