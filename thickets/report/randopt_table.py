"""The results of a RandOpt run on a language task, for the console."""

from collections.abc import Mapping, Sequence
from typing import Any

from thickets.analysis import prompt_groups
from thickets.report import console, controls_table

_HEADER = (
  "responses",
  "right",
  "[95 %]",
  "over base",
  "[95 %]",
  "won",
  "lost",
  "pass@K",
  "error corr.",
  "[95 %] over",
)
_MAX_CHARS = 100  # Of a question or a response.


def format_randopt_results(results: Mapping[str, Any]) -> str:
  """Lays out what `randopt_results.summarise_randopt` found."""
  lines = console.align_columns(
    (f"% of {_count_prompts(results, 'judge')}", *_HEADER),
    [_format_row(row) for row in results["table"]],
  )
  lines += ["", "Paired differences at the primary K (*), points [95 %]:"]
  lines += [
    f"  {row['name']}: {_percent(row['mean'], sign=True)}"
    f" {_interval(row, sign=True)} over {row['over']};"
    f" {row['won']} won, {row['lost']} lost"
    for row in results["differences"]
  ]
  lines += controls_table.format_controls(results)
  lines += ["", *_format_gains(results), "", *_describe_members(results)]
  if results["dev"]:
    tried = ", ".join(
      f"{row['temperature']:g}: {_percent(row['accuracy'])}"
      for row in results["dev"]
    )
    lines.append(
      f"Temperature of self-consistency, chosen on {results['dev'][0]['size']}"
      f" prompts of dev: {tried}"
    )
  lines += _format_examples(results.get("examples", ()))
  if results["note"]:
    lines.append(results["note"])
  return "\n".join(lines)


def _format_examples(pairs: Sequence[Mapping[str, Any]]) -> list[str]:
  """The responses of base and best member, below each other."""
  if not pairs:
    return []
  prompts = f"{len(pairs)} prompt{'s' if len(pairs) > 1 else ''}"
  lines = ["", f"Base and best member on the first {prompts} of judge:"]
  for pair in pairs:
    lines.append(f"  {_shorten(pair['question'])}")
    for who, name in (("base", "base"), ("member", "best member")):
      verdict = "right" if pair[who]["right"] else "wrong"
      response = _shorten(pair[who]["response"])
      lines.append(f"    {name:<11}  {verdict}  {response}")
  return lines


def _shorten(text: str) -> str:
  """A text in one line, as far as a console shows it, without control characters."""
  line = " ".join(text.split())
  line = "".join(
    c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line
  )
  return line if len(line) <= _MAX_CHARS else f"{line[: _MAX_CHARS - 1]}…"


def _count_prompts(results: Mapping[str, Any], split: str) -> str:
  """How many prompts there are, and in how many groups if they come in groups."""
  num_prompts = results[f"num_{split}"]
  num_groups = results.get(f"num_{split}_groups", num_prompts)
  return prompt_groups.describe_groups(num_groups, num_prompts)


def _format_row(row: Mapping[str, Any]) -> tuple[str, ...]:
  correlation = row.get("error_correlation")
  return (
    row["name"].replace(" (primary)", " *"),
    str(row["responses"]),
    _percent(_mean(row.get("judge"))),
    _interval(row.get("judge")),
    _percent(_mean(row.get("gain")), sign=True),
    _interval(row.get("gain"), sign=True),
    str(row.get("won", "–")),
    str(row.get("lost", "–")),
    _percent(_mean(row.get("pass_at_k"))),
    "–" if correlation is None else f"{correlation:.2f}",
    _name_over(row["judge"]),
  )


def _format_gains(results: Mapping[str, Any]) -> list[str]:
  """Scores, and what they are over the base's, where it was chosen and elsewhere."""
  rows = []
  for row in results["winners_curse"]:
    cells = [row["name"]]
    for side in ("select", "judge"):
      gain = row[side]["gain"]
      cells += [
        _percent(row[side]["score"]),
        _percent(_mean(gain), sign=True),
        _interval(gain, sign=True),
      ]
    rows.append((*cells, _over(row)))
  return console.align_columns(
    (
      "score, and what it is over the base's",
      *(f"{results['num_select']} of select", "over base", "[95 %]"),
      *(f"{results['num_judge']} of judge", "over base", "[95 %]"),
      "[95 %] over",
    ),
    rows,
  )


def _over(row: Mapping[str, Any]) -> str:
  gains = [row[side]["gain"] for side in ("select", "judge")]
  return next((_name_over(gain) for gain in gains if gain is not None), "–")


def _name_over(found: Mapping[str, Any]) -> str:
  """What an interval ranges over, short enough for a column."""
  return found["over"].replace(" and ", ", ")


def _describe_members(results: Mapping[str, Any]) -> list[str]:
  """Two lines: how many members beat the base, and the winner's curse."""
  whole = results["population"]
  share = whole["better_than_base"]
  return [
    f"{whole['size']} members, {whole['num_failed']} failed, mean"
    f" {_percent(whole['mean_score'])} on {results['num_select']} prompts of"
    f" selection; {share['count']} better than the base there:"
    f" {share['frac']:.1%} [{share['low']:.1%}, {share['high']:.1%}] over"
    f" {share['over']}",
    describe_curse(results),
  ]


def describe_curse(results: Mapping[str, Any]) -> str:
  """The winner's curse in a sentence: gains over the base, and both scores."""
  rows = {row["role"]: row for row in results["winners_curse"]}
  base, best = rows["base"], rows["best"]
  gains, scores = [], []
  for side in ("select", "judge"):
    gains.append(_percent(_mean(best[side]["gain"]), sign=True))
    scores.append(
      f"{_percent(best[side]['score'])} and {_percent(base[side]['score'])}"
    )
  return (
    f"Winner's curse: over the base, the best member has {gains[0]} points where"
    f" it was chosen ({scores[0]}) and {gains[1]} on unseen prompts ({scores[1]})."
  )


def _mean(share: Mapping[str, Any] | None) -> float | None:
  return None if share is None else share["mean"]


def _percent(value: float | None, *, sign: bool = False) -> str:
  if value is None:
    return "–"
  return f"{100 * value:{'+' if sign else ''}z.1f}"


def _interval(share: Mapping[str, Any] | None, *, sign: bool = False) -> str:
  if share is None:
    return ""
  low = _percent(share["low"], sign=sign)
  return f"[{low}, {_percent(share['high'], sign=sign)}]"
