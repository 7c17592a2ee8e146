"""Methods that make a model better, compared on the prompts that judge.

Each method was run once for each seed, which draws prompts, members, responses and
samples anew. Of a seed all methods answer the same prompts, so that they are
subtracted prompt by prompt; intervals are over seeds and prompts together
(`population_means`), or over prompts where there is one seed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from thickets.analysis import intervals, population_means
from thickets.analysis.intervals import Estimate
from thickets.errors import UserError

ONE_PASS, VOTES = "one pass", "votes"
WAYS = (ONE_PASS, VOTES)
_UNITS = (
  "right is the share of prompts whose answer is right; differences are of shares;"
  " 95 % intervals; search, tuning and answers in FLOPs of the model, mean of seeds"
)


@dataclasses.dataclass(frozen=True)
class MethodRun:
  """What a method reached with one seed.

  Attributes:
    right: by way, `WAYS`, [Q] whether each answer is right, as 0 and 1.
    prompts: a hash of the prompts.
    groups: [Q] names of the groups of prompts; None where they are independent.
    ledger: what it has cost, as from `Ledger.to_json`; None for the base.
    answer_flops: what an answer costs in FLOPs, by way.
  """

  right: Mapping[str, Float[np.ndarray, " Q"]]
  prompts: str
  groups: Sequence[str] | None
  ledger: Mapping[str, Any] | None
  answer_flops: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Method:
  """A method and its runs.

  Attributes:
    name: its name in tables.
    runs: [S] one for each seed.
    tuning_flops: what the searches have cost among which dev chose its setting, once
      for all seeds.
  """

  name: str
  runs: Sequence[MethodRun]
  tuning_flops: float = 0.0


def compare_methods(
  methods: Sequence[Method], *, reference: str
) -> dict[str, Any]:
  """Compares methods with the first of them, the base, and with one other.

  Args:
    methods: with the same seeds, in the same order; the base comes first.
    reference: name of the method that all others are compared with.

  Returns:
    JSON values: `rows` with a row for each method.

  Raises:
    UserError: if a method was asked other prompts than the base.
  """
  base = methods[0]
  for method in methods:
    for run, of_base in zip(method.runs, base.runs, strict=True):
      if run.prompts != of_base.prompts:
        raise UserError(
          f"Methods that are compared must answer the same prompts of judge, got"
          f" others for {method.name} than for {base.name}. Let all have the same"
          " task."
        )
  (other,) = (method for method in methods if method.name == reference)
  return {
    "units": _UNITS,
    "reference": reference,
    "num_seeds": len(base.runs),
    "num_judge": len(base.runs[0].right[ONE_PASS]),
    "rows": [_describe(method, base, other) for method in methods],
  }


def _describe(method: Method, base: Method, other: Method) -> dict[str, Any]:
  row: dict[str, Any] = {
    "name": method.name,
    "right": {way: _estimate_rate(method, way).to_json("mean") for way in WAYS},
    "by_seed": {
      way: [float(run.right[way].mean()) for run in method.runs] for way in WAYS
    },
    "answer_flops": {
      way: float(np.mean([run.answer_flops[way] for run in method.runs]))
      for way in WAYS
    },
    "tuning_flops": method.tuning_flops,
  }
  for name, than in (("over_base", base), ("over_reference", other)):
    if method is not than:
      row[name] = {
        way: _estimate_gain(method, than, way).to_json("mean") for way in WAYS
      }
  ledgers = [run.ledger for run in method.runs if run.ledger is not None]
  if ledgers:
    row["num_steps"] = _mean([found["num_steps"] for found in ledgers])
    row["search_flops"] = _mean([found["search"]["flops"] for found in ledgers])
    row["paper_flops"] = _mean(
      [found["search"]["paper_flops"] for found in ledgers]
    )
    row["num_responses"] = _mean(
      [found["search"]["num_responses"] for found in ledgers]
    )
    row["dev_flops"] = _mean([found["choosing"]["flops"] for found in ledgers])
  return row


def _estimate_rate(method: Method, way: str) -> Estimate:
  values = [run.right[way] for run in method.runs]
  if len(values) == 1:
    return intervals.estimate_mean(values[0], groups=method.runs[0].groups)
  found = _estimate(method.runs, values)
  return dataclasses.replace(
    found, low=max(found.low, 0.0), high=min(found.high, 1.0)
  )


def _estimate_gain(method: Method, than: Method, way: str) -> Estimate:
  differences = [
    run.right[way] - base.right[way]
    for run, base in zip(method.runs, than.runs, strict=True)
  ]
  return _estimate(method.runs, differences)


def _estimate(
  runs: Sequence[MethodRun], values: Sequence[Float[np.ndarray, " Q"]]
) -> Estimate:
  if len(runs) == 1:
    return intervals.estimate_difference(values[0], groups=runs[0].groups)
  found = population_means.estimate_over_populations(
    values, [_label(run, place) for place, run in enumerate(runs)]
  )
  return dataclasses.replace(
    found, over=found.over.replace("populations", "seeds")
  )


def _label(run: MethodRun, place: int) -> list[tuple[Any, ...]]:
  """Labels that are equal for prompts which are drawn together.

  Prompts without a group are those of other runs only where all prompts are.
  """
  if run.groups is None:
    return [(run.prompts, number) for number in range(len(run.right[VOTES]))]
  return [
    (place, number) if name == f"judge prompt {number}" else (name,)
    for number, name in enumerate(run.groups)
  ]


def _mean(values: Sequence[float]) -> float:
  return float(np.mean(values))
