"""The host half of scoring generated text: detokenise and grade.

`grading_workers` starts the processes or the thread in which it is done.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from thickets import errors
from thickets.errors import UserError
from thickets.generation.batching import Detokenize
from thickets.generation.decoding import Responses
from thickets.search.evaluator import Channels

_RESPONSE = ("response", "response_bytes")

# Maps (index of the example, text of the response) to channels by name, among
# them `score`, higher is better.
Grade = Callable[[int, str], Mapping[str, Any]]


@dataclasses.dataclass(frozen=True)
class Grader:
  """Grades all responses of one member.

  Attributes:
    detokenize: maps token ids to their text.
    grade: maps an example's index and the text of a response to channels.
    keep_responses: whether the texts become a channel as well, from which
      `read_responses` gets them back, so that a log can be graded anew.
    num_threads: how many responses are graded at once, for a `grade` that waits
      for other processes.
  """

  detokenize: Detokenize
  grade: Grade
  keep_responses: bool = False
  num_threads: int = 1

  def grade_texts(
    self, indices: Iterable[int | np.integer], texts: Sequence[str]
  ) -> Channels:
    """Grades texts [Q] that answer the examples of these indices [Q]."""
    return grade_texts(self.grade, indices, texts, num_threads=self.num_threads)

  def __call__(
    self, responses: Responses, batch: Mapping[str, np.ndarray]
  ) -> Channels:
    """Maps one member's responses to channels [Q].

    Args:
      responses: [Q, T] the responses.
      batch: the prompts, with the examples' `index` [Q].

    Returns:
      The channels of `grade`, `length` and `stopped`, and `response` where the
      texts are kept; the score is NaN where the model's logits were not finite.
    """
    texts = read_texts(self.detokenize, responses.tokens, responses.lengths)
    channels = self.grade_texts(batch["index"], texts)
    if self.keep_responses:
      channels |= pack_responses(texts)
    # A member whose logits are not numbers has failed, whatever its response.
    has_failed = ~np.isfinite(responses.log_probs).all(axis=1)
    score = np.where(has_failed, np.nan, channels["score"])
    return channels | {
      "score": score,
      "length": responses.lengths,
      "stopped": responses.stopped,
    }


def read_texts(
  detokenize: Detokenize,
  tokens: Int[np.ndarray, "Q T"],
  lengths: Int[np.ndarray, " Q"],
) -> list[str]:
  """The texts [Q] of responses.

  Args:
    detokenize: maps token ids to their text.
    tokens: [Q, T] token ids of the responses.
    lengths: [Q] how many tokens of each response count.
  """
  return [
    detokenize(row[:length].tolist())
    for row, length in zip(tokens, lengths, strict=True)
  ]


def grade_texts(
  grade: Grade,
  indices: Iterable[int | np.integer],
  texts: Sequence[str],
  *,
  num_threads: int = 1,
) -> dict[str, np.ndarray]:
  """Grades responses; returns channels [Q].

  Args:
    grade: maps an example's index and the text of a response to channels.
    indices: [Q] which example each response answers.
    texts: [Q] the texts of the responses.
    num_threads: how many responses are graded at once.

  Raises:
    UserError: if `grade` returns a score that is not finite, or would end the
      process.
    ValueError: if it returns wrong channels.
  """
  examples = [int(index) for index in indices]
  grade_one = functools.partial(_grade_one, grade)
  if num_threads > 1:
    with concurrent.futures.ThreadPoolExecutor(num_threads) as threads:
      rows = list(threads.map(grade_one, examples, texts))
  else:
    rows = list(map(grade_one, examples, texts))
  for index, row in zip(examples, rows, strict=True):
    _check_channels(row, rows[0], index)
  return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def pack_responses(texts: Sequence[str]) -> dict[str, np.ndarray]:
  """Texts as channels [Q]: their UTF-8 bytes, and how many.

  NumPy drops zero bytes at the end of a text, so the number is needed.
  """
  encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
  lengths = np.array([len(text) for text in encoded], np.int32)
  return {"response": np.array(encoded, np.bytes_), "response_bytes": lengths}


def read_responses(channels: Mapping[str, np.ndarray]) -> list[str]:
  """The texts [Q] that `pack_responses` packed.

  Raises:
    KeyError: if they were not kept.
  """
  lengths = channels["response_bytes"]
  return [
    bytes(text).ljust(length, b"\0").decode("utf-8", "surrogatepass")
    for text, length in zip(channels["response"], lengths, strict=True)
  ]


def _grade_one(grade: Grade, index: int, text: str) -> Mapping[str, Any]:
  """Grades one response; what would end this process becomes an error."""
  try:
    return grade(index, text)
  except Exception:
    raise
  except BaseException as error:  # SystemExit and the like.
    if errors.is_interrupt(error):
      raise
    raise UserError(
      "grade must not end the process, got"
      f" {errors.describe_error(error)} for example {index}. Correct it."
    ) from error


def _check_channels(
  row: Mapping[str, Any], first: Mapping[str, Any], index: int
) -> None:
  if "score" not in row:
    raise ValueError(
      f"grade must return a channel named score, got {sorted(row)} for example"
      f" {index}."
    )
  if not np.isfinite(row["score"]):
    raise UserError(
      f"grade must return a finite score, got {row['score']} for example"
      f" {index}. Correct it."
    )
  if taken := {"length", "stopped", *_RESPONSE} & row.keys():
    raise ValueError(
      f"grade must not return {sorted(taken)}: these are the response's own."
    )
  if row.keys() != first.keys():
    raise ValueError(
      f"grade must return the same channels for every response, got"
      f" {sorted(row)} for example {index} and {sorted(first)} before."
    )
