"""When a training stops: after so many steps, or at the end of its budget."""

from collections.abc import Callable

from thickets.generation.ledger import Cost


class Spending:
  """Adds up what the steps of a training have cost, and says whether one follows.

  Args:
    count_step: counts the cost of a step, from 0, that is finished.
    num_steps: the most steps; None for no limit.
    budget_flops: what all steps together may cost in exact FLOPs; None for no
      limit. A step is not begun where one like the last would pass it. So a run
      ends within its budget, unless responses grow in its last step.
  """

  def __init__(
    self,
    count_step: Callable[[int], Cost],
    num_steps: int | None,
    budget_flops: float | None,
  ):
    self._count_step = count_step
    self._num_steps, self._budget = num_steps, budget_flops
    self._steps: list[Cost] = []

  def goes_on(self, step: int) -> bool:
    """Whether there is a further step after a number of finished ones.

    Whoever asks for the first step has made sure that the budget pays for it.
    """
    if self._num_steps is not None and step >= self._num_steps:
      return False
    if self._budget is None or step == 0:
      return True
    total = self.total(step)  # Counts the last step as well.
    return total.flops + self._steps[step - 1].flops <= self._budget

  def total(self, step: int) -> Cost:
    """The cost of a number of finished steps together."""
    for number in range(len(self._steps), step):
      self._steps.append(self._count_step(number))
    return sum(self._steps[:step], Cost())
