"""A run of GRPO or PPO, which a kill does not change.

A checkpoint holds the weights, the moments of the optimizers and, by its number, the
step. The log holds the grades of all roll-outs and the measures of all updates. A run
that is started again takes the last checkpoint that the log reaches, repeats the
steps behind it, whose roll-outs come out as before, and goes on: it ends with the
same bytes on the same backend and number of devices.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from absl import logging

from thickets.members import BASE
from thickets.naming import Params
from thickets.perturbation import Gaussian
from thickets.runs import json_files, locations
from thickets.runs.directory import Run
from thickets.runs.json_files import JsonObject
from thickets.search.randopt import Base, Evaluation
from thickets.training import (
  checkpoints,
  policy_losses,
  trained_weights,
)
from thickets.training.lora import LoraSpec
from thickets.training.policy_learner import Learner, Measures
from thickets.training.policy_rollouts import Rollouts, Sampler
from thickets.training.policy_spec import PolicySpec
from thickets.training.step_schedule import StepSchedule

ROLLOUTS, UPDATES = "rollouts", "updates"  # The labels of their records.


@dataclasses.dataclass(frozen=True)
class Learnt:
  """What a run has come to.

  Attributes:
    weights: the weights after the last step, in the dtypes of the base.
    moved: the weights that learnt, in float32, of which those are made.
    num_steps: how many steps there were.
  """

  weights: Params
  moved: Params
  num_steps: int


def describe_run(
  base: Base,
  task: Mapping[str, Any],
  spec: PolicySpec,
  adapters: LoraSpec | None,
) -> JsonObject:
  """What the records of a run mean, as JSON values, for its header.

  Args:
    base: the weights before the first step.
    task: what the scores mean, as JSON values: data, splits, grading.
    spec: how the policy learns.
    adapters: which matrices are adapted; None where all weights learn.
  """
  lora = None if adapters is None else dataclasses.asdict(adapters)
  return json_files.as_read(
    {
      # All weights take part, as in a population of plain noise.
      "base": base.describe(Gaussian()),
      "task": task,
      "precision": base.precision,
      "method": spec.describe() | {"lora": lora},
    }
  )


def learn(
  run: Run,
  learner: Learner,
  sampler: Sampler,
  spec: PolicySpec,
  schedule: StepSchedule,
  dev: Evaluation | None,
  *,
  goes_on: Callable[[int], bool],
  check_step: Callable[[int], None],
) -> Learnt:
  """Moves the weights step by step, from the base or from where a run was stopped.

  Args:
    run: the open run directory, with its header.
    learner: learns from roll-outs.
    sampler: samples them.
    spec: what both were made of.
    schedule: when weights are saved and watched.
    dev: the prompts on which the weights are watched; None for none.
    goes_on: says whether there is a further step after a number of steps, by what
      the log holds of these; once it says no, it says no of all that follow.
    check_step: refuses a step, from 0, by what the log holds of its roll-outs.

  Raises:
    UserError: if logits, loss or gradient are not finite, or checkpoints are of
      another model.
  """

  def watch(step: int, weights: Params) -> None:
    if dev is not None:
      trained_weights.evaluate_weights(run, dev, weights, step)

  workdir = locations.locate_on_disk(
    run.workdir, "The directory of a training", "Checkpoints need a disk."
  )
  with checkpoints.open_checkpoints(workdir / "checkpoints") as manager:
    done, state = checkpoints.restore_checkpoint(
      manager,
      learner.start(),
      most=_count_steps(run, schedule, dev, goes_on),
    )
    weights = learner.read_weights(state)
    if not done:
      watch(0, weights)
    while goes_on(done):
      rollouts = sampler.sample(weights, done)
      _log_rollouts(run, rollouts, done)
      check_step(done)
      state, measures, is_moved = learner.learn(state, rollouts)
      _log_updates(run, spec, rollouts, measures, is_moved, done)
      weights = learner.read_weights(state)
      done += 1
      if done % schedule.watch_every == 0:
        watch(done, weights)
      if done % schedule.save_every == 0:
        checkpoints.save_checkpoint(manager, done, state)
    watch(done, weights)
    checkpoints.save_checkpoint(manager, done, state)
  return Learnt(weights, state["policy"][0], done)


def read_measures(run: Run, num_steps: int) -> list[dict[str, float]]:
  """The measures of all steps, as `_log_updates` wrote them."""
  return [
    {
      name: float(array[0])
      for name, array in run.channels(UPDATES, step).items()
    }
    for step in range(num_steps)
  ]


def _log_rollouts(run: Run, rollouts: Rollouts, step: int) -> None:
  """Logs how the roll-outs of a step were graded."""
  score = float(rollouts.scores.mean())
  _append(run, ROLLOUTS, step, score, rollouts.channels)


def _log_updates(
  run: Run,
  spec: PolicySpec,
  rollouts: Rollouts,
  measures: Measures,
  is_moved: bool,
  step: int,
) -> None:
  """Logs what the updates of a step measured."""
  groups = rollouts.scores.reshape(-1, spec.rollout.group)
  num_alike = int(policy_losses.find_alike(groups).sum())
  score = float(rollouts.scores.mean())
  if is_moved:
    logging.info(
      "step %d | mean score %.4g of %d roll-outs | %d of %d prompts scored alike",
      *(step + 1, score, groups.size, num_alike, len(groups)),
    )
  else:
    logging.warning(
      "step %d moves nothing: the responses to each of its %d prompts scored"
      " alike (mean score %.4g)",
      *(step + 1, len(groups), score),
    )
  found = measures | {"num_alike": num_alike, "is_still": not is_moved}
  channels = {name: np.array([value]) for name, value in found.items()}
  _append(run, UPDATES, step, measures.get("loss", 0.0), channels)


def _append(
  run: Run,
  split: str,
  step: int,
  score: float,
  channels: Mapping[str, np.ndarray],
) -> None:
  """Logs one record of a step, unless the log holds the same already.

  Where the step was repeated on another backend or layout, what it came to may
  differ in rounding. The later record counts, since the weights follow from it.
  """
  record = run.find(split, step)
  if record is not None:
    logged = record.channels()
    if logged.keys() == channels.keys() and all(
      np.array_equal(logged[name], channels[name]) for name in channels
    ):
      return
    logging.warning(
      "step %d came out otherwise than before, and counts as it is now: the"
      " backend, the devices or the layout have changed",
      step + 1,
    )
  run.append(
    split,
    [step],
    [BASE],
    np.array([score]),
    {name: array[None] for name, array in channels.items()},
  )


def _count_steps(
  run: Run,
  schedule: StepSchedule,
  dev: Evaluation | None,
  goes_on: Callable[[int], bool],
) -> int:
  """How many steps the log holds whole, of those that the run shall have."""

  def is_whole(step: int) -> bool:
    needed = [(ROLLOUTS, step), (UPDATES, step)]
    if dev is not None and (step + 1) % schedule.watch_every == 0:
      needed.append((dev.split, trained_weights.find_position(step + 1)))
    return all(run.find(*place) is not None for place in needed)

  step = 0
  while is_whole(step) and goes_on(step):
    step += 1
  return step
