"""The tables of a report, as text: what the console prints, for a page.

Each takes the plain values that a run has left behind: results.json, density.json
and landscape.json.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from thickets.report import signals_table

_NONE = "–"
_NUM_BEST = 10  # Members that a landscape's table lists.


@dataclasses.dataclass(frozen=True)
class Table:
  """A table of text.

  Attributes:
    caption: what it holds, with units.
    header: of the columns.
    rows: of as many cells; the first one names the row.
  """

  caption: str
  header: tuple[str, ...]
  rows: tuple[tuple[str, ...], ...]

  @property
  def is_text(self) -> list[bool]:
    """Whether a column holds words, which stand on the left."""
    columns = zip(*self.rows, strict=True) if self.rows else self.header
    return [any(cell[:1].isalpha() for cell in column) for column in columns]


def percent(value: float | int | None, *, sign: bool = False) -> str:
  """A share in percent, or a gain in points, with one digit; a dash for None."""
  if value is None or not math.isfinite(value):
    return _NONE
  rounded = round(100 * value, 1) + 0.0  # Without a sign of zero.
  return f"{rounded:{'+' if sign else ''}.1f}"


def interval(
  low: float | int | None, high: float | int | None, *, sign: bool = False
) -> str:
  """The ends of an interval in percent, in brackets."""
  if low is None or high is None:
    return ""
  return f"[{percent(low, sign=sign)}, {percent(high, sign=sign)}]"


def summarise_results(results: Mapping[str, Any], kind: str) -> list[Table]:
  """The tables of results.json, of a run of one of the three kinds."""
  return _SUMMARISED[kind](results)


def compare_results(
  runs: Mapping[str, tuple[str, Mapping[str, Any]]],
) -> list[Table]:
  """What the runs reached, one below the other; a table per kind of run.

  Args:
    runs: kind and contents of results.json, by the run's name.
  """
  tables = []
  for kind, summarise in _SUMMARISED.items():
    of_kind = {name: r for name, (k, r) in runs.items() if k == kind}
    if not of_kind:
      continue
    tables += _join_tables(
      {name: [summarise(results)[0]] for name, results in of_kind.items()}
    )
  return tables


def compare_densities(runs: Mapping[str, Mapping[str, Any]]) -> list[Table]:
  """The estimates of all runs, their votes and their discordance.

  Args:
    runs: the contents of density.json, by the run's name.
  """
  return _join_tables(
    {
      name: [
        tabulate_density(density),
        *tabulate_votes(density),
        *tabulate_diversity(density)[:1],
      ]
      for name, density in runs.items()
    }
  )


def _join_tables(runs: Mapping[str, Sequence[Table]]) -> list[Table]:
  """One table for those of all runs that say the same, task by task."""
  joined: dict[tuple[Any, ...], list[tuple[str, ...]]] = {}
  for name, tables in runs.items():
    for table in tables:
      has_task = table.header[0] == "task"
      header = ("run", *table.header)
      rows = [(name, *row) for row in table.rows]
      if has_task:
        header = ("task", "run", *table.header[1:])
        rows = [(row[0], name, *row[1:]) for row in table.rows]
      joined.setdefault((table.caption, header), []).extend(rows)
  for (_, header), rows in joined.items():
    if header[0] == "task":
      order = [*dict.fromkeys(row[0] for row in rows)]
      rows[:] = [row for task in order for row in rows if row[0] == task]
  return [
    Table(caption, header, tuple(rows))
    for (caption, header), rows in joined.items()
  ]


def _summarise_measure(results) -> list[Table]:
  rows = tuple(
    (
      name,
      f"{level['sigma']:g}",
      _number(results.get("relative_norms", {}).get(f"{level['sigma']:g}")),
      str(level["num_members"]),
      str(level["num_failed"]),
      str(task["num_prompts"]),
      percent(task["base"]),
      percent(level["mean"]),
      percent(level["best"]),
    )
    for name, task in results["tasks"].items()
    for level in task["by_sigma"]
  )
  header = (
    *("task", "sigma", "relative norm", "members", "failed", "prompts"),
    *("base", "mean", "best"),
  )
  return [
    Table(
      "Mean scores in %, over the prompts of select and dev. The best member is"
      " the best of many noisy ones: on other prompts its score is lower.",
      header,
      rows,
    )
  ]


def _summarise_randopt(results) -> list[Table]:
  rows = tuple(
    (
      row["name"],
      str(row["responses"]),
      percent(row.get("select_score")),
      percent(row.get("judge_score")),
      *_share(row.get("judge")),
      *_share(row.get("gain"), sign=True),
    )
    for row in results["table"]
  )
  header = (
    *("who answers", "responses", "score, select", "score, judge"),
    *("right", "95 % interval", "over base", "95 % interval"),
  )
  differences = tuple(
    (row["name"], str(row["k"]), *_share(row, sign=True))
    for row in results["differences"]
  )
  whole, curse = results["population"], results["winners_curse"]
  levels = tuple(
    (
      f"{level['sigma']:g}",
      str(level["size"]),
      str(level["num_failed"]),
      percent(level["mean_score"]),
      percent(level["best_score"]),
      *_frac(level["better_than_base"]),
    )
    for level in whole["by_sigma"]
  )
  return [
    Table(
      f"Accuracy in % of {results['num_judge']} prompts that took no part in"
      f" choosing anything, and gains in points. {results['units']}.",
      header,
      rows,
    ),
    Table(
      f"Paired differences at K = {results['primary_k']}, in points.",
      ("difference", "K", "mean", "95 % interval"),
      differences,
    ),
    Table(
      f"The population on {results['num_select']} prompts of selection, in %."
      " Winner's curse: the best member was selected with a score of"
      f" {percent(curse['select_score'])} and reaches"
      f" {percent(curse['judge_score'])} on unseen prompts.",
      (
        *("sigma", "members", "failed", "mean", "best"),
        *("better than the base: count, %", "95 % interval"),
      ),
      levels,
    ),
  ]


def _summarise_signals(results) -> list[Table]:
  rows = tuple(
    (
      row["name"],
      *(
        signals_table.format_error(row.get(field))
        for field in ("select_mse", "judge_mse", "judge_se")
      ),
    )
    for row in results["table"]
  )
  whole = results["population"]
  share = whole["better_than_base"]
  return [
    Table(
      f"Mean squared error, lower is better; s.e. over {results['num_judge']}"
      f" prompts. {whole['size']} members, {whole['num_failed']} failed;"
      f" {share['count']} better than the base on {results['num_select']} prompts"
      f" of selection: {percent(share['frac'])} %"
      f" {interval(share['low'], share['high'])}.",
      ("who answers", "select", "judge", "s.e."),
      rows,
    )
  ]


def tabulate_density(density: Mapping[str, Any]) -> Table:
  """The four estimates by task, sigma and margin, of density.json."""
  rows = []
  for task, found in density["densities"].items():
    for row in found["rows"]:
      estimates = []
      for name in ("plain", "confirmed", "corrected", "null"):
        ends = interval(row[f"{name}_low"], row[f"{name}_high"])
        estimates.append(f"{percent(row[name])} {ends}")
      rows.append(
        (
          task,
          f"{row['sigma']:g}",
          margin_text(row),
          f"{row['num_members']} ({row['num_failed']} failed)",
          str(row["num_prompts"]),
          percent(row["base_score"]),
          *estimates,
        )
      )
  levels = {found["level"] for found in density["densities"].values()}
  return Table(
    f"Density in % of members, with {' or '.join(f'{v:.0%}' for v in levels)}"
    " intervals (of the null: the central range). Margins in points; base: score"
    " in %.",
    (
      *("task", "sigma", "margin", "members", "prompts", "base"),
      *("plain", "confirmed", "corrected", "null"),
    ),
    tuple(rows),
  )


def margin_text(row: Mapping[str, Any]) -> str:
  """A margin in points, and the ratio that it stands for."""
  ratio = "" if row["ratio"] is None else f" (× {row['ratio']:g})"
  return f"{100 * row['margin']:.4g}{ratio}"


def tabulate_votes(density: Mapping[str, Any]) -> list[Table]:
  """Votes of the best and the regimes that follow; none without votes."""
  rows = []
  for task, by_sigma in density["votes"].items():
    for sigma, vote in by_sigma.items():
      call = density["regimes"][task][sigma]
      rows.append(
        (
          task,
          sigma,
          f"{vote['top_k']} of {vote['population']}",
          str(vote["num_judge"]),
          percent(vote["single"]),
          percent(vote["accuracy"]),
          f"{percent(vote['gain'], sign=True)}"
          f" {interval(*vote['gain_interval'], sign=True)}",
          call["regime"],
          call["reason"],
        )
      )
  if not rows:
    return []
  return [
    Table(
      "Votes of the best members on select, judged on dev: accuracies in %, gain"
      " over the base in points with its 95 % interval, and the regime.",
      (
        *("task", "sigma", "K of N", "prompts", "best member", "vote", "gain"),
        *("regime", "why"),
      ),
      tuple(rows),
    )
  ]


def tabulate_diversity(density: Mapping[str, Any]) -> list[Table]:
  """Discordance by sigma, and experts by task; none where not measured."""
  measured = [d for d in density["diversity"] if d["discordance"] is not None]
  if not measured:
    return []
  discordance = tuple(
    (
      f"{one['sigma']:g}",
      str(one["discordance"]["num_members"]),
      str(len(one["discordance"]["names"])),
      _number(one["discordance"]["value"]),
      _number_interval(one["discordance"]["interval"]),
      _number(one["discordance"]["bound"]),
      _number(one["discordance"]["floor"]),
      ", ".join(one["left_out"]) or _NONE,
    )
    for one in measured
  )
  experts = tuple(
    (
      task["name"],
      f"{one['sigma']:g}",
      *(
        f"{task[part]['count']}: {' '.join(_frac(task[part], False))}"
        for part in ("experts", "specialists")
      ),
    )
    for one in measured
    for task in one["specialists"]["tasks"]
  )
  margin = percent(measured[0]["specialists"]["margin"])
  return [
    Table(
      "Spectral discordance D of the tasks' rankings of members, without unit:"
      " 0 if all tasks rank alike, 1 if they have nothing in common. Interval:"
      " 95 %, over members. Floor: what noise alone would show if all tasks"
      " ranked alike.",
      (
        *("sigma", "members", "tasks", "D", "95 % interval", "at most"),
        *("floor", "left out, as all score alike"),
      ),
      discordance,
    ),
    Table(
      f"Members that gain at least {margin} points on a task (experts), and on"
      " this task alone (specialists): counts, and % of members with 95 %"
      " intervals.",
      ("task", "sigma", "experts", "specialists"),
      experts,
    ),
  ]


def tabulate_best(planes: Mapping[str, Any], what: str) -> Table:
  """The members with the highest score of each task on a plane."""
  rows = []
  for task, found in planes.items():
    scored = [
      (point["score"], -number, point)
      for number, point in enumerate(found["points"])
      if point["score"] is not None
    ]
    best = sorted(scored, key=lambda one: one[:2], reverse=True)[:_NUM_BEST]
    rows += [
      (
        task,
        str(-place),
        describe_seeds(point["terms"]),
        f"{point['sigma']:.4g}",
        percent(score),
        percent(point["gain"], sign=True),
        percent(point["error"]),
      )
      for score, place, point in best
    ]
  return Table(
    f"The {_NUM_BEST} best members of the {what} on each task: scores in %, gain"
    " over the base and its standard error in points. They are the best of many"
    " noisy ones: on other prompts their scores are lower.",
    ("task", "member", "seed", "sigma", "score", "gain", "s.e."),
    tuple(rows),
  )


def describe_seeds(terms: Sequence[Sequence[float | int]]) -> str:
  """The seed of a member, or the seeds with their coefficients."""
  if len(terms) == 1:
    return f"{terms[0][0]}"
  return ", ".join(f"{seed} × {sigma:.4g}" for seed, sigma in terms)


def _share(share, *, sign=False) -> tuple[str, str]:
  if share is None:
    return _NONE, ""
  ends = interval(share["low"], share["high"], sign=sign)
  return percent(share["mean"], sign=sign), ends


def _frac(share, with_count: bool = True) -> tuple[str, str]:
  count = f"{share['count']}: " if with_count else ""
  ends = interval(share["low"], share["high"])
  return f"{count}{percent(share['frac'])}", ends


def _number(value: float | int | None) -> str:
  return _NONE if value is None else f"{value:.3g}"


def _number_interval(ends: Sequence[float | None]) -> str:
  return f"[{_number(ends[0])}, {_number(ends[1])}]"


_SUMMARISED = {
  "measure": _summarise_measure,
  "randopt": _summarise_randopt,
  "signals": _summarise_signals,
}
