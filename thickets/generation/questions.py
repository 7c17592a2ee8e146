"""What a batch asks: prompts, the pictures that they show, and random keys."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import PRNGKeyArray, UInt8

from thickets.generation.decode_step import NO_TOKEN
from thickets.members import MemberArrays

# The arrays of prompts by name, [Q, ...] each; see
# `language_evaluator.make_batch`.
PromptBatch = Mapping[str, np.ndarray]

_DIGEST_BYTES = 32  # Of SHA-256.


@dataclasses.dataclass(frozen=True)
class Questions:
  """The prompts of a batch, [Q].

  Attributes:
    prompts: [Q] token ids of each prompt.
    shown: [Q] its pictures, by their digests.
    digests: each picture once.
  """

  prompts: list[list[int]]
  shown: list[list[str]]
  digests: list[str]

  @classmethod
  def read(cls, batch: PromptBatch) -> "Questions":
    """Reads what `language_evaluator.make_batch` made."""
    tokens = np.asarray(batch["tokens"])
    prompts = [row[row != NO_TOKEN].tolist() for row in tokens]
    shown: list[list[str]] = [[] for _ in prompts]
    if "pictures" in batch:
      shown = unpack_digests(batch["pictures"])
    return cls(prompts, shown, list_distinct(shown))

  def find_distinct(self) -> tuple["Questions", list[int]]:
    """Each prompt with its pictures once, in order, and the place [Q] of each."""
    first: dict[Any, int] = {}
    places, kept = [], []
    for row, (prompt, shown) in enumerate(
      zip(self.prompts, self.shown, strict=True)
    ):
      key = (tuple(prompt), tuple(shown))
      if key not in first:
        first[key] = len(first)
        kept.append(row)
      places.append(first[key])
    prompts = [self.prompts[row] for row in kept]
    shown = [self.shown[row] for row in kept]
    return Questions(prompts, shown, self.digests), places


def list_distinct(shown: Sequence[Sequence[str]]) -> list[str]:
  """Each picture once, in the order in which prompts show them."""
  return [*dict.fromkeys(digest for row in shown for digest in row)]


def pack_digests(
  shown: Sequence[Sequence[str]],
) -> UInt8[np.ndarray, "Q M 32"] | None:
  """The pictures of prompts as an array of a batch; None where there are none.

  Args:
    shown: [Q] the pictures of each prompt, by their digests.
  """
  most = max(map(len, shown), default=0)
  if not most:
    return None
  packed = np.zeros((len(shown), most, _DIGEST_BYTES), np.uint8)
  for prompt, row in enumerate(shown):
    for place, digest in enumerate(row):
      packed[prompt, place] = np.frombuffer(bytes.fromhex(digest), np.uint8)
  return packed


def unpack_digests(packed: UInt8[np.ndarray, "Q M 32"]) -> list[list[str]]:
  """The pictures of prompts, from the array of a batch."""
  return [
    [digest.tobytes().hex() for digest in row if digest.any()]
    for row in np.asarray(packed)
  ]


def make_keys(
  key: PRNGKeyArray, members: MemberArrays, batch: PromptBatch
) -> jax.Array:
  """The keys [P, Q] of responses.

  Args:
    key: the random key of all responses.
    members: [P, R] the terms of the members.
    batch: the prompts; `index` [Q], and `sample` [Q] where there is one.
  """
  hashes = np.array(
    [_hash_member(*terms) for terms in zip(*members, strict=True)], np.uint32
  )
  fold = jax.random.fold_in
  member_keys = jax.vmap(fold, (None, 0))(key, hashes)
  keys = jax.vmap(jax.vmap(fold, (None, 0)), (0, None))(
    member_keys, np.asarray(batch["index"], np.uint32)
  )
  if "sample" in batch:
    samples = np.asarray(batch["sample"], np.uint32)
    keys = jax.vmap(jax.vmap(fold), (0, None))(keys, samples)
  return keys


def _hash_member(seeds: np.ndarray, coefficients: np.ndarray) -> int:
  """32 bits that differ between members; terms of no weight do not count."""
  counted = coefficients != 0
  words = seeds[counted].tobytes() + coefficients[counted].tobytes()
  return int.from_bytes(hashlib.blake2b(words, digest_size=4).digest(), "big")
