"""Pooling runs that differ in their seed alone: what sweep and repeats both do."""

from thickets.analysis import pooled_runs
from thickets.analysis.pooled_runs import Pool
from thickets.report import pool_table
from thickets.report.figures import pool_plots, style
from thickets.runs.locations import Location


def write_pool(pool: Pool, out: Location, name: str) -> str:
  """Writes the file and the figure of a pool; returns its table.

  Args:
    pool: the runs.
    out: the directory that both go to.
    name: what the runs are called, such as "seeds".
  """
  stem = style.name_file(name)
  pooled_runs.save_pool(out / f"{stem}.json", pool)
  pool_plots.plot_pool(out / "figures" / f"{stem}.png", pool)
  return pool_table.format_pool(pool)
