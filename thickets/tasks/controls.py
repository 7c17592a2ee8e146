"""Controls of questions about pictures: no picture, and that of another question.

A model that uses its pictures is right less often without them, and with others. One
that is not may have been blind all along, whatever it scores.
"""

import collections
import dataclasses
from collections.abc import Callable, Mapping, Sequence

from thickets.errors import UserError
from thickets.tasks.base import Example, Message
from thickets.tasks.drills.stable_random import StableRandom
from thickets.tasks.pictures import Picture

NO_PICTURE, ANOTHERS = "no_picture", "anothers_picture"
MAX_PROMPTS = 1000  # Of judge that are asked again under each control.


@dataclasses.dataclass(frozen=True)
class Controls:
  """The same questions under each control.

  Attributes:
    asked: [C] places of these questions among all.
    examples: [C] the questions under each control, by its name.
    left_out: why a control is missing, by its name.
  """

  asked: tuple[int, ...]
  examples: Mapping[str, tuple[Example, ...]]
  left_out: Mapping[str, str]


def remove_pictures(examples: Sequence[Example]) -> tuple[Example, ...]:
  """Returns the same questions without their pictures; their texts stay as they are."""
  return tuple(_replace(example, lambda _: "") for example in examples)


def swap_pictures(
  examples: Sequence[Example], *, seed: int
) -> tuple[Example, ...]:
  """Returns the same questions, each with the pictures of another one.

  The pictures are permuted among the questions, so that each is shown as often as
  before, and no question keeps its own, not even as that of another question.

  Args:
    examples: [Q] the questions; those without pictures stay as they are.
    seed: decides which question gets which pictures.

  Raises:
    UserError: if that cannot be, since more than half of the questions that have
      equally many pictures have the same ones.
  """
  by_count = collections.defaultdict(list)
  for index, example in enumerate(examples):
    by_count[len(example.pictures)].append(index)
  given: dict[int, tuple[Picture, ...]] = {}
  for count, indices in by_count.items():
    if count:
      given |= _deal(examples, indices, StableRandom(f"controls/{seed}"))
  swapped = []
  for index, example in enumerate(examples):
    rest = iter(given.get(index, ()))
    swapped.append(_replace(example, lambda _, rest=rest: next(rest)))
  return tuple(swapped)


# What makes the questions of a control, by the name of its split in a log.
_MAKERS: Mapping[str, Callable[[Sequence[Example]], tuple[Example, ...]]] = {
  NO_PICTURE: remove_pictures,
  ANOTHERS: lambda examples: swap_pictures(examples, seed=0),
}
NAMES = tuple(_MAKERS)


def find_asked(examples: Sequence[Example]) -> tuple[int, ...]:
  """Places of the questions with pictures, spread evenly if they are too many."""
  places = [place for place, found in enumerate(examples) if found.pictures]
  if len(places) <= MAX_PROMPTS:
    return tuple(places)
  return tuple(
    places[step * len(places) // MAX_PROMPTS] for step in range(MAX_PROMPTS)
  )


def make_controls(examples: Sequence[Example]) -> Controls | None:
  """Makes the controls of some questions; None where none has a picture.

  At most `MAX_PROMPTS` of the questions are asked again. A control that cannot be
  made of them is left out, with its reason.
  """
  asked = find_asked(examples)
  if not asked:
    return None
  made: dict[str, tuple[Example, ...]] = {}
  left_out: dict[str, str] = {}
  for name, make in _MAKERS.items():
    try:
      made[name] = make([examples[place] for place in asked])
    except UserError as error:
      left_out[name] = str(error)
  return Controls(asked, made, left_out)


def _deal(
  examples: Sequence[Example], indices: Sequence[int], draw: StableRandom
) -> dict[int, tuple[Picture, ...]]:
  """Gives each of some questions the pictures of another of them.

  With questions of the same pictures behind each other, a turn by the largest number
  of these leaves none of them with its own.
  """
  groups = collections.defaultdict(list)
  for index in draw.shuffle(indices):
    groups[examples[index].pictures].append(index)
  ordered = [index for group in groups.values() for index in group]
  shown, largest = max(groups.items(), key=lambda group: len(group[1]))
  most = len(largest)
  if 2 * most > len(ordered):
    raise UserError(
      "At most half of the questions may be about the same picture where another"
      f" question's picture is shown as a control, got {most} of {len(ordered)}"
      f" about {shown[0].where}. Give questions about more"
      " pictures."
    )
  turned = [*ordered[most:], *ordered[:most]]
  return {
    to: examples[index].pictures
    for to, index in zip(ordered, turned, strict=True)
  }


def _replace(
  example: Example, change: Callable[[Picture], Picture | str]
) -> Example:
  """Changes every picture of an example; parts that become empty are left out."""
  messages = []
  for message in example.messages:
    parts = [
      part if isinstance(part, str) else change(part) for part in message.parts
    ]
    kept = tuple(part for part in parts if part != "")
    if not any(isinstance(part, Picture) for part in kept):
      content: str | tuple[str | Picture, ...] = "".join(map(str, kept))
    else:
      content = kept
    messages.append(Message(message.role, content))
  return dataclasses.replace(example, messages=tuple(messages))
