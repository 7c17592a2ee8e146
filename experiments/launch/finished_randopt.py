"""What a finished run of `experiments.randopt` was asked to do, and chose."""

import dataclasses

from experiments.launch import specs
from experiments.launch.specs import RandOptSpec
from thickets.errors import UserError
from thickets.generation.ledger import Cost
from thickets.runs import json_files, locations
from thickets.runs.json_files import JsonObject


def read_spec(workdir: str, flag: str) -> RandOptSpec:
  """What the run in a directory was asked to do.

  Args:
    workdir: the directory of the run.
    flag: the flag that names it, for messages.

  Raises:
    UserError: if there is no such run, or it is of another binary or version.
  """
  path = locations.locate(workdir) / "config.json"
  try:
    fields = json_files.read_json(path)["config"]
  except (OSError, ValueError, KeyError, TypeError) as error:
    raise UserError(
      f"--{flag} must name a run of experiments.randopt, got {workdir}"
      f" ({error})."
    ) from error
  if fields.get("experiment") != "randopt":
    raise UserError(
      f"--{flag} must name a run of experiments.randopt, got {workdir}, a run"
      f" of {fields.get('experiment')}."
    )
  try:
    return specs.read_stored_randopt(fields)
  except UserError as error:
    raise UserError(
      f"{path} must be of this version, got a config that it does not read:"
      f" {error}"
    ) from error


def read_results(workdir: str, size: int, flag: str) -> JsonObject:
  """The results of a run that has reached the size of its population.

  Args:
    workdir: the directory of the run.
    size: the size that its config asks for.
    flag: the flag that names it, for messages.

  Raises:
    UserError: if the run is not finished.
  """
  try:
    results = json_files.read_json(locations.locate(workdir) / "results.json")
    if results["population"]["size"] != size:  # From before it was enlarged.
      raise ValueError(f"it has not reached {size} members")
    if missing := sorted({"chosen", "dev"} - results.keys()):
      raise ValueError(f"it lacks {missing}")
  except (OSError, ValueError, KeyError) as error:
    raise UserError(
      f"--{flag} must hold a finished run with results.json, got {workdir}"
      f" ({error}). Finish it with its own command first."
    ) from error
  return results


def read_search_cost(results: JsonObject, workdir: str) -> Cost:
  """What the search of a run has cost.

  Args:
    results: what `read_results` returned.
    workdir: the directory of the run, for messages.

  Raises:
    UserError: if the run is of an earlier version.
  """
  if "ledger" not in results:
    raise UserError(
      f"--run must hold a run with a ledger, got {workdir} of an earlier version."
      " Start its own command again, which adds it from the records."
    )
  best = next(r for r in results["ledger"] if r["method"] == "best member")
  fields = {field.name for field in dataclasses.fields(Cost)}
  return Cost(**{k: v for k, v in best["search"].items() if k in fields})


def read_ranked(results: JsonObject, count: int, workdir: str) -> list[int]:
  """The positions in the population of the best members of a run, by rank.

  Args:
    results: what `read_results` returned.
    count: how many.
    workdir: the directory of the run, for messages.

  Raises:
    UserError: if the run has ranked fewer.
  """
  ranked = [row["position"] for row in results["chosen"]]
  if len(ranked) < count:
    raise UserError(
      f"--run must have ranked the {count} members that ensemble asks for, got"
      f" {len(ranked)} in results.json of {workdir}. Finish it with its own command"
      " first."
    )
  return ranked[:count]
