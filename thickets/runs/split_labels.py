"""Which prompts a record answers, and the label that says so in the log.

A label is the text by which records are found again. Its spelling is a part of the
file format: a log that was written once must be read for ever.
"""

from __future__ import annotations

import dataclasses
import re

from thickets.errors import UserError

SLICE = "slice"  # The members of a plane, which answer the prompts of select.

_LABEL = re.compile(
  r"(?P<name>.*?)"
  r"(?:, group (?P<group>\d+))?"
  r"(?: sampled at (?P<temperature>\d+(?:\.\d+)?(?:e[-+]\d+)?))?"
)


@dataclasses.dataclass(frozen=True)
class Split:
  """The prompts that a record answers, and how it answers them.

  Attributes:
    name: select, dev or judge; `SLICE` for the members of a plane.
    group: number of the group of tasks that are asked together; None where a run
      has one task.
    temperature: at which the base was sampled; None for greedy answers.
  """

  name: str
  group: int | None = None
  temperature: float | None = None

  def __post_init__(self):
    name = _LABEL.fullmatch(self.name)
    if not name or name["group"] or name["temperature"]:
      raise UserError(
        "The name of a split must be one such as select, without a group or a"
        f" temperature, got {self.name!r}. Pass these beside the name."
      )
    if self.group is not None and self.group < 0:
      raise UserError(f"group must be at least 0, got {self.group}.")

  @property
  def label(self) -> str:
    """The text that stands for the split in the log."""
    label = self.name
    if self.group is not None:
      label += f", group {self.group}"
    if self.temperature is not None:
      label += f" sampled at {float(self.temperature)}"
    return label

  @classmethod
  def parse(cls, label: str) -> Split:
    """Reads a label; one without a group or a temperature is a name."""
    found = _LABEL.fullmatch(label)
    if found is None:
      raise UserError(f"A split must have a name of one line, got {label!r}.")
    group, temperature = found["group"], found["temperature"]
    return cls(
      found["name"],
      None if group is None else int(group),
      None if temperature is None else float(temperature),
    )
