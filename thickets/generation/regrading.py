"""Logged responses, graded anew: for a changed grader, or another rule set."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from thickets.errors import UserError
from thickets.generation import grading
from thickets.generation.grading_workers import Grading
from thickets.runs.directory import Run
from thickets.runs.split_labels import Split
from thickets.search.evaluator import Channels
from thickets.tasks import controls
from thickets.tasks.splits import Splits


@dataclasses.dataclass(frozen=True)
class Regraded:
  """The answers of a run as another grader sees them; an `AnswerSource`.

  Attributes:
    run: the open run directory, whose responses were logged.
    grading: what grades them now, from `task_grading.start_task_graders`.
    examples: the examples that they answer.
  """

  run: Run
  grading: Grading
  examples: Splits

  def channels(self, split: str, position: int) -> Channels:
    """Channels [Q, ...] of one member on one split.

    On the prompts of selection they are the run's own, since those chose the
    members.

    Raises:
      UserError: if the run did not log its responses.
    """
    channels = self.run.channels(split, position)
    if split == "select":
      return channels
    if "response" not in channels:
      raise UserError(
        "The run must have logged its responses to be graded anew, got none."
        " Run it with --config.log_responses=True."
      )
    graded = self.grading.grade_texts(
      self._find_indices(Split.parse(split).name),
      grading.read_responses(channels),
    )
    # A member whose logits were not numbers has failed by any rules.
    has_failed = np.isnan(channels["score"])
    score = np.where(has_failed, np.nan, graded["score"])
    return channels | graded | {"score": score}

  def _find_indices(self, name: str) -> Sequence[int]:
    """Positions of the prompts of a split among all; controls are of judge."""
    if name not in controls.NAMES:
      return self.examples.indices(name)
    judge = self.examples.indices("judge")
    return [judge[at] for at in controls.find_asked(self.examples.judge)]
