"""What a run of evolution strategies costs, before it begins and from its log."""

import numpy as np

from experiments.launch import training_costs
from experiments.launch.evolution_specs import EvolutionRunSpec
from thickets.generation import ledger
from thickets.generation.ledger import Cost
from thickets.generation.subject import Subject
from thickets.runs.directory import BASE_POSITION, Run
from thickets.runs.json_files import JsonObject
from thickets.training import evolution_run
from thickets.training.spending import Spending


def check_least_budget(spec: EvolutionRunSpec, subject: Subject) -> None:
  """Refuses a budget that could not pay for a step of one-token responses.

  Raises:
    UserError: that says what such a step costs.
  """
  prompt_tokens = ledger.count_prompt_tokens(subject.batches["select"])
  least = ledger.count_responses(
    subject.model.config, prompt_tokens, np.ones_like(prompt_tokens)
  )
  _check_budget(spec, subject, least, "with responses of one token")


def check_budget(spec: EvolutionRunSpec, subject: Subject, run: Run) -> None:
  """Refuses a budget that does not pay for a step of responses like the base's.

  Raises:
    UserError: that says what such a step costs.
  """
  base = training_costs.read_cost(subject, run, "select", [BASE_POSITION])
  length = base.response_tokens / base.num_responses
  _check_budget(
    spec, subject, base, f"with responses as the base's of {length:.3g} tokens"
  )


def start_spending(
  spec: EvolutionRunSpec, subject: Subject, run: Run
) -> Spending:
  """Makes what adds up the steps of a run, and says when it ends."""

  def count_step(step: int) -> Cost:
    positions = evolution_run.locate_members(spec.evolution, step)
    return training_costs.read_cost(subject, run, "select", positions)

  return Spending(count_step, spec.num_steps, spec.budget_flops)


def read_ledgers(
  spec: EvolutionRunSpec,
  subject: Subject,
  run: Run,
  search: Cost,
  num_steps: int,
) -> list[JsonObject]:
  """What the base and the weights after the last step have cost.

  Args:
    spec: what the run was asked to do.
    subject: the model, and the prompts that it was asked.
    run: the open run directory, with all records.
    search: the cost of all steps.
    num_steps: how many there were.
  """
  return training_costs.read_ledgers(
    subject,
    run,
    "evolution",
    search,
    num_steps,
    list_watched(spec, subject, num_steps),
    spec.budget_flops,
  )


def list_watched(
  spec: EvolutionRunSpec, subject: Subject, num_steps: int
) -> list[int]:
  """The numbers of steps after which dev was asked; none where it has no prompts."""
  return training_costs.list_watched(
    subject, num_steps, spec.schedule.watch_every
  )


def _check_budget(
  spec: EvolutionRunSpec, subject: Subject, member: Cost, how: str
) -> None:
  if spec.budget_flops is None:
    return
  size = spec.evolution.size
  num_prompts = len(subject.batches["select"]["index"])
  ledger.count_affordable(
    spec.budget_flops,
    size * member.flops,
    f"a step of {size} members and {num_prompts} prompts {how}",
  )
