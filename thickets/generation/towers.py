"""Whether members have towers of their own: which kinds of noise move them."""

import dataclasses

from absl import logging

from thickets import naming
from thickets.errors import UserError
from thickets.models import hub
from thickets.models.vision.joined import VISUAL
from thickets.perturbation import Kind, find_participants
from thickets.runs.json_files import JsonObject
from thickets.search.randopt import Base


def settle_kind(kind: Kind) -> Kind:
  """The kind by which members of a vision-language model are drawn.

  Patterns that do not speak of the tower leave it as it is: the features of
  pictures are then computed once, and not for each member.

  Args:
    kind: the kind as a config has it.
  """
  if any(p.startswith(VISUAL) for p in (*kind.include, *kind.exclude)):
    return kind
  logging.info("no pattern speaks of the tower: %s.* is excluded", VISUAL)
  return dataclasses.replace(kind, exclude=(*kind.exclude, f"{VISUAL}.*"))


def refuse_tower(model: hub.Model, binary: str) -> None:
  """Refuses a vision-language model where texts are read without pictures.

  Args:
    model: the model that a run has loaded.
    binary: the name of what runs, for messages.

  Raises:
    UserError: if the model has a tower.
  """
  if model.vision is not None:
    raise UserError(
      f"model.name must be a text model for {binary}, which reads no pictures, got"
      f" {model.source}, which has a tower. Use experiments.randopt,"
      " experiments.evolution or experiments.consolidate for this model."
    )


def describe_tower(base: Base, kind: Kind) -> JsonObject:
  """Says for the header of a run how often a tower reads each picture.

  Args:
    base: what members are drawn around; it has a tower.
    kind: how noise is drawn.
  """
  pairs = naming.named_leaves(base.params, base.names)
  participants = find_participants(kind, pairs)
  is_moved = any(
    template.startswith(f"{VISUAL}.") and mask.any()
    for (template, _), mask in zip(pairs, participants, strict=True)
  )
  return {"tower": "of each member" if is_moved else "once for all members"}
