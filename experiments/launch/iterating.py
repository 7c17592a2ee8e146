"""Rounds of RandOpt and distillation, each around the model of the last."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import ml_collections
from absl import logging

from configs import iterate as iterate_keys
from experiments.launch import (
  config_checks,
  distil_run,
  distil_specs,
  randopt_run,
  specs,
)
from experiments.launch.distil_specs import DistilSpec
from experiments.launch.distil_texts import NothingToTeachError
from experiments.launch.specs import RandOptSpec
from thickets.analysis import intervals, measurement, trained_results
from thickets.report.tables import format_interval, format_percent
from thickets.runs import json_files, locations
from thickets.runs.directory import BASE_POSITION
from thickets.runs.json_files import JsonObject
from thickets.search.answers import Answers
from thickets.training import trained_weights
from thickets.training.distillation import TEACHERS


@dataclasses.dataclass(frozen=True)
class Round:
  """What a round has come to.

  Attributes:
    number: which round it is, counted from 1.
    chosen: the number of steps that dev chose; None where it kept the base.
    base: [1, Q] the answers of its base to the prompts of judging.
    distilled: [1, Q] those of the distilled model, or of the base that was kept.
    groups: [Q] group of each prompt; None where prompts are independent.
  """

  number: int
  chosen: int | None
  base: Answers
  distilled: Answers
  groups: Sequence[str] | None


def check_config(config: ml_collections.ConfigDict) -> None:
  """Refuses a config that no round could run with.

  Raises:
    UserError: with everything that is wrong, before any device work.
  """
  config_checks.refuse(
    config_checks.check_keys(config, iterate_keys.get_config())
  )
  problems = config_checks.check_ranges(
    config, {"rounds": config_checks.Range(1)}
  )
  problems += config_checks.check_not_empty(config, ("arms",))
  arms = tuple(config.arms)
  if not set(arms) <= set(TEACHERS) or len(set(arms)) < len(arms):
    problems.append(f"arms must be of {TEACHERS}, each once, got {arms}.")
  if not config.randopt.task.num_dev:
    problems.append(
      "randopt.task.num_dev must be at least 1, got 0: dev says whether a round is"
      " kept."
    )
  config_checks.refuse(problems)
  for arm in config.arms:
    make_specs(config, arm, config.randopt.model.name)


def make_specs(
  config: ml_collections.ConfigDict, arm: str, model: str
) -> tuple[RandOptSpec, DistilSpec]:
  """Makes what a round is asked to do.

  The control draws no members: those of its run are copies of the base, whose vote
  is the base's answer, and samples teach.

  Args:
    config: the config of all rounds.
    arm: who teaches.
    model: the base of the round.

  Raises:
    UserError: for what is wrong with the one or the other.
  """
  search = config.randopt.copy_and_resolve_references()
  fitting = config.distil.copy_and_resolve_references()
  with search.unlocked(), fitting.unlocked():
    search.model.name = model
    fitting.teaching.teachers = arm
    if arm == "samples":
      k = search.ensemble.top_k
      search.population.size, search.population.sigmas = k, (0.0,)
      search.ensemble.also = tuple(n for n in search.ensemble.also if n <= k)
  return specs.read_randopt(search), distil_specs.read_distil(fitting)


def run_arm(
  config: ml_collections.ConfigDict, arm: str, workdir: str
) -> list[Round]:
  """Runs the rounds of an arm, as far as they are not finished.

  Args:
    config: the config of all rounds.
    arm: who teaches.
    workdir: the directory of all arms.

  Returns:
    The rounds; the last may be one that dev refused. A round behind the first in
    which there is nothing left to teach ends the arm as well, and is none of them.

  Raises:
    UserError: if there is nothing to teach in the first round.
  """
  model, rounds = config.randopt.model.name, []
  for number in range(1, config.rounds + 1):
    folder = f"{workdir}/{arm}/round_{number}"
    search, fitting = make_specs(config, arm, model)
    logging.info("%s, round %d, around %s", arm, number, model)
    randopt_run.run(search, f"{folder}/randopt")
    try:
      results = distil_run.run(
        fitting, search, f"{folder}/randopt", f"{folder}/distil"
      )
    except NothingToTeachError as error:
      if not rounds:
        raise
      logging.info("%s ends before round %d: %s", arm, number, error)
      break
    rounds.append(_read_round(number, f"{folder}/distil", results))
    if results["chosen"] is None:
      break
    model = f"{folder}/distil/model"
  return rounds


def _read_round(number: int, folder: str, results: JsonObject) -> Round:
  _, found = measurement.read_records(folder)
  names = [field.name for field in dataclasses.fields(Answers)]
  chosen, judge = results["chosen"], found["judge"]
  position = trained_weights.find_position(chosen or 0)
  return Round(
    number,
    chosen,
    Answers.stack([judge[BASE_POSITION].channels(names)]),
    Answers.stack([judge[position].channels(names)]),
    results["data"]["judge"].get("groups"),
  )


def summarise(
  rounds: Mapping[str, Sequence[Round]], workdir: str
) -> JsonObject:
  """Compares all rounds with the first base, and the arms with each other.

  Args:
    rounds: the rounds of each arm, by who teaches.
    workdir: where results.json is written.
  """
  first = next(iter(rounds.values()))[0]
  models = {"base": first.base}
  for arm, found in rounds.items():
    models |= {f"{arm}, round {r.number}": r.distilled for r in found}
  results: dict[str, Any] = trained_results.summarise_trained(
    models, first.groups
  )
  results["kept"] = {
    arm: sum(r.chosen is not None for r in found)
    for arm, found in rounds.items()
  }
  results["members_minus_samples"] = None
  if set(rounds) == set(TEACHERS):
    last = {
      arm: found[-1].distilled.lenient[0] for arm, found in rounds.items()
    }
    results["members_minus_samples"] = intervals.estimate_difference(
      last["members"].astype(float) - last["samples"], groups=first.groups
    ).to_json("mean")
  json_files.write_json(locations.locate(workdir) / "results.json", results)
  return results


def describe_rounds(results: Mapping[str, Any]) -> str:
  """Says how many rounds dev kept, and what perturbations add to their control."""
  lines = [
    f"{arm}: rounds that dev kept: {kept}."
    for arm, kept in results["kept"].items()
  ]
  found = results["members_minus_samples"]
  if found is not None:
    interval = format_interval(found["low"], found["high"], sign=True)
    lines.append(
      "After the last round, members - samples:"
      f" {format_percent(found['mean'], sign=True)} {interval} points over"
      f" {found['over']}."
    )
  return "\n".join(lines)
