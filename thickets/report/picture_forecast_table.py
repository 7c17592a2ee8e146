"""What was compiled of a pipeline for machines that are not here, as a table."""

from collections.abc import Sequence

from thickets.generation.images.forecast import Forecast
from thickets.search.targets import Target

_GIB = 2**30
HEADER = (
  "machine",
  "GiB base",
  "GiB temporaries",
  "GiB in all",
  "TFLOP a member",
  "TB moved a member",
  "least s a member",
  "members an hour",
  "compiled in s",
)


def write_markdown(rows: Sequence[tuple[Target, Forecast]]) -> str:
  """The rows as a table under `HEADER`; members an hour are of all devices."""
  lines = [HEADER, ("---",) * len(HEADER), *(_lay_out(*row) for row in rows)]
  return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _lay_out(target: Target, forecast: Forecast) -> tuple[str, ...]:
  least_s = forecast.least_s(target)
  size = target.chip.memory_bytes
  fits = "" if forecast.memory_bytes <= size else ", does not fit"
  return (
    target.name,
    f"{forecast.base_bytes / _GIB:.2f}",
    f"{forecast.temporary_bytes / _GIB:.2f}",
    f"{forecast.memory_bytes / _GIB:.1f} of {size / _GIB:.1f}{fits}",
    f"{forecast.flops / 1e12:.0f}",
    f"{forecast.moved_bytes / 1e12:.2f}",
    f"{least_s:.2f}",
    f"{3600 * target.num_devices / least_s:.0f}",
    f"{forecast.compile_s:.0f}",
  )
