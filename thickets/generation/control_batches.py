"""The questions of judge under the controls of pictures, as prompts of a model."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from thickets.generation import language_evaluator, prompts
from thickets.generation.language_evaluator import LanguageEvaluator
from thickets.generation.subject import Subject
from thickets.search.randopt import Evaluation
from thickets.tasks import controls
from thickets.tasks.controls import Controls


@dataclasses.dataclass(frozen=True)
class ControlBatches:
  """Prompts under each control, which the grader knows as those of judge.

  Attributes:
    controls: the questions.
    batches: the prompts by the name of the control.
    why_not_finite: why a score of the base can only be not finite.
  """

  controls: Controls
  batches: Mapping[str, dict[str, np.ndarray]]
  why_not_finite: str

  def evaluations(self, evaluator: LanguageEvaluator) -> list[Evaluation]:
    """One evaluation for each control."""
    return [
      Evaluation(name, evaluator, batch, why_not_finite=self.why_not_finite)
      for name, batch in self.batches.items()
    ]


def make_control_batches(subject: Subject) -> ControlBatches | None:
  """Renders the prompts of the controls; None where judge has no pictures.

  Raises:
    UserError: if a prompt cannot be continued.
  """
  made = controls.make_controls(subject.splits.judge)
  if made is None:
    return None
  index = subject.batches["judge"]["index"][list(made.asked)]
  batches = {}
  for name, examples in made.examples.items():
    rendered = prompts.render_examples(
      subject.model.tokenizer,
      examples,
      subject.chat,
      owner=f"{subject.model.source}, task {subject.spec.name}, {name}",
      pictures=subject.pictures,
    )
    subject.decoding.check_prompts(
      [prompt.tokens for prompt in rendered], subject.model.config
    )
    batches[name] = language_evaluator.make_batch(
      [prompt.tokens for prompt in rendered],
      index.tolist(),
      [prompt.digests for prompt in rendered],
    )
  return ControlBatches(made, batches, subject.why_not_finite)
