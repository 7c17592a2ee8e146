"""RandOpt on 1-D signals, from pretraining to figures.

    python -m experiments.signals --config=configs/signals.py --workdir=DIR

Pretrains a small network, scores a population of members around it on the
signals of selection, and judges the best members and their mean on others. The
same command resumes a run that was stopped.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
from absl import logging

from configs import signals as reference
from experiments import launch, signals_figures
from thickets import (
  experts,
  naming,
  noise,
  population,
  randopt,
  records,
  runs,
  summary,
)
from thickets.models import mlp
from thickets.perturb import Gaussian, Member, describe_kind
from thickets.pretrain import pretrain
from thickets.tasks import signals

_NUM_RANDOM = 25  # Members shown as they were drawn, as in the paper's figure.
_NUM_BLOCKS = 10  # Smaller populations of each size, at most.
_EXTENDABLE = (
  "population.size",
  "ensemble.top_k",
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
    print(summary.format_results(results))
    print(
      f"Figures, results.json and experts.json are in {launch.WORKDIR.value}."
    )


def validate(config: ml_collections.ConfigDict) -> None:
  """Raises one UserError with everything wrong, before any device work."""
  launch.refuse(launch.check_keys(config, reference.get_config()))
  size = config.population.size
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
          "ensemble.top_k": (1, size),
          "ensemble.also": (1, size),
          "ensemble.populations": (1, None),
        },
      ),
      *launch.check_choices(
        config,
        {
          "model.init": mlp.INITIALISERS,
          "pretraining.family": signals.FAMILIES,
          "task.family": signals.FAMILIES,
          "population.design": randopt.DESIGNS,
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
  # On accelerators float32 products would otherwise be rounded to fewer bits.
  jax.config.update("jax_default_matmul_precision", "highest")
  with runs.Run(
    workdir, launch.to_json(config), extendable=_EXTENDABLE
  ) as folder:
    parts = _prepare(config, folder)
    clock.lap("pretraining_s")
    scores = _score(parts, folder)
    clock.lap("scoring_s")
    judged = _judge(config, parts, scores, folder)
    clock.lap("judging_s")
    results = summary.summarise_run(
      parts.members,
      scores,
      judged,
      num_select=config.task.num_select,
      primary_k=config.ensemble.top_k,
      top_k=config.ensemble.also,
    )
    if jax.process_index() == 0:
      _save(config, parts, scores, judged, results, folder)
      clock.lap("figures_s")
      timing = clock.timing | {"compile_s": parts.compile_s}
      folder.save_json("results.json", results | {"timing": timing})
  return results


@dataclasses.dataclass(frozen=True)
class _Parts:
  """What a run is made of, before anything is scored."""

  splits: dict[str, signals.Batch]
  base: Any
  kind: Gaussian
  members: list[Member]
  selecting: population.Traced
  judging: population.Traced
  width: int
  header: dict[str, Any]

  @property
  def compile_s(self) -> float:
    return self.selecting.compile_s + self.judging.compile_s


def _prepare(config, folder: runs.Run) -> _Parts:
  """Makes or loads the base, samples prompts and members, states the header."""
  weights_key, task_key = jax.random.split(jax.random.key(config.seed))
  splits = signals.sample_splits(
    task_key,
    config.task.family,
    {"select": config.task.num_select, "judge": config.task.num_judge},
    context=config.task.context,
    horizon=config.task.horizon,
  )
  model = mlp.make_mlp(**config.model)

  def apply_fn(params, windows):
    return model.apply({"params": params}, windows)

  base = _load_or_pretrain(weights_key, config, model, apply_fn, folder)

  kind = Gaussian(config.population.include, config.population.exclude)
  counts = describe_kind(base, kind)
  score = functools.partial(signals.score_roll_out, apply_fn)
  selecting = population.traced(lambda *args: score(*args)["score"], kind=kind)
  width = (
    config.population.chunk
    or (folder.header or {}).get("width")
    or selecting.find_width(base, splits["select"], config.population.size)
  )
  header = {
    "base": {"identity": naming.identify(base), **counts},
    "noise": {"version": noise.NOISE_VERSION, "prng": noise.PRNG},
    "kind": kind.to_json(),
    "task": {
      "name": "signals",
      "family": config.task.family,
      "context": config.task.context,
      "horizon": config.task.horizon,
      "score": "negative mean squared error of the roll-out",
      "splits": {name: records.hash_arrays(b) for name, b in splits.items()},
    },
    "population": {
      "seed": config.seed,
      "sigmas": list(config.population.sigmas),
      "design": config.population.design,
    },
    "width": width,
    "precision": {"dtype": "float32", "matmul": "highest"},
  }
  folder.write_header(header)
  return _Parts(
    splits=splits,
    base=base,
    kind=kind,
    members=randopt.sample_members(
      config.seed,
      config.population.size,
      config.population.sigmas,
      design=randopt.DESIGNS[config.population.design],
    ),
    selecting=selecting,
    judging=population.traced(score, kind=kind),
    width=width,
    header=header,
  )


def _load_or_pretrain(key, config, model, apply_fn, folder: runs.Run):
  """Returns the base: the run's own, or a freshly pretrained one."""
  settings = config.pretraining
  init_key, batch_key = jax.random.split(key)
  windows = jnp.zeros((1, config.task.context))
  initial = model.init(init_key, windows)["params"]
  if (base := folder.load_base(initial)) is not None:
    return base

  def sample_batch(step_key):
    values = signals.sample_signals(
      step_key, settings.family, settings.batch_size, config.task.context + 1
    )
    return {"context": values[:, :-1], "target": values[:, -1:]}

  base, losses = pretrain(
    batch_key,
    initial,
    functools.partial(signals.next_value_loss, apply_fn),
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
  folder.save_base(base)
  return jax.device_get(base)


def _score(parts: _Parts, folder: runs.Run):
  """[P] the members' mean scores on the signals of selection."""
  batch = parts.splits["select"]
  folder.evaluate_base(parts.selecting, parts.base, batch, split="select")
  return folder.evaluate(
    parts.selecting,
    parts.base,
    parts.members,
    batch,
    split="select",
    width=parts.width,
  )


def _judge(config, parts: _Parts, scores, folder: runs.Run) -> summary.Judged:
  """Lets those that the selection chose answer the signals of judging."""
  choice = summary.choose_for_judging(
    scores,
    top_k=sorted({config.ensemble.top_k, *config.ensemble.also}),
    primary_k=config.ensemble.top_k,
    populations=config.ensemble.populations,
    num_blocks=_NUM_BLOCKS,
    num_random=_NUM_RANDOM,
  )
  batch = parts.splits["judge"]
  folder.evaluate_base(parts.judging, parts.base, batch, split="judge")
  folder.evaluate(
    parts.judging,
    parts.base,
    [parts.members[position] for position in choice.judged],
    batch,
    split="judge",
    width=min(parts.width, len(choice.judged)),
    positions=choice.judged,
  )
  positions = [runs.BASE_POSITION, *choice.judged]
  predictions = folder.channel("judge", positions, "prediction")
  return summary.Judged(
    choice=choice,
    base_select_score=folder.record("select", runs.BASE_POSITION).score,
    predictions=dict(zip(positions, predictions, strict=True)),
    target=np.asarray(batch["target"]),
  )


def _save(config, parts: _Parts, scores, judged, results, folder) -> None:
  """Writes the experts file and the figures."""
  chosen = judged.choice.chosen
  folder.save_json(
    "experts.json",
    experts.describe_experts(
      base_identity=parts.header["base"]["identity"],
      kind=parts.kind,
      task=parts.header["task"],
      population=parts.header["population"] | {"size": len(parts.members)},
      members=[parts.members[position] for position in chosen],
      scores=scores[chosen],
      positions=chosen,
      versions=runs.library_versions(),
    ),
  )
  signals_figures.draw(
    config,
    parts.splits["judge"],
    parts.members,
    scores,
    judged,
    results,
    folder,
  )


if __name__ == "__main__":
  launch.run(main)
