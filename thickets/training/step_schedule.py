"""When a training that goes step by step saves its weights, and looks at them."""

import dataclasses

from thickets.training import spec_checks


@dataclasses.dataclass(frozen=True)
class StepSchedule:
  """When weights are saved and watched.

  Attributes:
    section: the section of a config that has the numbers, for messages.
    save_every: steps between two checkpoints; the last step is always saved.
    watch_every: steps between two evaluations on `dev`; the last step is always
      evaluated.

  Raises:
    SpecError: if a number is below 1.
  """

  section: str
  save_every: int
  watch_every: int

  def __post_init__(self):
    spec_checks.raise_problems(
      problem
      for name in ("save_every", "watch_every")
      for problem in spec_checks.check_range(
        f"{self.section}.{name}", getattr(self, name), 1
      )
    )
