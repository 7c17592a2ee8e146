"""How often a model solves held-out drills, by greedy decoding."""

from collections.abc import Iterable
from typing import Any

from thickets.analysis import intervals
from thickets.generation import grading, prompts
from thickets.generation.decoding import Decoding
from thickets.generation.generator import Generator
from thickets.models import hub
from thickets.models.config import TransformerConfig
from thickets.naming import Params
from thickets.tasks.drills import drill_tasks

# Of the rows of development of a family, the first 200 chose members and the
# next 1000 everything else.
NUM_SELECT, NUM_DEV = 200, 1000


class DrillAccuracy:
  """Measures the share of right answers in the first rows of `dev`.

  Args:
    config: of the models that are measured.
    tokenizer: theirs.
    families: names of families.
    num_prompts: rows of each family, at most `NUM_DEV`.
  """

  def __init__(
    self,
    config: TransformerConfig,
    tokenizer: Any,
    families: Iterable[str],
    num_prompts: int,
  ):
    assert num_prompts <= NUM_DEV
    self._detokenize = hub.make_detokenizer(tokenizer)
    self._tasks = []
    for name in families:
      task = drill_tasks.TASKS[f"{drill_tasks.PREFIX}{name}"]
      rows = drill_tasks.development_rows(name)[: NUM_SELECT + num_prompts]
      examples = [
        task.make_example(row, number) for number, row in enumerate(rows)
      ]
      self._tasks.append((name, task.grader("standard"), examples[NUM_SELECT:]))
    self._prompts = [
      prompts.render_prompt(tokenizer, example.messages)
      for _, _, examples in self._tasks
      for example in examples
    ]
    longest = max(task.max_new_tokens for task in drill_tasks.TASKS.values())
    self._generator = Generator(
      config,
      Decoding(
        min(longest, config.context - max(map(len, self._prompts))),
        stop_tokens=(tokenizer.eos_token_id,),
        num_tokens=len(tokenizer),
      ),
    )

  def __call__(self, params: Params) -> dict[str, dict[str, Any]]:
    """Accuracy by family, with `n` and a 95 % interval, Wilson's."""
    responses = self._generator.generate(params, self._prompts)
    texts = grading.read_texts(
      self._detokenize, responses.tokens, responses.lengths
    )
    accuracies, start = {}, 0
    for name, grade, examples in self._tasks:
      said = texts[start : start + len(examples)]
      start += len(examples)
      right = sum(map(lambda e, t: grade(e, t).correct, examples, said))
      accuracies[name] = {
        "accuracy": right / len(examples),
        "n": len(examples),
        "interval": intervals.wilson_interval(right, len(examples)),
      }
    return accuracies
