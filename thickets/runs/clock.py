"""How long the parts of a run took, and on which day it is made."""

import datetime
import time


class Clock:
  """Measures the parts of a run, one behind the other.

  Attributes:
    timing: seconds of every part so far by name, and `total_s`.
  """

  def __init__(self):
    self.timing: dict[str, float] = {}
    self._start = self._last = time.perf_counter()

  def lap(self, name: str) -> None:
    """Ends a part, and gives it a name."""
    now = time.perf_counter()
    self.timing |= {name: now - self._last, "total_s": now - self._start}
    self._last = now


def today() -> datetime.date:
  """The day by the calendar of this machine."""
  return datetime.date.today()
