"""The host half of scoring generated text: detokenise and grade, in workers.

A worker process gets the grader once, when it starts. It must be a module's
function or an object that pickles, since workers are started afresh (a process
that runs JAX cannot be forked).
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

# Maps (index of the example, text of the response) to channels by name, among
# them `score`, higher is better.
Grade = Callable[[int, str], Mapping[str, Any]]


@dataclasses.dataclass(frozen=True)
class Grader:
  """Grades all responses of one member.

  Attributes:
    detokenize: maps ids to text.
    grade: maps an example's index and a response to channels.
  """

  detokenize: Callable[[Sequence[int]], str]
  grade: Grade

  def __call__(self, part: Mapping[str, Any], batch: Any) -> dict[str, Any]:
    """Maps one member's responses to channels [Q].

    Args:
      part: the fields of `decode.Responses`, [Q, ...] each.
      batch: with the examples' `index` [Q].

    Returns:
      What `grade` gives, and `length` and `stopped`; the score is NaN where the
      model's logits were not finite.
    """
    rows = []
    for row, index in enumerate(batch["index"]):
      tokens = part["tokens"][row, : part["lengths"][row]].tolist()
      text = self.detokenize(tokens)
      rows.append(self.grade(int(index), text))
      _check_channels(rows[-1], rows[0], int(index))
    channels = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    # A member whose logits are not numbers has failed, whatever it said.
    has_failed = ~np.isfinite(part["log_probs"]).all(axis=1)
    score = np.where(has_failed, np.nan, channels["score"])
    return channels | {
      "score": score,
      "length": part["lengths"],
      "stopped": part["stopped"],
    }


class Workers:
  """Processes that grade while the device generates.

  A context manager; `executor` and `host_fn` are what `evaluators.staged` takes.

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


def _grade_remembered(part, batch):
  return _remembered[0](part, batch)


def _check_channels(row, first, index):
  if "score" not in row:
    raise ValueError(
      f"grade must return a channel named score, got {sorted(row)} for example"
      f" {index}."
    )
  if taken := {"length", "stopped"} & row.keys():
    raise ValueError(
      f"grade must not return {sorted(taken)}: these are the response's own."
    )
  if row.keys() != first.keys():
    raise ValueError(
      f"grade must return the same channels for every response, got"
      f" {sorted(row)} for example {index} and {sorted(first)} before."
    )
