"""Members that are rebuilt and answer prompts, phase by phase, and their times.

Machines that others use are noisy. So phases and the ceilings that they are
compared with are measured in turns, and of each the best counts.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from experiments.benchmark import ceilings as ceilings_lib
from thickets.generation import memory_plan
from thickets.generation.batching import Batching
from thickets.generation.decoding import Decoding
from thickets.generation.generator import Generator
from thickets.generation.member_weights import Rebuilder
from thickets.generation.memory_plan import Workload
from thickets.generation.texts import PromptImages
from thickets.members import stack_members
from thickets.models.config import TransformerConfig
from thickets.models.layout import LAYOUTS
from thickets.naming import Params
from thickets.perturbation import Gaussian
from thickets.search import population


class Answering:
  """A model, its prompts and the programs that are timed.

  Args:
    model: the architecture.
    base: its weights, laid out on the mesh.
    mesh: the devices.
    prompts: [Q] token ids of each prompt.
    decoding: makes how tokens are chosen, from how many there are at most.
    new_tokens: how many tokens a response has at most.
    asked: lanes and rows, None where memory decides.
    layers: one of `layout.LAYOUTS`.
    seed: the seed that members are drawn with.
    sigma: the sigma of each member.
    images: the images of the prompts; None where they have none.

  Attributes:
    generator: continues the prompts.
    plan: lanes and rows as they are.
    num_members: members that answer at once.
  """

  def __init__(
    self,
    model: TransformerConfig,
    base: Params,
    mesh: Mesh,
    prompts: Sequence[Sequence[int]],
    decoding: Callable[[int], Decoding],
    *,
    new_tokens: int,
    asked: Batching,
    layers: str,
    seed: int,
    sigma: float,
    images: PromptImages | None = None,
  ):
    self._base, self._prompts, self._images = base, prompts, images
    layout = LAYOUTS[layers]
    self.plan = memory_plan.plan_memory(
      model,
      base["embed_tokens"].dtype,
      mesh,
      Workload(len(prompts), max(map(len, prompts)), new_tokens),
      asked,
      layout=layout,
    )
    assert self.plan.lanes is not None  # A plan leaves nothing open.
    self.num_members = self.plan.lanes * mesh.shape["population"]
    self._members = stack_members(
      population.sample_members(seed, self.num_members, (sigma,))
    )
    # One generator for the whole, one that stops after the first token.
    self.generator, self._reader = (
      Generator(
        model,
        decoding(most),
        mesh=mesh,
        batching=self.plan,
        layout=layout,
      )
      for most in (new_tokens, 1)
    )
    self._rebuilder = Rebuilder(
      model,
      Gaussian(),
      mesh,
      self.generator.programs.compiled,
      self.generator.layout,
    )

  def perturb(self) -> None:
    """Rebuilds the members."""
    params = self._rebuilder.rebuild_many(self._base, self._members)
    self._params = jax.block_until_ready(params)

  def read(self) -> None:
    """The members that were rebuilt last read the prompts."""
    self._reader.generate_members(
      self._params, self._prompts, images=self._images
    )

  def answer(self) -> Any:
    """Rebuilds the members and lets them answer: [P, Q, T]."""
    self.perturb()
    return self.generator.generate_members(
      self._params, self._prompts, images=self._images
    )

  def time_phases(
    self, theirs: Callable[[], None] | None, repeats: int, dtype: np.dtype
  ) -> tuple[dict[str, float], dict[str, float]]:
    """Times what was compiled before.

    Args:
      theirs: another library's generation, which is timed as well.
      repeats: turns, the best of which counts.
      dtype: the dtype of the matrix products whose rate is a ceiling.

    Returns:
      Least seconds per member of `perturb`, `prefill`, `member` and, for all
      prompts, `theirs`; and the ceilings.
    """
    phases: dict[str, Callable[[], object]] = {
      "perturb": self.perturb,
      "prefill": self.read,
      "member": self.answer,
    }
    if theirs is not None:
      theirs()
      phases["theirs"] = theirs
    best = dict.fromkeys(phases, math.inf)
    ceilings: Mapping[str, float] = ceilings_lib.measure_rates(dtype)
    for _ in range(repeats):
      for name, run in phases.items():
        start = time.perf_counter()
        run()
        best[name] = min(best[name], time.perf_counter() - start)
      again = ceilings_lib.measure_rates(dtype)
      ceilings = {name: max(ceilings[name], again[name]) for name in again}
    times = {
      name: seconds / (1 if name == "theirs" else self.num_members)
      for name, seconds in best.items()
    }
    return times, dict(ceilings)
