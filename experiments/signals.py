"""RandOpt on 1-D signals, from pretraining to figures.

    python -m experiments.signals --config=configs/signals.py --workdir=DIR

Pretrains a small network, scores a population of members around it on the
signals of selection, and judges the best members and their mean on others. The
same command resumes a run that was stopped.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
from absl import logging

from configs import signals as reference
from experiments import launch
from thickets.analysis import signals_results
from thickets.errors import UserError
from thickets.models import mlp
from thickets.perturbation import Gaussian, describe_kind
from thickets.report.figures import signals_figures
from thickets.runs import directory, record_log
from thickets.search import population, randopt, traced
from thickets.tasks import signals
from thickets.training.signals_pretraining import pretrain

_NUM_RANDOM = 25  # Members shown as they were drawn, as in the paper's figure.
_NUM_BLOCKS = 10  # Smaller populations of each size, at most.
# The reported K is not among them: it is chosen before the judging is seen.
_EXTENDABLE = (
  "population.size",
  "ensemble.also",
  "ensemble.populations",
)


def main(_) -> None:
  """Reads the flags, runs, and prints the table."""
  with launch.ending_well():
    config = launch.read_config()
    validate(config)
    launch.start_devices()
    results = run(config, launch.WORKDIR.value)
    print(signals_results.format_results(results))
    print(
      f"Figures, results.json and experts.json are in {launch.WORKDIR.value}."
    )


def validate(config: ml_collections.ConfigDict) -> None:
  """Raises one UserError with everything wrong, before any device work."""
  launch.refuse(launch.check_keys(config, reference.get_config()))
  # Where N itself is wrong, say nothing of K.
  most = config.population.size if config.population.size > 0 else None
  launch.refuse(
    [
      *launch.check_ranges(
        config,
        {
          "seed": (0, 2**32 - 1),
          "model.width": (1, None),
          "model.depth": (2, None),
          "pretraining.num_steps": (0, None),
          "pretraining.batch_size": (1, None),
          "pretraining.learning_rate": (0, None),
          "task.context": (1, None),
          "task.horizon": (1, None),
          "task.num_select": (1, None),
          "task.num_judge": (1, None),
          "population.size": (1, 2**32),
          "population.sigmas": (0, None),
          "population.chunk": (0, None),
          "ensemble.top_k": (1, most),
          "ensemble.also": (1, most),
          "ensemble.populations": (1, None),
        },
      ),
      *launch.check_choices(
        config,
        {
          "model.init": mlp.INITIALISERS,
          "pretraining.family": signals.FAMILIES,
          "task.family": signals.FAMILIES,
          "population.design": population.DESIGNS,
        },
      ),
      *launch.check_not_empty(
        config, ("population.sigmas", "population.include")
      ),
    ]
  )


def run(config: ml_collections.ConfigDict, workdir: str) -> dict[str, Any]:
  """Runs or resumes one experiment; returns the contents of results.json."""
  clock = launch.Clock()
  model = mlp.make_mlp(**config.model)
  spec = _population_spec(config)
  # Patterns are checked against the weights' names before anything is written.
  describe_kind(_abstract_weights(model, config.task.context), spec.kind)
  with directory.Run(
    workdir, launch.to_json(config), extendable=_EXTENDABLE
  ) as folder:
    weights_key, task_key = jax.random.split(jax.random.key(config.seed))
    splits = _sample_splits(task_key, config.task)
    base = _load_or_pretrain(weights_key, config, model, folder)
    clock.lap("pretraining_s")

    score = functools.partial(
      signals.score_roll_out, functools.partial(_apply, model)
    )
    selecting = traced.traced(
      lambda *args: score(*args)["score"], kind=spec.kind
    )
    judging = traced.traced(score, kind=spec.kind)
    found = randopt.Search(
      folder,
      base,
      spec,
      find_width=lambda: selecting.find_width(
        base, splits["select"], spec.size
      ),
      task=_describe_task(config.task, splits),
      precision={
        "dtype": "float32",
        "matmul": jax.config.jax_default_matmul_precision,
      },
    )
    scores = found.evaluate(selecting, splits["select"], split="select")
    clock.lap("scoring_s")
    choice = _choose(config, scores)
    found.evaluate(
      judging, splits["judge"], split="judge", positions=choice.judged
    )
    clock.lap("judging_s")
    judged = signals_results.read_judged(
      folder, choice, target=np.asarray(splits["judge"]["target"])
    )
    results = signals_results.summarise_run(
      found.members,
      scores,
      judged,
      num_select=config.task.num_select,
      primary_k=config.ensemble.top_k,
      top_k=config.ensemble.also,
      repeated=signals.is_single(config.task.family),
      note=_note(config.task.family),
    )
    if jax.process_index() == 0:
      found.save_experts(choice.chosen, scores, primary_k=config.ensemble.top_k)
      signals_figures.draw_signals(
        folder.workdir / "figures",
        results,
        judged,
        context=np.asarray(splits["judge"]["context"]),
        sigmas=np.array([member.sigma for member in found.members]),
        scores=scores,
        setting=_describe_setting(config),
        is_single=signals.is_single(config.task.family),
      )
      clock.lap("figures_s")
      compile_s = selecting.compile_s + judging.compile_s
      timing = clock.timing | {"compile_s": compile_s}
      folder.save_json("results.json", results | {"timing": timing})
  return results


def _note(family: str) -> str:
  if not signals.is_single(family):
    return ""
  return (
    f"{family} is a single signal: judging repeats the selection, and what is"
    " uncertain is the spread over seeds"
  )


def _choose(config, scores) -> signals_results.Choice:
  return signals_results.choose_for_judging(
    scores,
    top_k=(config.ensemble.top_k, *config.ensemble.also),
    primary_k=config.ensemble.top_k,
    populations=config.ensemble.populations,
    num_blocks=_NUM_BLOCKS,
    num_random=_NUM_RANDOM,
  )


def _describe_setting(config) -> str:
  """Says what the base was trained on, and what it is asked."""
  settings = config.pretraining
  return (
    f"{settings.family if settings.num_steps else 'untrained'} →"
    f" {config.task.family}"
  )


def _sample_splits(key, task):
  return signals.sample_splits(
    key,
    task.family,
    {"select": task.num_select, "judge": task.num_judge},
    context=task.context,
    horizon=task.horizon,
  )


def _population_spec(config) -> population.PopulationSpec:
  settings = config.population
  return population.PopulationSpec(
    size=settings.size,
    sigmas=tuple(settings.sigmas),
    seed=config.seed,
    design=settings.design,
    kind=Gaussian(settings.include, settings.exclude),
    chunk=settings.chunk or None,
  )


def _describe_task(task, splits) -> dict[str, Any]:
  return {
    "name": "signals",
    "family": task.family,
    "context": task.context,
    "horizon": task.horizon,
    "score": "negative mean squared error of the roll-out",
    "splits": {name: record_log.hash_arrays(b) for name, b in splits.items()},
  }


def _abstract_weights(model, context: int):
  """Shapes of the weights, without computing any."""
  init = functools.partial(model.init, jax.random.key(0))
  windows = jax.ShapeDtypeStruct((1, context), jnp.float32)
  return jax.eval_shape(init, windows)["params"]


def _apply(model, params, windows):
  return model.apply({"params": params}, windows)


def _load_or_pretrain(key, config, model, folder: directory.Run):
  """Returns the base: the run's own, or a freshly pretrained one."""
  settings, context = config.pretraining, config.task.context
  init_key, batch_key = jax.random.split(key)
  initial = model.init(init_key, jnp.zeros((1, context)))["params"]
  if (base := folder.load_base(initial)) is not None:
    return base

  def sample_batch(step_key):
    values = signals.sample_signals(
      step_key, settings.family, settings.batch_size, context + 1
    )
    return {"context": values[:, :-1], "target": values[:, -1:]}

  base, losses = pretrain(
    batch_key,
    initial,
    functools.partial(
      signals.next_value_loss, functools.partial(_apply, model)
    ),
    sample_batch,
    optax.adam(settings.learning_rate),
    settings.num_steps,
  )
  if settings.num_steps:
    logging.info(
      "pretrained on %s: loss %.4g after %d steps",
      settings.family,
      jnp.mean(losses[-100:]),
      settings.num_steps,
    )
  if not all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(base)):
    raise UserError(
      "pretraining diverged: its weights are not finite. Lower"
      f" pretraining.learning_rate, got {settings.learning_rate}."
    )
  folder.save_base(base)
  # From the disk in any case, so that all processes have the same bits.
  return folder.load_base(initial)


if __name__ == "__main__":
  launch.run(main)
