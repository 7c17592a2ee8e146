"""What the runs of a comparison found, read from their directories."""

import math
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.launch.compare_plan import Plan, read_results
from experiments.launch.compare_specs import BASE, BINARIES, MethodSpec
from thickets.analysis import method_comparison, pooled_runs, test_time
from thickets.analysis.method_comparison import (
  ONE_PASS,
  VOTES,
  Method,
  MethodRun,
)


def summarise(plan: Plan) -> dict[str, Any]:
  """Compares all methods with the base, and with the first that votes.

  Args:
    plan: that of a comparison all of whose runs have ended.
  """
  seeds, methods = plan.spec.seeds, plan.spec.methods
  base = Method(BASE, [_read_votes(plan, BASE, seed, None) for seed in seeds])
  found = [base, *(_read_method(plan, method) for method in methods)]
  reference = next((m.name for m in methods if m.is_ensemble), methods[0].name)
  return method_comparison.compare_methods(found, reference=reference) | {
    "task": plan.spec.shared["task.name"],
    "model": plan.spec.shared["model.name"],
    "seeds": list(seeds),
    "num_votes": plan.spec.num_votes,
    "budget_flops": plan.spec.budget_flops,
    "chosen": {
      method.name: {"key": method.key, "value": plan.choose(method)}
      | {"tried": _describe_tuning(plan, method)}
      for method in methods
      if method.key
    },
    "watched": {
      method.name: _read_watched(plan, method)
      for method in methods
      if BINARIES[method.binary]
    },
  }


def _describe_tuning(plan: Plan, method: MethodSpec) -> list[dict[str, Any]]:
  return [
    {
      "value": row["value"],
      "score": row["score"] if math.isfinite(row["score"]) else None,
    }
    for row in plan.read_tuning(method)
  ]


def _read_method(plan: Plan, method: MethodSpec) -> Method:
  runs = []
  for seed in plan.spec.seeds:
    ledger = _find_ledger(read_results(plan.locate(method, seed)), method)
    if method.is_ensemble:
      runs.append(_read_ensemble(plan.locate(method, seed), ledger))
    elif plan.has_model(method, seed):
      runs.append(_read_votes(plan, method.name, seed, ledger))
    else:  # dev has kept the base.
      runs.append(_read_votes(plan, BASE, seed, ledger))
  tuning = plan.read_tuning(method) if method.key else []
  return Method(
    method.name, runs, sum(row["search"]["flops"] for row in tuning)
  )


def _find_ledger(
  results: Mapping[str, Any], method: MethodSpec
) -> Mapping[str, Any]:
  """What the search has cost: the last row, or that of the vote."""
  if not method.is_ensemble:
    return results["ledger"][-1]
  (found,) = (
    row for row in results["ledger"] if row["method"].startswith("vote")
  )
  return found


def _read_votes(
  plan: Plan, name: str, seed: int, ledger: Mapping[str, Any] | None
) -> MethodRun:
  """What a model reached at test time."""
  results = read_results(plan.locate_votes(name, seed))
  rows = {
    ONE_PASS: test_time.GREEDY,
    VOTES: test_time.name_vote(plan.spec.num_votes),
  }
  answers = {row["method"]: row["answer"] for row in results["ledger"]}
  judge = results["data"]["judge"]
  return MethodRun(
    {way: np.array(results["right"][row]) for way, row in rows.items()},
    judge["sha256"],
    judge.get("groups"),
    ledger,
    {way: answers[row]["flops"] for way, row in rows.items()},
  )


def _read_ensemble(
  workdir: pathlib.Path, ledger: Mapping[str, Any]
) -> MethodRun:
  """What the best member and the vote of a run of RandOpt reached."""
  run = pooled_runs.read_run(workdir)
  answers = {
    row["method"]: row["answer"] for row in read_results(workdir)["ledger"]
  }
  return MethodRun(
    {ONE_PASS: run.right["best"], VOTES: run.right["vote"]},
    run.prompts,
    run.groups,
    ledger,
    {
      ONE_PASS: answers["best member"]["flops"],
      VOTES: ledger["answer"]["flops"],
    },
  )


def _read_watched(plan: Plan, method: MethodSpec) -> list[list[dict[str, Any]]]:
  """By seed, the share right on dev against steps, and FLOPs as if all cost alike."""
  found = []
  for seed in plan.spec.seeds:
    results = read_results(plan.locate(method, seed))
    steps = results["num_steps"]
    flops = results["ledger"][-1]["search"]["flops"]
    found.append(
      [
        {
          "step": row["step"],
          "flops": flops * row["step"] / steps if steps else 0.0,
          "right": row["right"]["mean"],
        }
        for row in results["watched"]
      ]
    )
  return found
