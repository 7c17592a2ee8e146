"""What trainings that end in one model have cost, from the log of their run."""

from collections.abc import Sequence

from thickets.generation import ledger
from thickets.generation.ledger import Cost, Ledger
from thickets.generation.subject import Subject
from thickets.runs.directory import BASE_POSITION, Run
from thickets.runs.json_files import JsonObject
from thickets.training import trained_weights


def read_ledgers(
  subject: Subject,
  run: Run,
  method: str,
  search: Cost,
  num_steps: int,
  watched: Sequence[int],
  budget_flops: float | None,
) -> list[JsonObject]:
  """What the base and the weights after the last step have cost.

  Args:
    subject: the model, and the prompts that it was asked.
    run: the open run directory, with all records.
    method: name of the training.
    search: the cost of all steps.
    num_steps: how many there were.
    watched: the numbers of steps after which dev was asked.
    budget_flops: what the steps may cost; None without a limit.
  """
  on_dev = [trained_weights.find_position(step) for step in watched]
  rows = [
    ("base", 0, Cost(), Cost(), BASE_POSITION, None),
    (
      method,
      num_steps,
      search,
      read_cost(subject, run, "dev", on_dev) if on_dev else Cost(),
      trained_weights.find_position(num_steps),
      budget_flops,
    ),
  ]
  num_prompts = len(subject.batches["judge"]["index"])
  return [
    Ledger(
      name,
      steps,
      found,
      choosing,
      read_cost(subject, run, "judge", [position]),
      num_prompts,
      budget,
    ).to_json()
    for name, steps, found, choosing, position, budget in rows
  ]


def read_cost(
  subject: Subject, run: Run, split: str, positions: Sequence[int]
) -> Cost:
  """What the responses of some members to the prompts of a split have cost."""
  return ledger.read_cost(
    subject.model.config, run, split, positions, subject.batches[split]
  )


def list_watched(subject: Subject, num_steps: int, every: int) -> list[int]:
  """The numbers of steps after which dev was asked; none where it has no prompts."""
  if "dev" not in subject.batches:
    return []
  return trained_weights.list_watched(num_steps, every)
