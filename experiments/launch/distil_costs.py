"""What a distillation costs, before it begins and from its log."""

from collections.abc import Sequence

import numpy as np

from experiments.launch import training_costs
from experiments.launch.distil_source import Teachers
from experiments.launch.distil_specs import DistilSpec
from thickets.generation import ledger
from thickets.generation.ledger import Cost, Ledger
from thickets.generation.subject import Subject
from thickets.runs.directory import BASE_POSITION, Run
from thickets.runs.json_files import JsonObject
from thickets.runs.split_labels import Split
from thickets.training import distillation, trained_weights
from thickets.training.distillation import FittingSpec, Text


def check_least_budget(
  spec: DistilSpec, subject: Subject, num_teachers: int
) -> None:
  """Refuses a budget that could not pay for responses of one token, and one step.

  Raises:
    UserError: that says what these cost.
  """
  if spec.budget_flops is None:
    return
  prompts = ledger.count_prompt_tokens(subject.batches["select"])
  config, ones = subject.model.config, np.ones_like(prompts)
  asked = ledger.count_responses(config, prompts, ones)
  step = ledger.count_fitting(config, prompts[:1], ones[:1])
  ledger.count_affordable(
    spec.budget_flops,
    num_teachers * asked.flops + step.flops,
    f"{num_teachers} responses of one token to each of {len(prompts)} prompts, and"
    " a step of one text",
  )


def count_steps(
  spec: DistilSpec, subject: Subject, texts: Sequence[Text], teaching: Cost
) -> int:
  """How many steps there are, of those that are asked for, within the budget.

  Raises:
    UserError: if the budget does not pay for one; it says what that costs.
  """
  num_steps = spec.fitting.count_steps(len(texts))
  if spec.budget_flops is None:
    return num_steps
  totals = np.cumsum(
    [
      count_step(spec.fitting, subject, texts, step).flops
      for step in range(num_steps)
    ]
  )
  ledger.count_affordable(
    spec.budget_flops,
    teaching.flops + float(totals[0]),
    f"asking the teachers, and a first step of {spec.fitting.batch_size} texts",
  )
  return int((teaching.flops + totals <= spec.budget_flops).sum())


def count_step(
  spec: FittingSpec, subject: Subject, texts: Sequence[Text], step: int
) -> Cost:
  """What a step costs, from 0."""
  rows = [
    texts[row] for row in distillation.choose_rows(spec, len(texts), step)
  ]
  prompts = np.array([text.num_prompt for text in rows])
  whole = np.array([len(text.tokens) for text in rows])
  return ledger.count_fitting(subject.model.config, prompts, whole - prompts)


def count_teaching(
  spec: DistilSpec, subject: Subject, run: Run, teachers: Teachers
) -> Cost:
  """What the responses that teach have cost, and those that make prompts hard."""
  total, k = Cost(), len(teachers.positions)
  if spec.teaching.teachers == "members":
    total += training_costs.read_cost(
      subject, run, "select", teachers.positions
    )
  label = Split("select", temperature=spec.teaching.temperature).label
  samples, batch = spec.teaching.count_samples(k), subject.batches["select"]
  return total + ledger.read_cost(
    subject.model.config, run, label, range(samples), batch
  )


def count_reading(
  spec: DistilSpec, subject: Subject, texts: Sequence[Text], num_teachers: int
) -> Cost:
  """What it costs that members read the texts, where probabilities are taught."""
  if spec.teaching.targets != "probabilities":
    return Cost()
  prompts = np.array([text.num_prompt for text in texts] * num_teachers)
  whole = np.array([len(text.tokens) for text in texts] * num_teachers)
  read = ledger.count_responses(subject.model.config, prompts, whole - prompts)
  return Cost(
    prompt_tokens=read.prompt_tokens + read.response_tokens,
    flops=read.flops,
    paper_flops=read.paper_flops,
  )


def read_ledgers(
  spec: DistilSpec,
  subject: Subject,
  run: Run,
  teachers: Teachers,
  *,
  training: Cost,
  num_steps: int,
  watched: Sequence[int],
  chosen: int | None,
) -> list[JsonObject]:
  """What base, vote and the distilled model have cost.

  A distillation after which dev keeps the base has cost what it has, and answers as
  the base does.

  Args:
    spec: what the distillation was asked to do.
    subject: the model, and the prompts that it was asked.
    run: the open run directory, with all records.
    teachers: the members that teach.
    training: the cost of what teaches and of all steps.
    num_steps: how many steps there were.
    watched: the numbers of steps after which dev was asked.
    chosen: the number of steps that was chosen; None for the base.
  """
  num_prompts, k = (
    len(subject.batches["judge"]["index"]),
    len(teachers.positions),
  )
  base = training_costs.read_cost(subject, run, "judge", [BASE_POSITION])
  on_dev = training_costs.read_cost(
    subject, run, "dev", [trained_weights.find_position(s) for s in watched]
  )
  judged = teachers.count_judged(subject)
  answers = training_costs.read_cost(
    subject, run, "judge", [trained_weights.find_position(chosen or 0)]
  )
  rows = [
    Ledger("base", 0, Cost(), Cost(), base, num_prompts),
    Ledger(f"vote, K={k}", 1, teachers.search, Cost(), judged, num_prompts),
    Ledger(
      "distilled, with its search",
      1 + num_steps,
      teachers.search + training,
      on_dev,
      answers,
      num_prompts,
      spec.budget_flops,
    ),
  ]
  return [row.to_json() for row in rows]
