"""RandOpt beside what it is compared with, on one model, task and budget.

    python -m experiments.compare --config=configs/compare.py:laptop --workdir=DIR

Runs each method once for each seed, at the same budget in FLOPs, and asks its model
for one pass and for as many votes as the ensemble has; settings that a method names
are chosen beforehand, on prompts of `dev` and with a seed of their own. Each run is a
command of its own, which a file beside its folder names, with its output.
What has ended is not run again: the same command goes on, and with more seeds adds
them. Prints who is right how often, what each has cost, and writes results.json and a
figure.
"""

import pathlib
from collections.abc import Callable, Iterable

from absl import logging

from experiments import launch
from experiments.launch import compare_results, compare_specs, next_steps
from experiments.launch.children import Children, Command
from experiments.launch.compare_plan import Plan
from experiments.launch.compare_specs import CompareSpec
from thickets.report import comparison_table
from thickets.report.figures import comparison_plots
from thickets.runs import directory, json_files
from thickets.runs.clock import Clock
from thickets.runs.json_files import JsonObject

FLAGS = launch.BinaryFlags(
  __doc__,
  "python -m experiments.compare --config=configs/compare.py:laptop"
  " --workdir=runs/compare",
)
FLAGS.define_config()
FLAGS.define_workdir(
  needs_disk="It keeps a folder for each of its runs there, on a disk."
)
FLAGS.define_grace()


def main(_: list[str]) -> None:
  """Reads the flags, runs what has not ended, and prints the tables."""
  workdir = FLAGS.workdir
  spec = compare_specs.read_compare(FLAGS.config)
  results = run(spec, pathlib.Path(workdir).absolute())
  print(comparison_table.format_comparison(results))
  print(
    next_steps.format_ending(
      f"results.json and a figure are in {workdir}.", results["timing"], {}
    )
  )


def run(spec: CompareSpec, folder: pathlib.Path) -> JsonObject:
  """Runs or continues a comparison; returns the contents of results.json.

  Raises:
    UserError: if the experiment of a method refuses its config, before anything is
      written; or if one of its runs fails.
  """
  clock = Clock()
  plan = Plan(spec, folder)
  plan.check()
  directory.make_workdir(folder)
  if any(folder.rglob("records")):  # A start that failed leaves none.
    spec.config.check(folder)
  json_files.write_json(folder / "config.json", {"config": spec.config.fields})
  cache = {"JAX_COMPILATION_CACHE_DIR": str(folder / "cache")}
  children = Children(spec.parallel, cache)
  for what, list_commands in _list_stages(plan):
    commands = [*list_commands()]
    logging.info(
      "%s: %d of %d runs have ended",
      *(what, sum(command.is_done for command in commands), len(commands)),
    )
    children.run(commands)
  clock.lap("runs_s")
  results = compare_results.summarise(plan)
  comparison_plots.plot_comparison(folder / "figures" / "methods.png", results)
  results["timing"] = clock.timing
  json_files.write_json(folder / "results.json", results)
  return results


def _list_stages(
  plan: Plan,
) -> list[tuple[str, Callable[[], Iterable[Command]]]]:
  """What runs after what: a stage reads what those before have found."""
  spec = plan.spec
  found = [m for m in spec.methods if not m.source]
  derived = [m for m in spec.methods if m.source]
  models = [m for m in spec.methods if not m.is_ensemble]

  def over_seeds(make, methods):
    return lambda: [make(m, seed) for m in methods for seed in spec.seeds]

  return [
    ("base at test time", lambda: map(plan.ask_base, spec.seeds)),
    ("tuning", lambda: [run for m in found if m.key for run in plan.tune(m)]),
    ("methods", over_seeds(plan.search, found)),
    ("one model of a run", over_seeds(plan.search, derived)),
    (
      "models at test time",
      lambda: [
        plan.ask_model(method, seed)
        for method in models
        for seed in spec.seeds
        if plan.has_model(method, seed)
      ],
    ),
  ]


if __name__ == "__main__":
  launch.run(main, FLAGS)
