"""Models whose scores are at the floor or the ceiling, which cannot show a change.

A model that answers nothing rightly, and whose members and votes answer nothing
rightly either, has a gain of zero. So has one that answers everything. That says
nothing of its neighbourhood: the task is too hard, or too easy, for these models. A
claim that rests on such models alone cannot be told.
"""

from collections.abc import Sequence
from typing import Any

from thickets.analysis.scaling import RESPONDENTS, LadderPoint

EDGE = (
  0.02  # Within two points, the margin of an expert, of an end of the score.
)


def find_edge(point: LadderPoint) -> str:
  """Which end of the accuracy all of a model's respondents are at.

  Args:
    point: a measured model.

  Returns:
    "floor" if the base, the best member, the vote and the mean member are all right
    on less than two points, "ceiling" if all of them are wrong on less than that,
    and otherwise "".
  """
  accuracies = [*map(point.accuracy, RESPONDENTS), point.random]
  if max(accuracies) < EDGE:
    return "floor"
  return "ceiling" if min(accuracies) > 1 - EDGE else ""


def judge_claim(
  found: dict[str, Any],
  points: Sequence[LadderPoint],
  interval: Sequence[float],
  words: tuple[str, str],
  *,
  num_needed: int,
) -> dict[str, Any]:
  """Adds to a claim how many models are at an edge, and the verdict.

  Args:
    found: the claim as JSON values.
    points: the models that it rests on.
    interval: low and high end of what the claim says is not zero.
    words: what it is called if it is above zero, and if it is below.
    num_needed: number of models off the edges that the claim needs at least.

  Returns:
    The claim, with `num_at_floor`, `num_at_ceiling` and `verdict`.
  """
  edges = [find_edge(point) for point in points]
  counts = {edge: edges.count(edge) for edge in ("floor", "ceiling")}
  low, high = interval
  verdict = words[0] if low > 0 else words[1] if high < 0 else "not shown"
  if edges.count("") < num_needed:
    at = " or ".join(f"the {edge}" for edge, count in counts.items() if count)
    verdict = f"cannot be told: scores are at {at}"
  return found | {
    "num_at_floor": counts["floor"],
    "num_at_ceiling": counts["ceiling"],
    "verdict": verdict,
  }
