"""Which questions are for training, for development and for tasks.

A hash of what a question is about divides the questions of a family: half of them
are for the text of pretraining, a quarter is for development, by which sigma, sizes
and corpora are chosen, and a quarter is for tasks. What is in which part depends on
no seed, and a question that states its convention is in the part of the one that
does not.
"""

import hashlib

from thickets.errors import UserError
from thickets.tasks.conventions import families
from thickets.tasks.drills.stable_random import StableRandom

TRAINING, DEVELOPMENT, TASKS = "training", "development", "tasks"
# By a byte of the hash: 128 of its values are for training, 64 for each other.
_PARTS = (TRAINING, TRAINING, DEVELOPMENT, TASKS)
_NUM_DRAWS = 40_000  # Subjects of one part are collected from this many.


def find_part(family: str, subject: str) -> str:
  """Returns the part that a question is in.

  Args:
    family: name of its family.
    subject: what the question is about.

  Returns:
    `TRAINING`, `DEVELOPMENT` or `TASKS`.
  """
  digest = hashlib.sha256(f"{family}:{subject}".encode()).digest()
  return _PARTS[digest[0] % len(_PARTS)]


def draw_training(family: str, draw: StableRandom) -> str:
  """Draws the subject of a question for training.

  Args:
    family: name of the family.
    draw: source of all random choices.
  """
  found = families.find_family(family)
  while True:
    subject = found.draw_subject(draw)
    if find_part(family, subject) == TRAINING:
      return subject


def draw_held_out(family: str, part: str, count: int, seed: int) -> list[str]:
  """Draws distinct subjects of a part that no training has seen.

  Args:
    family: name of the family.
    part: `DEVELOPMENT` or `TASKS`.
    count: number of subjects; a larger count begins with the same ones.
    seed: names the draws.

  Raises:
    UserError: if there is no such family, or it has fewer subjects.
  """
  found = families.find_family(family)
  draw = StableRandom(f"conventions/{family}/{part}/{seed}")
  drawn: dict[str, None] = {}
  for _ in range(_NUM_DRAWS):
    if len(drawn) >= count >= 0:
      break
    subject = found.draw_subject(draw)
    if find_part(family, subject) == part:
      drawn.setdefault(subject)
  if not 0 <= count <= len(drawn):
    raise UserError(
      f"count must be from 0 to {len(drawn)}, the distinct questions of {family}"
      f" that {_NUM_DRAWS} draws leave for {part}, got {count}. Ask for fewer"
      " prompts."
    )
  return list(drawn)
