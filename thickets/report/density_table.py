"""The tables of an analysis of a neighbourhood, and its planes, for the console."""

import math
from collections.abc import Mapping
from typing import Any

from thickets.analysis import intervals, prompt_groups
from thickets.analysis.density import Density
from thickets.analysis.diversity import Discordance
from thickets.analysis.interpolation import Explained
from thickets.analysis.neighbourhood import Analysis, Diversity

_NARROW = (
  "~ gains are narrower than the shift that all members share: of the density on"
  " new prompts read the interval only. Where the share on these prompts lies"
  " inside the null's range, no experts are shown."
)


def format_analysis(found: Analysis) -> str:
  """Returns densities by sigma, discordance by sigma and regimes by task."""
  lines = [
    f"{'density':26s}{'sigma':>9s}{'margin':>8s}{'base':>7s}"
    f"{'on these prompts':>21s}{'confirmed':>22s}{'on new prompts':>22s}"
    f"{'null, its range':>22s}"
  ]
  for task, density in found.densities.items():
    lines += _format_densities(task, density)
    if density.num_groups < density.num_prompts:
      counted = prompt_groups.describe_groups(
        density.num_groups, density.num_prompts
      )
      lines.append(f"{task}: sets of prompts are groups, {counted}.")
  lines.append(_NARROW)
  for one in found.diversity:
    if one.discordance is not None:
      lines.append(_format_discordance(one.sigma, one.discordance))
      lines.append(_format_destroyed(one))
  for task, call in found.regimes.items():
    lines.append(f"{task}: {call.regime} ({call.reason})")
  return "\n".join(lines)


def format_explained(task: str, explained: Explained) -> str:
  """Returns a line that says how much of a task's scores a plane explains."""
  share, p_value = explained.share, explained.p_value
  return (
    f"{task}: the plane explains"
    f" {'–' if math.isnan(share) else f'{share:.3f}'} of the variance of unseen"
    f" members (p = {'–' if math.isnan(p_value) else f'{p_value:.2f}'})"
  )


def _format_densities(task: str, density: Density) -> list[str]:
  return [
    f"{task:26s}{row['sigma']:9g}{row['margin']:8.3f}{row['base_score']:7.3f}"
    f"{_format(row, 'plain'):>21s}{_format(row, 'confirmed'):>22s}"
    f"{_format(row, 'corrected'):>22s}{_format(row, 'null'):>22s}{_mark(row)}"
    for row in density.rows()
  ]


def _format_discordance(sigma: float, found: Discordance) -> str:
  low, high = found.interval
  floor = "unknown" if found.floor is None else f"{found.floor:.3f}"
  return (
    f"discordance at sigma {sigma:g}: {found.value:z.3f} [{low:z.3f}, {high:z.3f}] of"
    f" at most {found.bound:.3f}; {floor} if all tasks ranked members alike up to"
    " noise"
  )


def _format_destroyed(one: Diversity) -> str:
  """How many members are bad at everything, and D without them."""
  lost = one.destroyed
  if not lost.is_known:
    return (
      "  bad at everything: cannot be told, as fewer than two tasks have a base"
      " above the floor"
    )
  share = intervals.describe_count(lost.count, lost.num_scored, over="members")
  found = (
    f"  bad at everything: {lost.count} of {lost.num_scored} members,"
    f" {share['frac']:.1%} [{share['low']:.1%}, {share['high']:.1%}]"
  )
  if not lost.count:
    return found
  if one.discordance_without is None:
    return f"{found}; the others have no D"
  low, high = one.discordance_without.interval
  return (
    f"{found}; without them D is {one.discordance_without.value:.3f}"
    f" [{low:.3f}, {high:.3f}]"
  )


def _mark(row: Mapping[str, Any]) -> str:
  return " ~" if row["gain_sd"] <= row["shared_sd"] else ""


def _format(row: Mapping[str, Any], name: str) -> str:
  value = row[name]
  shown = "  –  " if value is None else f"{value:.3f}"
  return f"{shown} [{row[f'{name}_low']:.3f}, {row[f'{name}_high']:.3f}]"
