"""Stages of trainings that a study chooses by what they know and lean to."""

import dataclasses
import pathlib
from collections.abc import Sequence

import ml_collections
from absl import logging

from experiments.launch import config_checks
from thickets.models import hub
from thickets.runs import json_files
from thickets.runs.json_files import JsonObject
from thickets.training import convention_stages
from thickets.training.convention_stages import Stage, Target
from thickets.training.pretraining import stage_path


def find_problems(training: ml_collections.ConfigDict, where: str) -> list[str]:
  """Refuses a training of which it is not said in one way what is measured.

  Args:
    training: a row of `trainings`.
    where: its key in the config.
  """
  if not training.target:
    if training.measured:
      return []
    return [
      f"{where}.measured must hold at least one item, got (). Name stages, or set"
      f" {where}.target."
    ]
  problems = [
    f"{where}.{key} must be left empty, since {where}.target chooses among the"
    f" stages of a training, got {value!r}. Leave one of them out."
    for key, value in (
      ("measured", tuple(training.measured)),
      ("model", training.model),
    )
    if value
  ]
  if len(training.target) != 2:
    return [
      *problems,
      f"{where}.target must be a loss and its tolerance, or (), got"
      f" {tuple(training.target)}.",
    ]
  return problems + config_checks.collect(
    lambda of: Target(*of.target), training
  )


def choose_stage(
  config: ml_collections.ConfigDict, name: str, workdir: pathlib.Path
) -> JsonObject | None:
  """Measures the stages of a training that has a target, as far as it is not done.

  Returns:
    None if the config names the stages. Otherwise JSON values: `target` and
    `families`; `stages` with `step`, `loss` and `log_odds` each; and the `chosen`
    one of them, None if no stage meets the target.
  """
  training = config.trainings[name]
  if not training.target:
    return None
  asked = {
    "target": list(training.target),
    "families": list(config.families),
    "steps": list(training.stages),
  }
  path = workdir / name / "stages.json"
  if path.exists():
    found = json_files.read_json(path)
    if {key: found[key] for key in asked} == asked:
      return found
  logging.info("%s: measuring %d stages", name, len(training.stages))
  stages = [
    _measure_stage(workdir / name, config.families, step)
    for step in training.stages
  ]
  chosen = convention_stages.choose_stage(stages, Target(*training.target))
  if chosen is None:
    logging.warning(
      "%s: no stage has a loss by either convention of %g +- %g nats; the lowest"
      " is %.2f. It is left out.",
      *(name, *training.target, min(stage.loss for stage in stages)),
    )
  found = asked | {
    "units": "nats per question of development, mean of families",
    "stages": [dataclasses.asdict(stage) for stage in stages],
    "chosen": chosen and dataclasses.asdict(chosen),
  }
  json_files.write_json(path, found)
  return found


def _measure_stage(
  folder: pathlib.Path, names: Sequence[str], step: int
) -> Stage:
  model = hub.load(str(stage_path(folder / "pretrain", step)))
  return convention_stages.measure_stage(model, names, step)
