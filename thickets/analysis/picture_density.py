"""How many members draw a target, and whether those of other targets are others.

What stands here is read off the pictures of selection, by score and by hit.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from thickets.analysis import density, diversity, intervals
from thickets.errors import UserError
from thickets.members import Member

# Least and largest score of a picture: of hues, and cosines lie within.
SCORE_RANGE = (-1.0, 1.0)
# Of a member's pictures, to count as an expert.
_HIT_SHARES = (0.25, 0.5, 0.75)


@dataclasses.dataclass(frozen=True)
class Selected:
  """The population on the prompts of selection.

  Attributes:
    members: [P] the population.
    targets: [P, Q, T] the score of each picture for each target; NaN where a
      member failed.
    hits: [P, Q] positions of targets, -1 for none; None without a rule of hits.
    base_targets: [Q, T] the base's scores.
    base_hits: [Q] the base's hits.
    names: [T] the targets.
    target: position of the one that members are chosen for.
  """

  members: Sequence[Member]
  targets: Float[np.ndarray, "P Q T"]
  hits: Int[np.ndarray, "P Q"] | None
  base_targets: Float[np.ndarray, "Q T"]
  base_hits: Int[np.ndarray, " Q"] | None
  names: tuple[str, ...]
  target: int

  @property
  def sigmas(self) -> Float[np.ndarray, " P"]:
    """[P] the sigma of each member."""
    return np.array([member.sigma for member in self.members])


def measure_density(
  selected: Selected, margins: Sequence[float]
) -> list[dict[str, Any]]:
  """The share of members that beat the base, for each target, sigma and margin.

  Args:
    selected: the population on the prompts of selection.
    margins: least gains in score that make an expert.
  """
  rows = []
  for place, name in enumerate(selected.names):
    found = density.solution_density(
      np.asarray(selected.targets[:, :, place], np.float64),
      selected.sigmas,
      np.asarray(selected.base_targets[:, place], np.float64),
      margins=margins,
      score_range=SCORE_RANGE,
      num_resamples=200,
    )
    rows += [{"target": name, **row} for row in found.rows()]
  return rows


def measure_hit_density(selected: Selected) -> list[dict[str, Any]]:
  """The share of members that hit a target with at least a share of their pictures.

  A margin above the base does not tell a pretrained model from an untrained one:
  any network has neighbours that paint a little more of a colour. Pictures that are
  hits have an object on a grey background, which chance does not paint.

  Args:
    selected: the population on the prompts of selection.

  Returns:
    A row for each target, sigma and share; none without a rule of hits.
  """
  if selected.hits is None or selected.base_hits is None:
    return []
  rows = []
  for place, name in enumerate(selected.names):
    reached = (selected.hits == place).mean(axis=1)
    for sigma in np.unique(selected.sigmas):
      of_sigma = reached[selected.sigmas == sigma]
      for share in _HIT_SHARES:
        rows.append(
          {
            "target": name,
            "sigma": float(sigma),
            "least_hits": share,
            "base_hits": float((selected.base_hits == place).mean()),
            **intervals.describe_count(
              int((of_sigma >= share).sum()), len(of_sigma), over="members"
            ),
          }
        )
  return rows


def measure_discordance(selected: Selected) -> list[dict[str, Any]]:
  """Spectral discordance over targets, at each sigma.

  Args:
    selected: the population on the prompts of selection.

  Returns:
    A row for each sigma; its `discordance` is None where it is not defined, and
    `why` says why.
  """
  rows = []
  means = selected.targets.mean(axis=1)
  for sigma in np.unique(selected.sigmas):
    of_sigma = means[selected.sigmas == sigma]
    of_sigma = of_sigma[np.isfinite(of_sigma).all(axis=1)]
    row = {
      "sigma": float(sigma),
      "num_members": len(of_sigma),
      "most": len(selected.names) / max(len(selected.names) - 1, 1),
      "discordance": None,
    }
    try:
      row["discordance"] = diversity.spectral_discordance(
        of_sigma, names=selected.names
      )
    except UserError as reason:
      row["why"] = str(reason)
    rows.append(row)
  return rows
