"""One measurement of a neighbourhood: what measure and ladder both run."""

import dataclasses

import jax
import numpy as np
from jaxtyping import Float

from experiments.launch import chat_dates
from experiments.launch.specs import MeasureSpec
from thickets.analysis import landscape, measurement, planes
from thickets.generation import subject as subject_lib
from thickets.generation import task_groups
from thickets.generation.self_consistency import SelfConsistency
from thickets.generation.task_groups import TaskGroup
from thickets.models import hub, transformer
from thickets.runs import directory
from thickets.runs.clock import Clock
from thickets.runs.directory import Run
from thickets.runs.json_files import JsonObject
from thickets.runs.split_labels import SLICE, Split
from thickets.search import engine, projection, randopt
from thickets.search.population import PopulationSpec
from thickets.search.randopt import Evaluation, Search
from thickets.search.teams import Team


def run(spec: MeasureSpec, workdir: str) -> JsonObject:
  """Runs or resumes one measurement; returns the contents of results.json."""
  clock = Clock()
  directory.check_config(workdir, spec.config)  # Before anything is loaded.
  model = subject_lib.load_model(spec.model, spec.answering.compute)
  subjects = task_groups.load_subjects(
    model, spec.tasks, spec.answering, today=chat_dates.find_today(workdir)
  )
  spec = dataclasses.replace(
    spec, population=subjects[0].settle_population(spec.population)
  )
  ratio = _relative_norm(spec, model)
  # All that can fail at once does so before the run directory begins.
  with task_groups.start_groups(subjects, spec.population.kind) as groups:
    for group in groups:
      group.check_memory()
    with directory.open_run(workdir, spec.config) as run:
      clock.lap("loading_s")
      largest = max(groups, key=lambda group: group.num_tokens)
      search = randopt.start_search(
        run,
        subjects[0].base,
        _scale_sigmas(spec, ratio),
        first=_evaluation(largest, "select"),
        task=task_groups.describe_groups(groups, spec.population.kind),
      )
      for group in groups:
        for split in group.batches:
          randopt.score_members(search, _evaluation(group, split))
      clock.lap("population_s")
      if spec.samples:
        for group in groups:
          _sample_base(spec, run, group)
        clock.lap("consistency_s")
      if spec.slice.resolution:
        _evaluate_slice(spec, search, groups)
        clock.lap("slice_s")
      if spec.project:
        _project(spec, search, largest.evaluator.team)
        clock.lap("projection_s")
      compile_s = sum(group.evaluator.compile_s for group in groups)
    results = summarise(run, model, ratio)
    return randopt.finish_run(run, results, clock, compile_s)


def summarise(run: Run, model: hub.Model, ratio: float) -> JsonObject:
  """What base and members reached, from the log.

  Args:
    run: the open run directory.
    model: the base.
    ratio: the relative norm of noise with a standard deviation of 1.
  """
  measured = measurement.read_measurement(run.workdir)
  levels = sorted(set(measured.sigmas.tolist()))
  tasks = {}
  for name, task in measured.tasks.items():
    means = task.scores.mean(axis=1)
    tasks[name] = {
      "num_prompts": task.scores.shape[1],
      "base": float(task.base_scores.mean()),
      "by_sigma": [
        _describe_level(sigma, means[measured.sigmas == sigma])
        for sigma in levels
      ],
    }
  return {
    "units": "mean scores over the prompts of select and dev",
    "num_members": len(measured.members),
    "num_weights": sum(leaf.size for leaf in jax.tree.leaves(model.params)),
    "relative_norms": {repr(sigma): sigma * ratio for sigma in levels},
    "tasks": tasks,
  }


def format_results(results: JsonObject) -> str:
  """The results as a table for the console."""
  lines = [f"{'task':28s}{'base':>7s}   members' mean and best by sigma"]
  for name, task in results["tasks"].items():
    levels = "   ".join(
      f"{level['sigma']:g}: {level['mean']:.3f} {level['best']:.3f}"
      for level in task["by_sigma"]
      if level["mean"] is not None
    )
    lines.append(f"{name:28s}{task['base']:7.3f}   {levels}")
  return "\n".join(lines)


def _evaluation(group: TaskGroup, split: str) -> Evaluation:
  """One split of a group's prompts, under its name in the log."""
  return Evaluation(
    Split(split, group.number).label,
    group.evaluator,
    group.batches[split],
    why_not_finite=group.subjects[0].why_not_finite,
  )


def _describe_level(sigma: float, means: Float[np.ndarray, " P"]) -> JsonObject:
  finite = means[np.isfinite(means)]
  return {
    "sigma": sigma,
    "num_members": len(means),
    "num_failed": len(means) - len(finite),
    "mean": float(finite.mean()) if len(finite) else None,
    "best": float(finite.max()) if len(finite) else None,
  }


def _relative_norm(spec: MeasureSpec, model: hub.Model) -> float:
  """The relative norm of noise with a standard deviation of 1."""
  return projection.relative_norm(
    model.params,
    1.0,
    kind=spec.population.kind,
    names=transformer.tensor_names(model.params),
  )


def _scale_sigmas(spec: MeasureSpec, ratio: float) -> PopulationSpec:
  """The population with its sigmas in the weights' own units."""
  if spec.unit == "absolute":
    return spec.population
  # Few digits, so that they can be typed.
  sigmas = tuple(
    float(f"{sigma / ratio:.4g}") for sigma in spec.population.sigmas
  )
  return dataclasses.replace(spec.population, sigmas=sigmas)


def _project(spec: MeasureSpec, search: Search, team: Team) -> None:
  """Members on a random plane; from shapes and seeds, so any team can."""
  if team.number:
    return
  found = projection.project_members(
    search.base.params,
    search.members,
    seed=spec.seed,
    kind=search.kind,
    names=search.base.names,
  )
  if not team.is_led_here:
    return
  search.run.save_json(
    planes.PROJECTION,
    {
      "units": "of the weights; axes are orthonormal directions",
      "seed": found.seed,
      "num_weights": found.num_weights,
      "coordinates": found.coordinates.tolist(),
      "norms": found.norms.tolist(),
    },
  )


def _sample_base(spec: MeasureSpec, run: Run, group: TaskGroup) -> None:
  """Samples the base on dev, at a temperature that select chooses."""
  subject = group.subjects[0]
  consistency = SelfConsistency(
    subject_lib.make_sampler(
      subject, group.grading, spec.consistency, spec.seed
    ),
    run,
    subject.model.params,
    group.batches,
    group.number,
  )
  temperature, _ = consistency.choose_temperature(
    spec.consistency.temperatures, spec.samples, split="select"
  )
  assert temperature is not None  # The spec has one at least.
  if "dev" in group.batches:
    consistency.sample("dev", temperature, spec.samples)


def _evaluate_slice(
  spec: MeasureSpec, search: Search, groups: list[TaskGroup]
) -> None:
  """Evaluates a grid that the noise of the first two members spans."""
  seed_x, seed_y = (member.terms[0][0] for member in search.members[:2])
  members, _ = landscape.slice_members(
    seed_x, seed_y, spec.slice.extent, spec.slice.resolution
  )
  for group in groups:
    engine.evaluate_members(
      search.run,
      group.evaluator,
      search.base.params,
      members,
      group.batches["select"],
      split=Split(SLICE, group.number).label,
      width=min(search.width, len(members)),
    )
