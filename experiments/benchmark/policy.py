"""The benchmark's subject `policy`: updates of GRPO, beside matrix products.

Random weights and texts of any supported shape serve. Products and updates take
turns, since shared machines are noisy; of each the fastest counts.
"""

import functools
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from configs import benchmark_policy
from experiments import launch
from experiments.benchmark import ceilings, language
from thickets.generation.decoding import Decoding
from thickets.models import families, flops, transformer
from thickets.models.config import TransformerConfig
from thickets.runs import process_memory
from thickets.search import meshes
from thickets.training import policy_learner
from thickets.training.policy_learner import Learner
from thickets.training.policy_rollouts import Rollouts
from thickets.training.policy_spec import (
  OptimizerSpec,
  PolicySpec,
  RolloutSpec,
)

_BACKWARD = 2  # What a backward pass costs over a forward pass.


def validate(config: ml_collections.ConfigDict) -> None:
  """Raises one UserError with everything wrong, before any device work."""
  reference = benchmark_policy.get_config().unlock()
  # Families have fields of their own; `parse_config` checks them.
  reference.model = config.get("model", reference.model)
  launch.refuse(launch.check_keys(config, reference))
  launch.refuse(
    [
      *launch.check_ranges(
        config,
        {
          "seed": launch.Range(0, 2**32 - 1),
          "num_rows": launch.Range(2),
          "micro_rows": launch.Range(0),
          "prompt_tokens": launch.Range(1),
          "new_tokens": launch.Range(1),
          "repeats": launch.Range(1),
          "model_devices": launch.Range(1),
        },
      ),
      *launch.check_choices(
        config, {"dtype": ("bfloat16", "float16", "float32")}
      ),
    ]
  )
  _make_spec(config)
  language.check_context(config)


def check_fits(config: ml_collections.ConfigDict) -> None:
  """Raises a UserError if devices or their memory do not suffice."""
  language.check_fits(config)


def measure(config: ml_collections.ConfigDict) -> dict[str, Any]:
  """Measures updates and ceilings in turns; of each the best counts."""
  model = families.parse_config(launch.to_json(config.model))
  dtype = jnp.dtype(config.dtype)
  mesh = policy_learner.choose_mesh(
    transformer.fit_mesh(model, meshes.make_mesh(model=config.model_devices))
  )
  make = functools.partial(transformer.init, model, dtype=dtype)
  base = jax.jit(make, out_shardings=transformer.shardings(model, mesh))(
    jax.random.key(config.seed)
  )
  learner = Learner(
    transformer.group_experts(model, mesh),
    Decoding(config.new_tokens),
    _make_spec(config),
    base,
    mesh,
  )
  rollouts = _make_rollouts(config, model)
  states = [learner.start()]

  def update() -> None:
    states[0], *_ = learner.learn(
      states[0], rollouts
    )  # Waits for its measures.

  is_cpu = jax.default_backend() == "cpu"
  size = 2048 if is_cpu else 8192
  product = ceilings.make_product(size, dtype)
  times = np.array(
    [(_time(product), _time(update)) for _ in range(config.repeats + 1)]
  )
  # The first of each compiles. [2 programs, 2 clocks]
  (product_s, product_cpu_s), (update_s, update_cpu_s) = times[1:].min(axis=0)
  forward = config.num_rows * flops.response_flops(
    model, config.prompt_tokens, config.new_tokens
  )
  update_flops = float((1 + _BACKWARD) * forward)
  num_tokens = config.num_rows * (config.prompt_tokens + config.new_tokens)
  # On CPU one product uses all cores, whatever the number of devices.
  num_products = 1 if is_cpu else mesh.devices.size
  product_flops = num_products * 2 * size**3
  return {
    "num_weights": transformer.count_params(model),
    "num_devices": mesh.devices.size,
    "update_s": update_s,
    "tokens_per_s": num_tokens / update_s,
    "matmul_gflops": product_flops / product_s / 1e9,
    "update_flop_utilisation": update_flops
    / update_s
    / (product_flops / product_s),
    # The same by seconds of all cores together, which others' work hardly changes.
    "update_core_utilisation": update_flops
    / update_cpu_s
    / (product_flops / product_cpu_s)
    if is_cpu
    else None,
    "compile_s": learner.programs.compile_s,
    "num_compilations": learner.programs.num_compilations,
    "peak_memory_bytes": {"process": process_memory.peak_memory_bytes()},
  }


def _make_spec(config: ml_collections.ConfigDict) -> PolicySpec:
  """Updates of one minibatch, which is one group."""
  return PolicySpec(
    RolloutSpec(1, config.num_rows, config.seed),
    OptimizerSpec(1e-6),
    micro_rows=config.micro_rows or None,
  )


def _make_rollouts(
  config: ml_collections.ConfigDict, model: TransformerConfig
) -> Rollouts:
  """Random texts and scores of full length."""
  rng = np.random.default_rng(config.seed)
  shape = (config.num_rows, config.prompt_tokens + config.new_tokens)
  responses = (config.num_rows, config.new_tokens)
  return Rollouts(
    tokens=rng.integers(0, model.vocab_size, shape).astype(np.int32),
    starts=np.full(config.num_rows, config.prompt_tokens, np.int32),
    mask=np.ones(responses, np.float32),
    log_probs=np.full(responses, -np.log(model.vocab_size), np.float32),
    channels={"score": rng.uniform(size=config.num_rows)},
  )


def _time(function: Callable[[], Any]) -> tuple[float, float]:
  """Seconds of one call, on the wall and of this process on all cores."""
  start, used = time.perf_counter(), time.process_time()
  jax.block_until_ready(function())
  return time.perf_counter() - start, time.process_time() - used
