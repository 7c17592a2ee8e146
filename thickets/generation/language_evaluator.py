"""The evaluator for populations of language models.

A member's weights are rebuilt on the device, in the buffers of the member before
it, so that there are the base and one copy per lane. It answers all prompts; its
responses are graded on the host while the next members generate.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from thickets.errors import UserError
from thickets.generation import memory_plan
from thickets.generation.batching import Batching
from thickets.generation.decode_step import NO_TOKEN
from thickets.generation.decoding import Responses
from thickets.generation.generator import Generator
from thickets.generation.grading_workers import Grading
from thickets.generation.member_weights import Rebuilder
from thickets.generation.memory_plan import Workload
from thickets.members import Member, MemberArrays, stack_members
from thickets.models import memory
from thickets.models.layout import Layout
from thickets.naming import Params
from thickets.perturbation import Gaussian, Kind
from thickets.runs import processes
from thickets.search import staged, teams
from thickets.search.evaluator import Handle
from thickets.search.teams import Team

# The arrays of prompts by name, [Q, ...] each; see `make_batch`.
PromptBatch = Mapping[str, np.ndarray]

_MANY_PROMPTS = 2**20  # More than fit into any memory at once.


def make_batch(
  prompts: Sequence[Sequence[int]], indices: Sequence[int] | None = None
) -> dict[str, np.ndarray]:
  """Makes the batch of an evaluator.

  Args:
    prompts: [Q] token ids of each prompt.
    indices: [Q] which example of the grader each prompt belongs to, 0 to Q - 1
      by default.

  Returns:
    `tokens` [Q, T], `NO_TOKEN` behind the end of a prompt, and `index` [Q].

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


class LanguageEvaluator:
  """An `Evaluator` of members by their responses to prompts.

  Args:
    generator: generates the responses, on its mesh and with its batching; lanes
      and rows that the batching leaves open are found from memory.
    grading: grades them, from `grading_workers.start_grading`.
    kind: how noise is drawn, `Gaussian()` by default.
    key: the random key of all responses, not needed if greedy. A response
      depends on the key, the member, the example's index, and the number of the
      `sample` [Q] that the batch may hold. A batch may also hold `temperature`
      [Q], in place of that of the decoding.
    moves_weights: whether the caller moves the weights step by step, and holds more
      than the base and its members, see `memory_plan.plan_memory`.

  Attributes:
    generator: the generator, which counts its compilations.

  Raises:
    UserError: if the decoding samples and there is no key.
  """

  def __init__(
    self,
    generator: Generator,
    grading: Grading,
    *,
    kind: Kind | None = None,
    key: PRNGKeyArray | None = None,
    moves_weights: bool = False,
  ):
    if not generator.decoding.sampling.is_greedy and key is None:
      raise UserError("Sampling needs a key, got none. Pass key.")
    self.generator, self._key = generator, key
    self._moves_weights = moves_weights
    self._plans: dict[tuple[np.dtype, Workload], Batching] = {}
    self._num_slots = generator.programs.num_slots
    self._team = teams.find_team(generator.mesh)
    self._rebuilder = Rebuilder(
      generator.config,
      Gaussian() if kind is None else kind,
      generator.mesh,
      generator.programs.compiled,
      generator.layout,
    )
    self._queue = staged.GradingQueue(grading.host_fn, grading.executor)

  @property
  def team(self) -> Team:
    """The processes whose devices are on the mesh."""
    return self._team

  @property
  def compile_s(self) -> float:
    """Seconds spent on compilation so far."""
    return self.generator.programs.compiled.compile_s

  def place(
    self, base: Params, batch: PromptBatch, num_members: int
  ) -> tuple[Params, PromptBatch]:
    """Divides the base over the mesh axis `model`, once checked that it fits.

    Raises:
      UserError: if prompts cannot be continued or memory is short.
    """
    del num_members  # However many there are, as many as fit are run at once.
    prompts = _read_prompts(batch)
    self.generator.decoding.check_prompts(prompts, self.generator.config)
    self._plan(base, prompts)
    return self.generator.place(base), batch

  def find_width(
    self, base: Params, batch: PromptBatch, num_members: int
  ) -> int:
    """Members to a chunk: all groups of devices with all their lanes."""
    plan = self._plan(base, _read_prompts(batch))
    return min(num_members, _count(plan.lanes) * self._num_slots)

  def find_rows(self, base: Params, batch: PromptBatch) -> int:
    """Prompts that all groups of devices continue at once for the base.

    As many as memory holds, however few the batch has.
    """
    prompts = _read_prompts(batch)
    plan = self._plan(base, prompts, num_prompts=_MANY_PROMPTS)
    return _count(plan.rows) * self._num_slots

  def __call__(
    self, base: Params, members: Sequence[Member], batch: PromptBatch
  ) -> Handle:
    """Generates for the members, and queues the grading of their responses."""
    responses = self.respond(base, members, batch)
    if not self._team.is_led_here:
      return staged.UngradedHandle()
    return self._queue.submit(responses, len(members), batch)

  def respond(
    self, base: Params, members: Sequence[Member], batch: PromptBatch
  ) -> Responses:
    """The responses of members to prompts.

    A prompt that stands there several times, as tasks may share it, is answered
    once where the decoding is greedy.

    Args:
      base: the base's weights, from `place`.
      members: the P members.
      batch: the Q prompts, as from `make_batch`.

    Returns:
      [P, Q, T] what they generate.
    """
    prompts = _read_prompts(batch)
    stacked = stack_members(members)
    keys = self._make_keys(stacked, batch)
    places = list(range(len(prompts)))
    if keys is None:
      prompts, places = _find_distinct(prompts)
    plan = self._plan(base, prompts)
    num_terms = stacked.seeds.shape[1]
    if len(members) < self._num_slots or num_terms == 0:
      # Fewer members than devices: the prompts are spread instead.
      parts = self._respond_one_by_one(
        base, stacked, prompts, keys, batch.get("temperature"), plan
      )
    else:
      parts = self._respond_together(
        base, stacked, prompts, keys, batch.get("temperature"), plan
      )
    return jax.tree.map(
      lambda *fields: np.concatenate(fields)[: len(members), places], *parts
    )

  def _respond_one_by_one(
    self,
    base: Params,
    members: MemberArrays,
    prompts: Sequence[Sequence[int]],
    keys: jax.Array | None,
    temperatures: np.ndarray | None,
    plan: Batching,
  ) -> list[Responses]:
    """The responses [1, Q, T] of each member, which all devices compute."""
    num_members, num_terms = members.seeds.shape
    parts = []
    for row in range(num_members):
      params = base
      # Where layers lie apart, the base is copied in place of a member.
      if num_terms or self.generator.layout is Layout.APART:
        member = jax.tree.map(lambda field, row=row: field[row], members)
        params = self._rebuilder.rebuild_one(base, member)
      responses = self.generator.generate(
        params,
        prompts,
        None if keys is None else keys[row],
        temperatures=temperatures,
        batching=plan,
      )
      parts.append(jax.tree.map(lambda field: field[None], responses))
    return parts

  def _respond_together(
    self,
    base: Params,
    members: MemberArrays,
    prompts: Sequence[Sequence[int]],
    keys: jax.Array | None,
    temperatures: np.ndarray | None,
    plan: Batching,
  ) -> list[Responses]:
    """The responses of all lanes of all devices, one round after the other.

    The last round is filled up with members whose responses do not count.
    """
    num_members = len(members.seeds)
    # No more lanes than there are members for.
    most = _next_power(-(-num_members // self._num_slots))
    width = min(_count(plan.lanes), most) * self._num_slots
    filled = np.arange(math.ceil(num_members / width) * width) % num_members
    parts = []
    for rows in filled.reshape(-1, width):
      some = jax.tree.map(lambda field, rows=rows: field[rows], members)
      parts.append(
        self.generator.generate_members(
          self._rebuilder.rebuild_many(base, some),
          prompts,
          None if keys is None else keys[rows],
          temperatures=temperatures,
          batching=plan,
        )
      )
    return parts

  def _make_keys(
    self, members: MemberArrays, batch: PromptBatch
  ) -> jax.Array | None:
    """The keys [P, Q] of the responses, None when greedy."""
    if self.generator.decoding.sampling.is_greedy:
      return None
    hashes = np.array(
      [_hash_member(*terms) for terms in zip(*members, strict=True)], np.uint32
    )
    assert self._key is not None  # The constructor has seen to it.
    fold = jax.random.fold_in
    member_keys = jax.vmap(fold, (None, 0))(self._key, hashes)
    keys = jax.vmap(jax.vmap(fold, (None, 0)), (0, None))(
      member_keys, np.asarray(batch["index"], np.uint32)
    )
    if "sample" in batch:
      samples = np.asarray(batch["sample"], np.uint32)
      keys = jax.vmap(jax.vmap(fold), (0, None))(keys, samples)
    return keys

  def _plan(
    self,
    base: Params,
    prompts: Sequence[Sequence[int]],
    num_prompts: int | None = None,
  ) -> Batching:
    """The batching of such prompts, found once: every chunk asks for it."""
    dtype = base["embed_tokens"].dtype
    workload = Workload(
      num_prompts or len(prompts),
      max(len(prompt) for prompt in prompts),
      self.generator.decoding.max_new_tokens,
    )
    if (dtype, workload) not in self._plans:
      self._plans[dtype, workload] = memory_plan.plan_memory(
        self.generator.config,
        dtype,
        self.generator.mesh,
        workload,
        self.generator.batching,
        self._find_memory(),
        layout=self.generator.layout,
        moves_weights=self._moves_weights,
      )
    return self._plans[dtype, workload]

  def _find_memory(self) -> int | None:
    """Bytes of the smallest device of the team; None where devices have none.

    All of a team must plan alike, or they would run programs of other shapes.
    """
    size = memory.device_size_bytes(self.generator.mesh.local_devices[0])
    if len(self._team.processes) > 1:
      sizes = [
        processes.share("memory of a device", size, source=process)
        for process in self._team.processes
      ]
      size = min((one for one in sizes if one is not None), default=None)
    return size


def _next_power(count: int) -> int:
  return 2 ** (count - 1).bit_length()


def _count(found: int | None) -> int:
  """A count of a plan, where none is left open."""
  assert found is not None
  return found


def _read_prompts(batch: PromptBatch) -> list[list[int]]:
  return [row[row != NO_TOKEN].tolist() for row in np.asarray(batch["tokens"])]


def _find_distinct(
  prompts: Sequence[list[int]],
) -> tuple[list[list[int]], list[int]]:
  """Returns each prompt once, in its order, and the place [Q] of every prompt."""
  first: dict[tuple[int, ...], int] = {}
  places = [first.setdefault(tuple(p), len(first)) for p in prompts]
  return [list(prompt) for prompt in first], places


def _hash_member(seeds: np.ndarray, coefficients: np.ndarray) -> int:
  """32 bits that differ between members; terms of no weight do not count."""
  counted = coefficients != 0
  words = seeds[counted].tobytes() + coefficients[counted].tobytes()
  return int.from_bytes(hashlib.blake2b(words, digest_size=4).digest(), "big")
