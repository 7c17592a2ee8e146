"""How far an evaluation is, as lines of a log."""

import logging
import time
from collections.abc import Callable

import numpy as np
from jaxtyping import Float

# Its records of level INFO are lines of any log, at most one in ten seconds.
# Those of level DEBUG, one for each chunk, are for a line that renews itself.
LOGGER = logging.getLogger("thickets.progress")

_PERIOD_S = 10.0


class Progress:
  """Logs how far an evaluation is.

  Speed and what is left are measured between the ends of chunks, without the
  time that programs took to compile; so they are unknown until the second chunk.

  Args:
    split: what is being scored.
    total: number of members.
    best_and_base: the best score so far, and the base's, NaN if unknown.
    compile_s: returns the seconds spent on compilation so far.
    unit: what is counted.
  """

  def __init__(
    self,
    split: str,
    total: int,
    best_and_base: tuple[float, float],
    *,
    compile_s: Callable[[], float] = lambda: 0.0,
    unit: str = "members",
  ):
    self._split, self._total, self._unit = split, total, unit
    self._best, self._base = best_and_base
    self._compile_s, self._compiled_before = compile_s, compile_s()
    self._done = self._new = self._failed = 0
    self._start = self._last = time.monotonic()
    # Where the speed is measured from: done so far, and seconds of work.
    self._mark: tuple[int, float] | None = None

  def skip(self, count: int) -> None:
    """Counts members whose records were there already."""
    self._done += count
    if count and count < self._total:
      LOGGER.info(
        "%s | %d of %d %s were on disk",
        *(self._split, count, self._total, self._unit),
        extra={"is_last": True},
      )

  def add(self, scores: Float[np.ndarray, " P"]) -> None:
    """Counts new members, and logs a line."""
    finite = scores[np.isfinite(scores)]
    self._done += len(scores)
    self._new += len(scores)
    self._failed += len(scores) - len(finite)
    if finite.size:
      self._best = np.fmax(self._best, finite.max())
    now = time.monotonic()
    if self._total > 1:
      self._report(now)
    if self._mark is None:
      self._mark = self._new, self._worked_s(now)

  def _report(self, now: float) -> None:
    is_last = self._done >= self._total
    is_due = is_last or now - self._last >= _PERIOD_S
    if is_due:
      self._last = now
    scores = [f"best {self._best:.4g}"] if np.isfinite(self._best) else []
    if np.isfinite(self._base):
      scores.append(f"base {self._base:.4g}")
    words = [
      self._split,
      f"{self._unit} {self._done}/{self._total}",
      *(self._describe_end(now) if is_last else self._describe_speed(now)),
      *scores,
      f"failed {self._failed}",
    ]
    LOGGER.log(
      logging.INFO if is_due else logging.DEBUG,
      "%s",
      " | ".join(words),
      extra={"is_last": is_last},
    )

  def _describe_speed(self, now: float) -> list[str]:
    if self._mark is None:
      return ["ETA after the next chunk"]
    count, worked_s = self._mark
    rate = (self._new - count) / max(self._worked_s(now) - worked_s, 1e-9)
    left_s = (self._total - self._done) / max(rate, 1e-9)
    return [f"{rate:.3g} {self._unit}/s", f"ETA {format_duration(left_s)}"]

  def _describe_end(self, now: float) -> list[str]:
    rate = self._new / max(self._worked_s(now), 1e-9)
    took = f"took {format_duration(now - self._start)}"
    compiled_s = self._compile_s() - self._compiled_before
    if round(compiled_s):
      took += f", {format_duration(compiled_s)} of it compilation"
    return [f"{rate:.3g} {self._unit}/s", took]

  def _worked_s(self, now: float) -> float:
    """Seconds since the start, without those of compilation."""
    return now - self._start - (self._compile_s() - self._compiled_before)


def is_last(record: logging.LogRecord) -> bool:
  """Whether a record of `LOGGER` is the last of its work, which stays."""
  return getattr(record, "is_last", False)


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
