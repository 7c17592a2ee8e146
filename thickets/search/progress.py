"""How far an evaluation is, as lines of a log."""

import time

import numpy as np
from absl import logging
from jaxtyping import Float


class Progress:
  """Logs how far an evaluation is, at most every ten seconds.

  Args:
    split: what is being scored.
    total: number of members.
    best_and_base: the best score so far, and the base's, NaN if unknown.
  """

  _PERIOD_S = 10.0

  def __init__(
    self, split: str, total: int, best_and_base: tuple[float, float]
  ):
    self._split, self._total = split, total
    self._best, self._base = best_and_base
    self._done = self._new = self._failed = 0
    self._start = self._last = time.monotonic()

  def skip(self, count: int) -> None:
    """Counts members whose records were there already."""
    self._done += count
    if count and count < self._total:
      logging.info("%d of %d members were on disk", count, self._total)

  def add(self, scores: Float[np.ndarray, " P"]) -> None:
    """Counts new members, and logs a line when it is time."""
    finite = scores[np.isfinite(scores)]
    self._done += len(scores)
    self._new += len(scores)
    self._failed += len(scores) - len(finite)
    if finite.size:
      self._best = np.fmax(self._best, finite.max())
    now = time.monotonic()
    if self._total == 1 or (
      now - self._last < self._PERIOD_S and self._done < self._total
    ):
      return
    self._last = now
    rate = self._new / max(now - self._start, 1e-9)
    base = f" | base {self._base:.4g}" if np.isfinite(self._base) else ""
    logging.info(
      "%s | members %d/%d | %.3g members/s | ETA %s | best %.4g%s | failed %d",
      self._split,
      self._done,
      self._total,
      rate,
      format_duration((self._total - self._done) / max(rate, 1e-9)),
      self._best,
      base,
      self._failed,
    )


def format_duration(seconds: float) -> str:
  """Writes a duration as 42s, 4m40s or 2h05m."""
  seconds = round(seconds)
  if seconds < 60:
    return f"{seconds}s"
  minutes, seconds = divmod(seconds, 60)
  if minutes < 60:
    return f"{minutes}m{seconds:02d}s"
  hours, minutes = divmod(minutes, 60)
  return f"{hours}h{minutes:02d}m"
