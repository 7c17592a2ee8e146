"""Generation for many prompts and many members at once.

A call reads the prompts once (*prefill*), then generates in *segments* of some
steps. Between two segments finished rows are dropped and the memory grows, so
that neither finished rows nor slots that are not written yet cost time. Row
counts come from a small fixed set, so compilations stay few; they are counted.

What a row says depends on its prompt, its key and its member: not on the other
rows, on padding, or on how rows are batched, except where the two best logits
lie closer together than float rounding (about 1e-6 of their size in float32).
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Bool, Float, Int

from thickets import evaluators
from thickets.decode_programs import DecodePrograms
from thickets.errors import UserError
from thickets.models.config import TransformerConfig
from thickets.naming import Params
from thickets.sampling import GREEDY, Sampling
from thickets.stepping import NO_TOKEN

# Up to so many layers are compiled one by one while decoding: each reads its
# weights and memory in place, where a scan copies them out of their stacks.
_MAX_UNROLLED = 8
_MIN_PREFIX = 16  # Tokens; a shorter one is not worth a program of its own.
_ROW_FRACTIONS = (1, 3 / 4, 1 / 2, 3 / 8, 1 / 4, 1 / 8)
_MIN_SEGMENT = 32
_WIDTH_MULTIPLE = 8  # Of prompt widths, so that few differ.


@dataclasses.dataclass(frozen=True)
class Decoding:
  """Everything that a response depends on, besides model, prompt and key.

  Attributes:
    max_new_tokens: where a response that did not stop is cut off.
    sampling: how tokens are chosen.
    stop_tokens: ids that end a response, and belong to it.
    stop_strings: texts that end a response with the token that completes them.
    num_tokens: tokens that the tokenizer knows; rows of the embedding beyond
      are never chosen. None for all.

  Raises:
    UserError: if a value is out of range.
  """

  max_new_tokens: int
  sampling: Sampling = GREEDY
  stop_tokens: tuple[int, ...] = ()
  stop_strings: tuple[str, ...] = ()
  num_tokens: int | None = None

  def __post_init__(self):
    if self.max_new_tokens < 1:
      raise UserError(
        f"max_new_tokens must be at least 1, got {self.max_new_tokens}."
      )
    if isinstance(self.stop_strings, str) or not all(self.stop_strings):
      raise UserError(
        "stop_strings must be a sequence of texts that are not empty, got"
        f" {self.stop_strings!r}."
      )

  def describe(self) -> dict[str, Any]:
    """As JSON values, for the header of a run."""
    return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Responses:
  """What was generated; the axes begin with [P] where members were many.

  Attributes:
    tokens: [Q, T] ids, `NO_TOKEN` behind the end; a stop token is included.
    lengths: [Q] number of tokens.
    log_probs: [Q, T] of the tokens under the model at temperature 1; 0 behind
      the end.
    stopped: [Q] whether the row ended by itself, instead of running out.
  """

  tokens: Int[np.ndarray, "*P Q T"]
  lengths: Int[np.ndarray, "*P Q"]
  log_probs: Float[np.ndarray, "*P Q T"]
  stopped: Bool[np.ndarray, "*P Q"]


class Generator:
  """Generates with one architecture, and compiles once per shape.

  Args:
    config: of the model.
    decoding: what is generated.
    mesh: as from `evaluators.make_mesh`. Members (or, for a single model,
      prompts) are spread over its `population` axis.
    rows: prompts that one member continues at a time, all by default.
    segment: steps between two droppings of finished rows; by default a quarter
      of the tokens so far, at least 32.
    is_stacked: whether layers are scanned, so that compilation takes the same
      time for any depth; by default where there are more than 8.
    detokenize: maps ids to text; needed for stop strings.

  Attributes:
    programs: what was compiled, with counts and seconds.
  """

  def __init__(
    self,
    config: TransformerConfig,
    decoding: Decoding,
    *,
    mesh: Mesh | None = None,
    rows: int | None = None,
    segment: int | None = None,
    is_stacked: bool | None = None,
    detokenize: Callable[[Sequence[int]], str] | None = None,
  ):
    if decoding.stop_strings and detokenize is None:
      raise UserError("stop_strings need a tokenizer, to find them in text.")
    self._config, self._decoding = config, decoding
    self._rows, self._segment = rows, segment
    self._detokenize = detokenize
    self.programs = DecodePrograms(
      config,
      decoding.sampling,
      evaluators.make_mesh() if mesh is None else mesh,
      stop_tokens=decoding.stop_tokens,
      num_tokens=decoding.num_tokens,
      is_stacked=config.num_layers > _MAX_UNROLLED
      if is_stacked is None
      else is_stacked,
    )

  def generate(
    self,
    params: Params,
    prompts: Sequence[Sequence[int]],
    keys: Any = None,
  ) -> Responses:
    """Continues prompts with one model, spread over the mesh.

    Args:
      params: weights, whole over the axis `population`.
      prompts: [Q] token ids.
      keys: [Q] a key for each prompt, unless greedy.

    Raises:
      UserError: if there are no prompts, or one is empty or too long.
    """
    self._check(prompts, keys)
    run = _Run(self, params, None, prompts, keys)
    return Responses(*(field[0] for field in run.finish()))

  def generate_members(
    self,
    params: Params,
    prompts: Sequence[Sequence[int]],
    keys: Any = None,
  ) -> Responses:
    """Continues the same prompts with many members, spread over the mesh.

    Args:
      params: weights [P, ...]; P is a multiple of the axis `population`.
      prompts: [Q] token ids.
      keys: [P, Q] a key for each response, unless greedy.

    Raises:
      UserError: as `generate`.
    """
    self._check(prompts, keys)
    num_members = len(jax.tree.leaves(params)[0])
    return Responses(*_Run(self, params, num_members, prompts, keys).finish())

  def _check(self, prompts, keys):
    check_prompts(prompts, self._config, self._decoding)
    if not self._decoding.sampling.is_greedy and keys is None:
      raise UserError("Sampling needs a key for each prompt, got no keys.")


def check_prompts(
  prompts: Sequence[Sequence[int]],
  config: TransformerConfig,
  decoding: Decoding,
) -> None:
  """Refuses prompts that cannot be continued.

  Raises:
    UserError: if there are none, or one is empty, too long, or holds an id
      that the model does not have.
  """
  if not len(prompts):
    raise UserError("There must be at least one prompt, got none.")
  for position, prompt in enumerate(prompts):
    if not len(prompt):
      raise UserError(
        f"A prompt must have at least one token, got none in prompt {position}."
        " Begin with the tokenizer's bos token."
      )
    if len(prompt) + decoding.max_new_tokens > config.context:
      raise UserError(
        f"A prompt and its response must fit the model's context of"
        f" {config.context} tokens, got {len(prompt)} +"
        f" {decoding.max_new_tokens} in prompt {position}. Shorten the prompt"
        " or lower max_new_tokens."
      )
    if not 0 <= min(prompt) <= max(prompt) < config.vocab_size:
      raise UserError(
        f"Token ids must be within [0, {config.vocab_size}), got"
        f" {min(prompt)} to {max(prompt)} in prompt {position}. Is this the"
        " model's own tokenizer?"
      )


def find_prefix(prompts: Sequence[Sequence[int]]) -> int:
  """How many first tokens all prompts share, leaving each at least one.

  Short prefixes, and that of a single prompt, count as none.
  """
  if len(prompts) < 2:
    return 0
  first, last = min(prompts), max(prompts)  # The two that differ soonest.
  most = min(len(prompt) for prompt in prompts) - 1
  length = 0
  while length < most and first[length] == last[length]:
    length += 1
  return length if length >= _MIN_PREFIX else 0


class _Run:
  """One call of a generator: what was generated so far, for [P, Q] rows.

  Rows are computed in groups [G, B]: a group per member, or, where there is one
  model, a group per share of the prompts.
  """

  def __init__(self, generator, params, num_members, prompts, keys):
    self._generator, self._programs = generator, generator.programs
    self._decoding = generator._decoding
    self._params, self._is_shared = params, num_members is None
    self._num_groups = num_members or self._programs.num_slots
    self._prompts = prompts
    num_members = num_members or 1
    shape = (num_members, len(prompts), self._decoding.max_new_tokens)
    self._tokens = np.full(shape, NO_TOKEN, np.int32)
    self._log_probs = np.zeros(shape, np.float32)
    self._stopped = np.zeros(shape[:2], np.bool_)
    self._keys = np.zeros((*shape[:2], 2), np.uint32)
    if not self._decoding.sampling.is_greedy:
      self._keys = np.asarray(jax.random.key_data(keys)).reshape(*shape[:2], -1)
    self._prefix_length = find_prefix(prompts)
    self._prefix = None
    if self._prefix_length:
      self._prefix = self._programs.run_prefix(
        params, prompts[0][: self._prefix_length], is_shared=self._is_shared
      )

  def finish(self) -> tuple[np.ndarray, ...]:
    """Continues all prompts; returns the fields of `Responses`."""
    # Those of similar length together, so that little is padding.
    order = sorted(range(len(self._prompts)), key=lambda i: -self._length(i))
    num_rows = min(self._generator._rows or len(order), len(order))
    if self._is_shared:  # A group has a share of the prompts only.
      num_rows = -(-num_rows // self._num_groups)
    width = num_rows * (self._num_groups if self._is_shared else 1)
    for start in range(0, len(order), width):
      self._continue(self._deal(order[start : start + width], num_rows))
    lengths = np.sum(self._tokens != NO_TOKEN, axis=-1)
    return self._tokens, lengths, self._log_probs, self._stopped

  def _length(self, prompt):
    return len(self._prompts[prompt]) - self._prefix_length

  def _deal(self, batch, num_rows):
    """Rows of each group as prompt indices [G, B], -1 where there is none."""
    most = -(-len(batch) // self._num_groups) if self._is_shared else len(batch)
    ids_GB = np.full((self._num_groups, _fit_rows(most, num_rows)), -1)
    for group in range(self._num_groups):
      share = batch[group :: self._num_groups] if self._is_shared else batch
      ids_GB[group, : len(share)] = share
    return ids_GB

  def _continue(self, ids_GB):
    """Generates for a batch, a segment at a time."""
    num_rows = ids_GB.shape[1]
    prompts_GBT, starts_GB = self._pad(ids_GB)
    segments = list(self._plan(prompts_GBT.shape[2]))
    slot = prompts_GBT.shape[2]
    rows = self._programs.prefill(
      self._params,
      self._prefix,
      prompts_GBT,
      starts_GB,
      self._keys[self._members(ids_GB), ids_GB],
      num_slots=slot + (segments[0] if segments else 0),
      is_shared=self._is_shared,
    )
    self._record(ids_GB, 0, rows.tokens[..., None], rows.log_probs[..., None])
    index = 1
    for number, num_steps in enumerate(segments):
      active_GB = self._find_active(ids_GB)
      if not active_GB.any():
        break
      kept_GC = _keep_rows(active_GB, num_rows)
      if number or kept_GC.shape != active_GB.shape:
        rows = self._programs.regroup(rows, kept_GC, num_slots=slot + num_steps)
        ids_GB = np.take_along_axis(ids_GB, kept_GC, axis=1)
      rows, tokens_GBS, log_probs_GBS = self._programs.run_segment(
        self._params,
        self._prefix,
        rows,
        self._find_active(ids_GB),
        slot=slot,
        index=index,
        num_steps=num_steps,
        is_shared=self._is_shared,
      )
      self._record(ids_GB, index, tokens_GBS, log_probs_GBS)
      slot, index = slot + num_steps, index + num_steps

  def _pad(self, ids_GB):
    """Prompts [G, B, T] without the prefix, on the left padded, and starts."""
    width = max(self._length(i) for i in ids_GB.reshape(-1) if i >= 0)
    width = -(-width // _WIDTH_MULTIPLE) * _WIDTH_MULTIPLE
    prompts_GBT = np.zeros((*ids_GB.shape, width), np.int32)
    starts_GB = np.full(ids_GB.shape, width - 1, np.int32)
    for place in np.ndindex(*ids_GB.shape):
      if ids_GB[place] >= 0:
        prompt = self._prompts[ids_GB[place]][self._prefix_length :]
        starts_GB[place] = width - len(prompt)
        prompts_GBT[place][starts_GB[place] :] = prompt
    return prompts_GBT, starts_GB

  def _plan(self, num_slots: int) -> Iterator[int]:
    """Steps of each segment; the first token needs none."""
    left = self._decoding.max_new_tokens - 1
    while left:
      default = max(_MIN_SEGMENT, (self._prefix_length + num_slots) // 4)
      num_steps = min(self._generator._segment or default, left)
      yield num_steps
      left, num_slots = left - num_steps, num_slots + num_steps

  def _members(self, ids_GB):
    """The member of each row [G, B]."""
    groups = np.zeros(1, int) if self._is_shared else np.arange(len(ids_GB))
    return np.broadcast_to(groups[:, None], ids_GB.shape)

  def _find_active(self, ids_GB):
    """Which rows [G, B] go on."""
    return (ids_GB >= 0) & ~self._stopped[self._members(ids_GB), ids_GB]

  def _record(self, ids_GB, index, tokens_GBS, log_probs_GBS):
    """Keeps what a program generated from position `index` on."""
    is_active = self._find_active(ids_GB)
    tokens_RS = np.asarray(tokens_GBS)[is_active]
    members, prompts = self._members(ids_GB)[is_active], ids_GB[is_active]
    steps = slice(index, index + tokens_RS.shape[1])
    self._tokens[members, prompts, steps] = tokens_RS
    self._log_probs[members, prompts, steps] = np.asarray(log_probs_GBS)[
      is_active
    ]
    self._stopped[members, prompts] = np.isin(
      tokens_RS, self._decoding.stop_tokens
    ).any(axis=1)
    if self._decoding.stop_strings:
      for row in zip(members, prompts, strict=True):
        self._cut_at_string(row, index)

  def _cut_at_string(self, row, index):
    """Ends a row with the token, from `index` on, that completes a string."""
    tokens = self._tokens[row]
    length = int(np.sum(tokens != NO_TOKEN))

    def has_string(length):
      text = self._generator._detokenize(tokens[:length].tolist())
      return any(stop in text for stop in self._decoding.stop_strings)

    if has_string(length):
      end = next(n for n in range(index + 1, length + 1) if has_string(n))
      self._tokens[row][end:] = NO_TOKEN
      self._log_probs[row][end:] = 0
      self._stopped[row] = True


def _fit_rows(needed: int, num_rows: int) -> int:
  """The smallest row count of the fixed set that holds `needed` rows."""
  sizes = (math.ceil(fraction * num_rows) for fraction in _ROW_FRACTIONS)
  return min(size for size in sizes if size >= needed)


def _keep_rows(active_GB: np.ndarray, num_rows: int) -> np.ndarray:
  """Positions [G, C] of the rows to keep: the active ones, and some to fill."""
  size = _fit_rows(int(active_GB.sum(axis=1).max()), num_rows)
  if size >= active_GB.shape[1]:
    return np.broadcast_to(np.arange(active_GB.shape[1]), active_GB.shape)
  return np.argsort(~active_GB, axis=1, kind="stable")[:, :size]
