"""Grades the logged responses of a run anew, without a model.

    python -m experiments.regrade --workdir=DIR [--rules=paper]

For a changed grader, or the other rule set. Members and temperature stay those
that the run chose, and their scores on the prompts of selection those that it
chose them by; judged is what they are worth by these rules. Writes
results_RULES.json beside the run's own files and changes none of them.
"""

import dataclasses
import json
import pathlib
from typing import Any

import ml_collections
import numpy as np
from absl import flags, logging

from experiments import launch, randopt
from experiments.launch import language
from thickets.errors import UserError
from thickets.generation import grading
from thickets.report import randopt_table
from thickets.runs import directory
from thickets.runs.record_log import Record
from thickets.runs.split_labels import Split
from thickets.tasks.grader import TaskGrader

_NOTE = (
  "Graded anew. Who was chosen, and scores on select, are as the run graded"
  " them; the two ends of the winner's curse may be of different rules."
)
_RULES = flags.DEFINE_string(
  "rules", None, "Rule set, the one of the run by default."
)


def main(_) -> None:
  """Reads the flags, grades, and prints the table."""
  with launch.ending_well():
    launch.configure_jax()
    config = _read_config(launch.WORKDIR.value)
    results, path = run(config, launch.WORKDIR.value, _RULES.value)
    print(randopt_table.format_randopt_results(results))
    print(f"These figures are in {path}.")


def run(
  config: ml_collections.ConfigDict, workdir: str, rules: str | None
) -> tuple[dict[str, Any], pathlib.Path]:
  """Grades anew; returns what it wrote, and where."""
  rules = rules or config.task.rules
  chosen, dev = _read_choice(pathlib.Path(workdir), config.population.size)
  task, examples = language.load_task(config)
  task.grader(rules)
  with directory.Run(workdir, launch.to_json(config)) as folder:
    _check_data(folder, examples)
    grader = TaskGrader(config.task.name, rules, examples.examples)
    regraded = _Regraded(folder, grader, examples, task.num_threads)
    results = randopt.summarise(config, task, examples, regraded, chosen, dev)
    note = "\n".join(filter(None, (results["note"], _NOTE)))
    results |= {"rules": rules, "note": note}
    return results, folder.save_json(f"results_{rules}.json", results)


@dataclasses.dataclass(frozen=True)
class _Regraded:
  """Reads a run's records as `directory.Run` does, graded anew."""

  folder: directory.Run
  grader: TaskGrader
  examples: Any
  num_threads: int

  def record(self, split: str, position: int) -> Any:
    record = self.folder.record(split, position)
    # The base's, too, since the members' are compared with it.
    return record if split == "select" else _Regraded._Record(self, record)

  def scores(self, split, positions):
    """Of selection; the run's own: they chose the members."""
    return self.folder.scores(split, positions)

  @dataclasses.dataclass(frozen=True)
  class _Record:
    log: "_Regraded"
    record: Record

    def channels(self) -> dict[str, Any]:
      channels = self.record.channels()
      if "response" not in channels:
        raise UserError(
          "The run must have logged its responses to be graded anew, got none."
          " Run it with --config.log_responses=True."
        )
      split = Split.parse(self.record.split).name
      graded = grading.grade_texts(
        self.log.grader,
        self.log.examples.indices(split),
        grading.read_responses(channels),
        num_threads=self.log.num_threads,
      )
      # A member whose logits were not numbers has failed by any rules.
      has_failed = np.isnan(channels["score"])
      score = np.where(has_failed, np.nan, graded["score"])
      return channels | graded | {"score": score}


def _read_config(workdir: str) -> ml_collections.ConfigDict:
  path = pathlib.Path(workdir) / "config.json"
  try:
    fields = json.loads(path.read_text(encoding="utf-8"))["config"]
  except (OSError, ValueError, KeyError, TypeError) as error:
    raise UserError(
      f"--workdir must name a run of experiments.randopt, got {workdir}"
      f" ({error})."
    ) from error
  if fields.get("experiment") != "randopt":
    raise UserError(
      f"--workdir must name a run of experiments.randopt, got {workdir}, a run"
      f" of {fields.get('experiment')}."
    )
  return ml_collections.ConfigDict(fields)


def _read_choice(
  workdir: pathlib.Path, size: int
) -> tuple[list[int], list[Any]]:
  """Positions of the chosen, and the table of temperatures."""
  try:
    results = json.loads((workdir / "results.json").read_text(encoding="utf-8"))
    if results["population"]["size"] != size:  # Of before the run was enlarged.
      raise ValueError(f"it has not reached {size} members")
    return [row["position"] for row in results["chosen"]], results["dev"]
  except (OSError, ValueError, KeyError) as error:
    raise UserError(
      f"--workdir must hold a finished run with results.json, got {workdir}"
      f" ({error}). Finish it with its own command first."
    ) from error


def _check_data(folder: directory.Run, examples) -> None:
  """Refuses other examples than the responses answer."""
  recorded = (folder.header or {}).get("task", {}).get("data", {})
  for split in language.SPLITS:
    if recorded.get(split) != examples.origin[split]:
      raise UserError(
        f"The prompts of {split} must be those of the run, got others: the data"
        " files or the task's examples have changed. Restore them."
      )
  logging.info("grading %s anew", folder.workdir)


if __name__ == "__main__":
  launch.run(main)
