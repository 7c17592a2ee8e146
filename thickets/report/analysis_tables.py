"""The tables of density.json and landscape.json in a report."""

from collections.abc import Mapping, Sequence
from typing import Any

from thickets.report import tables
from thickets.report.tables import TextTable

_NUM_BEST = 10  # Members that a landscape's table lists.


def tabulate_density(density: Mapping[str, Any]) -> TextTable:
  """Returns the four estimates by task, sigma and margin.

  Args:
    density: the contents of density.json.
  """
  rows = []
  for task, found in density["densities"].items():
    for row in found["rows"]:
      estimates = []
      for name in ("plain", "confirmed", "corrected", "null"):
        ends = tables.format_interval(row[f"{name}_low"], row[f"{name}_high"])
        estimates.append(f"{tables.format_percent(row[name])} {ends}")
      rows.append(
        (
          task,
          f"{row['sigma']:g}",
          tables.format_margin(row["margin"], row["ratio"]),
          f"{row['num_members']} ({row['num_failed']} failed)",
          str(row["num_prompts"]),
          tables.format_percent(row["base_score"]),
          *estimates,
        )
      )
  levels = {found["level"] for found in density["densities"].values()}
  return TextTable(
    f"Density in % of members, with {' or '.join(f'{100 * v:g} %' for v in levels)}"
    " intervals (of the null: the central range). Margins in points; base: score"
    " in %.",
    (
      *("task", "sigma", "margin", "members", "prompts", "base"),
      *("plain", "confirmed", "corrected", "null"),
    ),
    tuple(rows),
  )


def tabulate_votes(density: Mapping[str, Any]) -> list[TextTable]:
  """Returns the votes of the best members and the regimes that follow.

  Args:
    density: the contents of density.json.

  Returns:
    Two tables; none if there are no votes.
  """
  rows = []
  for task, by_sigma in density["votes"].items():
    for sigma, vote in by_sigma.items():
      rows.append(
        (
          task,
          sigma,
          f"{vote['top_k']} of {vote['population']}",
          str(vote["num_judge"]),
          tables.format_percent(vote["single"]),
          tables.format_percent(vote["accuracy"]),
          f"{tables.format_percent(vote['gain'], sign=True)}"
          f" {tables.format_interval(*vote['gain_interval'], sign=True)}",
        )
      )
  if not rows:
    return []
  return [
    TextTable(
      "Votes of the best members on select, judged on dev: accuracies in %, gain"
      " over the base in points with its 95 % interval over prompts.",
      ("task", "sigma", "K of N", "prompts", "mean of the K", "vote", "gain"),
      tuple(rows),
    ),
    TextTable(
      "The regime of each task, called over all sigmas. A sigma that destroys the"
      " members, or changes hardly any answer, says nothing of the model and is"
      " set aside.",
      ("task", "regime", "why", "set aside"),
      tuple(
        (
          task,
          call["regime"],
          call["reason"],
          "; ".join(f"{s}: {why}" for s, why in call["set_aside"].items())
          or tables.DASH,
        )
        for task, call in density["regimes"].items()
      ),
    ),
  ]


def tabulate_diversity(density: Mapping[str, Any]) -> list[TextTable]:
  """Returns the discordance by sigma, and the experts by task.

  Args:
    density: the contents of density.json.

  Returns:
    Two tables; none if no discordance was measured.
  """
  measured = [d for d in density["diversity"] if d["discordance"] is not None]
  if not measured:
    return []
  discordance = tuple(
    (
      f"{one['sigma']:g}",
      str(one["discordance"]["num_members"]),
      str(len(one["discordance"]["names"])),
      tables.format_number(one["discordance"]["value"]),
      _format_ends(one["discordance"]["interval"]),
      tables.format_number(one["discordance"]["bound"]),
      tables.format_number(one["discordance"]["floor"]),
      _format_destroyed(one["destroyed"]["share"]),
      _format_without(one["discordance_without"]),
      ", ".join(one["left_out"]) or tables.DASH,
    )
    for one in measured
  )
  return [
    TextTable(
      "Spectral discordance D of the tasks' rankings of members, without unit:"
      " 0 if all tasks rank alike, 1 if they have nothing in common. Interval:"
      " 95 %, over members. Floor: what noise alone would show if all tasks"
      " ranked alike. Members that every task shows to be below the base, at no"
      " more than half of its score, are bad at everything; they make tasks agree,"
      " so that D without them is given too.",
      (
        *("sigma", "members", "tasks", "D", "95 % interval", "at most"),
        *("floor", "bad at everything (count: %)", "D without them"),
        "tasks left out, as all score alike",
      ),
      discordance,
    ),
    _tabulate_experts(measured),
  ]


def _tabulate_experts(measured: Sequence[Mapping[str, Any]]) -> TextTable:
  experts = tuple(
    (
      task["name"],
      f"{one['sigma']:g}",
      *(
        f"{task[part]['count']}: {_format_share(task[part])}"
        for part in ("experts", "specialists")
      ),
    )
    for one in measured
    for task in one["specialists"]["tasks"]
  )
  margin = tables.format_percent(measured[0]["specialists"]["margin"])
  return TextTable(
    f"Members that gain at least {margin} points on a task (experts), and on"
    " this task alone (specialists): counts, and % of members with 95 %"
    " intervals.",
    ("task", "sigma", "experts", "specialists"),
    experts,
  )


def tabulate_best(planes: Mapping[str, Any], what: str) -> TextTable:
  """Returns the members of a plane with the highest scores on each task.

  Args:
    planes: the landscapes by task, as landscape.json holds them.
    what: what the plane is called, such as "slice".
  """
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
        tables.format_seeds(point["terms"]),
        f"{point['sigma']:.4g}",
        tables.format_percent(score),
        tables.format_percent(point["gain"], sign=True),
        tables.format_percent(point["error"]),
      )
      for score, place, point in best
    ]
  return TextTable(
    f"The {_NUM_BEST} best members of the {what} on each task: scores in %, gain"
    " over the base and its standard error in points. They are the best of many"
    " noisy ones: on other prompts their scores are lower.",
    ("task", "member", "seed", "sigma", "score", "gain", "s.e."),
    tuple(rows),
  )


def compare_densities(runs: Mapping[str, Mapping[str, Any]]) -> list[TextTable]:
  """Returns the estimates of several runs, their votes and their discordance.

  Args:
    runs: the contents of density.json of each run, by the run's name.
  """
  return tables.join_tables(
    {
      name: [
        tabulate_density(density),
        *tabulate_votes(density),
        *tabulate_diversity(density)[:1],
      ]
      for name, density in runs.items()
    }
  )


def _format_share(found: Mapping[str, Any]) -> str:
  ends = tables.format_interval(found["low"], found["high"])
  return f"{tables.format_percent(found['frac'])} {ends}"


def _format_destroyed(share: Mapping[str, Any] | None) -> str:
  if share is None:
    return tables.DASH
  return f"{share['count']}: {_format_share(share)}"


def _format_without(found: Mapping[str, Any] | None) -> str:
  if found is None:
    return tables.DASH
  ends = _format_ends(found["interval"])
  return f"{tables.format_number(found['value'])} {ends}"


def _format_ends(ends: Sequence[float | None]) -> str:
  return f"[{', '.join(map(tables.format_number, ends))}]"
