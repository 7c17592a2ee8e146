"""The host half of decoding: batches of rows, segments, and who goes on."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from thickets import placement
from thickets.errors import UserError
from thickets.generation.beginnings import find_beginnings, order_texts
from thickets.generation.decode_step import NO_TOKEN
from thickets.generation.decoding import Decoding, Responses
from thickets.generation.programs import DecodePrograms, Weights
from thickets.generation.rows import Prompts
from thickets.generation.sampling import RowSampling
from thickets.generation.seats import (
  Seats,
  assign_seats,
  keep_rows,
  seat_texts,
)
from thickets.generation.texts import Text, find_prefix, pad_texts, round_width
from thickets.models.tokenizer_files import Detokenizer

# Maps token ids to their text.
Detokenize = Callable[[Sequence[int]], str]

_MIN_SEGMENT = 32


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
  texts: Sequence[Text],
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
    texts: [Q] the prompts, as from `texts.make_texts`.
    sampling: [P, Q] NumPy arrays of the key and the temperature of each
      response; P is 1 for one model.
    decoding: when a response ends.
    batching: how much is computed at once.
    detokenize: maps token ids to their text; needed for stop strings.

  Returns:
    [P, Q, T] what was generated.
  """
  prefix_length = find_prefix([text.keys for text in texts])
  if prefix_length:
    reading = pad_texts([[texts[0].cut(0, prefix_length)]], prefix_length)
    reading = jax.tree.map(lambda leaf: leaf[0], reading)
    prefix = programs.run_prefix(weights, reading)
    weights = dataclasses.replace(weights, prefix=prefix)
  rests = [text.cut(prefix_length) for text in texts]
  beginnings = find_beginnings(rests)
  transcript = _Transcript(sampling.temperatures.shape, decoding, detokenize)
  for seats in assign_seats(
    order_texts(rests, beginnings),
    weights.num_members,
    programs.num_slots,
    batching.rows,
    keeps_order=beginnings is not None,
  ):
    seated = seat_texts(
      rests, beginnings, sampling, seats, programs.most_padding
    )
    segments = plan_segments(
      prefix_length + round_width(seated.num_slots),
      decoding.max_new_tokens - 1,  # The first token needs no segment.
      batching.segment,
    )
    _continue_batch(
      programs, weights, seated, seats, transcript, list(segments), batching
    )
  return transcript.read()


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

  def find_active(self, seats: Seats) -> Bool[np.ndarray, "G B"]:
    """Which rows go on."""
    stopped = self._stopped[seats.members, seats.prompts]
    return (seats.prompts >= 0) & ~stopped

  def record(
    self,
    seats: Seats,
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
  seats: Seats,
  transcript: _Transcript,
  segments: Sequence[int],
  batching: Batching,
) -> None:
  """Generates for a batch of rows, a segment at a time."""
  slot = prompts.num_slots
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
      kept_GC = keep_rows(active_GB, seats.num_rows)
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
