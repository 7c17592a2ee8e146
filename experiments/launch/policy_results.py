"""What a run of GRPO or PPO found, from its log."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.launch import policy_costs
from experiments.launch.policy_specs import PolicyRunSpec
from thickets.analysis import intervals, trained_results
from thickets.generation.subject import Subject
from thickets.runs.directory import Run
from thickets.runs.json_files import JsonObject
from thickets.runs.split_labels import Split
from thickets.search import answers
from thickets.training import policy_run, trained_weights

OBJECTIVE = Split("judge", temperature=1.0).label


def summarise(
  spec: PolicyRunSpec, subject: Subject, run: Run, num_steps: int
) -> JsonObject:
  """Compares the base and the last weights, and lists what each step reached.

  Args:
    spec: what the run was asked to do.
    subject: the model, and the prompts that it was asked.
    run: the open run directory, with all records.
    num_steps: how many steps there were.
  """
  groups = subject.splits.groups

  def read(split: str, step: int) -> answers.Answers:
    position = trained_weights.find_position(step)
    return answers.read_answers(run, split, [position])

  judged = {
    "base": read("judge", 0),
    f"after {num_steps} steps": read("judge", num_steps),
  }
  watched = {
    step: read("dev", step)
    for step in policy_costs.list_watched(spec, subject, num_steps)
  }
  steps = _describe_steps(run, num_steps)
  return trained_results.summarise_trained(judged, groups("judge")) | {
    "note": subject.describe_baseline(),
    "data": subject.splits.origin,
    "method": spec.policy.method,
    "num_steps": num_steps,
    "num_still": sum(row["is_still"] for row in steps),
    "num_alike": sum(row["num_alike"] for row in steps),
    "num_rolled_out": num_steps * spec.policy.rollout.num_prompts,
    "objective": _judge_objective(run, num_steps, groups("judge")),
    "mismatch": _describe_mismatch(steps),
    "watched": trained_results.describe_watched(
      watched, groups("dev") if watched else None
    ),
    "steps": steps,
  }


def describe_steps(results: Mapping[str, Any]) -> str:
  """Says what was learnt, what was not, and how far two programs agree."""
  objective, gap = results["objective"], results["mismatch"]
  gain = objective["gain"]
  lines = [
    "Sampled at temperature 1, as it learnt: mean score on judge"
    f" {objective['base']['mean']:.3g} → {objective['last']['mean']:.3g},"
    f" {gain['mean']:+.3g} [{gain['low']:+.3g}, {gain['high']:+.3g}] over"
    f" {gain['over']}.",
    f"{results['num_steps']} steps, {results['num_still']} of which moved nothing;"
    f" the responses to {results['num_alike']} of"
    f" {results['num_rolled_out']} prompts that were sampled scored alike.",
  ]
  if gap is not None:
    lines.append(
      "Log-probabilities of the trainer and the generator, at the same weights,"
      f" differ by {gap['mean']:.2g} nats in the mean of tokens and {gap['largest']:.2g}"
      " at most."
    )
  return "\n".join([*lines, *filter(None, [results["note"]])])


def _judge_objective(
  run: Run, num_steps: int, groups: Sequence[Any] | None
) -> JsonObject:
  """The mean score of sampled responses to the prompts of judging."""
  base, last = (
    run.channels(OBJECTIVE, trained_weights.find_position(step))["score"]
    for step in (0, num_steps)
  )
  differences = last.astype(np.float64) - base
  gain = intervals.estimate_difference(
    differences, reach=max(1.0, np.abs(differences).max()), groups=groups
  )
  return {
    "base": {"mean": float(base.mean())},
    "last": {"mean": float(last.mean())},
    "gain": gain.to_json("mean"),
  }


def _describe_steps(run: Run, num_steps: int) -> list[JsonObject]:
  """The measures of each step, and how its roll-outs scored."""
  rows = []
  measures = policy_run.read_measures(run, num_steps)
  for step, measured in enumerate(measures):
    found = run.record(policy_run.ROLLOUTS, step).channels(
      ["score", "length", "stopped"]
    )
    rows.append(
      {
        "step": step + 1,
        "mean": float(found["score"].mean()),
        "mean_length": float(found["length"].mean()),
        "stopped_frac": float(found["stopped"].mean()),
        **measured,
        "num_alike": int(measured["num_alike"]),
        "is_still": bool(measured["is_still"]),
      }
    )
  return rows


def _describe_mismatch(steps: Sequence[JsonObject]) -> JsonObject | None:
  """How far log-probabilities of trainer and generator are apart, in nats.

  Over the tokens of the first update of each step that moved something, before
  which the weights are those that sampled; None where none did.
  """
  moved = [row for row in steps if not row["is_still"]]
  if not moved:
    return None
  return {
    "mean": float(np.mean([row["gap"] for row in moved])),
    "largest": float(max(row["gap_max"] for row in moved)),
  }
