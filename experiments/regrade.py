"""Grades the logged responses of a run anew, without a model.

    python -m experiments.regrade --workdir=DIR [--rules=paper]

For a changed grader, or the other rule set. Members and temperature stay those
that the run chose, and the scores on the prompts of selection those that it
chose them by; what is judged is what they are worth by these rules. Writes
results_RULES.json beside the run's own files and changes none of them.
"""

import dataclasses
import functools

from absl import flags, logging

from experiments import launch
from experiments.launch import finished_randopt
from experiments.launch.specs import RandOptSpec
from thickets.analysis import control_results, randopt_results
from thickets.errors import UserError
from thickets.generation import (
  self_consistency,
  side_by_side,
  task_grading,
)
from thickets.generation import subject as subject_lib
from thickets.generation.regrading import Regraded
from thickets.report import randopt_table
from thickets.runs import directory
from thickets.runs.directory import Run
from thickets.runs.json_files import JsonObject
from thickets.runs.locations import Location
from thickets.tasks import controls
from thickets.tasks.grader import TaskGrader
from thickets.tasks.splits import Splits

_NOTE = (
  "Graded anew. Who was chosen, and scores on select, are as the run graded"
  " them: gains on select are by the rules of the run, those on judge by these."
)
FLAGS = launch.BinaryFlags(
  __doc__,
  "python -m experiments.regrade --workdir=runs/countdown_tiny --rules=paper",
)
FLAGS.define_workdir()
_RULES = flags.DEFINE_string(
  "rules",
  None,
  "The rule set to grade by; that of the run by default.",
  flag_values=FLAGS.values,
)


def main(_: list[str]) -> None:
  """Reads the flags, grades, and prints the table."""
  launch.configure_jax()
  spec = finished_randopt.read_spec(FLAGS.workdir, "workdir")
  results, path = run(spec, FLAGS.workdir, _RULES.value or spec.task.rules)
  print(randopt_table.format_randopt_results(results))
  print(f"These figures are in {path}.")


def run(
  spec: RandOptSpec, workdir: str, rules: str
) -> tuple[JsonObject, Location]:
  """Grades anew; returns what it wrote, and where."""
  finished = finished_randopt.read_results(
    workdir, spec.population.size, "workdir"
  )
  chosen = [row["position"] for row in finished["chosen"]]
  dev = finished["dev"]
  task, examples = subject_lib.load_examples(spec.task)
  task.grader(rules)  # Before the responses are read.
  grader = TaskGrader(spec.task.name, rules, examples.examples)
  compute = spec.answering.compute
  start_grading = functools.partial(
    task_grading.start_task_graders,
    [grader],
    num_threads=task.num_threads,
    num_workers=compute.num_workers,
    limit_s=compute.grade_limit_s,
  )
  config = dataclasses.replace(spec.config, extendable=())
  with directory.open_run(workdir, config) as run, start_grading() as grading:
    _check_data(run, examples)
    temperature = self_consistency.choose_temperature(
      spec.consistency.temperatures, dev
    )
    everything = range(spec.population.size)
    graded = Regraded(run, grading, examples)
    results = randopt_results.summarise_randopt(
      spec.population.sample(),
      run.scores("select", everything),
      randopt_results.read_select(run, chosen, examples.groups("select")),
      chosen,
      randopt_results.read_judged(
        graded, chosen, temperature, examples.groups("judge")
      ),
      top_k=spec.ensemble.also,
      primary_k=spec.ensemble.top_k,
      dev=dev,
      note=task.describe_baseline(examples.select, examples.judge),
    )
    note = "\n".join(filter(None, (results["note"], _NOTE)))
    pairs = side_by_side.read_pairs(graded, "judge", examples.judge, chosen[0])
    results |= {"data": examples.origin, "examples": pairs}
    results |= {"rules": rules, "note": note}
    if shown := finished.get("controls"):
      voting = chosen[: spec.ensemble.top_k]
      results["controls"] = control_results.summarise_controls(
        graded,
        [*shown["rows"][0]["controls"]],
        controls.find_asked(examples.judge),
        voting,
        groups=examples.groups("judge"),
      ) | {"left_out": shown["left_out"]}
    # Runs of earlier versions have no ledger.
    results |= {name: finished[name] for name in {"ledger"} & finished.keys()}
    return results, run.save_json(f"results_{rules}.json", results)


def _check_data(run: Run, examples: Splits) -> None:
  """Refuses other examples than the responses answer."""
  recorded = (run.header or {}).get("task", {}).get("data", {})
  for split in subject_lib.PROMPT_SPLITS:
    if recorded.get(split) != examples.origin[split]:
      raise UserError(
        f"The prompts of {split} must be those of the run, got others: the data"
        " files or the task's examples have changed. Restore them."
      )
  logging.info("grading %s anew", run.workdir)


if __name__ == "__main__":
  launch.run(main, FLAGS)
