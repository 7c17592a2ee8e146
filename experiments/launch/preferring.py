"""Log-odds of base and members on one task of two words, and their gradient."""

import dataclasses
import datetime

import jax
import numpy as np
from absl import logging
from ml_collections import ConfigDict

from configs import preferences as keys
from experiments.launch import chat_dates, sections
from experiments.launch.config_checks import (
  Range,
  check_choices,
  check_keys,
  check_not_empty,
  check_ranges,
  collect,
  refuse,
  to_json,
)
from thickets.analysis import choice_predictions
from thickets.errors import UserError
from thickets.generation import choices, preferences, prompts, towers
from thickets.generation import subject as subject_lib
from thickets.generation.choices import Choices, ChoiceSpec
from thickets.generation.specs import DTYPES, ComputeSpec, ModelSpec, TaskSpec
from thickets.models import hub, transformer
from thickets.runs import directory, packed_arrays
from thickets.runs.directory import BASE_POSITION, Run
from thickets.runs.json_files import JsonObject
from thickets.runs.run_config import RunConfig
from thickets.search import projection, randopt, traced
from thickets.search.population import DESIGNS, PopulationSpec
from thickets.search.randopt import Base, Evaluation, Search
from thickets.tasks.splits import Sizes

_SPLIT = "select"
_DIGITS = 4  # Log-odds in float32 are not as fine as that.


@dataclasses.dataclass(frozen=True)
class PreferencesSpec:
  """What a measurement of log-odds is asked to do.

  Attributes:
    config: the configuration as the run directory keeps it.
    model: which model is the base.
    task: what it is asked.
    choice: between which words it chooses.
    population: which members there are.
  """

  config: RunConfig
  model: ModelSpec
  task: TaskSpec
  choice: ChoiceSpec
  population: PopulationSpec


def read_preferences(config: ConfigDict) -> PreferencesSpec:
  """Checks a config of `experiments.preferences`, and turns it into specs.

  Raises:
    UserError: with everything that is wrong, before any device work.
  """
  refuse(check_keys(config, keys.get_config()))
  problems = [
    *check_ranges(
      config,
      {
        "seed": Range(0, 2**32 - 1),
        "task.num_prompts": Range(2),
        "population.size": Range(2 * len(config.population.sigmas), 2**32),
        "population.chunk": Range(0),
      },
    ),
    *check_choices(
      config, {"model.dtype": DTYPES, "population.design": DESIGNS}
    ),
    *check_not_empty(config, ("population.sigmas", "population.include")),
    *collect(_read_choice, config),
    *collect(sections.read_population, config),
    *collect(lambda of: sections.read_chat(of.task), config),
  ]
  if not all(sigma > 0 for sigma in config.population.sigmas):
    problems.append(
      "population.sigmas must be above 0, or nothing is predicted, got"
      f" {tuple(config.population.sigmas)}."
    )
  refuse(problems)
  return PreferencesSpec(
    RunConfig(to_json(config), extendable=("population.size",)),
    sections.read_model(config),
    TaskSpec(
      config.task.name,
      # One of `judge` is set aside and asked by nobody; 0 would be the rest.
      Sizes(config.task.num_prompts, 0, 1),
      seed=config.seed,
      chat=sections.read_chat(config.task),
    ),
    _read_choice(config),
    sections.read_population(config),
  )


def _read_choice(config: ConfigDict) -> ChoiceSpec:
  return ChoiceSpec(tuple(config.task.answers), config.task.begin)


def run(spec: PreferencesSpec, workdir: str) -> JsonObject:
  """Runs or resumes one measurement; returns the contents of preferences.json."""
  directory.check_config(workdir, spec.config)  # Before anything is loaded.
  model = subject_lib.load_model(spec.model, ComputeSpec())
  towers.refuse_tower(model, "experiments.preferences")
  choice, task, groups = _load_prompts(
    spec, model, chat_dates.find_today(workdir)
  )
  names = transformer.tensor_names(model.params)
  kind = spec.population.kind
  evaluation = Evaluation(
    _SPLIT,
    traced.traced(choices.make_log_odds(model.config), kind=kind, names=names),
    choice.make_batch(),
  )
  base = Base(
    model.params,
    precision=randopt.describe_precision(model.dtype.name),
    names=names,
    identity=model.identity,
  )
  with directory.open_run(workdir, spec.config) as run:
    search = randopt.start_search(
      run, base, spec.population, first=evaluation, task=task
    )
    randopt.score_members(search, evaluation)
    ratio = projection.relative_norm(model.params, 1.0, kind=kind, names=names)
    found = {
      "units": "log-odds of the right word and norms of their gradient, in nats",
      "model": spec.model.name,
      "num_weights": sum(leaf.size for leaf in jax.tree.leaves(model.params)),
      "task": spec.task.name,
      "answers": list(spec.choice.answers),
      "begin": spec.choice.begin,
      "groups": groups,
      **_list_log_odds(run, search),
      "relative_norms": {
        f"{sigma:g}": sigma * ratio for sigma in spec.population.sigmas
      },
      "gradient_norms": _find_norms(run, spec, model, choice),
    }
    run.save_json(choice_predictions.FILE, found)
  return found


def _load_prompts(
  spec: PreferencesSpec, model: hub.Model, today: datetime.date | None
) -> tuple[Choices, JsonObject, list[str] | None]:
  """The texts, what their scores mean, and the group of each prompt."""
  task, loaded = subject_lib.load_examples(spec.task)
  owner = f"{model.source}, task {spec.task.name}"
  chat = prompts.settle_chat(
    model.tokenizer, loaded.select, spec.task.chat, today=today, owner=owner
  )
  rendered = prompts.render_examples(
    model.tokenizer, loaded.select, chat, owner=owner
  )
  choice = choices.make_choices(
    model.tokenizer,
    [prompt.tokens for prompt in rendered],
    [example.reference for example in loaded.select],
    spec.choice,
  )
  described = {
    "name": spec.task.name,
    "version": task.version,
    "score": "log-odds of the right word by its first token, in nats",
    "data": {_SPLIT: loaded.origin[_SPLIT]},
    "prompts": {_SPLIT: packed_arrays.hash_arrays(choice.make_batch())},
    **chat.describe(),
  }
  return choice, described, loaded.groups(_SPLIT)


def _list_log_odds(run: Run, search: Search) -> JsonObject:
  """Log-odds of the base, and of the members by sigma, prompt by prompt.

  A member whose log-odds are not all finite has failed: it is left out, and counted.
  """
  members: dict[str, list[list[float]]] = {
    f"{sigma:g}": [] for sigma in sorted({m.sigma for m in search.members})
  }
  num_failed = dict.fromkeys(members, 0)
  for position, member in sorted(
    enumerate(search.members), key=lambda pair: pair[1].sigma
  ):
    scores = run.channels(_SPLIT, position)["score"]
    sigma = f"{member.sigma:g}"
    if np.isfinite(scores).all():
      members[sigma].append(_round(scores))
    else:
      num_failed[sigma] += 1
  for sigma, kept in members.items():
    if num_failed[sigma]:
      logging.warning(
        "%d members of sigma %s have log-odds that are not finite: left out",
        *(num_failed[sigma], sigma),
      )
    if len(kept) < 2:
      raise UserError(
        f"At least two members of each sigma must have finite log-odds, got"
        f" {len(kept)} of sigma {sigma}, where {num_failed[sigma]} failed. Lower"
        " population.sigmas in a new directory."
      )
  return {
    "base": _round(run.channels(_SPLIT, BASE_POSITION)["score"]),
    "members": members,
    "num_failed": num_failed,
  }


def _round(scores: np.ndarray) -> list[float]:
  return scores.astype(np.float64).round(_DIGITS).tolist()


def _find_norms(
  run: Run, spec: PreferencesSpec, model: hub.Model, choice: Choices
) -> list[float]:
  """The norms of the gradients; they do not change with more members."""
  if (run.workdir / choice_predictions.FILE).exists():
    found = choice_predictions.read_preferences(run.workdir)
    return found["gradient_norms"]
  return _measure_norms(spec, model, choice)


def _measure_norms(
  spec: PreferencesSpec, model: hub.Model, choice: Choices
) -> list[float]:
  """The norm of the gradient of each prompt's log-odds, one prompt at a time."""
  norms = []
  for text, (right, wrong) in zip(choice.texts, choice.answers, strict=True):
    found = preferences.measure_preference(
      model.config,
      model.params,
      [text],
      [((right,), (wrong,))],
      kind=spec.population.kind,
      width=choice.width + 1,
    )
    norms.append(float(f"{found.gradient_norm:.6g}"))
    logging.info("gradients %d/%d", len(norms), len(choice.texts))
  return norms
