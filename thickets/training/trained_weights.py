"""Weights that a training has come to, evaluated like members of a population.

In the log of a run the base has the position of every base, and the weights after
step s the position s.
"""

from thickets.members import BASE
from thickets.naming import Params
from thickets.runs.directory import BASE_POSITION, Run
from thickets.search import engine
from thickets.search.randopt import Evaluation


def find_position(step: int) -> int:
  """The position in the log of the weights after a number of steps."""
  return step if step else BASE_POSITION


def evaluate_weights(
  run: Run, evaluation: Evaluation, weights: Params, step: int
) -> float:
  """Evaluates the weights after a step, unless the log holds them.

  Args:
    run: the open run directory.
    evaluation: the prompts, and what answers them.
    weights: the weights, in the dtypes of the base.
    step: the number of steps behind them, 0 for the base.

  Returns:
    Their mean score; NaN if it is not finite.
  """
  scores = engine.evaluate_members(
    run,
    evaluation.evaluator,
    weights,
    [BASE],
    evaluation.batch,
    split=evaluation.split,
    width=1,
    positions=[find_position(step)],
  )
  return float(scores[0])


def list_watched(num_steps: int, every: int) -> list[int]:
  """The numbers of steps after which weights are watched on `dev`.

  Args:
    num_steps: steps of the training so far.
    every: steps between two of them, at least 1.

  Returns:
    From 0, for the base, to `num_steps`, which is always watched.
  """
  return sorted({*range(0, num_steps + 1, every), num_steps})
