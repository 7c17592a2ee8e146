"""The experts file: a few kilobytes of JSON from which members are rebuilt.

It names the base by its identity, how noise is drawn, what the scores mean, and
the chosen members as (seed, sigma) terms. With the base at hand that is all of
the models.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from thickets import naming, noise
from thickets.errors import UserError
from thickets.members import Member
from thickets.naming import Names, Params
from thickets.perturbation import Kind, kind_from_json, perturb
from thickets.runs import locations
from thickets.runs.json_files import JsonObject
from thickets.runs.locations import Location, Place

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
  fields: JsonObject
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


@dataclasses.dataclass(frozen=True)
class Expert:
  """One chosen member.

  Attributes:
    position: its position in the population.
    member: its terms.
    score: its mean score on the prompts of selection.
  """

  position: int
  member: Member
  score: float


def describe_experts(
  header: JsonObject,
  chosen: Sequence[Expert],
  *,
  population_size: int,
  primary_k: int,
  versions: Mapping[str, str],
  source: JsonObject | None = None,
) -> JsonObject:
  """Returns the contents of an experts file as JSON values.

  Args:
    header: what the records of the run mean, as in its log.
    chosen: [K] the chosen members, by rank.
    population_size: number of members that they were chosen from.
    primary_k: how many of them, from the best on, are the ensemble.
    versions: versions of the libraries, for the reader.
    source: where the base can be loaded from; None where the run has it.
  """
  base = header["base"]
  return {
    "format": FORMAT,
    "version": VERSION,
    "base": {
      "identity": base["identity"],
      "dtypes": list(base["dtypes"]),
      "names": base["names"],
      "source": source,
    },
    "noise": {"version": noise.NOISE_VERSION, "prng": noise.PRNG},
    "kind": header["kind"],
    "task": header["task"],
    "population": header["population"] | {"size": population_size},
    "versions": dict(versions),
    "primary_k": primary_k,
    "members": [
      {
        "rank": rank,
        "position": expert.position,
        "seed": expert.member.seed,
        "sigma": expert.member.sigma,
        "score": expert.score,
      }
      for rank, expert in enumerate(chosen)
    ],
  }


def load_experts(
  path: Place,
  base: Params,
  *,
  names: Names | None = None,
  identity: str | None = None,
) -> Experts:
  """Loads an experts file and checks that it belongs to `base`.

  Args:
    path: the file, or its address in an object store.
    base: the weights that the members are to be added to.
    names: the logical names of its tensors, by default those of its paths.
    identity: the identity of the base as published, such as `hub.Model.identity`; computed
      from `base` by default.

  Raises:
    UserError: if the file is missing, corrupt, of a newer version, drawn by
      other noise, or made from another base or from other dtypes.
  """
  path = locations.locate(path)
  fields = read_fields(path)
  try:
    _check_version(path, fields)
    identity = identity or naming.identify(base, names)
    _check_base(path, fields["base"], base, names, identity)
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


def _check_base(
  path: Location,
  recorded: JsonObject,
  base: Params,
  names: Names | None,
  identity: str,
) -> None:
  """Refuses another base than the one that the file records."""
  if recorded["identity"] != identity:
    raise UserError(
      f"{path} belongs to the base {recorded['identity'][:16]}…, got"
      f" {identity[:16]}…. Load the base it was made from; a language model's"
      " with names=transformer.tensor_names(base), identity=model.identity."
    )
  if recorded["names"] != naming.hash_names(base, names):
    raise UserError(
      f"{path} was made with other logical names of the base's tensors, by"
      " which noise is drawn. Pass names, such as"
      " transformer.tensor_names(base)."
    )
  dtypes = naming.list_dtypes(base)
  if recorded["dtypes"] != dtypes:
    raise UserError(
      f"{path} belongs to a base held as {recorded['dtypes']}, got"
      f" {dtypes}, whose members would differ. Load the base in the dtype it"
      " had."
    )


def _check_version(path: Location, fields: JsonObject) -> None:
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


def read_fields(path: Location) -> JsonObject:
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
