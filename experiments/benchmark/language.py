"""The benchmark's subject `language`: members that answer prompts.

Random weights of any supported shape serve. Times are seconds per member, and the
shortest of several; prefill is timed alone, and decoding is the rest.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from configs import benchmark_language
from experiments import launch
from experiments.benchmark import answering, comparison
from thickets.generation.batching import Batching
from thickets.generation.decoding import Decoding
from thickets.models import families, flops, memory, transformer
from thickets.models.config import TransformerConfig
from thickets.models.layout import LAYOUTS
from thickets.runs import process_memory
from thickets.search import meshes


def validate(config: ml_collections.ConfigDict) -> None:
  """Raises one UserError with everything wrong, before any device work."""
  reference = benchmark_language.get_config().unlock()
  # Families have fields of their own; `parse_config` checks them.
  reference.model = config.get("model", reference.model)
  launch.refuse(launch.check_keys(config, reference))
  launch.refuse(
    [
      *launch.check_ranges(
        config,
        {
          "seed": launch.Range(0, 2**32 - 1),
          "num_prompts": launch.Range(1),
          "prompt_tokens": launch.Range(1),
          "new_tokens": launch.Range(2),
          "sigma": launch.Range(0),
          "repeats": launch.Range(1),
          "lanes": launch.Range(0),
          "rows": launch.Range(0),
          "model_devices": launch.Range(1),
        },
      ),
      *launch.check_choices(
        config,
        {
          "dtype": ("bfloat16", "float16", "float32"),
          "compare": comparison.NAMES,
          "layers": LAYOUTS,
        },
      ),
    ]
  )
  comparison.check(config)
  check_context(config)


def check_context(config: ml_collections.ConfigDict) -> None:
  """Raises a UserError if a text does not fit the model's context."""
  model = families.parse_config(launch.to_json(config.model))
  if config.prompt_tokens + config.new_tokens > model.context:
    launch.refuse(
      [
        "prompt_tokens + new_tokens must be at most the model's context of"
        f" {model.context}, got {config.prompt_tokens} + {config.new_tokens}."
      ]
    )


def check_fits(config: ml_collections.ConfigDict) -> None:
  """Raises a UserError if devices or their memory do not suffice."""
  model = families.parse_config(launch.to_json(config.model))
  mesh = meshes.make_mesh(model=config.model_devices)
  memory.check_fits(model, jnp.dtype(config.dtype), mesh)


def measure(config: ml_collections.ConfigDict) -> dict[str, Any]:
  """Measures phases and ceilings in turns; of each the best counts."""
  model = families.parse_config(launch.to_json(config.model))
  dtype = jnp.dtype(config.dtype)
  mesh = meshes.make_mesh(model=config.model_devices)
  weights_key, _ = _split_keys(config)
  make = functools.partial(transformer.init, model, dtype=dtype)
  shardings = transformer.shardings(model, mesh)
  prompts = make_prompts(config, model)
  subject = answering.Answering(
    model,
    jax.jit(make, out_shardings=shardings)(weights_key),
    mesh,
    prompts,
    Decoding,
    new_tokens=config.new_tokens,
    asked=Batching(lanes=config.lanes or None, rows=config.rows or None),
    layers=config.layers,
    seed=config.seed,
    sigma=config.sigma,
  )
  subject.answer()
  subject.read()
  # Before the ceilings are measured and others' libraries loaded.
  peak = process_memory.peak_memory_bytes()
  theirs = make_theirs(config, prompts).generate if config.compare else None
  times, ceilings = subject.time_phases(theirs, config.repeats, dtype)
  figures: dict[str, Any] = _describe(
    config, model, dtype, subject, times, ceilings
  )
  if theirs is not None:
    figures["transformers_s"] = times["theirs"]
    figures["speedup"] = times["theirs"] / times["member"]
  figures["peak_memory_bytes"] = {"process": peak}
  return figures


def make_prompts(
  config: ml_collections.ConfigDict, model: TransformerConfig
) -> list[list[int]]:
  """[Q][T] random token ids."""
  _, prompts_key = _split_keys(config)
  shape = (config.num_prompts, config.prompt_tokens)
  tokens = jax.random.randint(prompts_key, shape, 0, model.vocab_size)
  return np.asarray(tokens).tolist()


def make_theirs(
  config: ml_collections.ConfigDict, prompts: Sequence[Sequence[int]]
) -> comparison.Transformers:
  """The same architecture in transformers, which continues the prompts."""
  import torch
  import transformers

  hf_config = transformers.AutoConfig.for_model(**launch.to_json(config.model))
  hf_config.eos_token_id = None  # As in our runs, no row stops early.
  model = transformers.AutoModelForCausalLM.from_config(
    hf_config, dtype=getattr(torch, config.dtype)
  )
  return comparison.Transformers(model, prompts, config.new_tokens)


def _split_keys(config: ml_collections.ConfigDict) -> jax.Array:
  """The keys of the weights and of the prompts."""
  return jax.random.split(jax.random.key(config.seed))


def _describe(
  config: ml_collections.ConfigDict,
  model: TransformerConfig,
  dtype: np.dtype,
  subject: answering.Answering,
  times: Mapping[str, float],
  ceilings: Mapping[str, float],
) -> dict[str, float | None]:
  """The figures, from the least seconds per member of each phase."""
  num_steps = config.new_tokens - 1
  prefill_flops = flops.prefill_flops(
    model, config.num_prompts, config.prompt_tokens
  )
  decode_flops = flops.decode_flops(
    model, config.num_prompts, config.prompt_tokens, num_steps
  )
  decode_s = times["member"] - times["perturb"] - times["prefill"]
  if decode_s <= 0:  # Lost in the noise of the other times.
    decode_s = None
  flops_per_s = ceilings["matmul_gflops"] * 1e9
  bytes_per_s = ceilings["copy_gbytes_per_s"] * 1e9
  step_bytes = [
    flops.step_bytes(
      model, dtype, config.num_prompts, config.prompt_tokens + step + 1
    )
    for step in range(num_steps)
  ]
  roofline_s = sum(
    max(num_bytes / bytes_per_s, decode_flops / num_steps / flops_per_s)
    for num_bytes in step_bytes
  )
  num_tokens = config.num_prompts * config.new_tokens
  compiled = subject.generator.programs.compiled
  return {
    "num_weights": transformer.count_params(model),
    "num_devices": jax.local_device_count(),
    "members_at_once": subject.num_members,
    "rows_at_once": subject.plan.rows,
    "member_s": times["member"],
    "members_per_hour": 3600 / times["member"],
    "tokens_per_s": num_tokens / times["member"],
    "perturb_s": times["perturb"],
    "prefill_s": times["prefill"],
    "decode_s": decode_s,
    "perturb_frac": times["perturb"] / times["member"],
    **ceilings,
    "prefill_flop_utilisation": prefill_flops / times["prefill"] / flops_per_s,
    "decode_flop_utilisation": _ratio(decode_flops / flops_per_s, decode_s),
    "decode_byte_utilisation": _ratio(sum(step_bytes) / bytes_per_s, decode_s),
    "decode_roofline_frac": _ratio(roofline_s, decode_s),
    "compile_s": compiled.compile_s,
    "num_compilations": compiled.num_compilations,
  }


def _ratio(least_s: float, taken_s: float | None) -> float | None:
  return None if taken_s is None else least_s / taken_s
