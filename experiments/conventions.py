"""Thicket and plateau, made to order and told apart by one rule.

    python -m experiments.conventions --config=configs/conventions.py --workdir=DIR

Measures the neighbourhoods of three bases on the same tasks: one whose text followed
two conventions and hid which, one that knows a single convention, and one whose
questions say which is wanted. Prints one line for each regime call, and draws one
figure of three columns. What is measured is not measured again, and the same command
continues a run that was stopped.
"""

import jax

from experiments import launch
from experiments.launch import convention_columns, next_steps
from thickets.report import conventions_table
from thickets.report.figures import regime_plots
from thickets.runs import directory, environment, json_files
from thickets.runs.clock import Clock
from thickets.runs.run_config import RunConfig

FLAGS = launch.BinaryFlags(
  __doc__,
  "python -m experiments.conventions --config=configs/conventions.py"
  " --workdir=runs/conventions",
)
FLAGS.define_config()
FLAGS.define_workdir(
  needs_disk="It keeps models and compiled programs there, which need a disk."
)
FLAGS.define_cluster()
FLAGS.define_grace()


def main(_: list[str]) -> None:
  """Reads the flags, measures the columns, draws and prints them."""
  config = FLAGS.config
  specs = convention_columns.read_columns(config)
  convention_columns.check_vocabularies(
    {f"columns.{spec.name}.model": spec.measure.model for spec in specs}
  )
  launch.start_devices(FLAGS)
  clock = Clock()
  run_config = RunConfig(
    launch.to_json(config),
    extendable=("margins", "resamples", "measure.population.size"),
  )
  folder = directory.make_workdir(FLAGS.workdir)
  run_config.check(folder)
  run_config.save(folder, environment.describe())
  # The columns share their programs.
  jax.config.update("jax_compilation_cache_dir", str(folder / "cache"))
  columns = {}
  for spec in specs:
    columns[spec.name] = convention_columns.run_column(
      spec,
      convention_columns.make_settings(config, spec),
      config.top_k,
      folder / spec.name,
    )
    clock.lap(f"{spec.name}_s")
  found = {name: column.describe() for name, column in columns.items()}
  regime_plots.plot_regimes(
    folder / "figures" / "regimes.png",
    [
      (column.title, (column.measured, column.analysis, column.votes))
      for column in columns.values()
    ],
  )
  print(conventions_table.format_columns(found))
  clock.lap("figures_s")
  json_files.write_json(
    folder / "results.json",
    {
      "units": "shares of right answers; 95 % intervals over prompts",
      "columns": found,
      "timing": clock.timing,
    },
  )
  print(
    next_steps.format_ending(
      f"results.json and figures/regimes.png are in {folder}.",
      clock.timing,
      next_steps.after_conventions(str(folder), columns),
    )
  )


if __name__ == "__main__":
  launch.run(main, FLAGS)
