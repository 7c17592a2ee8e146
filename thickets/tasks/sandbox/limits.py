"""What a program may use in the sandbox."""

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class Limits:
  """What one candidate may use, for its code and all of its calls together.

  Attributes:
    cpu_s: processor time, in whole seconds.
    wall_s: time on the clock, in seconds, after which a candidate that sleeps
      is ended. Much larger than `cpu_s`, so that a busy machine grades alike.
    memory_bytes: address space, with the interpreter's 30 MB.
    disk_bytes: size of the throw-away directory, and of any one file.
    result_bytes: size of all values together, as they are sent.

  Raises:
    ValueError: for a limit that nothing could keep.
  """

  cpu_s: int = 2
  wall_s: float = 20
  memory_bytes: int = 512 << 20
  disk_bytes: int = 16 << 20
  result_bytes: int = 256 << 10

  def __post_init__(self):
    for name, value in dataclasses.asdict(self).items():
      if not (math.isfinite(value) and value > 0):
        raise ValueError(f"limits.{name} must be above 0, got {value!r}.")
