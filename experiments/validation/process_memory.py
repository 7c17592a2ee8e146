"""How much memory this process has held."""

import resource
import sys


def peak_bytes() -> int:
  """Returns the most memory that this process has held so far, in bytes."""
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  return peak if sys.platform == "darwin" else peak * 1024  # Linux: kilobytes.
