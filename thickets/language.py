"""The evaluator for populations of language models.

A member's weights are rebuilt on the device, in the buffers of the member before
it, so that there are the base and one copy per lane, never more. It answers all
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

from thickets import decode, decode_programs, evaluators, flops
from thickets.decode import Decoding, Generator, Responses
from thickets.errors import UserError
from thickets.models import capacity, transformer
from thickets.models.config import TransformerConfig
from thickets.naming import Params
from thickets.perturb import Gaussian, Kind, Member, stack_members
from thickets.rebuilding import Rebuilder
from thickets.stepping import NO_TOKEN

_CPU_ROWS = 256
_MEMORY_FRAC = 0.85  # Of a device; the rest is for programs and fragments.
_MAX_LANES_TIMES_ROWS = 8192  # Beyond, more members at once are no faster.


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
    UserError: if there are no prompts.
  """
  if not len(prompts):
    raise UserError("There must be at least one prompt, got none.")
  width = max(len(prompt) for prompt in prompts)
  tokens = np.full((len(prompts), width), NO_TOKEN, np.int32)
  for row, prompt in enumerate(prompts):
    tokens[row, : len(prompt)] = prompt
  indices = range(len(prompts)) if indices is None else indices
  return {"tokens": tokens, "index": np.asarray(indices, np.int32)}


@dataclasses.dataclass(frozen=True)
class Plan:
  """How much is computed at the same time.

  Attributes:
    lanes: members that one group of devices rebuilds and runs at once.
    rows: prompts that each continues at once.
  """

  lanes: int
  rows: int


def plan_memory(
  config: TransformerConfig,
  dtype: Any,
  mesh: Mesh,
  *,
  num_prompts: int,
  num_tokens: int,
  lanes: int | None = None,
  rows: int | None = None,
) -> Plan:
  """Finds how many members and prompts fit into memory at once.

  On CPU a member has a core to itself, and more of them push each other out of
  its cache; on accelerators small models run many members at once, and large
  ones one, with as many prompts as there is room for.

  Args:
    config: of the model.
    dtype: of weights and memory.
    mesh: with axes `population` and `model`.
    num_prompts: Q.
    num_tokens: of the longest prompt and its response.
    lanes: as asked for, None to find it.
    rows: likewise.

  Raises:
    UserError: if the base, one member and one row do not fit.
  """
  # Of the size, not of what is free now: a resumed run must find the same.
  size = capacity.device_size_bytes(mesh.devices.flat[0])
  if size is None:
    return Plan(lanes or 1, min(rows or _CPU_ROWS, num_prompts))
  limit = _MEMORY_FRAC * size
  copy = capacity.bytes_per_device(config, dtype, mesh)
  # Twice, since rows are copied when some are dropped; logits in float32.
  row = 2 * flops.memory_bytes(config, dtype, num_tokens)
  if config.num_kv_heads % mesh.shape["model"] == 0:
    row /= mesh.shape["model"]
  row += 3 * 4 * config.vocab_size
  block = max(decode_programs.ACCELERATOR_BLOCK_TOKENS, num_tokens)
  lane = copy + flops.prefill_bytes(config, dtype, block, num_tokens)
  free = limit - copy
  fitting = int((free / (lanes or 1) - lane) // row)
  if fitting < 1:
    needed = copy + (lanes or 1) * (lane + row)
    raise UserError(
      f"The base and {lanes or 1} members with a prompt each must fit into a"
      f" device, which needs {needed / 2**30:.3g} GiB, got"
      f" {limit / 2**30:.3g} GiB. Use more devices on the mesh axis `model`, or"
      " a smaller dtype."
    )
  rows = min(rows or fitting, fitting, num_prompts)
  if lanes is None:
    most = min(free / (lane + rows * row), _MAX_LANES_TIMES_ROWS / rows)
    lanes = 2 ** (max(1, int(most)).bit_length() - 1)
  return Plan(lanes, rows)


class LanguageEvaluator:
  """An `Evaluator` of members by what they generate.

  Args:
    config: of the model.
    decoding: how responses are generated.
    host_fn: grades one member's responses: a `grading.Grader`, or the `host_fn`
      of `grading.Workers`.
    executor: of `grading.Workers`; in one thread of this process by default.
    kind: how noise is drawn, `Gaussian()` by default.
    mesh: as from `evaluators.make_mesh`, over all local devices by default.
    lanes: members at once on each group of devices, found from memory by
      default.
    rows: prompts at once of each member, found from memory by default.
    key: of the responses, unless greedy. A response depends on the key, the
      member and the example's index.
    detokenize: maps ids to text; needed for stop strings.
    segment: as of `decode.Generator`.
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
    self._config, self._decoding = config, decoding
    self._mesh = evaluators.make_mesh() if mesh is None else mesh
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
      Gaussian() if kind is None else kind,
      self._shardings,
      self.generator.programs.compiled,
      names=transformer.tensor_names(self._shardings),
    )
    self._staged = evaluators.staged(self._respond, host_fn, executor=executor)

  def place(
    self, base: Params, batch: Any, num_members: int
  ) -> tuple[Params, Any]:
    """Divides the base over the mesh axis `model`, once checked that it fits.

    Raises:
      UserError: if prompts cannot be continued or memory is short.
    """
    prompts = _read_prompts(batch)
    decode.check_prompts(prompts, self._config, self._decoding)
    self._plan(base, prompts)
    return jax.tree.map(_place, base, self._shardings), batch

  def __call__(
    self, base: Params, members: Sequence[Member], batch: Any
  ) -> Any:
    """Generates for the members, and queues their grading."""
    return self._staged(base, members, batch)

  def find_width(self, base: Params, batch: Any, num_members: int) -> int:
    """A chunk width: all groups of devices with all their lanes."""
    plan = self._plan(base, _read_prompts(batch))
    return min(num_members, plan.lanes * self._slots)

  def respond(
    self, base: Params, members: Sequence[Member], batch: Any
  ) -> Responses:
    """What members say, [P, Q, ...], for a base from `place`."""
    return Responses(**self._respond(base, stack_members(members), batch))

  def _respond(self, base, members, batch) -> dict[str, np.ndarray]:
    """The device half: fields of `Responses` [P, Q, ...]."""
    prompts = _read_prompts(batch)
    plan = self._plan(base, prompts)
    keys = self._keys(members, batch["index"])
    num_members, num_terms = members.seed.shape
    width = plan.lanes * self._slots
    parts = []
    if num_members < self._slots or num_terms == 0:
      # Fewer members than devices: the prompts are spread instead.
      for row in range(num_members):
        member = jax.tree.map(lambda field, row=row: field[row], members)
        params = base
        if num_terms:
          params = self._rebuilder.rebuild_one(base, member)
        row_keys = None if keys is None else keys[row]
        said = self.generator.generate(
          params, prompts, row_keys, rows=plan.rows
        )
        parts.append({k: v[None] for k, v in _fields(said).items()})
    else:
      fill = np.arange(math.ceil(num_members / width) * width) % num_members
      for rows in fill.reshape(-1, width):
        some = jax.tree.map(lambda field, rows=rows: field[rows], members)
        params = self._rebuilder.rebuild_many(base, some)
        some_keys = None if keys is None else keys[rows]
        said = self.generator.generate_members(
          params, prompts, some_keys, rows=plan.rows
        )
        parts.append(_fields(said))
    return {
      name: np.concatenate([part[name] for part in parts])[:num_members]
      for name in parts[0]
    }

  def _keys(self, members, indices):
    """Keys [P, Q] of the responses, None when greedy."""
    if self._decoding.sampling.is_greedy:
      return None
    hashes = np.array(
      [
        _hash_member(seeds, sigmas)
        for seeds, sigmas in zip(members.seed, members.sigma, strict=True)
      ],
      np.uint32,
    )
    fold = jax.random.fold_in
    member_keys = jax.vmap(fold, (None, 0))(self._key, hashes)
    return jax.vmap(jax.vmap(fold, (None, 0)), (0, None))(
      member_keys, np.asarray(indices, np.uint32)
    )

  def _plan(self, base, prompts) -> Plan:
    longest = max(len(prompt) for prompt in prompts)
    return plan_memory(
      self._config,
      base["embed_tokens"].dtype,
      self._mesh,
      num_prompts=len(prompts),
      num_tokens=longest + self._decoding.max_new_tokens,
      lanes=self._lanes,
      rows=self._rows,
    )


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


def _place(weight, sharding):
  if getattr(weight, "sharding", None) == sharding:
    return weight
  return jax.device_put(weight, sharding)
