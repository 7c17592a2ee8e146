"""Repeats and varies trainings on conventions, and measures what is around them.

    python -m experiments.convention_study \\
      --config=configs/convention_study.py:seeds --workdir=DIR

Below the workdir each training has a folder, with the training itself in `pretrain`
and one measurement for each stage and population, as in `measure/001500-0`. What is
finished is not done again, whichever variant of the config asked for it, and the same
command continues. Writes the summaries of all measurements to VARIANT.json, from which
`experiments.convention_claims` draws its figures.
"""

import json
import pathlib
from collections.abc import Mapping, Sequence

import jax
import ml_collections

from experiments import launch
from experiments.launch import (
  chosen_stages,
  convention_columns,
  convention_trainings,
  next_steps,
)
from thickets.generation.specs import ModelSpec
from thickets.runs import directory, json_files
from thickets.runs.clock import Clock
from thickets.runs.json_files import JsonObject

FLAGS = launch.BinaryFlags(
  __doc__,
  "python -m experiments.convention_study --config=configs/convention_study.py:seeds"
  " --workdir=runs/study",
)
FLAGS.define_config()
FLAGS.define_workdir(
  needs_disk="It keeps models and compiled programs there, which need a disk."
)
FLAGS.define_cluster()
FLAGS.define_grace()


def main(_: list[str]) -> None:
  """Reads the flags, trains, measures, and writes the summaries."""
  config = FLAGS.config
  trainings = convention_trainings.read_trainings(config)
  convention_columns.check_vocabularies(
    {
      f"trainings.{name}.model": ModelSpec(training.model)
      for name, training in config.trainings.items()
      if training.model
    }
  )
  launch.start_devices(FLAGS)
  clock = Clock()
  folder = directory.make_workdir(FLAGS.workdir)
  # Stages and populations share their programs.
  jax.config.update("jax_compilation_cache_dir", str(folder / "cache"))
  summaries: list[JsonObject] = []
  choices: dict[str, JsonObject] = {}
  for name, spec in trainings.items():
    if spec is not None:
      convention_trainings.train(config, name, spec, folder)
    chosen = chosen_stages.choose_stage(config, name, folder)
    summaries += [
      convention_trainings.run_one(config, run, folder)
      for run in convention_trainings.list_runs(config, name, folder, chosen)
    ]
    if chosen is not None:
      choices[name] = chosen
  clock.lap("study_s")
  path = folder / f"{config.study}.json"
  _write_study(path, config, summaries, choices)
  print(
    next_steps.format_ending(
      f"The summaries are in {path}.",
      clock.timing,
      next_steps.after_convention_study(str(folder)),
    )
  )


def _write_study(
  path: pathlib.Path,
  config: ml_collections.ConfigDict,
  summaries: Sequence[JsonObject],
  choices: Mapping[str, JsonObject],
) -> None:
  """Writes one run to a line, since their numbers are for programs."""
  head = {
    "units": "shares of right answers by prompt, mean of tasks; densities of members",
    "study": config.study,
    "top_k": config.top_k,
    "families": list(config.families),
  }
  if choices:
    head["chosen"] = {
      name: {key: found[key] for key in ("target", "chosen")}
      | {"lowest_loss": min(stage["loss"] for stage in found["stages"])}
      for name, found in choices.items()
    }
  lines = [
    json.dumps(run, allow_nan=False, separators=(",", ":")) for run in summaries
  ]
  json_files.write_text(
    path,
    json.dumps(head, indent=1)[:-2]
    + ',\n "runs": [\n'
    + ",\n".join(lines)
    + "\n ]\n}\n",
  )


if __name__ == "__main__":
  launch.run(main, FLAGS)
