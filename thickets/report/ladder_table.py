"""The tables of a ladder for the console: its models, and what follows of them."""

from collections.abc import Mapping, Sequence
from typing import Any

from thickets.analysis.scaling import LadderPoint


def format_points(points: Sequence[LadderPoint]) -> str:
  """Returns a row for each model: its size, its accuracies, its densities."""
  lines = [
    f"{'rung':10s}{'weights':>9s}{'steps':>7s}{'loss':>7s}{'base':>7s}"
    f"{'random':>8s}{'best':>7s}{'vote':>7s}{'vote - base':>24s}"
    "  density (corrected) by sigma"
  ]
  for point in points:
    gain = point.gain("vote", "base")
    densities = " ".join(f"{e.value:.3f}" for e in point.density["corrected"])
    lines.append(
      f"{point.rung:10s}{point.num_weights:9d}{point.step:7d}{point.loss:7.3f}"
      f"{point.accuracy('base'):7.3f}{point.random:8.3f}"
      f"{point.accuracy('best'):7.3f}{point.accuracy('vote'):7.3f}"
      f"{gain.value:+z8.3f} [{gain.low:+z.3f}, {gain.high:+z.3f}]  {densities}"
    )
  return "\n".join(lines)


def format_claims(claims: Mapping[str, Any]) -> str:
  """Returns a line for each claim and level of sigma.

  Args:
    claims: what `claims.fit_claims` returns.
  """
  lines = []
  for name, found in claims.items():
    for label, one in _flatten(name, found):
      if one is None:
        lines.append(f"{label}: too few points")
      elif "slope" in one:
        low, high = one["slope_interval"]
        lines.append(
          f"{label}: slope {one['slope']:+z.3f} [{low:+z.3f}, {high:+z.3f}],"
          f" {one['num_points']} points: {_say(one)}"
        )
      else:
        low, high = one["interval"]
        lines.append(
          f"{label}: {one['value']:+z.3f} [{low:+z.3f}, {high:+z.3f}],"
          f" {one['num_points']} models, {one['num_prompts']} prompts: {_say(one)}"
        )
  return "\n".join(lines)


def _say(found: Mapping[str, Any]) -> str:
  """The verdict, and how many models are where no change can show."""
  at = ", ".join(
    f"{found[f'num_at_{edge}']} of the models at the {edge}"
    for edge in ("floor", "ceiling")
    if found[f"num_at_{edge}"]
  )
  return f"{found['verdict']} ({at})" if at else found["verdict"]


def _flatten(name: str, found: Any) -> list[tuple[str, Any]]:
  if name in ("units", "final"):
    return []
  if isinstance(found, list):
    return [
      (f"{name}, sigma level {level + 1}", one)
      for level, one in enumerate(found)
    ]
  if isinstance(found, dict) and not {"slope", "value"} & found.keys():
    return [
      part
      for key, inner in found.items()
      for part in _flatten(f"{name}, {key}", inner)
    ]
  return [(name, found)]
