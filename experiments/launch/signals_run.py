"""One RandOpt run on 1-D signals: what signals and sweep both run."""

import functools

import jax
import numpy as np
from jaxtyping import Float

from experiments.launch.signals_specs import SignalsSpec, SignalsTask
from thickets.analysis import signals_results
from thickets.analysis.signals_results import JudgingPlan
from thickets.perturbation import describe_kind
from thickets.report.figures import signals_figures
from thickets.runs import directory, packed_arrays
from thickets.runs.clock import Clock
from thickets.runs.json_files import JsonObject
from thickets.search import randopt, traced
from thickets.search.evaluator import Batch
from thickets.search.randopt import Base, Evaluation, Search
from thickets.tasks import signals
from thickets.training import signals_pretraining

_NUM_RANDOM = 25  # Members shown as they were drawn, as in the paper's figure.
_NUM_BLOCKS = 10  # Smaller populations of each size, at most.


def run(spec: SignalsSpec, workdir: str) -> JsonObject:
  """Runs or resumes one experiment; returns the contents of results.json."""
  clock = Clock()
  check_patterns(spec)  # Before anything is written.
  with directory.open_run(workdir, spec.config) as run:
    run.save_config()  # Before the base, which it tells apart.
    weights_key, task_key = jax.random.split(jax.random.key(spec.seed))
    batches = _sample_prompts(task_key, spec.task)
    base = Base(
      signals_pretraining.load_or_pretrain(
        weights_key,
        run.workdir,
        spec.model,
        spec.pretraining,
        spec.task.context,
      ),
      precision=randopt.describe_precision("float32"),
    )
    clock.lap("pretraining_s")
    select, judge = _make_evaluations(spec, batches)
    search = randopt.start_search(
      run,
      base,
      spec.population,
      first=select,
      task=_describe_task(spec.task, batches),
    )
    scores = randopt.score_members(search, select)
    clock.lap("scoring_s")
    plan = signals_results.plan_judging(
      scores,
      top_k=spec.ensemble.sizes,
      primary_k=spec.ensemble.top_k,
      populations=spec.populations,
      num_blocks=_NUM_BLOCKS,
      num_random=_NUM_RANDOM,
    )
    randopt.save_experts(
      search, plan.chosen, scores, primary_k=spec.ensemble.top_k
    )
    randopt.score_members(search, judge, plan.judged)
    clock.lap("judging_s")
    results = _summarise(spec, search, scores, plan, batches["judge"])
    clock.lap("figures_s")
    compile_s = select.evaluator.compile_s + judge.evaluator.compile_s
    return randopt.finish_run(run, results, clock, compile_s)


def check_patterns(spec: SignalsSpec) -> None:
  """Refuses patterns of tensors that match none of the network's.

  Raises:
    UserError: that names the pattern, and the nearest names.
  """
  describe_kind(
    signals_pretraining.abstract_weights(spec.model, spec.task.context),
    spec.population.kind,
  )


def _summarise(
  spec: SignalsSpec,
  search: Search,
  scores: Float[np.ndarray, " P"],
  plan: JudgingPlan,
  batch: Batch,
) -> JsonObject:
  """Summarises the judged answers; process 0 also draws them.

  Args:
    spec: what the run is asked to do.
    search: the population, and the run directory that it is scored into.
    scores: [P] mean scores on the prompts of selection.
    plan: who answered the prompts of judging.
    batch: these prompts.
  """
  judged = signals_results.read_predictions(
    search.run, plan, target=np.asarray(batch["target"])
  )
  results = signals_results.summarise_signals(
    search.members,
    scores,
    judged,
    num_select=spec.task.num_select,
    primary_k=spec.ensemble.top_k,
    top_k=spec.ensemble.also,
    repeated=spec.task.is_single,
    note=spec.task.note,
  )
  if jax.process_index() == 0:
    signals_figures.draw_signals(
      search.run.workdir / "figures",
      results,
      judged,
      context=np.asarray(batch["context"]),
      sigmas=np.array([member.sigma for member in search.members]),
      scores=scores,
      setting=_describe_setting(spec),
      is_single=spec.task.is_single,
    )
  return results


def _describe_setting(spec: SignalsSpec) -> str:
  """Says what the base was trained on, and what it is asked."""
  trained = (
    spec.pretraining.family if spec.pretraining.num_steps else "untrained"
  )
  return f"{trained} → {spec.task.family}"


def _sample_prompts(key, task: SignalsTask):
  """The prompts by split."""
  return signals.sample_splits(
    key,
    task.family,
    {"select": task.num_select, "judge": task.num_judge},
    context=task.context,
    horizon=task.horizon,
  )


def _make_evaluations(spec: SignalsSpec, batches) -> tuple[Evaluation, ...]:
  """Selection, which needs scores alone, and judging."""
  apply_fn = signals_pretraining.make_apply(spec.model)
  score = functools.partial(signals.score_roll_out, apply_fn)
  kind = spec.population.kind
  selecting = traced.traced(lambda *args: score(*args)["score"], kind=kind)
  judging = traced.traced(score, kind=kind)
  return (
    Evaluation("select", selecting, batches["select"]),
    Evaluation("judge", judging, batches["judge"]),
  )


def _describe_task(task: SignalsTask, batches) -> JsonObject:
  """What the scores mean, for the header of the run."""
  return {
    "name": "signals",
    "family": task.family,
    "context": task.context,
    "horizon": task.horizon,
    "score": "negative mean squared error of the roll-out",
    "splits": {
      name: packed_arrays.hash_arrays(b) for name, b in batches.items()
    },
  }
