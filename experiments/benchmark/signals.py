"""The benchmark's subject `signals`: how fast 1-D roll-outs are scored.

The times are those of an experiment, record log included.
"""

import dataclasses
import functools
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections

from configs import benchmark_signals
from experiments import launch
from experiments.benchmark import ceilings
from thickets.members import Member
from thickets.models import mlp
from thickets.naming import Params
from thickets.perturbation import Gaussian
from thickets.runs import directory, process_memory
from thickets.runs.run_config import RunConfig
from thickets.search import engine, population, traced
from thickets.search.evaluator import Batch
from thickets.tasks import signals


def validate(config: ml_collections.ConfigDict) -> None:
  """Raises one UserError with everything wrong, before any device work."""
  launch.refuse(launch.check_keys(config, benchmark_signals.get_config()))
  launch.refuse(
    [
      *launch.check_ranges(
        config,
        {
          "seed": launch.Range(0, 2**32 - 1),
          "model.width": launch.Range(1),
          "model.depth": launch.Range(2),
          "task.context": launch.Range(1),
          "task.horizon": launch.Range(1),
          "task.num_select": launch.Range(1),
          "population.size": launch.Range(1, 2**32),
          "population.sigma": launch.Range(0),
          "population.chunk": launch.Range(0),
          "population.memory_sizes": launch.Range(1, 2**32),
        },
      ),
      *launch.check_choices(
        config,
        {
          "model.init": mlp.INITIALISERS,
          "task.family": signals.SIGNAL_FAMILIES,
        },
      ),
    ]
  )


def check_fits(config: ml_collections.ConfigDict) -> None:
  """Does nothing: a width is found that fits."""
  del config


def measure(config: ml_collections.ConfigDict) -> dict[str, Any]:
  """Measures rates, and the matrix product before and after: the better counts."""
  matmul_gflops = ceilings.measure_matmul_gflops()
  search = _prepare(config, config.population.size)
  _score(search, search.members[: search.width])  # Compiles.
  compile_s = search.evaluator.compile_s
  start = time.perf_counter()
  _score(search, search.members)
  member_s = (time.perf_counter() - start) / len(search.members)
  matmul_gflops = max(matmul_gflops, ceilings.measure_matmul_gflops())
  num_devices = jax.local_device_count()
  if jax.default_backend() != "cpu":  # There one product uses all devices.
    matmul_gflops *= num_devices

  num_inputs = config.task.num_select * config.task.horizon
  flops = 2 * _count_matrix_weights(search.base) * num_inputs
  perturb_s = ceilings.measure_perturb_s(
    search.base, search.members[: search.width], Gaussian()
  )
  return {
    "members_per_s": 1 / member_s,
    "compile_s": compile_s,
    "achieved_gflops": flops / member_s / 1e9,
    "matmul_gflops": matmul_gflops,
    "utilisation": flops / member_s / 1e9 / matmul_gflops,
    # Members are rebuilt on all devices at the same time.
    "perturb_fraction": perturb_s / (member_s * num_devices),
    "noise_speedup": ceilings.measure_noise_speedup(),
    "chunk_width": search.width,
    "num_devices": num_devices,
    "peak_memory_bytes": {
      f"N={size}": _in_own_process(_peak_memory, config, size)
      for size in config.population.memory_sizes
    },
  }


@dataclasses.dataclass(frozen=True)
class _Search:
  """A search that is timed.

  Attributes:
    evaluator: scores roll-outs of the MLP.
    base: random weights.
    batch: the prompts.
    members: the population.
    width: members to a chunk.
  """

  evaluator: traced.Traced
  base: Params
  batch: Batch
  members: Sequence[Member]
  width: int


def _count_matrix_weights(params: Params) -> int:
  """Number of weights in matrices: each costs one multiply-add per input."""
  return sum(leaf.size for leaf in jax.tree.leaves(params) if leaf.ndim >= 2)


def _prepare(config: ml_collections.ConfigDict, size: int) -> _Search:
  """Makes a search of so many members."""
  weights_key, task_key = jax.random.split(jax.random.key(config.seed))
  model = mlp.make_mlp(**config.model)
  windows = jnp.zeros((1, config.task.context))
  base = model.init(weights_key, windows)["params"]
  batch = signals.sample_splits(
    task_key,
    config.task.family,
    {"select": config.task.num_select},
    context=config.task.context,
    horizon=config.task.horizon,
  )["select"]

  def apply_fn(params, windows):
    return model.apply({"params": params}, windows)

  score = functools.partial(signals.score_roll_out, apply_fn)
  evaluator = traced.traced(lambda *args: score(*args)["score"])
  members = population.sample_members(
    config.seed, size, (config.population.sigma,)
  )
  width = config.population.chunk or evaluator.find_width(base, batch, size)
  return _Search(evaluator, base, batch, members, width)


def _score(search: _Search, members: Sequence[Member]) -> None:
  """Scores members into the record log of a throw-away run."""
  with (
    tempfile.TemporaryDirectory() as workdir,
    directory.open_run(workdir, RunConfig({})) as run,
  ):
    run.write_header({"purpose": "benchmark"})
    engine.evaluate_members(
      run,
      search.evaluator,
      search.base,
      members,
      search.batch,
      split="select",
      width=search.width,
    )


def _peak_memory(fields: dict[str, Any], size: int) -> dict[str, int]:
  launch.configure_jax()
  config = ml_collections.ConfigDict(fields)
  search = _prepare(config, size)
  _score(search, search.members)
  return process_memory.peak_memory_bytes()


def _in_own_process(
  function: Callable[[dict[str, Any], int], dict[str, int]],
  config: ml_collections.ConfigDict,
  size: int,
) -> dict[str, int]:
  """Calls a function in a process of its own, whose memory is its alone."""
  context = multiprocessing.get_context("spawn")
  with context.Pool(1) as pool:
    return pool.apply(function, (launch.to_json(config), size))
