"""What a run of evolution strategies found, from its log."""

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.launch import evolution_costs
from experiments.launch.evolution_specs import EvolutionRunSpec
from thickets.analysis import trained_results
from thickets.generation.subject import Subject
from thickets.members import Member
from thickets.runs.directory import BASE_POSITION, Run
from thickets.runs.json_files import JsonObject
from thickets.search import answers
from thickets.training import evolution_run, trained_weights


def summarise(
  spec: EvolutionRunSpec,
  subject: Subject,
  run: Run,
  updates: Sequence[Member],
) -> JsonObject:
  """Compares the base and the last weights, and lists what each step reached.

  Args:
    spec: what the run was asked to do.
    subject: the model, and the prompts that it was asked.
    run: the open run directory, with all records.
    updates: the update of each step.
  """
  num_steps, groups = len(updates), subject.splits.groups

  def read(split: str, step: int) -> answers.Answers:
    position = trained_weights.find_position(step)
    return answers.read_answers(run, split, [position])

  judged = {
    "base": answers.read_answers(run, "judge", [BASE_POSITION]),
    f"after {num_steps} steps": read("judge", num_steps),
  }
  steps = evolution_costs.list_watched(spec, subject, num_steps)
  watched = {step: read("dev", step) for step in steps}
  populations = trained_results.describe_populations(
    evolution_run.read_scores(run, spec.evolution, num_steps)
  )
  return trained_results.summarise_trained(judged, groups("judge")) | {
    "note": subject.describe_baseline(),
    "data": subject.splits.origin,
    "num_steps": num_steps,
    "num_still": sum(not update.terms for update in updates),
    "num_failed": sum(row["num_failed"] for row in populations),
    "watched": trained_results.describe_watched(
      watched, groups("dev") if watched else None
    ),
    "populations": populations,
  }


def describe_steps(results: Mapping[str, Any]) -> str:
  """Says how many steps there were, and how many of them moved nothing."""
  still, failed = results["num_still"], results["num_failed"]
  return "\n".join(
    [
      f"{results['num_steps']} steps; in {still} of them all members scored alike,"
      f" so that nothing moved. {failed} members failed.",
      *filter(None, [results["note"]]),
    ]
  )
