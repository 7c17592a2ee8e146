"""The evaluator for populations of language models.

A member's weights are rebuilt on the device, in the buffers of the member before
it, so that there are the base and one copy per lane. It answers all prompts; its
responses are graded on the host while the next members generate.
"""

import dataclasses
import math
from collections.abc import Sequence

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import PRNGKeyArray

from thickets import placement
from thickets.errors import UserError
from thickets.generation import memory_plan
from thickets.generation.batching import Batching
from thickets.generation.decode_step import NO_TOKEN
from thickets.generation.decoding import Responses
from thickets.generation.generator import Generator
from thickets.generation.grading_workers import Grading
from thickets.generation.member_weights import Rebuilder
from thickets.generation.memory_plan import Workload
from thickets.generation.pictures import PictureStore, PictureTables
from thickets.generation.questions import (
  PromptBatch,
  Questions,
  make_keys,
  pack_digests,
)
from thickets.generation.texts import PromptImages
from thickets.members import Member, MemberArrays, stack_members
from thickets.models import memory
from thickets.models.layout import Layout
from thickets.models.vision import joined
from thickets.models.vision.joined import VISUAL
from thickets.naming import Params
from thickets.perturbation import Gaussian, Kind
from thickets.runs import processes
from thickets.search import staged, teams
from thickets.search.evaluator import Handle
from thickets.search.teams import Team

_MANY_PROMPTS = 2**20  # More than fit into any memory at once.


def make_batch(
  prompts: Sequence[Sequence[int]],
  indices: Sequence[int] | None = None,
  pictures: Sequence[Sequence[str]] | None = None,
) -> dict[str, np.ndarray]:
  """Makes the batch of an evaluator.

  Args:
    prompts: [Q] token ids of each prompt.
    indices: [Q] which example of the grader each prompt belongs to, 0 to Q - 1
      by default.
    pictures: [Q] the pictures of each prompt, by their digests; None for none.

  Returns:
    `tokens` [Q, T], `NO_TOKEN` behind the end of a prompt, and `index` [Q]; where
    there are pictures, the bytes of their digests `pictures` [Q, M, 32] as well,
    zeros where a prompt has fewer than M.

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
  batch = {"tokens": tokens, "index": np.asarray(indices, np.int32)}
  packed = pack_digests(pictures or ())
  return batch if packed is None else batch | {"pictures": packed}


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
    pictures: the pictures that prompts may show, for a vision-language model; None
      for a text model. The base then has the subtree `visual`.

  Attributes:
    generator: the generator, which counts its compilations.
    moves_tower: whether each member has a tower of its own, so that pictures are
      encoded for each of them and not once.

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
    pictures: PictureStore | None = None,
  ):
    if not generator.decoding.sampling.is_greedy and key is None:
      raise UserError("Sampling needs a key, got none. Pass key.")
    self.generator, self._key = generator, key
    self._is_greedy = generator.decoding.sampling.is_greedy
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
      None if pictures is None else pictures.vision.config,
    )
    self.moves_tower = self._rebuilder.moves_tower
    self._tables = pictures and PictureTables(
      pictures, generator.mesh, generator.programs.compiled
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

    The features of pictures are computed, unless members have their own.

    Raises:
      UserError: if prompts cannot be continued or memory is short.
    """
    del num_members  # However many there are, as many as fit are run at once.
    questions = Questions.read(batch)
    self.generator.decoding.check_prompts(
      questions.prompts, self.generator.config
    )
    self._plan(base, questions)
    placed = self.generator.place(joined.take_text(base))
    if self.moves_tower:
      whole = NamedSharding(self.generator.mesh, PartitionSpec())
      placed |= {VISUAL: placement.put(base[VISUAL], whole)}
    elif self._tables is not None and questions.digests:
      self._tables.store.keep(base.get(VISUAL), questions.digests)
    return placed, batch

  def find_width(
    self, base: Params, batch: PromptBatch, num_members: int
  ) -> int:
    """Members to a chunk: all groups of devices with all their lanes."""
    plan = self._plan(base, Questions.read(batch))
    return min(num_members, _count(plan.lanes) * self._num_slots)

  def find_rows(self, base: Params, batch: PromptBatch) -> int:
    """Prompts that all groups of devices continue at once for the base.

    As many as memory holds, however few the batch has.
    """
    questions = Questions.read(batch)
    plan = self._plan(base, questions, num_prompts=_MANY_PROMPTS)
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
    questions = Questions.read(batch)
    stacked = stack_members(members)
    keys = None
    if self._key is not None and not self._is_greedy:
      keys = make_keys(self._key, stacked, batch)
    places = list(range(len(questions.prompts)))
    if keys is None:
      questions, places = questions.find_distinct()
    plan = self._plan(base, questions)
    num_terms = stacked.seeds.shape[1]
    # Fewer members than devices: the prompts are spread instead.
    is_alone = len(members) < self._num_slots or num_terms == 0
    respond = self._respond_one_by_one if is_alone else self._respond_together
    parts = respond(
      base, stacked, questions, keys, batch.get("temperature"), plan
    )
    return jax.tree.map(
      lambda *fields: np.concatenate(fields)[: len(members), places], *parts
    )

  def _respond_one_by_one(
    self,
    base: Params,
    members: MemberArrays,
    questions: Questions,
    keys: jax.Array | None,
    temperatures: np.ndarray | None,
    plan: Batching,
  ) -> list[Responses]:
    """The responses [1, Q, T] of each member, which all devices compute."""
    num_members, num_terms = members.seeds.shape
    text = joined.take_text(base)
    parts = []
    for row in range(num_members):
      params = text
      member = jax.tree.map(lambda field, row=row: field[row], members)
      # Where layers lie apart, the base is copied in place of a member.
      if num_terms or self.generator.layout is Layout.APART:
        params = self._rebuilder.rebuild_one(text, member)
      responses = self.generator.generate(
        params,
        questions.prompts,
        None if keys is None else keys[row],
        temperatures=temperatures,
        batching=plan,
        images=self._show(base, questions, [member]),
      )
      parts.append(jax.tree.map(lambda field: field[None], responses))
    return parts

  def _respond_together(
    self,
    base: Params,
    members: MemberArrays,
    questions: Questions,
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
    text = joined.take_text(base)
    parts = []
    for number, rows in enumerate(filled.reshape(-1, width)):
      some = jax.tree.map(lambda field, rows=rows: field[rows], members)
      each = [
        jax.tree.map(lambda field, row=row: field[row], members)
        for row in rows[: num_members - number * width]
      ]
      parts.append(
        self.generator.generate_members(
          self._rebuilder.rebuild_many(text, some),
          questions.prompts,
          None if keys is None else keys[rows],
          temperatures=temperatures,
          batching=plan,
          images=self._show(base, questions, each, width=width),
        )
      )
    return parts

  def _show(
    self,
    base: Params,
    questions: Questions,
    members: Sequence[MemberArrays],
    *,
    width: int | None = None,
  ) -> PromptImages | None:
    """The pictures as members see them: all alike, or each with its own tower.

    Up to `width` members run together; no tower is run for those that fill up.
    """
    if not questions.digests:
      return None
    if self._tables is None:
      raise ValueError("Prompts with pictures need `pictures`, got none.")
    store = self._tables.store
    is_base = not members[0].seeds.size  # It has no terms.
    if is_base or not self.moves_tower:
      features = [store.keep(base.get(VISUAL), questions.digests)]
      return self._tables.show(questions.shown, features)
    features = [
      store.encode(
        self._rebuilder.rebuild_tower(base[VISUAL], member), questions.digests
      )
      for member in members
    ]
    if width is not None:
      features += features[:1] * (width - len(features))
    has_own = width is not None
    return self._tables.show(questions.shown, features, has_own_tables=has_own)

  def _plan(
    self,
    base: Params,
    questions: Questions,
    num_prompts: int | None = None,
  ) -> Batching:
    """The batching of such prompts, found once: every chunk asks for it."""
    dtype = base["embed_tokens"].dtype
    workload = Workload(
      num_prompts or len(questions.prompts),
      max(len(prompt) for prompt in questions.prompts),
      self.generator.decoding.max_new_tokens,
    )
    if self._tables is not None:
      store = self._tables.store
      tower = memory.tower_bytes(store.vision.config, dtype)
      workload = dataclasses.replace(
        workload,
        image_bytes=store.count_bytes(questions.digests, dtype),
        has_own_images=self.moves_tower,
        image_tokens=store.count_tokens(questions.digests)
        / len(questions.prompts),
        tower_bytes=(2 if self.moves_tower else 1) * tower,
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
