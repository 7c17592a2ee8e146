"""Trainings on conventions that are repeated and varied, and their measurements."""

import dataclasses
import pathlib
from collections.abc import Iterator

import ml_collections
from absl import logging

from configs import convention_study as keys
from experiments.launch import (
  chosen_stages,
  config_checks,
  convention_columns,
  measuring,
  pretraining,
)
from experiments.launch.config_checks import Range
from experiments.launch.specs import MeasureSpec
from thickets.analysis import measurement, paired_tasks
from thickets.analysis.neighbourhood import Settings
from thickets.generation import preferences
from thickets.generation.preferences import Preference
from thickets.models import hub
from thickets.runs import directory, json_files
from thickets.runs.json_files import JsonObject
from thickets.runs.run_config import RunConfig
from thickets.tasks.conventions import families, parts
from thickets.training import convention_stages
from thickets.training.pretraining import stage_path
from thickets.training.pretraining_spec import PretrainingSpec

_NUM_QUESTIONS = 100  # Log-odds are measured on so many of a family.


@dataclasses.dataclass(frozen=True)
class StudyRun:
  """One measurement of a study.

  Attributes:
    training: name of the training.
    step: number of steps that its model has taken.
    population: seed of members and prompts.
    measure: the measurement.
    stated: whether the questions state the convention.
    stage: what chose the stage, as `Stage` in `training.convention_stages`; None
      where the config names it.
  """

  training: str
  step: int
  population: int
  measure: MeasureSpec
  stated: bool
  stage: JsonObject | None = None

  @property
  def place(self) -> str:
    """Folder of the measurement, below that of the study."""
    return f"{self.training}/measure/{self.step:06d}-{self.population}"


def read_trainings(
  config: ml_collections.ConfigDict,
) -> dict[str, PretrainingSpec | None]:
  """Checks the config of a study, and makes the trainings that it needs.

  Returns:
    The pretraining by its name; None where a model stands in its place.

  Raises:
    UserError: with everything that is wrong, before any device work.
  """
  reference = keys.get_config()
  with (
    reference.unlocked()
  ):  # Trainings are what users choose, all of one form.
    reference.trainings = ml_collections.ConfigDict()
  form = ml_collections.ConfigDict(keys.make_training("", 0))
  config_checks.refuse(
    [
      *config_checks.check_keys(config, reference),
      *(
        problem
        for name, training in config.trainings.items()
        for problem in config_checks.check_keys(
          training, form, f"trainings.{name}."
        )
      ),
    ]
  )
  config_checks.refuse(_find_problems(config))
  return {
    name: None
    if training.model
    else pretraining.make_spec(make_pretrain(config, name))
    for name, training in config.trainings.items()
  }


def _find_problems(config: ml_collections.ConfigDict) -> list[str]:
  problems = [
    *config_checks.check_not_empty(config, ("trainings", "families")),
    *config_checks.check_ranges(
      config,
      {
        "top_k": Range(
          1, config.measure.population.size, "measure.population.size"
        ),
        "margins": Range(0, 1),
        "resamples": Range(1),
      },
    ),
  ]
  problems += convention_columns.check_filled_in(config, "trainings")
  for name in config.families:
    problems += config_checks.collect(
      lambda _, name=name: families.find_family(name), config
    )
  for name, training in config.trainings.items():
    where = f"trainings.{name}"
    problems += config_checks.check_not_empty(
      config, [f"{where}.{key}" for key in ("populations", "sigmas")]
    )
    problems += chosen_stages.find_problems(training, where)
    if not training.model:
      problems += [
        f"{where}.measured must be among {where}.stages,"
        f" {tuple(training.stages)}, got {step}."
        for step in training.measured
        if step not in training.stages
      ]
  return problems


def make_pretrain(
  config: ml_collections.ConfigDict, name: str
) -> ml_collections.ConfigDict:
  """The config of one training, as `experiments.pretrain` takes it."""
  training = config.trainings[name]
  settings = config.pretrain.copy_and_resolve_references()
  with settings.unlocked():
    settings.seed = training.seed
    for section, names in (
      ("corpus", ("tilt", "stated_frac", "length")),
      ("model", ("width", "mlp_width", "num_layers")),
      ("optimizer", ("learning_rate",)),
      ("schedule", ("num_steps",)),
    ):
      for key in names:
        settings[section][key] = training[key]
    settings.schedule.stages = tuple(training.stages)
    settings.dev.every = training.num_steps
  return settings


def train(
  config: ml_collections.ConfigDict,
  name: str,
  spec: PretrainingSpec,
  workdir: pathlib.Path,
) -> None:
  """Trains as far as it is not done.

  Raises:
    UserError: if the folder holds a training by another config.
  """
  folder = workdir / name / "pretrain"
  fields = config_checks.to_json(make_pretrain(config, name))
  if (folder / "results.json").exists():
    RunConfig(fields).check(folder)
    return
  logging.info("%s: training", name)
  pretraining.run_pretraining(spec, fields, folder)


def list_runs(
  config: ml_collections.ConfigDict,
  name: str,
  workdir: pathlib.Path,
  chosen: JsonObject | None = None,
) -> Iterator[StudyRun]:
  """Yields the measurements of one training.

  Args:
    config: the study.
    name: name of the training.
    workdir: folder of the study.
    chosen: what `chosen_stages.choose_stage` returned.

  Raises:
    UserError: if one of them is not possible.
  """
  training = config.trainings[name]
  steps, stage = tuple(training.measured), None
  if chosen is not None:
    stage = chosen["chosen"]
    steps = (stage["step"],) if stage else ()
  for step in steps:
    model = training.model or str(stage_path(workdir / name / "pretrain", step))
    is_last = step == steps[-1]
    for population in training.populations[: None if is_last else 1]:
      settings = config.measure.copy_and_resolve_references()
      with settings.unlocked():
        settings.seed = population
        settings.population.size *= len(training.sigmas)
        settings.population.design = "balanced"
      yield StudyRun(
        name,
        step,
        population,
        convention_columns.make_measure(
          settings,
          config,
          model=model,
          stated=training.stated,
          sigmas=training.sigmas,
        ),
        training.stated,
        stage,
      )


def run_one(
  config: ml_collections.ConfigDict, run: StudyRun, workdir: pathlib.Path
) -> JsonObject:
  """Measures one neighbourhood and summarises it, as far as that is not done.

  Returns:
    What `paired_tasks.summarise` says, and where it belongs.

  Raises:
    UserError: if the folder holds a measurement of something else.
  """
  folder = workdir / run.place
  directory.check_config(str(folder), run.measure.config)
  training = config.trainings[run.training]
  asked = config_checks.to_json(config)
  wanted = {
    key: asked[key] for key in ("top_k", "margins", "resamples", "predict")
  }
  path = folder / "summary.json"
  stage = {} if run.stage is None else {"stage": run.stage}
  if path.exists():
    found = json_files.read_json(path)
    if found["settings"] == wanted:
      # Another variant may have measured the same for a group of its own.
      named = {"training": run.training, "group": training.group}
      return {**found, **named, **stage}
  logging.info("%s", run.place)
  measured = measuring.run(run.measure, str(folder))
  summary = {
    "settings": wanted,
    "training": run.training,
    "group": training.group,
    "seed": training.seed,
    "step": run.step,
    "population": run.population,
    "num_weights": measured["num_weights"],
    "relative_norms": {
      f"{float(sigma):g}": norm
      for sigma, norm in measured["relative_norms"].items()
    },
    **_summarise(config, run, folder),
  }
  if config.predict and not run.stated:
    found = _measure_preferences(config, run)
    summary["preferences"] = {
      family: dataclasses.asdict(one) for family, one in found.items()
    }
    summary["predicted"] = {
      family: {
        f"{float(sigma):g}": one.predict_share(float(sigma))
        for sigma in measured["relative_norms"]
      }
      for family, one in found.items()
    }
  json_files.write_json(path, summary)
  return {**summary, **stage}


def _summarise(
  config: ml_collections.ConfigDict, run: StudyRun, folder: pathlib.Path
) -> JsonObject:
  names = [task.name for task in run.measure.tasks]
  return paired_tasks.summarise(
    measurement.read_measurement(folder),
    {
      name: answers
      for name, (_, answers) in measurement.read_samples(folder).items()
    },
    list(zip(names[::2], names[1::2], strict=True)),
    k=config.top_k,
    settings=Settings(
      margins=tuple(config.margins),
      top_share=config.top_k / config.measure.population.size,
      num_resamples=config.resamples,
      clusters=False,
    ),
    same_questions=not run.stated,
  )


def _measure_preferences(
  config: ml_collections.ConfigDict, run: StudyRun
) -> dict[str, Preference]:
  """Log-odds of a family's first convention and their gradient, by family."""
  model = hub.load(run.measure.model.name)
  found = {}
  part = parts.DEVELOPMENT if config.development else parts.TASKS
  for name in config.families:
    found[name] = preferences.measure_preference(
      model.config,
      model.params,
      *convention_stages.encode_pairs(
        model.tokenizer, name, part, _NUM_QUESTIONS, run.population
      ),
      kind=run.measure.population.kind,
    )
  return found
