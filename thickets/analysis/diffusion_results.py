"""The results of a RandOpt run on pictures, as one JSON object.

A hit is a picture of the target, and fidelity says how well a picture shows what
its prompt asks for. Where nothing but CLIP judges there are no hits: score and
fidelity are cosines, and what counts is their paired difference from the base.
Pictures that are not finite have failed; they are counted, left out of means of
scores, and no hits. Intervals range over pictures, each a prompt and a starting noise,
which are the same for all who draw. Of several pictures of a prompt they say how other
noise would change them, not other prompts. Those of random members range over members.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import special

from thickets.analysis import intervals, picture_density
from thickets.analysis.intervals import Estimate
from thickets.analysis.picture_density import Selected

_OVER = "pictures"


@dataclasses.dataclass(frozen=True)
class Drawn:
  """What one member or ensemble has drawn on the prompts of judging.

  Attributes:
    score: [Q] the scores of selection; NaN where a picture has failed.
    hit: [Q] position of the target that a judge sees, -1 for none; None where
      nothing but scores judges.
    fidelity: [Q] how well each picture shows what was asked for.
  """

  score: Float[np.ndarray, " Q"]
  hit: Int[np.ndarray, " Q"] | None
  fidelity: Float[np.ndarray, " Q"]

  @property
  def is_finite(self) -> Bool[np.ndarray, " Q"]:
    """[Q] which pictures have not failed."""
    return np.isfinite(self.score)

  def find_hits(self, target: int) -> Float[np.ndarray, " Q"] | None:
    """[Q] 1 where a picture is of the target; None without a judge."""
    return None if self.hit is None else (self.hit == target).astype(float)


@dataclasses.dataclass(frozen=True)
class Judged:
  """Who has drawn what on the prompts of judging.

  Attributes:
    base: the base.
    best: the best member.
    ensembles: the mean of the best members, by their number, 1 included.
    random_ensembles: the mean of as many members that were drawn first, but
      from 2 on.
    random: members as they were drawn.
  """

  base: Drawn
  best: Drawn
  ensembles: Mapping[int, Drawn]
  random_ensembles: Mapping[int, Drawn]
  random: Sequence[Drawn]


def summarise_diffusion(
  selected: Selected,
  judged: Judged,
  *,
  primary_k: int,
  margins: Sequence[float],
) -> dict[str, Any]:
  """Returns the contents of results.json, apart from timing.

  Args:
    selected: the population on the prompts of selection.
    judged: who has drawn what on those of judging.
    primary_k: size of the ensemble that is reported, chosen beforehand.
    margins: least gains in score that make an expert.
  """
  base = selected.base_targets[:, selected.target]
  scores = selected.targets[:, :, selected.target].mean(axis=1)
  num_failed = int((~np.isfinite(scores)).sum())
  return {
    "target": selected.names[selected.target],
    "targets": list(selected.names),
    "primary_k": primary_k,
    "num_select": len(base),
    "num_judge": len(judged.base.score),
    "population": {
      "size": len(scores),
      "num_failed": num_failed,
      "mean_score": float(np.nanmean(scores)),
      "best_score": float(np.nanmax(scores)),
      "base_score": float(base.mean()),
      "better_than_base": intervals.describe_count(
        int((scores > base.mean()).sum()), len(scores), over="members"
      ),
    },
    "table": tabulate(judged, selected.target, primary_k),
    "hits_by_picture": list_hits(judged, selected.target, primary_k),
    "ensemble_by_k": _tabulate_sizes(judged.ensembles, selected.target),
    "random_by_k": _tabulate_sizes(judged.random_ensembles, selected.target),
    "density": picture_density.measure_density(selected, margins),
    "hit_density": picture_density.measure_hit_density(selected),
    "discordance": picture_density.measure_discordance(selected),
  }


def tabulate(
  judged: Judged, target: int, primary_k: int
) -> list[dict[str, Any]]:
  """One row for each of those who drew on the prompts of judging.

  Args:
    judged: what they drew.
    target: position of the target that members were chosen for.
    primary_k: the ensemble that is reported.
  """
  rows = [
    ("base", "base", judged.base),
    ("top-1", "best member", judged.best),
    *(
      (
        "primary" if k == primary_k else "ensemble",
        f"mean of best {k}",
        judged.ensembles[k],
      )
      for k in sorted(judged.ensembles)
      if k > 1
    ),
    *(
      ("random", f"mean of random {k}", drawn)
      for k, drawn in sorted(judged.random_ensembles.items())
      if k == primary_k
    ),
  ]
  table = []
  for role, name, drawn in rows:
    row = {"role": role, "name": name, **_describe(drawn, target)}
    if role != "base":
      row |= _compare(drawn, judged.base, target)
    table.append(row)
  table.append(
    {
      "role": "members",
      "name": f"{len(judged.random)} random members",
      **_describe_members(judged.random, judged.base, target),
    }
  )
  return table


def list_hits(
  judged: Judged, target: int, primary_k: int
) -> dict[str, list[float]]:
  """Which pictures of judging are of the target, so that runs can be pooled.

  Args:
    judged: who drew them.
    target: position of the target that members were chosen for.
    primary_k: the ensemble that is reported.

  Returns:
    By role, as in the table, [Q] 1 for a hit and 0 for none; of `members` the share
    of the random members that hit. Empty without a rule of hits.
  """
  drawers = {
    "base": [judged.base],
    "top-1": [judged.best],
    "primary": [judged.ensembles[primary_k]],
    "random": [judged.random_ensembles[primary_k]] if primary_k > 1 else [],
    "members": judged.random,
  }
  found = {}
  for role, drawn in drawers.items():
    hits = [one.find_hits(target) for one in drawn]
    known = [row for row in hits if row is not None]
    if known:
      found[role] = np.mean(known, axis=0).tolist()
  return found


def _tabulate_sizes(
  ensembles: Mapping[int, Drawn], target: int
) -> list[dict[str, Any]]:
  return [
    {"k": k, **_describe(drawn, target)}
    for k, drawn in sorted(ensembles.items())
  ]


def _describe(drawn: Drawn, target: int) -> dict[str, Any]:
  """Means over pictures with their intervals; None where all have failed."""
  kept, hits = drawn.is_finite, drawn.find_hits(target)
  # Where a judge says what is a hit, scores and fidelity are within 0 and 1.
  estimate = _estimate_score if hits is None else _estimate_share
  found = {
    "score": _to_json(estimate, drawn.score[kept]),
    "fidelity": _to_json(estimate, drawn.fidelity[kept]),
  }
  if hits is not None:
    found["hits"] = _to_json(_estimate_share, hits)
  return found | {"num_failed": int((~kept).sum())}


def _compare(drawn: Drawn, base: Drawn, target: int) -> dict[str, Any]:
  """Paired differences from the base on the same pictures."""
  kept = drawn.is_finite  # The base has no failed picture.
  estimate = _estimate_score if drawn.hit is None else _estimate_gain
  found = {
    f"{name}_gain": _to_json(estimate, (of_drawn - of_base)[kept])
    for name, of_drawn, of_base in (
      ("score", drawn.score, base.score),
      ("fidelity", drawn.fidelity, base.fidelity),
    )
  }
  hits, of_base = drawn.find_hits(target), base.find_hits(target)
  if hits is not None and of_base is not None:
    found["hits_gain"] = _to_json(_estimate_gain, hits - of_base)
  return found


def _to_json(
  estimate: Callable[[Float[np.ndarray, " Q"]], Estimate],
  values: Float[np.ndarray, " Q"],
) -> dict[str, Any] | None:
  """An estimate as JSON; None of so few values that there is no interval."""
  least = 2 if estimate is _estimate_score else 1
  return estimate(values).to_json("mean") if len(values) >= least else None


def _describe_members(
  members: Sequence[Drawn], base: Drawn, target: int
) -> dict[str, Any]:
  """Means over members of their means over pictures, with intervals over members.

  Members that fail on a picture are counted, and left out.
  """
  whole = [m for m in members if m.is_finite.all()]
  found: dict[str, Any] = {"num_failed": len(members) - len(whole)}
  if not whole:
    return {"score": None, "fidelity": None, **found}
  columns = {
    "score": [m.score for m in whole],
    "fidelity": [m.fidelity for m in whole],
    "score_gain": [m.score - base.score for m in whole],
    "fidelity_gain": [m.fidelity - base.fidelity for m in whole],
  }
  of_base = base.find_hits(target)
  hits = [hit for m in whole if (hit := m.find_hits(target)) is not None]
  if hits and of_base is not None:
    columns |= {"hits": hits, "hits_gain": [hit - of_base for hit in hits]}
  for name, rows in columns.items():
    means = np.array([row.mean() for row in rows], np.float64)
    estimate = _estimate_score
    if hits:
      estimate = _estimate_gain if name.endswith("gain") else _estimate_share
    described = _to_json(estimate, means)
    found[name] = described and {**described, "over": "members"}
  return found


def _estimate_share(values: Float[np.ndarray, " Q"]) -> Estimate:
  """A mean of shares within 0 and 1."""
  return dataclasses.replace(intervals.estimate_mean(values), over=_OVER)


def _estimate_gain(values: Float[np.ndarray, " Q"]) -> Estimate:
  """A mean of differences of shares, within -1 and 1."""
  return dataclasses.replace(intervals.estimate_difference(values), over=_OVER)


def _estimate_score(values: Float[np.ndarray, " Q"]) -> Estimate:
  """A mean of cosines, or of their differences, with Student's interval."""
  values = np.asarray(values, np.float64)
  mean = float(values.mean())
  quantile = float(special.stdtrit(len(values) - 1, 0.975))
  half = quantile * intervals.standard_error(values)
  return Estimate(mean, mean - half, mean + half, _OVER)
