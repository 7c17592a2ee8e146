"""Accuracy by population, ensemble and prompts of selection, from one run.

    python -m experiments.budgets WORKDIR [--out=DIR]

The run must be one of `experiments.measure`, all of whose members answered the
prompts of `select` and of `dev`. Writes budgets.json and a figure for each task.
Smaller budgets are resampled from the records; no model is needed.
"""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from absl import flags

from experiments import launch
from experiments.launch import measured_runs
from thickets.analysis import prompt_groups, votes
from thickets.analysis.measurement import TaskScores
from thickets.errors import UserError
from thickets.report.figures import budget_plots, style
from thickets.runs import json_files

FLAGS = launch.BinaryFlags(
  __doc__,
  "python -m experiments.budgets runs/shipped --out=results",
  arguments="RUN",
)
measured_runs.define_out(FLAGS)
_DRAWS = flags.DEFINE_integer(
  "draws",
  30,
  "Number of populations drawn of each size.",
  flag_values=FLAGS.values,
)


def main(argv: list[str]) -> None:
  """Reads the flags, resamples, prints the whole run's row."""
  workdirs = measured_runs.read_workdirs(argv)
  if _DRAWS.value < 2:
    raise UserError(f"--draws must be at least 2, got {_DRAWS.value}.")
  measured = measured_runs.read_as_one(workdirs)
  out = measured_runs.find_out(FLAGS, workdirs)
  results = {}
  for name, task in measured.tasks.items():
    results[name] = measure_budgets(task, num_draws=_DRAWS.value)
    budget_plots.plot_budgets(
      out / "figures" / f"budgets_{style.name_file(name)}.png",
      results[name]["rows"],
      task=name,
      base=results[name]["base"],
    )
    print(
      f"{name}, {_count_prompts(results[name])}: base"
      f" {results[name]['base']:.3f}, {_describe_best(results[name])}"
    )
  json_files.write_json(
    out / "budgets.json",
    {"units": "shares of the judging prompts", "tasks": results},
  )
  print(f"budgets.json and figures are in {os.fspath(out)}.")


def measure_budgets(task: TaskScores, *, num_draws: int) -> dict[str, Any]:
  """Measures votes at smaller budgets of one task.

  Args:
    task: the answers of base and members.
    num_draws: number of populations drawn of each size.

  Returns:
    The base's accuracy, and rows for a grid over N and K with all prompts of
    selection, then for the full N with fewer of them.
  """
  size, most = len(task.scores), task.num_select
  base = task.base.lenient[0, task.num_select :].astype(np.float64)
  grid = votes.resample_votes(
    task, populations=_halve(size, 8), top_k=(1,), num_draws=num_draws
  )
  fewer = votes.resample_votes(
    task,
    populations=(size,),
    num_select=[count for count in _halve(most, 5) if count < most],
    num_draws=num_draws,
  )
  return {
    "base": float(base.mean()),
    "rows": [budget.describe(base) for budget in (*grid, *fewer)],
  }


def _count_prompts(results: Mapping[str, Any]) -> str:
  """How many prompts judge, and in how many groups if they come in groups."""
  row = results["rows"][0]
  return prompt_groups.describe_groups(
    row["num_judge_groups"], row["num_judge"]
  )


def _halve(size: int, least: int) -> list[int]:
  """Returns the size and its halves, down to the least, in ascending order."""
  sizes = [size]
  while sizes[-1] // 2 >= least:
    sizes.append(sizes[-1] // 2)
  return sizes[::-1]


def _describe_best(results: Mapping[str, Any]) -> str:
  """Says which of the whole run's ensembles did best, flattered by the choice."""
  most = max(row["num_select"] for row in results["rows"])
  size = max(row["population"] for row in results["rows"])
  whole = [
    row
    for row in results["rows"]
    if (row["population"], row["num_select"]) == (size, most)
  ]
  best = max(whole, key=lambda row: row["accuracy"])
  return (
    f"best vote of N={size}: {best['accuracy']:.3f} with K={best['top_k']},"
    f" the best member {whole[0]['single']:.3f} with K={whole[0]['top_k']}"
  )


if __name__ == "__main__":
  launch.run(main, FLAGS)
