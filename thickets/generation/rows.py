"""What is on devices while prompts are read and continued.

A *row* is a prompt that is being continued; see `decode_step`. Arrays of rows are
[B, ...], and [G, B, ...] for groups of them.
"""

import dataclasses
from typing import Any

import jax
import numpy as np
from jaxtyping import Int

from thickets.generation.sampling import RowSampling


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Reading:
  """Tokens that are read, padded on the left.

  Attributes:
    tokens: [B, T] token ids.
    starts: [B] the first column that is not padding.
    places: [B, T] for each token the row of the table of features that stands for
      it, -1 for its own embedding; None where no text has an image.
    positions: [B, 3, T] time, row and column of each token, by which it is turned;
      None where no text has an image.
  """

  tokens: Any  # Not only arrays, while JAX transforms the tree.
  starts: Any
  places: Any = None
  positions: Any = None


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class SharedBeginnings:
  """What rows begin with, read once for all rows that begin alike.

  Attributes:
    reading: [U, T] the tokens of U beginnings.
    of_rows: [B] the beginning of each row.
    sources: [B, W] which column of its beginning belongs into each of the first W
      slots of a row; -1 where it is padding, or a token that the row reads itself.
      Those that it reads lie in the last of these slots.
  """

  reading: Reading
  of_rows: Any
  sources: Any


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Prompts:
  """Prompts that become rows.

  Attributes:
    reading: [B, T] the tokens behind the shared prefix; behind a row's beginning,
      where rows share beginnings.
    sampling: the key and the temperature of each row.
    deltas: [B] what is added to the place of each token behind the prompt for the
      position by which it is turned: 0 without an image. None where no row has one.
    beginnings: what rows begin with; None where each reads all of its own.
  """

  reading: Reading
  sampling: RowSampling
  deltas: Any = None
  beginnings: SharedBeginnings | None = None

  @property
  def num_slots(self) -> int:
    """Slots of the KV cache that the longest prompt takes, with its padding."""
    if self.beginnings is not None:
      return self.beginnings.sources.shape[-1]
    return self.reading.tokens.shape[-1]

  @property
  def starts(self) -> Any:
    """[B] the first slot of the KV cache that is not padding."""
    if self.beginnings is None:
      return self.reading.starts
    return find_starts(self.reading, self.beginnings.sources)


def find_starts(reading: Reading, sources: Int[Any, "*G B W"]) -> Any:
  """The first slot [*G, B] of rows that is not padding, of W slots.

  Args:
    reading: what the rows read themselves.
    sources: what they begin with, as in `SharedBeginnings`.
  """
  missing = sources.shape[-1] - reading.tokens.shape[-1]
  return reading.starts + missing - (sources >= 0).sum(-1, dtype=np.int32)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Rows:
  """Rows that are being continued.

  Attributes:
    kv_cache: keys and values of each row behind the shared prefix.
    tokens: [B] the last token of each row, which the KV cache lacks so far.
    log_probs: [B] the log-probability of that token.
    starts: [B] the first slot of the KV cache that is not padding.
    sampling: the key and the temperature of each row.
    deltas: [B] as in `Prompts`.
  """

  kv_cache: Any  # Not only arrays, while JAX transforms the tree.
  tokens: Any
  log_probs: Any
  starts: Any
  sampling: RowSampling
  deltas: Any = None
