"""The ledger: what a method costs, counted in one way for all methods.

FLOPs are those of the model (`models.flops`): what its mathematics needs for the
tokens that were read and generated, whatever a program does besides. Drawing noise
and adding it to weights is not among them. Beside the exact count stands what the
paper's formula makes of the same tokens: so many FLOPs for each weight, the
embedding included, and each token, however many others it attends to.

Reference: Gan and Isola (2026), arXiv:2603.12228, appendix E.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Int

from thickets.errors import UserError
from thickets.generation.decode_step import NO_TOKEN
from thickets.models import flops, transformer
from thickets.models.config import TransformerConfig
from thickets.runs.directory import Run

# FLOPs for each weight and token by the paper's formula: a forward pass has 2 and a
# backward pass 4. GRPO's are roll-out, reference and update; PPO has a critic as well.
PAPER_FACTORS: Mapping[str, int] = {
  "randopt": 2,
  "es": 2,
  "grpo": 8,
  "ppo": 14,
  "sft": 6,
}


@dataclasses.dataclass(frozen=True)
class Cost:
  """What some responses cost; costs add up.

  Attributes:
    num_responses: responses that were generated.
    num_graded: responses that were graded.
    prompt_tokens: tokens that were read, of every response's prompt.
    response_tokens: tokens that were generated.
    flops: the model's FLOPs, counted exactly.
    paper_flops: FLOPs by the paper's formula.
  """

  num_responses: int = 0
  num_graded: int = 0
  prompt_tokens: int = 0
  response_tokens: int = 0
  flops: float = 0.0
  paper_flops: float = 0.0

  def __add__(self, other: Cost) -> Cost:
    """The cost of both."""
    return Cost(
      **{
        field.name: getattr(self, field.name) + getattr(other, field.name)
        for field in dataclasses.fields(self)
      }
    )

  def to_json(self) -> dict[str, Any]:
    """As JSON values, with the exact count over the formula's."""
    has_formula = self.paper_flops > 0
    return dataclasses.asdict(self) | {
      "flops_over_paper": self.flops / self.paper_flops if has_formula else None
    }


@dataclasses.dataclass(frozen=True)
class Ledger:
  """What one method has cost, and what an answer of it costs.

  What is evaluated for a report alone, such as the base beside the method, is no
  cost of the method.

  Attributes:
    method: its name.
    num_steps: steps of which each waits for the one before; 0 without a search.
    search: what finds the weights: the search or the training itself.
    choosing: what chooses among settings or weights, or watches them, on `dev`.
    answers: all responses to the prompts of `judge`, those that vote included.
    num_prompts: number of the prompts of `judge`.
    budget_flops: what `search` may cost in FLOPs, counted exactly; None without
      a limit.
  """

  method: str
  num_steps: int
  search: Cost
  choosing: Cost
  answers: Cost
  num_prompts: int
  budget_flops: float | None = None

  def to_json(self) -> dict[str, Any]:
    """As JSON values; `answer` is the mean of one answer, votes included."""
    return {
      "method": self.method,
      "num_steps": self.num_steps,
      "budget_flops": self.budget_flops,
      "search": self.search.to_json(),
      "choosing": self.choosing.to_json(),
      "answer": {
        "num_responses": self.answers.num_responses / self.num_prompts,
        "response_tokens": self.answers.response_tokens / self.num_prompts,
        "flops": self.answers.flops / self.num_prompts,
        "paper_flops": self.answers.paper_flops / self.num_prompts,
      },
    }


def count_responses(
  config: TransformerConfig,
  prompt_tokens: Int[np.ndarray, " Q"],
  response_tokens: Int[np.ndarray, "*P Q"],
  *,
  paper_factor: int = PAPER_FACTORS["randopt"],
) -> Cost:
  """Counts what it costs to read prompts, generate responses, and grade them.

  A prompt that stands there twice counts twice.

  Args:
    config: the architecture of the model.
    prompt_tokens: [Q] tokens of each prompt, at least 1.
    response_tokens: [*P, Q] tokens of each response, at least 1.
    paper_factor: FLOPs for each weight and token by the paper's formula, one of
      `PAPER_FACTORS`. The exact count is of generation alone.
  """
  read = np.broadcast_to(prompt_tokens, response_tokens.shape)
  num_tokens = int(read.sum()) + int(response_tokens.sum())
  return Cost(
    num_responses=response_tokens.size,
    num_graded=response_tokens.size,
    prompt_tokens=int(read.sum()),
    response_tokens=int(response_tokens.sum()),
    flops=float(flops.response_flops(config, read, response_tokens).sum()),
    paper_flops=float(
      paper_factor * transformer.count_params(config) * num_tokens
    ),
  )


def count_policy_step(
  config: TransformerConfig,
  prompt_tokens: Int[np.ndarray, " R"],
  response_tokens: Int[np.ndarray, " R"],
  *,
  num_epochs: int,
  has_reference: bool,
  has_critic: bool,
) -> Cost:
  """Counts a step of GRPO or PPO: its roll-outs, and what is learnt from them.

  A forward pass over a text and its response needs what generating the response
  needs, and a backward pass twice that. The policy goes through both in each epoch,
  and so does a critic, whose head gives one number in place of logits; besides, the
  critic and the reference go forward once. Low-rank adapters count as whole weights,
  and a step that moves nothing as one that does.

  Args:
    config: the architecture of the policy.
    prompt_tokens: [R] tokens of each roll-out's prompt, at least 1.
    response_tokens: [R] tokens of each response, at least 1.
    num_epochs: how often each roll-out is learnt from.
    has_reference: whether a reference reads the roll-outs as well.
    has_critic: whether there is a critic: PPO, and otherwise GRPO.
  """
  rolled_out = count_responses(
    config,
    prompt_tokens,
    response_tokens,
    paper_factor=PAPER_FACTORS["ppo" if has_critic else "grpo"],
  )
  spent = rolled_out.flops * (1 + 3 * num_epochs + has_reference)
  if has_critic:
    heads = int(response_tokens.sum())
    saved = heads * (flops.head_flops(config) - 2 * config.width)
    spent += (rolled_out.flops - saved) * (1 + 3 * num_epochs)
  return dataclasses.replace(rolled_out, flops=float(spent))


def count_fitting(
  config: TransformerConfig,
  prompt_tokens: Int[np.ndarray, " N"],
  response_tokens: Int[np.ndarray, " N"],
) -> Cost:
  """Counts what it costs to fit weights to texts once, their prompts masked.

  A forward pass needs what reading the prompt and generating the response needs, and
  a backward pass twice that. All tokens of a text are read. Low-rank adapters count
  as whole weights, of which they need the gradient.

  Args:
    config: the architecture.
    prompt_tokens: [N] tokens of each prompt, at least 1.
    response_tokens: [N] tokens of each response, at least 1.
  """
  read = count_responses(
    config, prompt_tokens, response_tokens, paper_factor=PAPER_FACTORS["sft"]
  )
  return Cost(
    prompt_tokens=read.prompt_tokens + read.response_tokens,
    flops=3 * read.flops,
    paper_flops=read.paper_flops,
  )


def read_cost(
  config: TransformerConfig,
  run: Run,
  split: str,
  positions: Iterable[int],
  batch: Mapping[str, np.ndarray],
) -> Cost:
  """Counts what the responses of a run's log have cost.

  Args:
    config: the architecture of the model.
    run: the open run directory.
    split: the label of the prompts in the log.
    positions: positions of the members that answered; none cost nothing.
    batch: the prompts, as from `language_evaluator.make_batch`.
  """
  prompt_tokens = count_prompt_tokens(batch)
  total = Cost()
  for position in positions:
    found = run.record(split, int(position)).channels(["length"])
    total += count_responses(config, prompt_tokens, found["length"])
  return total


def count_prompt_tokens(
  batch: Mapping[str, np.ndarray],
) -> Int[np.ndarray, " Q"]:
  """The tokens of each prompt of a batch."""
  return (np.asarray(batch["tokens"]) != NO_TOKEN).sum(axis=1)


def count_affordable(budget_flops: float, unit_flops: float, unit: str) -> int:
  """Returns how many units of work a budget pays for.

  Args:
    budget_flops: the budget.
    unit_flops: what one unit costs, above 0.
    unit: what the unit is, for the message, such as "a step of 30 members".

  Raises:
    UserError: if it does not pay for one.
  """
  if not budget_flops >= unit_flops:
    raise UserError(
      f"budget.flops must be at least {unit_flops:.4g}, which is what {unit}"
      f" costs, got {budget_flops:.4g}. Raise it, or make the unit smaller."
    )
  return int(budget_flops // unit_flops)
