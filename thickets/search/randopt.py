"""A search: a population around one base, scored into one run directory.

Ties members, engine and run directory together for any evaluator; what is done
with the scores is the caller's.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from absl import logging
from jaxtyping import Float, Int

from thickets import naming, noise
from thickets.naming import Names, Params
from thickets.perturbation import describe_kind
from thickets.runs import directory, environment, experts
from thickets.search import engine
from thickets.search.evaluator import Batch, Evaluator
from thickets.search.population import PopulationSpec


class Search:
  """Scores a population and writes its experts.

  Attributes:
    members: [P] the population.
    width: members to a chunk.

  Args:
    folder: the run directory; its header is written or checked here.
    base: the pristine weights.
    population: which members there are.
    find_width: finds the members to a chunk, where neither the population nor
      the run so far says it.
    task: what the scores mean, as JSON values: data, splits, grading.
    precision: in which weights and products are computed, as JSON values.
    names: logical names of the tensors of `base`.
    identity: of the base as published, where it is known; computed from `base`
      by default.
    source: where the base can be loaded from, as JSON values, for experts.json.

  Raises:
    UserError: if the run was made with another base, task or population.
  """

  def __init__(
    self,
    folder: directory.Run,
    base: Params,
    population: PopulationSpec,
    *,
    find_width: Callable[[], int],
    task: dict[str, Any],
    precision: dict[str, Any],
    names: Names | None = None,
    identity: str | None = None,
    source: dict[str, Any] | None = None,
  ):
    self._source = source
    self._folder, self._base, self._population = folder, base, population
    self.width = (
      population.chunk or (folder.header or {}).get("width") or find_width()
    )
    self._header = {
      "base": {
        "identity": identity or naming.identify(base, names),
        "dtypes": naming.list_dtypes(base),
        "names": naming.hash_names(base, names),
        **describe_kind(base, population.kind, names),
      },
      "noise": {"version": noise.NOISE_VERSION, "prng": noise.PRNG},
      "kind": population.kind.to_json(),
      "task": task,
      "population": population.describe(),
      "width": self.width,
      "precision": precision,
    }
    logging.info(
      "%s noise on %d of %d tensors (%d of %d weights)",
      population.kind.name,
      self._header["base"]["num_perturbed_tensors"],
      self._header["base"]["num_tensors"],
      self._header["base"]["num_perturbed_weights"],
      self._header["base"]["num_weights"],
    )
    # As it is read back, where tuples are lists.
    folder.write_header(json.loads(json.dumps(self._header)))
    self.members = population.sample()

  def evaluate(
    self,
    evaluator: Evaluator,
    batch: Batch,
    *,
    split: str,
    positions: Sequence[int] | None = None,
  ) -> Float[np.ndarray, " P"]:
    """Evaluates the base and members on a split, as far as the log lacks them.

    Args:
      evaluator: made by `traced.traced` or `staged.staged`.
      batch: the prompts.
      split: their name.
      positions: [P] which members, all by default.

    Returns:
      [P] mean scores, NaN where a member failed.
    """
    engine.evaluate_base(
      self._folder, evaluator, self._base, batch, split=split
    )
    positions = range(len(self.members)) if positions is None else positions
    return engine.evaluate_members(
      self._folder,
      evaluator,
      self._base,
      [self.members[position] for position in positions],
      batch,
      split=split,
      width=min(self.width, len(positions)),
      positions=positions,
    )

  def save_experts(
    self,
    chosen: Int[np.ndarray, " K"],
    scores: Float[np.ndarray, " P"],
    *,
    primary_k: int,
  ) -> None:
    """Writes experts.json.

    Args:
      chosen: [K] positions by rank.
      scores: [P] of the whole population, on the prompts of selection.
      primary_k: how many of them are the ensemble.
    """
    content = experts.describe_experts(
      base_identity=self._header["base"]["identity"],
      base_dtypes=self._header["base"]["dtypes"],
      base_names=self._header["base"]["names"],
      kind=self._population.kind,
      task=self._header["task"],
      population=self._header["population"] | {"size": len(self.members)},
      members=[self.members[position] for position in chosen],
      scores=np.asarray(scores)[np.asarray(chosen)],
      positions=chosen,
      primary_k=primary_k,
      versions=environment.library_versions(),
      source=self._source,
    )
    self._folder.save_json("experts.json", content)
