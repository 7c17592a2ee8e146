"""What a run of GRPO or PPO costs, before it begins and from its log."""

import numpy as np
from jaxtyping import Int

from experiments.launch import training_costs
from experiments.launch.policy_specs import PolicyRunSpec
from thickets.generation import ledger
from thickets.generation.ledger import Cost
from thickets.generation.subject import Subject
from thickets.runs.directory import Run
from thickets.runs.json_files import JsonObject
from thickets.training import policy_rollouts, policy_run
from thickets.training.spending import Spending


def check_least_budget(spec: PolicyRunSpec, subject: Subject) -> None:
  """Refuses a budget that could not pay for a step of one-token responses.

  Raises:
    UserError: that says what such a step costs.
  """
  prompts = policy_rollouts.make_step_batch(
    spec.policy.rollout, subject.batches["select"], 0
  )
  prompt_tokens = ledger.count_prompt_tokens(prompts)
  least = _count_step(spec, subject, prompt_tokens, np.ones_like(prompt_tokens))
  _check_budget(spec, least, "with responses of one token")


def check_first_step(
  spec: PolicyRunSpec, subject: Subject, run: Run, step: int
) -> None:
  """Refuses a budget that does not pay for the first step, once it is sampled.

  Raises:
    UserError: that says what it costs.
  """
  if step == 0:
    cost = read_step(spec, subject, run, step)
    length = cost.response_tokens / cost.num_responses
    _check_budget(spec, cost, f"with responses of {length:.3g} tokens")


def read_step(
  spec: PolicyRunSpec, subject: Subject, run: Run, step: int
) -> Cost:
  """What a step has cost, whose roll-outs are in the log."""
  record = run.record(policy_run.ROLLOUTS, step)
  found = record.channels(["prompt_tokens", "length"])
  return _count_step(spec, subject, found["prompt_tokens"], found["length"])


def start_spending(spec: PolicyRunSpec, subject: Subject, run: Run) -> Spending:
  """Makes what adds up the steps of a run, and says when it ends."""

  def count_step(step: int) -> Cost:
    return read_step(spec, subject, run, step)

  return Spending(count_step, spec.num_steps, spec.budget_flops)


def read_ledgers(
  spec: PolicyRunSpec,
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
    spec.policy.method,
    search,
    num_steps,
    list_watched(spec, subject, num_steps),
    spec.budget_flops,
  )


def list_watched(
  spec: PolicyRunSpec, subject: Subject, num_steps: int
) -> list[int]:
  """The numbers of steps after which dev was asked; none where it has no prompts."""
  return training_costs.list_watched(
    subject, num_steps, spec.schedule.watch_every
  )


def _count_step(
  spec: PolicyRunSpec,
  subject: Subject,
  prompt_tokens: Int[np.ndarray, " R"],
  response_tokens: Int[np.ndarray, " R"],
) -> Cost:
  return ledger.count_policy_step(
    subject.model.config,
    prompt_tokens,
    response_tokens,
    num_epochs=spec.policy.num_epochs,
    has_reference=spec.policy.has_reference,
    has_critic=spec.policy.critic is not None,
  )


def _check_budget(spec: PolicyRunSpec, step: Cost, how: str) -> None:
  if spec.budget_flops is None:
    return
  rollout = spec.policy.rollout
  ledger.count_affordable(
    spec.budget_flops,
    step.flops,
    f"a step of {rollout.num_prompts} prompts and {rollout.group} responses to"
    f" each, {how}, and of what is learnt from them",
  )
