"""The host half of scoring generated text: detokenise and grade, in workers.

A worker process gets the grader once, when it starts. It must be a module's
function or an object that pickles, since workers are started afresh (a process
that runs JAX cannot be forked).
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Shaped

_RESPONSE = ("response", "response_bytes")

# Maps (index of the example, text of the response) to channels by name, among
# them `score`, higher is better.
Grade = Callable[[int, str], Mapping[str, Any]]


@dataclasses.dataclass(frozen=True)
class Grader:
  """Grades all responses of one member.

  Attributes:
    detokenize: maps ids to text.
    grade: maps an example's index and a response to channels.
    keep_responses: whether the texts become a channel as well, from which
      `read_responses` gets them back, so that a log can be graded anew.
    num_threads: responses graded at once, for a `grade` that waits for other
      processes.
  """

  detokenize: Callable[[Sequence[int]], str]
  grade: Grade
  keep_responses: bool = False
  num_threads: int = 1

  def __call__(self, part: Mapping[str, Any], batch: Any) -> dict[str, Any]:
    """Maps one member's responses to channels [Q].

    Args:
      part: the fields of `generator.Responses`, [Q, ...] each.
      batch: with the examples' `index` [Q].

    Returns:
      What `grade` gives, and `length` and `stopped`, and `response` where the
      texts are kept; the score is NaN where the model's logits were not finite.
    """
    texts = read_texts(self.detokenize, part["tokens"], part["lengths"])
    channels = grade_texts(
      self.grade, batch["index"], texts, num_threads=self.num_threads
    )
    if self.keep_responses:
      channels |= pack_responses(texts)
    # A member whose logits are not numbers has failed, whatever it said.
    has_failed = ~np.isfinite(part["log_probs"]).all(axis=1)
    score = np.where(has_failed, np.nan, channels["score"])
    return channels | {
      "score": score,
      "length": part["lengths"],
      "stopped": part["stopped"],
    }


def read_texts(
  detokenize: Callable[[Sequence[int]], str],
  tokens: Shaped[Any, "Q T"],
  lengths: Shaped[Any, " Q"],
) -> list[str]:
  """[Q] texts of responses.

  Args:
    detokenize: maps ids to text.
    tokens: [Q, T] ids.
    lengths: [Q] how many of them count.
  """
  return [
    detokenize(row[:length].tolist())
    for row, length in zip(tokens, lengths, strict=True)
  ]


def grade_texts(
  grade: Grade,
  indices: Iterable[Any],
  texts: Sequence[str],
  *,
  num_threads: int = 1,
) -> dict[str, np.ndarray]:
  """Grades responses; returns channels [Q].

  Args:
    grade: maps an example's index and a response to channels.
    indices: [Q] which example each response answers.
    texts: [Q] the responses.
    num_threads: responses graded at once.
  """
  indices = [int(index) for index in indices]
  if num_threads > 1:
    with concurrent.futures.ThreadPoolExecutor(num_threads) as threads:
      rows = list(threads.map(grade, indices, texts))
  else:
    rows = list(map(grade, indices, texts))
  for index, row in zip(indices, rows, strict=True):
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


class Workers:
  """Processes that grade while the device generates.

  A context manager; `executor` and `host_fn` are what `staged.staged` takes.

  Args:
    grader: sent to every worker once.
    num_workers: processes.
  """

  def __init__(self, grader: Grader, num_workers: int):
    self.executor = concurrent.futures.ProcessPoolExecutor(
      num_workers,
      mp_context=multiprocessing.get_context("spawn"),
      initializer=_remember,
      initargs=(grader,),
    )
    self.host_fn = _grade_remembered

  def __enter__(self) -> Workers:
    return self

  def __exit__(self, *_) -> None:
    self.executor.shutdown(cancel_futures=True)


_remembered: list[Grader] = []  # Of a worker process.


def _remember(grader):
  _remembered[:] = [grader]
  threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent():
  """A parent that is killed cannot end its workers, which would wait forever."""
  multiprocessing.parent_process().join()
  os._exit(1)


def _grade_remembered(part, batch):
  return _remembered[0](part, batch)


def _check_channels(row, first, index):
  if "score" not in row:
    raise ValueError(
      f"grade must return a channel named score, got {sorted(row)} for example"
      f" {index}."
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
