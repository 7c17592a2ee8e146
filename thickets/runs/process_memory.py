"""How much memory this process has held."""

import resource
import sys

import jax


def peak_host_bytes() -> int:
  """Returns the most memory that this process has held so far, in bytes."""
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  return peak if sys.platform == "darwin" else peak * 1024  # Linux: kilobytes.


def peak_memory_bytes() -> dict[str, int]:
  """The peak memory of this process so far, on the host and the first device.

  Devices that do not tell (the CPU's share the host's) are left out.
  """
  peak = {"host": peak_host_bytes()}
  stats = jax.local_devices()[0].memory_stats()
  if stats and "peak_bytes_in_use" in stats:
    peak["device"] = stats["peak_bytes_in_use"]
  return peak
