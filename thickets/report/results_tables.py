"""The tables of results.json in a report, one function for each kind of run."""

from collections.abc import Mapping
from typing import Any

from thickets.analysis import prompt_groups
from thickets.report import controls_table, tables
from thickets.report.tables import TextTable


def tabulate_measure(results: Mapping[str, Any]) -> list[TextTable]:
  """Returns the scores of base and members by task and sigma.

  Args:
    results: the contents of results.json of a run of `experiments.measure`.
  """
  norms = results["relative_norms"]  # By sigma, as `repr` writes it.
  rows = tuple(
    (
      name,
      f"{level['sigma']:g}",
      tables.format_number(norms.get(repr(level["sigma"]))),
      str(level["num_members"]),
      str(level["num_failed"]),
      str(task["num_prompts"]),
      tables.format_percent(task["base"]),
      tables.format_percent(level["mean"]),
      tables.format_percent(level["best"]),
    )
    for name, task in results["tasks"].items()
    for level in task["by_sigma"]
  )
  header = (
    *("task", "sigma", "relative norm", "members", "failed", "prompts"),
    *("base", "mean", "best"),
  )
  return [
    TextTable(
      "Mean scores in %, over the prompts of select and dev. The best member is"
      " the best of many noisy ones: on other prompts its score is lower.",
      header,
      rows,
    )
  ]


def tabulate_randopt(results: Mapping[str, Any]) -> list[TextTable]:
  """Returns who is right how often, paired differences, gains, the population.

  Args:
    results: the contents of results.json of a run of `experiments.randopt`.
  """
  return [
    _tabulate_accuracies(results),
    _tabulate_differences(results),
    *controls_table.tabulate_controls(results),
    _tabulate_gains(results),
    _tabulate_population(results),
  ]


def _tabulate_accuracies(results: Mapping[str, Any]) -> TextTable:
  rows = tuple(
    (
      row["name"],
      str(row["responses"]),
      *_format_mean(row.get("judge")),
      *_format_mean(row.get("gain"), sign=True),
      _format_discordant(row),
      *_format_mean(row.get("pass_at_k")),
      tables.format_number(row.get("error_correlation")),
      row["judge"]["over"],
    )
    for row in results["table"]
  )
  header = (
    *("who answers", "responses", "right", "95 % interval"),
    *("gain over base", "95 % interval", "won, lost"),
    *("pass@K", "95 % interval", "error correlation", "intervals over"),
  )
  return TextTable(
    f"Accuracy in % of {_count_prompts(results)} that took no part in"
    f" choosing anything, and gains in points. {results['units']}.",
    header,
    rows,
  )


def _count_prompts(results: Mapping[str, Any]) -> str:
  """How many prompts judge, and in how many groups; older runs know of none."""
  num_prompts = results["num_judge"]
  num_groups = results.get("num_judge_groups", num_prompts)
  return prompt_groups.describe_groups(num_groups, num_prompts)


def _tabulate_differences(results: Mapping[str, Any]) -> TextTable:
  return TextTable(
    f"Paired differences at K = {results['primary_k']}, in points, and the number"
    " of prompts that only the first (won) or only the second (lost) has right.",
    (
      *("difference", "K", "mean", "95 % interval", "won, lost"),
      "interval over",
    ),
    tuple(
      (
        row["name"],
        str(row["k"]),
        *_format_mean(row, sign=True),
        _format_discordant(row),
        row["over"],
      )
      for row in results["differences"]
    ),
  )


def _tabulate_gains(results: Mapping[str, Any]) -> TextTable:
  rows = []
  for row in results["winners_curse"]:
    cells = [row["name"]]
    for side in ("select", "judge"):
      cells.append(tables.format_percent(row[side]["score"]))
      cells += _format_mean(row[side]["gain"], sign=True)
    rows.append(tuple(cells))
  return TextTable(
    "What is left of the choice: scores in %, and their gain over the base in"
    f" points, on the {results['num_select']} prompts of selection and on the"
    f" {results['num_judge']} unseen ones. Gains where members were chosen are"
    " flattered, and their intervals do not know of the choice.",
    (
      *("who answers", "score on select", "gain on select", "95 % interval"),
      *("score on judge", "gain on judge", "95 % interval"),
    ),
    tuple(rows),
  )


def _tabulate_population(results: Mapping[str, Any]) -> TextTable:
  whole = results["population"]
  levels = tuple(
    (
      f"{level['sigma']:g}",
      str(level["size"]),
      str(level["num_failed"]),
      tables.format_percent(level["mean_score"]),
      tables.format_percent(level["best_score"]),
      *_format_share(level["better_than_base"]),
    )
    for level in whole["by_sigma"]
  )
  return TextTable(
    f"The population on the {results['num_select']} prompts of selection, in %,"
    f" where the base has {tables.format_percent(whole['base_score'])}.",
    (
      *("sigma", "members", "failed", "mean", "best"),
      *("better than the base (count: %)", "95 % interval over members"),
    ),
    levels,
  )


def tabulate_signals(results: Mapping[str, Any]) -> list[TextTable]:
  """Returns the errors of base, best member and ensembles.

  Args:
    results: the contents of results.json of a run of `experiments.signals`.
  """
  rows = tuple(
    (
      row["name"],
      *(
        tables.format_number(row.get(field))
        for field in ("select_mse", "judge_mse", "judge_se")
      ),
    )
    for row in results["table"]
  )
  whole = results["population"]
  share = whole["better_than_base"]
  return [
    TextTable(
      f"Mean squared error, lower is better; s.e. over {results['num_judge']}"
      f" prompts. {whole['size']} members, {whole['num_failed']} failed;"
      f" {share['count']} better than the base on {results['num_select']} prompts"
      f" of selection: {tables.format_percent(share['frac'])} %"
      f" {tables.format_interval(share['low'], share['high'])}.",
      ("who answers", "select", "judge", "s.e."),
      rows,
    )
  ]


def _format_mean(
  found: Mapping[str, Any] | None, *, sign: bool = False
) -> tuple[str, str]:
  """Writes a mean and its interval; dashes where there is none."""
  if found is None:
    return tables.DASH, ""
  ends = tables.format_interval(found["low"], found["high"], sign=sign)
  return tables.format_percent(found["mean"], sign=sign), ends


def _format_discordant(row: Mapping[str, Any]) -> str:
  """Writes how many prompts were won and lost; a dash where there are none."""
  return f"{row['won']}, {row['lost']}" if "won" in row else tables.DASH


def _format_share(found: Mapping[str, Any]) -> tuple[str, str]:
  """Writes how many members there are, their share, and its interval."""
  ends = tables.format_interval(found["low"], found["high"])
  return f"{found['count']}: {tables.format_percent(found['frac'])}", ends
