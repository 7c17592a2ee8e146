"""A run of evolution strategies, which a kill does not change.

The log of a run holds the score of every member of every step. A run that is
started again takes the last checkpoint that these records reach, makes the updates
behind it anew from them, and goes on: it ends with the same bytes.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
from absl import logging
from jaxtyping import Float

from thickets.errors import UserError
from thickets.members import Member
from thickets.naming import Params
from thickets.perturbation import find_targets, shift
from thickets.runs import locations
from thickets.runs.directory import Run
from thickets.search import engine
from thickets.search.randopt import Evaluation, Search
from thickets.training import checkpoints, trained_weights
from thickets.training.evolution import EvolutionSpec, narrow, widen
from thickets.training.step_schedule import StepSchedule


@dataclasses.dataclass(frozen=True)
class Evolved:
  """What a run has come to.

  Attributes:
    weights: the weights after the last step, in the dtypes of the base.
    updates: the update of each step; one without terms has moved nothing.
  """

  weights: Params
  updates: tuple[Member, ...]


def locate_members(spec: EvolutionSpec, step: int) -> range:
  """The positions of the members of a step, from 0, in the log."""
  return range(step * spec.size, (step + 1) * spec.size)


def evolve(
  search: Search,
  spec: EvolutionSpec,
  schedule: StepSchedule,
  select: Evaluation,
  dev: Evaluation | None,
  *,
  goes_on: Callable[[int], bool],
) -> Evolved:
  """Moves the weights step by step, from the base or from where a run was stopped.

  Args:
    search: the run, its base, and the kind of noise.
    spec: how members are drawn, and how far the weights move.
    schedule: when weights are saved and watched.
    select: the prompts that score the members.
    dev: the prompts on which the weights are watched; None for none.
    goes_on: says whether there is a further step after a number of steps, by what
      the log holds of these; once it says no, it says no of all that follow.

  Raises:
    UserError: if every member of a step failed, or checkpoints are of another
      model.
  """
  run, base = search.run, search.base.params
  targets = find_targets(base, spec.kind, search.base.names)

  def watch(step: int, weights: Params) -> None:
    if dev is not None:
      trained_weights.evaluate_weights(run, dev, narrow(weights, base), step)

  workdir = locations.locate_on_disk(
    run.workdir, "The directory of a training", "Checkpoints need a disk."
  )
  with checkpoints.open_checkpoints(workdir / "checkpoints") as manager:
    done, weights = checkpoints.restore_checkpoint(
      manager,
      widen(base),
      most=_count_steps(run, spec, schedule, select, dev, goes_on),
    )
    updates = [_make_update(run, spec, select, s) for s in range(done)]
    if not done:
      watch(0, weights)
    while goes_on(done):
      _score_step(search, spec, select, done, narrow(weights, base))
      updates.append(_make_update(run, spec, select, done))
      weights = shift(weights, targets, updates[-1], spec.kind)
      done += 1
      if done % schedule.watch_every == 0:
        watch(done, weights)
      if done % schedule.save_every == 0:
        checkpoints.save_checkpoint(manager, done, weights)
    watch(done, weights)
    checkpoints.save_checkpoint(manager, done, weights)
  return Evolved(narrow(weights, base), tuple(updates))


def _score_step(
  search: Search,
  spec: EvolutionSpec,
  select: Evaluation,
  step: int,
  weights: Params,
) -> None:
  """Evaluates the members of a step, as far as the log lacks them."""
  scores = engine.evaluate_members(
    search.run,
    select.evaluator,
    weights,
    spec.draw_members(step),
    select.batch,
    split=select.split,
    width=min(search.width, spec.size),
    positions=locate_members(spec, step),
  )
  if not np.isfinite(scores).any():
    raise UserError(
      f"At least one member of each step must have a finite score, got none of"
      f" {spec.size} in step {step + 1}. Lower population.sigma or evolution.alpha."
    )
  logging.info(
    "step %d is scored | mean %.4g of %d members",
    *(step + 1, float(np.nanmean(scores)), spec.size),
  )


def _make_update(
  run: Run, spec: EvolutionSpec, select: Evaluation, step: int
) -> Member:
  """The update of a step whose members are in the log."""
  scores = run.scores(select.split, locate_members(spec, step))
  update = spec.make_update(spec.draw_members(step), scores)
  if not update.terms:
    logging.warning(
      "step %d moves nothing: its %d members scored alike", step + 1, spec.size
    )
  return update


def _count_steps(
  run: Run,
  spec: EvolutionSpec,
  schedule: StepSchedule,
  select: Evaluation,
  dev: Evaluation | None,
  goes_on: Callable[[int], bool],
) -> int:
  """How many steps the log holds whole, of those that the run shall have."""

  def is_whole(step: int) -> bool:
    needed = [(select.split, p) for p in locate_members(spec, step)]
    if dev is not None and (step + 1) % schedule.watch_every == 0:
      needed.append((dev.split, trained_weights.find_position(step + 1)))
    return all(run.find(*place) is not None for place in needed)

  step = 0
  while is_whole(step) and goes_on(step):
    step += 1
  return step


def read_scores(
  run: Run, spec: EvolutionSpec, num_steps: int
) -> Float[np.ndarray, "S P"]:
  """Reads the scores [S, P] of the members of all steps, NaN where one failed."""
  return run.scores("select", range(num_steps * spec.size)).reshape(
    num_steps, spec.size
  )
