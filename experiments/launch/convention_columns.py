"""Bases of conventions, and their regimes by one rule."""

import collections
import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import ml_collections
import numpy as np
from absl import logging

from configs import conventions as keys
from experiments.launch import config_checks, measuring, specs
from experiments.launch.config_checks import Range
from experiments.launch.specs import MeasureSpec
from thickets.analysis import measurement, neighbourhood, vote_comparisons
from thickets.analysis.measurement import Measurement, TaskScores
from thickets.analysis.neighbourhood import Analysis, Settings
from thickets.analysis.vote_comparisons import TaskVotes
from thickets.errors import UserError
from thickets.generation.specs import ModelSpec
from thickets.models import byte_tokenizer, sources
from thickets.tasks.conventions import convention_tasks, families

_PROBE = families.find_family("dates").ask("7 May 84")


@dataclasses.dataclass(frozen=True)
class ColumnSpec:
  """One base, and what is measured around it.

  Attributes:
    name: name of the column, and of its folder.
    title: what the figure says of the base.
    measure: the measurement.
  """

  name: str
  title: str
  measure: MeasureSpec


@dataclasses.dataclass(frozen=True)
class Column:
  """What was found around one base.

  Attributes:
    title: what the figure says of the base.
    measured: the records.
    analysis: density, diversity, and the regime of each task.
    votes: by sigma and task, who is right on the prompts that judge.
  """

  title: str
  measured: Measurement
  analysis: Analysis
  votes: Mapping[float, Mapping[str, TaskVotes]]

  def describe(self) -> dict[str, Any]:
    """As JSON values, keyed by sigma as text."""
    return {
      "title": self.title,
      "base": self.measured.base_identity,
      "num_members": len(self.measured.members),
      "num_tasks_by_regime": collections.Counter(
        call.regime for call in self.analysis.regimes.values()
      ),
      "regimes": {
        task: call.to_json() for task, call in self.analysis.regimes.items()
      },
      "votes": {
        f"{sigma:g}": {
          "mean of tasks": vote_comparisons.pool_tasks(votes).describe(),
          "tasks": {task: found.describe() for task, found in votes.items()},
        }
        for sigma, votes in self.votes.items()
      },
    }


def read_columns(config: ml_collections.ConfigDict) -> list[ColumnSpec]:
  """Checks a config, and turns each column into a measurement.

  Raises:
    UserError: with everything that is wrong, before any device work.
  """
  reference = keys.get_config()
  with reference.unlocked():  # Columns are what users choose, all of one form.
    form = reference.columns.hidden
    reference.columns = ml_collections.ConfigDict()
  config_checks.refuse(
    [
      *config_checks.check_keys(config, reference),
      *(
        problem
        for name, column in config.columns.items()
        for problem in config_checks.check_keys(
          column, form, f"columns.{name}."
        )
      ),
    ]
  )
  config_checks.refuse(_find_problems(config))
  return [
    ColumnSpec(
      name,
      column.title,
      make_measure(
        config.measure,
        config,
        model=column.model,
        stated=column.stated,
        sigmas=column.sigmas,
      ),
    )
    for name, column in config.columns.items()
  ]


def check_vocabularies(models: Mapping[str, ModelSpec]) -> None:
  """Refuses bases whose tokenizer is not the one of conventions.

  Args:
    models: the bases, by the key of the config that names each.

  Raises:
    UserError: that names the key and how many tokens its base has.
  """
  known = byte_tokenizer.make_tokenizer()
  for key, model in models.items():
    tokenizer = sources.find(model.name, model.revision).load_tokenizer()
    if tokenizer is None or tokenizer.encode(_PROBE) != known.encode(_PROBE):
      size = "none" if tokenizer is None else f"{len(tokenizer)} tokens"
      raise UserError(
        f"{key} must have the vocabulary of the models of conventions,"
        f" {len(known)} tokens, one for each byte, got {model.name} with {size}."
        " Name a model that experiments.pretrain made with"
        " configs/pretrain_conventions.py."
      )


def run_column(
  column: ColumnSpec, settings: Settings, k: int, folder: pathlib.Path
) -> Column:
  """Measures the neighbourhood of one base, as far as it is not done, and reads it.

  Args:
    column: the base, and what is measured.
    settings: what is estimated.
    k: number of members that vote.
    folder: folder of the measurement.
  """
  if not (folder / "results.json").exists():
    logging.info("%s: %s", column.name, column.title)
  measuring.run(column.measure, str(folder))
  measured = measurement.read_measurement(folder)
  samples = measurement.read_samples(folder)
  votes: dict[float, dict[str, TaskVotes]] = {}
  for sigma in np.unique(measured.sigmas).tolist():
    votes[sigma] = {
      name: vote_comparisons.measure_task_votes(
        _take_sigma(measured, task, sigma),
        k,
        samples[name][1] if name in samples else None,
        other=_find_other(measured, name, sigma),
      )
      for name, task in measured.tasks.items()
    }
  analysis = neighbourhood.analyse(measured, settings)
  return Column(column.title, measured, analysis, votes)


def _find_other(
  measured: Measurement, name: str, sigma: float
) -> TaskScores | None:
  """The task of the other convention, where its questions are the same."""
  prefix, family, convention, *words = name.split("/")
  if convention_tasks.STATED in words:
    return None
  (other,) = {*families.find_family(family).conventions} - {convention}
  task = measured.tasks["/".join([prefix, family, other, *words])]
  return _take_sigma(measured, task, sigma)


def make_settings(
  config: ml_collections.ConfigDict, column: ColumnSpec
) -> Settings:
  """What is estimated of the measurement of a column."""
  population = column.measure.population
  per_sigma = population.size / len(population.sigmas)
  return Settings(
    margins=tuple(config.margins),
    top_share=config.top_k / per_sigma,
    num_resamples=config.resamples,
    clusters=False,
  )


def _take_sigma(
  measured: Measurement, task: TaskScores, sigma: float
) -> TaskScores:
  rows = np.flatnonzero(measured.sigmas == sigma).tolist()
  return dataclasses.replace(task, members=task.members.take(rows))


def _find_problems(config: ml_collections.ConfigDict) -> list[str]:
  sigmas = [f"columns.{name}.sigmas" for name in config.columns]
  most_sigmas = max(
    (len(column.sigmas) for column in config.columns.values()), default=1
  )
  most = config.measure.population.size // max(1, most_sigmas)
  problems = [
    *config_checks.check_ranges(
      config,
      {
        "top_k": Range(1, most, "members of one sigma"),
        "margins": Range(0, 1),
        "resamples": Range(1),
        "measure.tasks.num_dev": Range(2),
      },
    ),
    *config_checks.check_not_empty(
      config,
      (
        *("columns", "families", "margins"),
        "measure.consistency.temperatures",
        *sigmas,
      ),
    ),
  ]
  problems += check_filled_in(config, "columns")
  for name in config.families:
    problems += config_checks.collect(
      lambda _, name=name: families.find_family(name), config
    )
  return problems


def check_filled_in(config: ml_collections.ConfigDict, giver: str) -> list[str]:
  """Refuses what a measurement of conventions would not look at.

  Args:
    config: with the section `measure`.
    giver: key of what each measurement has of its own, such as "columns".
  """
  return [
    f"measure.{name} must be left empty, since {giver} it, got"
    f" {tuple(values)}. Set {giver.split()[0]} instead."
    for name, values, giver in (
      (
        "population.sigmas",
        config.measure.population.sigmas,
        f"{giver}.NAME.sigmas gives",
      ),
      ("tasks.names", config.measure.tasks.names, "families gives"),
    )
    if values
  ]


def make_measure(
  settings: ml_collections.ConfigDict,
  config: ml_collections.ConfigDict,
  *,
  model: str,
  stated: bool,
  sigmas: Sequence[float],
) -> MeasureSpec:
  """Fills in model, sigmas and tasks, two for each family of the config.

  Args:
    settings: a config of `experiments.measure`.
    config: what is compared: `families`, `development`, and `top_k`, the number of
      samples where there is a temperature.
    model: name of the base.
    stated: whether the questions state the convention.
    sigmas: the sigmas of the members.
  """
  words = [convention_tasks.STATED] * stated
  words += [convention_tasks.DEVELOPMENT] * config.development
  settings = settings.copy_and_resolve_references()
  with settings.unlocked():
    settings.model.name = model
    settings.population.sigmas = tuple(sigmas)
    has_samples = bool(settings.consistency.temperatures)
    settings.consistency.samples = config.top_k if has_samples else 0
    settings.tasks.names = tuple(
      "/".join([f"{convention_tasks.TASK_PREFIX}{family}", convention, *words])
      for family in config.families
      for convention in families.find_family(family).conventions
    )
  return specs.read_measure(settings)
