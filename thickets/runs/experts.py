"""The experts file: a few kilobytes of JSON from which members are rebuilt.

It names the base by its identity, how noise is drawn, what the scores mean, and
the chosen members as (seed, sigma) terms. With the base at hand that is all of
the models.
"""

import dataclasses
import json
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from thickets import naming, noise
from thickets.errors import UserError
from thickets.naming import Names, Params
from thickets.perturbation import Kind, kind_from_json, perturb
from thickets.members import Member

FORMAT = "thickets.experts"
VERSION = 2


@dataclasses.dataclass(frozen=True)
class Experts:
  """The chosen members of a population, and what they are relative to.

  Attributes:
    base_identity: `naming.identify` of the base.
    kind: how noise is drawn.
    members: [K] by rank, best first.
    scores: [K] on the prompts they were selected by, higher is better.
    positions: [K] in the population.
    primary_k: how many of them, from the best on, are the ensemble.
    fields: the whole file, as JSON values.
    names: logical names of the base's tensors, as given to `load_experts`.
  """

  base_identity: str
  kind: Kind
  members: tuple[Member, ...]
  scores: tuple[float, ...]
  positions: tuple[int, ...]
  primary_k: int
  fields: dict[str, Any]
  names: Names | None = None

  def rebuild(self, base: Params, rank: int) -> Params:
    """Returns the weights of the member at `rank`, 0 for the best.

    Raises:
      UserError: if there is no such rank.
    """
    if not 0 <= rank < len(self.members):
      raise UserError(
        f"rank must be within 0 and {len(self.members) - 1}, got {rank}."
      )
    return perturb(base, self.members[rank], kind=self.kind, names=self.names)


def describe_experts(
  *,
  base_identity: str,
  base_dtypes: Sequence[str],
  base_names: str,
  kind: Kind,
  task: dict[str, Any],
  population: dict[str, Any],
  members: Sequence[Member],
  scores: Float[np.ndarray, " K"],
  positions: Int[np.ndarray, " K"],
  primary_k: int,
  versions: dict[str, str],
  source: dict[str, Any] | None = None,
) -> dict[str, Any]:
  """Returns the contents of an experts file as JSON values.

  Args:
    base_identity: `naming.identify` of the base as it is stored.
    base_dtypes: that it was held in.
    base_names: `naming.hash_names` of it.
    kind: how noise is drawn.
    task: what the scores were measured on.
    population: how the members were sampled.
    members: [K] by rank.
    scores: [K] on the prompts of selection.
    positions: [K] in the population.
    primary_k: how many of them, from the best on, are the ensemble.
    versions: of the libraries, for the reader.
    source: where the base can be loaded from; None where the run has it.
  """
  return {
    "format": FORMAT,
    "version": VERSION,
    "base": {
      "identity": base_identity,
      "dtypes": list(base_dtypes),
      "names": base_names,
      "source": source,
    },
    "noise": {"version": noise.NOISE_VERSION, "prng": noise.PRNG},
    "kind": kind.to_json(),
    "task": task,
    "population": population,
    "versions": versions,
    "primary_k": primary_k,
    "members": [
      {
        "rank": rank,
        "position": int(position),
        "seed": member.seed,
        "sigma": member.sigma,
        "score": float(score),
      }
      for rank, (member, score, position) in enumerate(
        zip(members, scores, positions, strict=True)
      )
    ],
  }


def load_experts(
  path: str | os.PathLike[str],
  base: Params,
  *,
  names: Names | None = None,
  identity: str | None = None,
) -> Experts:
  """Loads an experts file and checks that it belongs to `base`.

  Args:
    path: the file.
    base: the weights that the members are to be added to.
    names: logical names of its tensors, by default those of its paths.
    identity: of the base as published, such as `hub.Model.identity`; computed
      from `base` by default.

  Raises:
    UserError: if the file is missing, corrupt, of a newer version, drawn by
      other noise, or made from another base or from other dtypes.
  """
  path = pathlib.Path(path)
  fields = read_fields(path)
  try:
    _check_version(path, fields)
    identity = identity or naming.identify(base, names)
    if fields["base"]["identity"] != identity:
      raise UserError(
        f"{path} belongs to the base {fields['base']['identity'][:16]}…, got"
        f" {identity[:16]}…. Load the base it was made from; a language model's"
        " with names=transformer.tensor_names(base), identity=model.identity."
      )
    if fields["base"]["names"] != naming.hash_names(base, names):
      raise UserError(
        f"{path} was made with other logical names of the base's tensors, by"
        " which noise is drawn. Pass names, such as"
        " transformer.tensor_names(base)."
      )
    dtypes = naming.list_dtypes(base)
    if fields["base"]["dtypes"] != dtypes:
      raise UserError(
        f"{path} belongs to a base held as {fields['base']['dtypes']}, got"
        f" {dtypes}, whose members would differ. Load the base in the dtype it"
        " had."
      )
    chosen = fields["members"]
    return Experts(
      base_identity=identity,
      kind=kind_from_json(fields["kind"]),
      members=tuple(
        Member(_plain(m["seed"]), _plain(m["sigma"])) for m in chosen
      ),
      scores=tuple(m["score"] for m in chosen),
      positions=tuple(m["position"] for m in chosen),
      primary_k=fields["primary_k"],
      fields=fields,
      names=names,
    )
  except UserError:
    raise
  except KeyError as error:
    raise UserError(f"{path} is corrupt: it lacks {error}.") from error
  except (ValueError, TypeError, AttributeError) as error:
    raise UserError(f"{path} is corrupt: {error}") from error


def _check_version(path: pathlib.Path, fields: dict[str, Any]) -> None:
  if fields["version"] > VERSION:
    raise UserError(
      f"{path} is an experts file of version {fields['version']}; this version"
      f" of thickets reads up to {VERSION}. Upgrade thickets."
    )
  if fields["version"] < VERSION:
    raise UserError(
      f"{path} is an experts file of version {fields['version']}, from before"
      " the first release. Run the search again with this version of thickets."
    )
  here = {"version": noise.NOISE_VERSION, "prng": noise.PRNG}
  if fields["noise"] != here:
    raise UserError(
      f"{path} was drawn by noise {fields['noise']}, but this version of"
      f" thickets draws {here} and would rebuild other members. Use version"
      f" {fields['versions']['thickets']} of thickets."
    )


def read_fields(path: pathlib.Path) -> dict[str, Any]:
  """Reads the contents of an experts file, before the base is at hand.

  Raises:
    UserError: if it is missing, or no experts file.
  """
  try:
    fields = json.loads(path.read_text(encoding="utf-8"))
  except OSError as error:
    raise UserError(
      f"An experts file must be readable, got {path} ({error.strerror})."
    ) from error
  except ValueError as error:
    raise UserError(f"{path} is not JSON: {error}.") from error
  if not isinstance(fields, dict) or fields.get("format") != FORMAT:
    raise UserError(f"{path} is not an experts file: no format {FORMAT!r}.")
  return fields


def _plain(value: Any) -> Any:
  return tuple(value) if isinstance(value, list) else value
