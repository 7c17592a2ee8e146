"""RandOpt: one search around one base, from its start to its results.

The steps of every run, in the order in which a binary takes them:

    run = directory.open_run(workdir, config)
    search = start_search(run, base, spec, first=..., task=...)
    scores = score_members(search, select)
    chosen = selection.select_ensemble(scores, ensemble)
    save_experts(search, chosen, scores, primary_k=...)
    score_members(search, judge, positions=chosen)
    finish_run(run, results, clock, compile_s)

What differs between runs comes in as data: the base, the population, and for
each split an evaluator and the prompts that it answers.

Reference: Gan and Isola (2026), arXiv:2603.12228, Algorithm 1.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from absl import logging
from jaxtyping import Float, Int

from thickets import naming, noise
from thickets.errors import UserError
from thickets.members import Member
from thickets.naming import Names, Params
from thickets.perturbation import Kind, describe_kind
from thickets.runs import environment, experts, json_files, process_memory
from thickets.runs.clock import Clock
from thickets.runs.directory import BASE_POSITION, Run
from thickets.runs.experts import Expert
from thickets.runs.json_files import JsonObject
from thickets.search import engine
from thickets.search.evaluator import Batch, Evaluator
from thickets.search.population import PopulationSpec

_MATMUL_PRECISION = "jax_default_matmul_precision"


@dataclasses.dataclass(frozen=True)
class Base:
  """The weights that members are drawn around, and what is known of them.

  Attributes:
    params: the pristine weights.
    precision: in which weights and products they compute, as JSON values.
    names: logical names of the tensors, those of their paths by default.
    identity: the identity of the base as published, where it is known; computed
      from `params` by default.
    source: where the base can be loaded from, as JSON values, for experts.json;
      None where the run directory holds it.
  """

  params: Params
  precision: JsonObject
  names: Names | None = None
  identity: str | None = None
  source: JsonObject | None = None

  def describe(self, kind: Kind) -> JsonObject:
    """What a record's meaning depends on, as JSON values."""
    return {
      "identity": self.identity or naming.identify(self.params, self.names),
      "dtypes": naming.list_dtypes(self.params),
      "names": naming.hash_names(self.params, self.names),
      **describe_kind(self.params, kind, self.names),
    }


def describe_precision(dtype: str) -> JsonObject:
  """Describes the dtype of the weights and the precision of products, as JSON.

  Args:
    dtype: name of the dtype of the weights.
  """
  # JAX makes this attribute as it runs, so that no checker can see it.
  matmul = getattr(jax.config, _MATMUL_PRECISION)
  return {"dtype": dtype, "matmul": matmul}


@dataclasses.dataclass(frozen=True)
class Evaluation:
  """One split of the prompts, and the evaluator that answers them.

  Attributes:
    split: the name of the prompts in the log.
    evaluator: what evaluates members on them.
    batch: the prompts, a tree with leaves [Q, ...].
    why_not_finite: why the base may have scores that are not finite, and what
      to do, for the message that refuses it.
  """

  split: str
  evaluator: Evaluator
  batch: Batch
  why_not_finite: str = (
    "the score function returns such a value, or the weights overflow in it."
    " Correct it"
  )


@dataclasses.dataclass(frozen=True)
class Search:
  """A population that is being scored into one run directory.

  Attributes:
    run: the open run directory.
    base: what members are drawn around.
    kind: how noise is drawn.
    members: [P] the population.
    width: members to a chunk.
    header: what the records mean, as JSON values.
  """

  run: Run
  base: Base
  kind: Kind
  members: Sequence[Member]
  width: int
  header: JsonObject


def start_search(
  run: Run,
  base: Base,
  population: PopulationSpec,
  *,
  first: Evaluation,
  task: Mapping[str, Any],
  method: Mapping[str, Any] | None = None,
) -> Search:
  """Samples a population, and states in a run's log what its records mean.

  Args:
    run: the open run directory.
    base: what members are drawn around.
    population: which members there are.
    first: the evaluation that finds the members to a chunk, where neither the
      population nor the run so far says it.
    task: what the scores mean, as JSON values: data, splits, grading.
    method: how the weights that members are drawn around move, as JSON values;
      None where they stay those of the base.

  Raises:
    UserError: if the run was made with another base, task or population.
  """
  width = population.chunk or (run.header or {}).get("width")
  if not width:
    width = first.evaluator.find_width(
      base.params, first.batch, population.size
    )
  header = json_files.as_read(
    {
      "base": base.describe(population.kind),
      "noise": {"version": noise.NOISE_VERSION, "prng": noise.PRNG},
      "kind": population.kind.to_json(),
      "task": task,
      "population": population.describe(),
      "width": width,
      "precision": base.precision,
      **({} if method is None else {"method": method}),
    }
  )
  logging.info(
    "%s noise on %d of %d tensors (%d of %d weights)",
    population.kind.name,
    header["base"]["num_perturbed_tensors"],
    header["base"]["num_tensors"],
    header["base"]["num_perturbed_weights"],
    header["base"]["num_weights"],
  )
  run.write_header(header)
  return Search(run, base, population.kind, population.sample(), width, header)


def score_base(search: Search, evaluation: Evaluation) -> float:
  """Evaluates the base on a split, unless the log holds it; returns its mean score.

  Raises:
    UserError: if a score is not finite, since everything is compared with it.
  """
  score = engine.evaluate_base(
    search.run,
    evaluation.evaluator,
    search.base.params,
    evaluation.batch,
    split=evaluation.split,
  )
  _check_base(search.run, evaluation)
  return score


def score_members(
  search: Search,
  evaluation: Evaluation,
  positions: Sequence[int] | None = None,
) -> Float[np.ndarray, " P"]:
  """Evaluates the base and members on a split, as far as the log lacks them.

  Args:
    search: the search, as `start_search` returns it.
    evaluation: the prompts, and what answers them.
    positions: [P] positions in the population of the members to evaluate, all
      by default.

  Returns:
    [P] mean scores, NaN where a member failed.

  Raises:
    UserError: if a score of the base is not finite, since everything is
      compared with it.
  """
  score_base(search, evaluation)
  if positions is None:
    positions = range(len(search.members))
  return engine.evaluate_members(
    search.run,
    evaluation.evaluator,
    search.base.params,
    [search.members[position] for position in positions],
    evaluation.batch,
    split=evaluation.split,
    width=min(search.width, len(positions)),
    positions=positions,
  )


def _check_base(run: Run, evaluation: Evaluation) -> None:
  split = evaluation.split
  if np.isfinite(run.record(split, BASE_POSITION).score):
    return
  scores = run.channels(split, BASE_POSITION)["score"]
  failed = np.flatnonzero(~np.isfinite(scores))
  raise UserError(
    f"The base must have finite scores on the prompts of {split}, got"
    f" {scores[failed[0]]} on {len(failed)} of {len(scores)}, first at number"
    f" {failed[0]} from 0: {evaluation.why_not_finite}."
  )


def save_experts(
  search: Search,
  chosen: Int[np.ndarray, " K"],
  scores: Float[np.ndarray, " P"],
  *,
  primary_k: int,
) -> None:
  """Writes experts.json, on process 0.

  Args:
    search: the search, as `start_search` returns it.
    chosen: [K] positions by rank.
    scores: [P] scores of the whole population on the prompts of selection.
    primary_k: how many of the chosen are the ensemble.
  """
  if jax.process_index():
    return
  content = experts.describe_experts(
    search.header,
    [Expert(int(p), search.members[p], float(scores[p])) for p in chosen],
    population_size=len(search.members),
    primary_k=primary_k,
    versions=environment.library_versions(),
    source=search.base.source,
  )
  search.run.save_json("experts.json", content)


def finish_run(
  run: Run, results: Mapping[str, Any], clock: Clock, compile_s: float
) -> JsonObject:
  """Writes results.json with its timing and peak memory, on process 0.

  Args:
    run: the open run directory.
    results: every figure of the run, as JSON values.
    clock: what measured the parts of the run.
    compile_s: seconds of it spent on compilation.

  Returns:
    The contents of the file.
  """
  used = {"peak_memory_bytes": process_memory.peak_memory_bytes()}
  timing = clock.timing | {"compile_s": compile_s} | used
  content = {**results, "timing": timing}
  if jax.process_index() == 0:
    run.save_json("results.json", content)
  return content
