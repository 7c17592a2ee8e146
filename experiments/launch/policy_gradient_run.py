"""A run of GRPO or PPO, from its specs to its results."""

import functools
import math

import jax
import numpy as np

from experiments.launch import chat_dates, policy_costs, policy_results
from experiments.launch.policy_specs import PolicyRunSpec
from thickets import placement
from thickets.errors import UserError
from thickets.generation import subject as subject_lib
from thickets.generation import towers
from thickets.generation.grading_workers import Grading
from thickets.generation.language_evaluator import LanguageEvaluator
from thickets.generation.subject import Subject
from thickets.models import transformer
from thickets.naming import Params
from thickets.perturbation import Gaussian
from thickets.report.figures import training_plots
from thickets.runs import directory, locations
from thickets.runs.clock import Clock
from thickets.runs.directory import Run
from thickets.runs.json_files import JsonObject
from thickets.search import randopt
from thickets.search.randopt import Evaluation
from thickets.training import (
  peft_export,
  policy_learner,
  policy_rollouts,
  policy_run,
  policy_update,
  pretraining,
  trained_weights,
)
from thickets.training.policy_learner import Learner
from thickets.training.policy_rollouts import Sampler
from thickets.training.policy_run import Learnt
from thickets.training.policy_update import Trainable

NEEDS_DISK = "It keeps checkpoints and a model there, which need a disk."


def run(spec: PolicyRunSpec, workdir: str) -> JsonObject:
  """Runs or resumes one run; returns the contents of results.json."""
  if jax.process_count() > 1:
    raise UserError(
      f"Policy gradients must be one process, got {jax.process_count()}. Leave"
      " out --distributed."
    )
  clock = Clock()
  directory.check_config(workdir, spec.config)  # Before anything is loaded.
  subject = subject_lib.load_subject(
    *(spec.model, spec.task, spec.answering),
    today=chat_dates.find_today(workdir),
  )
  # All that can fail at once does so before the run directory begins.
  towers.refuse_tower(subject.model, "experiments.policy_gradient")
  if spec.lora is not None:
    peft_export.check(spec.lora, subject.model)
  policy_costs.check_least_budget(spec, subject)
  with subject_lib.start_task_grading(subject) as grading:
    evaluators = _make_evaluators(spec, subject, grading)
    for evaluator in evaluators:
      subject.check_memory(evaluator)
    with directory.open_run(workdir, spec.config) as run:
      clock.lap("loading_s")
      return _run(spec, subject, grading, evaluators, run, clock)


def _make_evaluators(
  spec: PolicyRunSpec, subject: Subject, grading: Grading
) -> tuple[LanguageEvaluator, LanguageEvaluator]:
  """What samples roll-outs, and what answers greedily."""
  make = functools.partial(
    subject_lib.make_evaluator, subject, grading, Gaussian(), moves_weights=True
  )
  key = policy_rollouts.make_key(spec.policy.rollout.seed)
  return make(policy_rollouts.SAMPLING, key), make()


def _run(
  spec: PolicyRunSpec,
  subject: Subject,
  grading: Grading,
  evaluators: tuple[LanguageEvaluator, LanguageEvaluator],
  run: Run,
  clock: Clock,
) -> JsonObject:
  """Moves the weights, judges and saves them, in an open run directory."""
  sampling, greedy = evaluators
  config = sampling.generator.config
  mesh = policy_learner.choose_mesh(sampling.generator.mesh)
  base = placement.put(
    subject.model.params, transformer.shardings(config, mesh)
  )
  learner = Learner(
    config,
    sampling.generator.decoding,
    spec.policy,
    base,
    mesh,
    trainable=_choose_trainable(spec, subject, base),
  )
  run.write_header(
    policy_run.describe_run(
      subject.base, subject.describe(), spec.policy, spec.lora
    )
  )
  spending = policy_costs.start_spending(spec, subject, run)
  learnt = policy_run.learn(
    run,
    learner,
    Sampler(spec.policy.rollout, sampling, grading, subject.batches["select"]),
    spec.policy,
    spec.schedule,
    subject.evaluation("dev", greedy) if "dev" in subject.batches else None,
    goes_on=spending.goes_on,
    check_step=functools.partial(
      policy_costs.check_first_step, spec, subject, run
    ),
  )
  clock.lap("learning_s")
  for evaluation in _list_judges(subject, sampling, greedy):
    for step, weights in ((0, base), (learnt.num_steps, learnt.weights)):
      check_score(
        trained_weights.evaluate_weights(run, evaluation, weights, step), step
      )
  clock.lap("judge_s")
  _save(spec, subject, run, learnt)
  results = policy_results.summarise(spec, subject, run, learnt.num_steps)
  results["ledger"] = policy_costs.read_ledgers(
    spec, subject, run, spending.total(learnt.num_steps), learnt.num_steps
  )
  training_plots.plot_rollouts(
    run.workdir / "figures" / "steps.png",
    results["watched"],
    results["steps"],
    task=spec.task.name,
  )
  clock.lap("saving_s")
  compile_s = sum(
    part.compile_s for part in (sampling, greedy, learner.programs)
  )
  return randopt.finish_run(run, results, clock, compile_s)


def check_score(score: float, step: int) -> None:
  """Refuses weights that the last update has made useless.

  Raises:
    UserError: if their mean score is not finite.
  """
  if not math.isfinite(score):
    raise UserError(
      f"The weights after {step} steps must have finite scores on judge, got"
      f" {score}. Lower policy.learning_rate, or choose another model.dtype."
    )


def _list_judges(
  subject: Subject, sampling: LanguageEvaluator, greedy: LanguageEvaluator
) -> tuple[Evaluation, Evaluation]:
  """Judging as the others are judged, and by what the training raises."""
  judge = subject.evaluation("judge", greedy)
  samples = np.zeros(len(judge.batch["index"]), np.uint32)
  return judge, Evaluation(
    policy_results.OBJECTIVE, sampling, {**judge.batch, "sample": samples}
  )


def _choose_trainable(
  spec: PolicyRunSpec, subject: Subject, base: Params
) -> Trainable:
  """The weights that learn: all, or low-rank adapters."""
  if spec.lora is None:
    return policy_update.train_all(base)
  return policy_update.train_adapters(base, spec.lora, subject.base.names)


def _save(
  spec: PolicyRunSpec, subject: Subject, run: Run, learnt: Learnt
) -> None:
  """Writes the model, and the adapters where there are any."""
  folder = locations.locate_on_disk(run.workdir, "--workdir", NEEDS_DISK)
  pretraining.save_model(folder / "model", subject.model, learnt.weights)
  if spec.lora is not None:
    peft_export.save(folder / "adapter", spec.lora, subject.model, learnt.moved)
