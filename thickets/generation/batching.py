"""The host half of decoding: batches of rows, segments, and who goes on."""

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from thickets import placement
from thickets.errors import UserError
from thickets.generation.decode_step import NO_TOKEN, Prompts
from thickets.generation.decoding import Decoding, Responses
from thickets.generation.programs import DecodePrograms, Weights
from thickets.generation.sampling import RowSampling
from thickets.models.tokenizer_files import Detokenizer

# Maps token ids to their text.
Detokenize = Callable[[Sequence[int]], str]

_ROW_FRACTIONS = (1, 3 / 4, 1 / 2, 3 / 8, 1 / 4, 1 / 8)
_MIN_SEGMENT = 32
_MIN_WIDTH = 8
_MIN_PREFIX = 16  # Tokens; a shorter one is not worth a program of its own.


@dataclasses.dataclass(frozen=True)
class Batching:
  """How much is computed at the same time; None leaves it to be found.

  Attributes:
    lanes: members that one group of devices rebuilds and runs at once.
    rows: prompts that each of them continues at once.
    block: prompt tokens that each of them reads at once.
    segment: steps between two growths of the KV cache, and between two
      droppings of finished rows; where None, a quarter of the tokens so far, and
      at least 32, and where steps take long, rows are dropped in between.

  Raises:
    UserError: if one is below 1.
  """

  lanes: int | None = None
  rows: int | None = None
  block: int | None = None
  segment: int | None = None

  def __post_init__(self):
    for field in dataclasses.fields(self):
      count = getattr(self, field.name)
      if count is not None and count < 1:
        raise UserError(f"{field.name} must be at least 1, got {count}.")


def continue_prompts(
  programs: DecodePrograms,
  weights: Weights,
  prompts: Sequence[Sequence[int]],
  sampling: RowSampling,
  decoding: Decoding,
  batching: Batching,
  detokenize: Detokenize | None,
) -> Responses:
  """Continues all prompts, with one model or with each of P members.

  Rows are computed in groups [G, B]: a group for each member, or, where there is
  one model, a group for each share of the prompts.

  Args:
    programs: the compiled programs.
    weights: the weights of one model, or of P members.
    prompts: [Q] token ids of each prompt.
    sampling: [P, Q] NumPy arrays of the key and the temperature of each
      response; P is 1 for one model.
    decoding: when a response ends.
    batching: how much is computed at once.
    detokenize: maps token ids to their text; needed for stop strings.

  Returns:
    [P, Q, T] what was generated.
  """
  prefix_length = find_prefix(prompts)
  if prefix_length:
    prefix = programs.run_prefix(weights, prompts[0][:prefix_length])
    weights = dataclasses.replace(weights, prefix=prefix)
  rests = [prompt[prefix_length:] for prompt in prompts]
  transcript = _Transcript(sampling.temperatures.shape, decoding, detokenize)
  # Those of similar length together, so that little is padding.
  order = sorted(range(len(rests)), key=lambda prompt: -len(rests[prompt]))
  for seats in _assign_seats(
    order, weights.num_members, programs.num_slots, batching.rows
  ):
    padded = _pad(rests, sampling, seats, programs.most_padding)
    segments = plan_segments(
      prefix_length + round_width(padded.tokens.shape[2]),
      decoding.max_new_tokens - 1,  # The first token needs no segment.
      batching.segment,
    )
    _continue_batch(
      programs, weights, padded, seats, transcript, list(segments), batching
    )
  return transcript.read()


def find_prefix(prompts: Sequence[Sequence[int]]) -> int:
  """How many first tokens all prompts share, leaving each at least one.

  Short prefixes, and that of a single prompt, count as none.
  """
  if len(prompts) < 2:
    return 0
  # The two that differ soonest.
  first, last = min(prompts, key=list), max(prompts, key=list)
  most = min(len(prompt) for prompt in prompts) - 1
  length = 0
  while length < most and first[length] == last[length]:
    length += 1
  return length if length >= _MIN_PREFIX else 0


def round_width(width: int, most_padding: int | None = None) -> int:
  """The next of four prompt widths per octave, so that few programs differ.

  Args:
    width: tokens of the longest prompt.
    most_padding: how many columns may be added; where that is not enough, the
      next of so many more widths per octave that it is. None for any number.
  """
  multiple = max(_MIN_WIDTH, 2 ** (width.bit_length() - 3))
  rounded = -(-width // multiple) * multiple
  while most_padding is not None and rounded - width > most_padding:
    multiple //= 2
    rounded = -(-width // multiple) * multiple
  return rounded


@dataclasses.dataclass(frozen=True)
class _Seats:
  """Which response each row [G, B] continues.

  Attributes:
    members: [G, B] the member whose response it is.
    prompts: [G, B] the prompt that it answers; -1 where a row only fills up.
    num_rows: rows of a group when the batch is full; groups shrink to fractions
      of it.
  """

  members: Int[np.ndarray, "G B"]
  prompts: Int[np.ndarray, "G B"]
  num_rows: int

  def take(self, kept_GC: Int[np.ndarray, "G C"]) -> "_Seats":
    """The seats at some positions of each group."""
    members, prompts = (
      np.take_along_axis(seats, kept_GC, axis=1)
      for seats in (self.members, self.prompts)
    )
    return _Seats(members, prompts, self.num_rows)


class _Transcript:
  """What was generated so far, [P, Q, T]."""

  def __init__(
    self,
    shape: tuple[int, ...],
    decoding: Decoding,
    detokenize: Detokenize | None,
  ):
    self._decoding, self._detokenize = decoding, detokenize
    whole = (*shape, decoding.max_new_tokens)
    self._tokens = np.full(whole, NO_TOKEN, np.int32)
    self._log_probs = np.zeros(whole, np.float32)
    self._stopped = np.zeros(shape, np.bool_)

  def read(self) -> Responses:
    """The responses."""
    lengths = np.sum(self._tokens != NO_TOKEN, axis=-1)
    return Responses(self._tokens, lengths, self._log_probs, self._stopped)

  def find_active(self, seats: _Seats) -> Bool[np.ndarray, "G B"]:
    """Which rows go on."""
    stopped = self._stopped[seats.members, seats.prompts]
    return (seats.prompts >= 0) & ~stopped

  def record(
    self,
    seats: _Seats,
    index: int,
    tokens_GBS: Int[np.ndarray, "G B S"],
    log_probs_GBS: Float[np.ndarray, "G B S"],
  ) -> None:
    """Keeps what a program generated from position `index` of responses on."""
    is_active = self.find_active(seats)
    tokens_RS = tokens_GBS[is_active]
    members, prompts = seats.members[is_active], seats.prompts[is_active]
    steps = slice(index, index + tokens_RS.shape[1])
    self._tokens[members, prompts, steps] = tokens_RS
    self._log_probs[members, prompts, steps] = log_probs_GBS[is_active]
    self._stopped[members, prompts] = np.isin(
      tokens_RS, self._decoding.stop_tokens
    ).any(axis=1)
    if self._decoding.stop_strings:
      for response in zip(members, prompts, strict=True):
        self._cut_at_string(response, index)

  def _cut_at_string(
    self, response: tuple[np.integer, np.integer], index: int
  ) -> None:
    """Ends a response at the token, from `index` on, that completes a string."""
    assert self._detokenize is not None
    detokenize = self._detokenize
    tokens = self._tokens[response]
    length = int(np.sum(tokens != NO_TOKEN))

    def has_string(length: int) -> bool:
      ids = tokens[:length].tolist()
      texts = [detokenize(ids)]
      if isinstance(detokenize, Detokenizer):
        # A stop string may be a special token, or go on behind one.
        texts.append(detokenize.spell(ids))
      return any(
        stop in text for stop in self._decoding.stop_strings for text in texts
      )

    if has_string(length):
      end = next(n for n in range(index + 1, length + 1) if has_string(n))
      self._tokens[response][end:] = NO_TOKEN
      self._log_probs[response][end:] = 0
      self._stopped[response] = True


def _assign_seats(
  order: Sequence[int],
  num_members: int | None,
  num_slots: int,
  most_rows: int | None,
) -> Iterator[_Seats]:
  """Yields the seats of one batch of rows after the other.

  Args:
    order: [Q] the prompts, the longest first.
    num_members: how many members answer all of them, one for each group; None
      where one model answers, and the prompts are dealt out to the groups.
    num_slots: how many groups there are for one model.
    most_rows: rows of a group at most; None for all.
  """
  if num_members is None:
    members = [0] * num_slots
    hands = [order[group::num_slots] for group in range(num_slots)]
  else:
    members = list(range(num_members))
    hands = [order] * num_members
  most = len(hands[0])  # The first is dealt no fewer than the others.
  num_rows = most if most_rows is None else min(most_rows, most)
  for start in range(0, most, num_rows):
    shares = [hand[start : start + num_rows] for hand in hands]
    prompts_GB = np.full((len(shares), _fit_rows(len(shares[0]), num_rows)), -1)
    for group, share in enumerate(shares):
      prompts_GB[group, : len(share)] = share
    members_GB = np.broadcast_to(np.array(members)[:, None], prompts_GB.shape)
    yield _Seats(members_GB, prompts_GB, num_rows)


def _pad(
  prompts: Sequence[Sequence[int]],
  sampling: RowSampling,
  seats: _Seats,
  find_most: Callable[[int], int],
) -> Prompts:
  """The prompts [G, B, T] of a batch, padded on the left.

  Args:
    prompts: [Q] token ids of each prompt, behind the shared prefix.
    sampling: [P, Q] how each response is sampled.
    seats: [G, B] which response each row continues.
    find_most: maps the number of rows of a group to how many columns they may
      be padded with to save programs.
  """
  seated: np.ndarray = seats.prompts
  longest = max(len(prompts[p]) for p in seated.flat if p >= 0)
  width = round_width(longest, find_most(seated.shape[1]))
  tokens_GBT = np.zeros((*seated.shape, width), np.int32)
  starts_GB = np.full(seated.shape, width - 1, np.int32)
  for place in np.ndindex(*seated.shape):
    if seated[place] >= 0:
      prompt = prompts[int(seated[place])]
      starts_GB[place] = width - len(prompt)
      tokens_GBT[place][starts_GB[place] :] = prompt
  return Prompts(
    tokens_GBT,
    starts_GB,
    RowSampling(
      sampling.keys[seats.members, seated],
      sampling.temperatures[seats.members, seated],
    ),
  )


def plan_segments(
  num_tokens: int, num_steps: int, segment: int | None
) -> Iterator[int]:
  """Yields how many steps each segment has.

  Args:
    num_tokens: how many tokens are read before the first.
    num_steps: how many steps there are in all.
    segment: how many steps a segment has, None to find it.
  """
  while num_steps:
    default = max(_MIN_SEGMENT, num_tokens // 4)
    steps = min(default if segment is None else segment, num_steps)
    yield steps
    num_tokens, num_steps = num_tokens + steps, num_steps - steps


def _continue_batch(
  programs: DecodePrograms,
  weights: Weights,
  prompts: Prompts,
  seats: _Seats,
  transcript: _Transcript,
  segments: Sequence[int],
  batching: Batching,
) -> None:
  """Generates for a batch of rows, a segment at a time."""
  slot = prompts.tokens.shape[2]
  # Widths that differ a little have the same segments' programs.
  room = round_width(slot)
  rows = programs.prefill(
    weights, prompts, num_slots=room + sum(segments[:1]), block=batching.block
  )
  tokens_GB, log_probs_GB = placement.fetch((rows.tokens, rows.log_probs))
  transcript.record(seats, 0, tokens_GB[..., None], log_probs_GB[..., None])
  index = 1
  for number, num_steps in enumerate(segments):
    room, end = room + num_steps, index + num_steps
    must_grow = number > 0
    while index < end:
      active_GB = transcript.find_active(seats)
      if not active_GB.any():
        return
      kept_GC = _keep_rows(active_GB, seats.num_rows)
      if must_grow or kept_GC.shape != active_GB.shape:
        rows = programs.regroup(rows, kept_GC, num_slots=room)
        seats, must_grow = seats.take(kept_GC), False
      most_steps = end - index
      if batching.segment is None:
        most_steps = min(most_steps, programs.most_steps(kept_GC.shape[1]))
      rows, *generated = programs.run_segment(
        weights,
        rows,
        transcript.find_active(seats),
        slot=slot,
        index=index,
        num_steps=num_steps,
        most_steps=most_steps,
      )
      tokens_GBS, log_probs_GBS = placement.fetch(generated)
      transcript.record(
        seats,
        index,
        tokens_GBS[..., :most_steps],
        log_probs_GBS[..., :most_steps],
      )
      slot, index = slot + most_steps, index + most_steps


def _fit_rows(needed: int, num_rows: int) -> int:
  """The smallest row count of the fixed set that holds `needed` rows."""
  sizes = (math.ceil(fraction * num_rows) for fraction in _ROW_FRACTIONS)
  return min(size for size in sizes if size >= needed)


def _keep_rows(
  active_GB: Bool[np.ndarray, "G B"], num_rows: int
) -> Int[np.ndarray, "G C"]:
  """Positions of the rows to keep: the active ones, and some to fill up."""
  size = _fit_rows(int(active_GB.sum(axis=1).max()), num_rows)
  if size >= active_GB.shape[1]:
    return np.broadcast_to(np.arange(active_GB.shape[1]), active_GB.shape)
  return np.argsort(~active_GB, axis=1, kind="stable")[:, :size]
