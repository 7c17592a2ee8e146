"""The host half of decoding: batches of rows, segments, and who goes on."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from thickets.generation.decode_step import NO_TOKEN
from thickets.generation.programs import DecodePrograms
from thickets.naming import Params

_ROW_FRACTIONS = (1, 3 / 4, 1 / 2, 3 / 8, 1 / 4, 1 / 8)
_MIN_SEGMENT = 32
_MIN_WIDTH = 8


class DecodeLoop:
  """One call of a generator: what was generated so far, for [P, Q] rows.

  Rows are computed in groups [G, B]: a group per member, or, where there is one
  model, a group per share of the prompts.
  """

  def __init__(
    self,
    programs: DecodePrograms,
    decoding: Any,
    params: Params,
    prompts: Sequence[Sequence[int]],
    keys: np.ndarray,
    temperatures: np.ndarray,
    *,
    num_members: int | None,
    prefix_length: int,
    rows: int | None,
    block: int | None,
    segment: int | None,
    detokenize: Callable[[Sequence[int]], str] | None,
  ):
    self._programs, self._decoding = programs, decoding
    self._segment, self._detokenize = segment, detokenize
    self._params, self._is_shared = params, num_members is None
    self._num_groups = num_members or self._programs.num_slots
    self._prompts = prompts
    most = len(prompts)
    if self._is_shared:  # A group has a share of the prompts only.
      most = -(-most // self._num_groups)
    self._num_rows = most if rows is None else min(rows, most)
    self._block = block
    num_members = num_members or 1
    shape = (num_members, len(prompts), self._decoding.max_new_tokens)
    self._tokens = np.full(shape, NO_TOKEN, np.int32)
    self._log_probs = np.zeros(shape, np.float32)
    self._stopped = np.zeros(shape[:2], np.bool_)
    self._keys, self._temperatures = keys, temperatures
    self._prefix_length = prefix_length
    self._prefix = None
    if self._prefix_length:
      self._prefix = self._programs.run_prefix(
        params, prompts[0][: self._prefix_length], is_shared=self._is_shared
      )

  def finish(self) -> tuple[np.ndarray, ...]:
    """Continues all prompts; returns the fields of `Responses`."""
    # Those of similar length together, so that little is padding.
    order = sorted(range(len(self._prompts)), key=lambda i: -self._length(i))
    width = self._num_rows * (self._num_groups if self._is_shared else 1)
    for start in range(0, len(order), width):
      self._continue(self._deal(order[start : start + width]))
    lengths = np.sum(self._tokens != NO_TOKEN, axis=-1)
    return self._tokens, lengths, self._log_probs, self._stopped

  def _length(self, prompt):
    return len(self._prompts[prompt]) - self._prefix_length

  def _deal(self, batch):
    """Rows of each group as prompt indices [G, B], -1 where there is none."""
    most = -(-len(batch) // self._num_groups) if self._is_shared else len(batch)
    ids_GB = np.full((self._num_groups, _fit_rows(most, self._num_rows)), -1)
    for group in range(self._num_groups):
      share = batch[group :: self._num_groups] if self._is_shared else batch
      ids_GB[group, : len(share)] = share
    return ids_GB

  def _continue(self, ids_GB):
    """Generates for a batch, a segment at a time."""
    prompts_GBT, starts_GB = self._pad(ids_GB)
    segments = list(self._plan(prompts_GBT.shape[2]))
    slot = prompts_GBT.shape[2]
    members_GB = self._members(ids_GB)
    rows = self._programs.prefill(
      self._params,
      self._prefix,
      prompts_GBT,
      starts_GB,
      self._keys[members_GB, ids_GB],
      self._temperatures[members_GB, ids_GB],
      num_slots=slot + (segments[0] if segments else 0),
      block=self._block,
      is_shared=self._is_shared,
    )
    self._record(ids_GB, 0, rows.tokens[..., None], rows.log_probs[..., None])
    index = 1
    for number, num_steps in enumerate(segments):
      active_GB = self._find_active(ids_GB)
      if not active_GB.any():
        break
      kept_GC = _keep_rows(active_GB, self._num_rows)
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
    width = round_width(width)
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
      num_steps = min(default if self._segment is None else self._segment, left)
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
      text = self._detokenize(tokens[:length].tolist())
      return any(stop in text for stop in self._decoding.stop_strings)

    if has_string(length):
      end = next(n for n in range(index + 1, length + 1) if has_string(n))
      self._tokens[row][end:] = NO_TOKEN
      self._log_probs[row][end:] = 0
      self._stopped[row] = True


def round_width(width: int) -> int:
  """The next of four prompt widths per octave, so that few programs differ."""
  multiple = max(_MIN_WIDTH, 2 ** (width.bit_length() - 3))
  return -(-width // multiple) * multiple


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
