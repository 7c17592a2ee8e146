"""Measures a population around one base on several tasks.

    python -m experiments.measure --config=configs/measure.py --workdir=DIR

All members answer the prompts of `select` and `dev` of every task, and so do, if
asked for, the members of a two-dimensional slice. What follows from the records
is computed by `experiments.density`, `landscape`, `scaling` and `report`. The
same command resumes a run that was stopped.
"""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import ml_collections
import numpy as np

from configs import measure as reference
from configs import randopt as all_keys
from experiments import launch
from experiments.launch import language
from experiments.launch.language import Subject
from thickets.analysis import landscape, measurement, planes
from thickets.analysis.measurement import name_split
from thickets.generation.decode_step import NO_TOKEN
from thickets.models import transformer
from thickets.runs import directory
from thickets.search import engine, population, projection, randopt
from thickets.search.population import PopulationSpec

UNITS = ("absolute", "relative")
_SPLITS = ("select", "dev")
_EXTENDABLE = (
  "population.size",
  # What is measured beside the population, and can be added to it later.
  "project",
  "slice.resolution",
  "slice.extent",
  *(
    f"compute.{name}"
    for name in ("devices_per_member", "lanes", "rows", "num_workers")
  ),
)


def main(_) -> None:
  """Reads the flags, runs, and prints what base and members reached."""
  with launch.ending_well():
    config = launch.read_config()
    validate(config)
    launch.start_devices()
    results = run(config, launch.WORKDIR.value)
    print(format_results(results))
    print(
      f"The records are in {launch.WORKDIR.value}. Next: experiments.density"
      f" {launch.WORKDIR.value}, likewise landscape, budgets and report."
    )


def validate(config: ml_collections.ConfigDict) -> None:
  """Raises one UserError with everything wrong, before any device work."""
  launch.refuse(launch.check_keys(config, reference.get_config()))
  problems = [
    *launch.check_ranges(
      config,
      {
        "seed": (0, 2**32 - 1),
        "tasks.num_select": (1, None),
        "tasks.num_dev": (0, None),
        "population.size": (2, 2**32),
        "population.sigmas": (0, None),
        "population.chunk": (0, None),
        "slice.resolution": (0, None),
        "slice.extent": (0, None),
        "decoding.max_new_tokens": (0, None),
        "compute.devices_per_member": (1, None),
        "compute.lanes": (0, None),
        "compute.rows": (0, None),
        "compute.num_workers": (0, None),
      },
    ),
    *launch.check_choices(
      config,
      {
        "model.dtype": language.DTYPES,
        "population.design": population.DESIGNS,
        "population.unit": UNITS,
      },
    ),
    *launch.check_not_empty(
      config, ("tasks.names", "population.sigmas", "population.include")
    ),
  ]
  if len(set(config.tasks.names)) < len(config.tasks.names):
    problems.append(f"tasks.names must differ, got {config.tasks.names}.")
  resolution = config.slice.resolution
  if resolution > 0 and (resolution < 3 or resolution % 2 == 0):
    # Now, and not after hours of members.
    problems.append(
      "slice.resolution must be 0 for none, or an odd number of at least 3, so"
      f" that the base is in the middle, got {resolution}."
    )
  if resolution and not config.slice.extent:
    problems.append("slice.extent must be above 0, got 0.")
  launch.refuse(problems)


def run(config: ml_collections.ConfigDict, workdir: str) -> dict[str, Any]:
  """Runs or resumes one measurement; returns the contents of results.json."""
  clock = launch.Clock()
  fields = launch.to_json(config)
  directory.check_config(workdir, fields, _EXTENDABLE)
  model = language.load_model(config)
  subjects = _load_subjects(config, model)
  with directory.Run(workdir, fields, extendable=_EXTENDABLE) as folder:
    clock.lap("loading_s")
    with _start_groups(config, subjects) as groups:
      found = _start_search(config, folder, subjects, groups)
      for group in groups:
        for split, batch in group.batches.items():
          found.evaluate(
            group.evaluator, batch, split=name_split(split, group.number)
          )
      clock.lap("population_s")
      if config.slice.resolution:
        _evaluate_slice(config, folder, found, groups)
        clock.lap("slice_s")
      if config.project:
        _project(config, folder, found.members, model)
        clock.lap("projection_s")
      compile_s = sum(group.evaluator.compile_s for group in groups)
    results = summarise(config, folder.workdir, model)
    if jax.process_index() == 0:
      timing = clock.timing | {"compile_s": compile_s}
      folder.save_json("results.json", results | {"timing": timing})
  return results


def summarise(config, workdir, model) -> dict[str, Any]:
  """What base and members reached, from the log."""
  measured = measurement.read_measurement(workdir)
  levels = sorted(set(measured.sigmas.tolist()))
  ratio = _relative_norm(config, model)
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


def format_results(results: dict[str, Any]) -> str:
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


def _describe_level(sigma, means) -> dict[str, Any]:
  finite = means[np.isfinite(means)]
  return {
    "sigma": sigma,
    "num_members": len(means),
    "num_failed": len(means) - len(finite),
    "mean": float(finite.mean()) if len(finite) else None,
    "best": float(finite.max()) if len(finite) else None,
  }


def _load_subjects(config, model) -> list[Subject]:
  """One subject for each task; the indices of their examples do not overlap."""
  subjects, start = [], 0
  for name in config.tasks.names:
    part = _task_config(config, name)
    subject = language.make_subject(
      part, *language.load_task(part), model, start=start
    )
    start += len(subject.splits.examples)
    subjects.append(subject)
  return subjects


def _task_config(config, name) -> ml_collections.ConfigDict:
  """The config as a binary on this task alone would have it."""
  settings = config.tasks
  task = ml_collections.ConfigDict(all_keys.get_config().task).unlock()
  task.name, task.rules = name, settings.rules
  task.num_select, task.num_dev = settings.num_select, settings.num_dev
  task.num_judge = 1  # Set aside, and asked by nobody; 0 would be all the rest.
  task.use_chat_template = settings.use_chat_template
  fields = {key: config[key] for key in config if key != "tasks"}
  return ml_collections.ConfigDict({**fields, "task": task})


@dataclasses.dataclass(frozen=True)
class _Group:
  """Tasks that decode alike, and are asked together: one program serves them.

  Attributes:
    number: of the group, in the names of splits.
    subjects: one for each task.
    batches: prompts of all tasks one behind the other, by split.
    evaluator: of all of them.
  """

  number: int
  subjects: Sequence[Subject]
  batches: dict[str, dict[str, np.ndarray]]
  evaluator: Any

  def describe(self) -> dict[str, Any]:
    """What scores mean by task, and which rows of a record are a task's."""
    described, start = {}, dict.fromkeys(self.batches, 0)
    for subject in self.subjects:
      rows = {}
      for split in self.batches:
        size = len(subject.batches[split]["index"])
        rows[split] = [start[split], start[split] + size]
        start[split] += size
      described[subject.task_name] = subject.describe() | {
        "group": self.number,
        "rows": rows,
      }
    return described


@contextlib.contextmanager
def _start_groups(
  config, subjects: Sequence[Subject]
) -> Iterator[list[_Group]]:
  by_decoding: dict[Any, list[Subject]] = {}
  for subject in subjects:
    by_decoding.setdefault(subject.decoding, []).append(subject)
  with language.start_grading(config, *subjects) as grader:
    yield [
      _Group(
        number,
        alike,
        {
          split: _join_batches([s.batches[split] for s in alike])
          for split in _SPLITS
          if split in alike[0].batches
        },
        language.make_evaluator(config, alike[0], grader),
      )
      for number, alike in enumerate(by_decoding.values())
    ]


def _join_batches(batches) -> dict[str, np.ndarray]:
  """One batch with the prompts of several, in their order."""
  width = max(batch["tokens"].shape[1] for batch in batches)
  tokens = [
    np.pad(
      batch["tokens"],
      ((0, 0), (0, width - batch["tokens"].shape[1])),
      constant_values=NO_TOKEN,
    )
    for batch in batches
  ]
  indices = [batch["index"] for batch in batches]
  return {"tokens": np.concatenate(tokens), "index": np.concatenate(indices)}


def _relative_norm(config, model) -> float:
  """The relative norm of noise with a standard deviation of 1."""
  return projection.relative_norm(
    model.params,
    1.0,
    kind=language.make_kind(config),
    names=transformer.tensor_names(model.params),
  )


def _start_search(config, folder, subjects, groups) -> randopt.Search:
  model = subjects[0].model
  settings = config.population
  sigmas = tuple(settings.sigmas)
  if settings.unit == "relative":
    ratio = _relative_norm(config, model)
    # Few digits, so that they can be typed.
    sigmas = tuple(float(f"{sigma / ratio:.4g}") for sigma in sigmas)
  spec = PopulationSpec(
    size=settings.size,
    sigmas=sigmas,
    seed=config.seed,
    design=settings.design,
    kind=language.make_kind(config),
    chunk=settings.chunk or None,
  )
  largest = max(
    groups, key=lambda group: group.batches["select"]["tokens"].size
  )
  return randopt.Search(
    folder,
    model.params,
    spec,
    find_width=lambda: largest.evaluator.find_width(
      model.params, largest.batches["select"], settings.size
    ),
    task={"tasks": {k: v for g in groups for k, v in g.describe().items()}},
    precision=language.describe_precision(model),
    names=transformer.tensor_names(model.params),
    identity=model.identity,
    source=subjects[0].describe_source(),
  )


def _project(config, folder, members, model) -> None:
  """Members on a random plane; from shapes and seeds, so any process can."""
  if jax.process_index():
    return
  found = projection.project_members(
    model.params,
    members,
    seed=config.seed,
    kind=language.make_kind(config),
    names=transformer.tensor_names(model.params),
  )
  folder.save_json(
    planes.PROJECTION,
    {
      "units": "of the weights; axes are orthonormal directions",
      "seed": found.seed,
      "num_weights": found.num_weights,
      "coordinates": found.coordinates.tolist(),
      "norms": found.norms.tolist(),
    },
  )


def _evaluate_slice(config, folder, found, groups) -> None:
  """The grid is spanned by the noise of the first two members."""
  seed_x, seed_y = (member.terms[0][0] for member in found.members[:2])
  members, _ = landscape.slice_members(
    seed_x, seed_y, config.slice.extent, config.slice.resolution
  )
  for group in groups:
    engine.evaluate_members(
      folder,
      group.evaluator,
      group.subjects[0].model.params,
      members,
      group.batches["select"],
      split=name_split(measurement.SLICE, group.number),
      width=min(found.width, len(members)),
    )


if __name__ == "__main__":
  launch.run(main)
