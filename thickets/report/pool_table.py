"""The table of runs that differ in their seed alone, for the console."""

from thickets.analysis.pooled_runs import Pool
from thickets.report import console
from thickets.report.tables import format_interval, format_percent

_ROWS = {
  "base": "base",
  "best": "best member",
  "vote": "vote",
  "random": "random vote",
  "samples": "self-consistency",
}


def format_pool(pool: Pool) -> str:
  """Returns what each run has right, and the pooled differences with their signs."""
  k = pool.primary_k
  lines = console.align_columns(
    (f"% right of judge, K={k}", *(_ROWS[row] for row in pool.rows)),
    [
      (
        f"seed {run.seed}",
        *(format_percent(float(run.right[row].mean())) for row in pool.rows),
      )
      for run in pool.runs
    ]
    + [
      (
        "all",
        *(format_percent(pool.estimate_rate(row).value) for row in pool.rows),
      )
    ],
  )
  over = pool.estimate_gain(pool.names[0]).over
  header = (
    f"difference, points [95 % over {over}]",
    *("pooled", "[95 %]", "runs above 0", "below 0"),
    *("shown above 0", "shown below 0"),
  )
  return "\n".join(
    [
      *lines,
      "",
      *console.align_columns(header, [_format(pool, n) for n in pool.names]),
      "A run is shown to lie above or below 0 where its own interval does.",
    ]
  )


def _format(pool: Pool, name: str) -> tuple[str, ...]:
  found, counts = pool.estimate_gain(name), pool.count_signs(name)
  total = counts["num_runs"]
  return (
    name,
    format_percent(found.value, sign=True),
    format_interval(found.low, found.high, sign=True),
    *(
      f"{counts[f'num_{side}_zero']} of {total}" for side in ("above", "below")
    ),
    *(
      f"{counts[f'num_shown_{side}_zero']} of {total}"
      for side in ("above", "below")
    ),
  )
