"""The evaluator for populations of language models.

A member's weights are rebuilt on the device, in the buffers of the member before
it, so that there are the base and one copy per lane. It answers all
prompts; what it said is graded on the host while the next members generate.
"""

import concurrent.futures
import dataclasses
import hashlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import PRNGKeyArray

from thickets.errors import UserError
from thickets.generation import generator, memory_plan
from thickets.generation.decode_step import NO_TOKEN
from thickets.generation.generator import Decoding, Generator, Responses
from thickets.generation.member_weights import Rebuilder
from thickets.generation.memory_plan import Plan
from thickets.members import Member, stack_members
from thickets.models import transformer
from thickets.models.config import TransformerConfig
from thickets.naming import Params
from thickets.perturbation import Gaussian, Kind
from thickets.search import meshes, staged


def make_batch(
  prompts: Sequence[Sequence[int]], indices: Sequence[int] | None = None
) -> dict[str, np.ndarray]:
  """Makes the batch of an evaluator.

  Args:
    prompts: [Q] token ids of each.
    indices: [Q] which example of the grader each is, 0 to Q - 1 by default.

  Returns:
    `tokens` [Q, T], `NO_TOKEN` behind the end, and `index` [Q].

  Raises:
    UserError: if there are no prompts, or not an index for each.
  """
  if not len(prompts):
    raise UserError("There must be at least one prompt, got none.")
  if indices is not None and len(indices) != len(prompts):
    raise UserError(
      f"indices must name an example for each of {len(prompts)} prompts, got"
      f" {len(indices)}."
    )
  width = max(len(prompt) for prompt in prompts)
  tokens = np.full((len(prompts), width), NO_TOKEN, np.int32)
  for row, prompt in enumerate(prompts):
    tokens[row, : len(prompt)] = prompt
  indices = range(len(prompts)) if indices is None else indices
  return {"tokens": tokens, "index": np.asarray(indices, np.int32)}


_MANY_PROMPTS = 2**20  # More than fit into any memory at once.


class LanguageEvaluator:
  """An `Evaluator` of members by what they generate.

  Args:
    config: of the model.
    decoding: how responses are generated.
    host_fn: grades one member's responses: a `grading.Grader`, or the `host_fn`
      of `grading.Workers`.
    executor: of `grading.Workers`; in one thread of this process by default.
    kind: how noise is drawn, `Gaussian()` by default.
    mesh: as from `meshes.make_mesh`, over all local devices by default.
    lanes: members at once on each group of devices, found from memory by
      default.
    rows: prompts at once of each member, found from memory by default.
    key: of the responses, unless greedy. A response depends on the key, the
      member, the example's index, and the `sample` [Q] that the batch may hold.
      A batch may also hold `temperature` [Q], in place of the decoding's.
    detokenize: maps ids to text; needed for stop strings.
    segment: as of `generator.Generator`.
    is_stacked: likewise.

  Attributes:
    generator: what generates; it counts its compilations.
  """

  def __init__(
    self,
    config: TransformerConfig,
    decoding: Decoding,
    host_fn: Callable[[Any, Any], dict[str, Any]],
    *,
    executor: concurrent.futures.Executor | None = None,
    kind: Kind | None = None,
    mesh: Mesh | None = None,
    lanes: int | None = None,
    rows: int | None = None,
    key: PRNGKeyArray | None = None,
    detokenize: Callable[[Sequence[int]], str] | None = None,
    segment: int | None = None,
    is_stacked: bool | None = None,
  ):
    if not decoding.sampling.is_greedy and key is None:
      raise UserError("Sampling needs a key, got none. Pass key.")
    generator.check_counts(lanes=lanes, rows=rows)
    self._config, self._decoding = config, decoding
    self._plans: dict[Any, Plan] = {}
    self._mesh = meshes.make_mesh() if mesh is None else mesh
    self._slots = self._mesh.shape["population"]
    self._lanes, self._rows, self._key = lanes, rows, key
    self._shardings = transformer.shardings(config, self._mesh)
    self.generator = Generator(
      config,
      decoding,
      mesh=self._mesh,
      segment=segment,
      is_stacked=is_stacked,
      detokenize=detokenize,
    )
    self._rebuilder = Rebuilder(
      config,
      Gaussian() if kind is None else kind,
      self._mesh,
      self.generator.programs.compiled,
      is_stacked=self.generator.is_stacked,
    )
    self._staged = staged.staged(self._respond, host_fn, executor=executor)

  @property
  def compile_s(self) -> float:
    """Seconds spent on compilation so far."""
    return self.generator.programs.compiled.compile_s

  def place(
    self, base: Params, batch: Any, num_members: int
  ) -> tuple[Params, Any]:
    """Divides the base over the mesh axis `model`, once checked that it fits.

    Raises:
      UserError: if prompts cannot be continued or memory is short.
    """
    prompts = _read_prompts(batch)
    generator.check_prompts(prompts, self._config, self._decoding)
    self._plan(base, prompts)
    return jax.tree.map(generator.place_weight, base, self._shardings), batch

  def __call__(
    self, base: Params, members: Sequence[Member], batch: Any
  ) -> Any:
    """Generates for the members, and queues their grading."""
    return self._staged(base, members, batch)

  def find_width(self, base: Params, batch: Any, num_members: int) -> int:
    """A chunk width: all groups of devices with all their lanes."""
    plan = self._plan(base, _read_prompts(batch))
    return min(num_members, plan.lanes * self._slots)

  def find_rows(self, base: Params, batch: Any) -> int:
    """Prompts that all groups of devices continue at once for the base.

    As many as memory holds, however few the batch has.
    """
    prompts = _read_prompts(batch)
    plan = self._plan(base, prompts, num_prompts=_MANY_PROMPTS)
    return plan.rows * self._slots

  def respond(
    self, base: Params, members: Sequence[Member], batch: Any
  ) -> Responses:
    """What members say, [P, Q, ...], for a base from `place`."""
    return Responses(**self._respond(base, stack_members(members), batch))

  def _respond(self, base, members, batch) -> dict[str, np.ndarray]:
    """The device half: fields of `Responses` [P, Q, ...]."""
    prompts = _read_prompts(batch)
    plan = self._plan(base, prompts)
    keys = self._keys(members, batch)
    options = {
      "temperatures": batch.get("temperature"),
      "rows": plan.rows,
      "block": plan.block,
    }
    num_members, num_terms = members.seeds.shape
    # No more lanes than there are members for.
    lanes = min(plan.lanes, _next_power(-(-num_members // self._slots)))
    width = lanes * self._slots
    parts = []
    if num_members < self._slots or num_terms == 0:
      # Fewer members than devices: the prompts are spread instead.
      for row in range(num_members):
        member = jax.tree.map(lambda field, row=row: field[row], members)
        params = base
        if num_terms:
          params = self._rebuilder.rebuild_one(base, member)
        row_keys = None if keys is None else keys[row]
        said = self.generator.generate(params, prompts, row_keys, **options)
        parts.append({k: v[None] for k, v in _fields(said).items()})
    else:
      fill = np.arange(math.ceil(num_members / width) * width) % num_members
      for rows in fill.reshape(-1, width):
        some = jax.tree.map(lambda field, rows=rows: field[rows], members)
        params = self._rebuilder.rebuild_many(base, some)
        some_keys = None if keys is None else keys[rows]
        said = self.generator.generate_members(
          params, prompts, some_keys, **options
        )
        parts.append(_fields(said))
    return {
      name: np.concatenate([part[name] for part in parts])[:num_members]
      for name in parts[0]
    }

  def _keys(self, members, batch):
    """Keys [P, Q] of the responses, None when greedy."""
    if self._decoding.sampling.is_greedy:
      return None
    hashes = np.array(
      [
        _hash_member(seeds, sigmas)
        for seeds, sigmas in zip(
          members.seeds, members.coefficients, strict=True
        )
      ],
      np.uint32,
    )
    fold = jax.random.fold_in
    member_keys = jax.vmap(fold, (None, 0))(self._key, hashes)
    keys = jax.vmap(jax.vmap(fold, (None, 0)), (0, None))(
      member_keys, np.asarray(batch["index"], np.uint32)
    )
    if "sample" in batch:
      samples = np.asarray(batch["sample"], np.uint32)
      keys = jax.vmap(jax.vmap(fold), (0, None))(keys, samples)
    return keys

  def _plan(self, base, prompts, num_prompts=None) -> Plan:
    """The plan for such prompts, made once: every chunk asks for it."""
    dtype = base["embed_tokens"].dtype
    longest = max(len(prompt) for prompt in prompts)
    sizes = num_prompts or len(prompts), longest
    if (dtype, sizes) not in self._plans:
      self._plans[dtype, sizes] = memory_plan.plan_memory(
        self._config,
        dtype,
        self._mesh,
        num_prompts=sizes[0],
        prompt_tokens=sizes[1],
        new_tokens=self._decoding.max_new_tokens,
        lanes=self._lanes,
        rows=self._rows,
      )
    return self._plans[dtype, sizes]


def _next_power(count: int) -> int:
  return 2 ** (count - 1).bit_length()


def _read_prompts(batch) -> list[list[int]]:
  return [row[row != NO_TOKEN].tolist() for row in np.asarray(batch["tokens"])]


def _fields(responses) -> dict[str, np.ndarray]:
  return {
    field.name: getattr(responses, field.name)
    for field in dataclasses.fields(responses)
  }


def _hash_member(seeds, sigmas) -> int:
  """32 bits that differ between members; terms of no weight do not count."""
  counted = sigmas != 0
  words = seeds[counted].tobytes() + sigmas[counted].tobytes()
  return int.from_bytes(hashlib.blake2b(words, digest_size=4).digest(), "big")
