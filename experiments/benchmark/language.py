"""The benchmark's subject `language`: members that answer prompts.

Random weights of any supported shape serve. Times are seconds per member, and the
shortest of several; prefill is timed alone, and decoding is the rest.
"""

import functools
import importlib.util
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jax.sharding import Mesh

from configs import benchmark_language
from experiments import launch
from experiments.benchmark import ceilings as ceilings_lib
from thickets.generation import memory_plan
from thickets.generation.batching import Batching
from thickets.generation.decoding import Decoding
from thickets.generation.generator import Generator
from thickets.generation.member_weights import Rebuilder
from thickets.generation.memory_plan import Workload
from thickets.members import stack_members
from thickets.models import families, flops, memory, transformer
from thickets.models.config import TransformerConfig
from thickets.models.layout import Layout
from thickets.perturbation import Gaussian
from thickets.search import meshes, population

_COMPARISONS = ("", "transformers")
LAYERS = {"auto": None, "apart": Layout.APART, "stacked": Layout.STACKED}


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
          "compare": _COMPARISONS,
          "layers": LAYERS,
        },
      ),
    ]
  )
  if config.compare and importlib.util.find_spec("torch") is None:
    launch.refuse(
      [
        f"compare={config.compare} needs PyTorch, got none. Install it with"
        " pip install -e '.[torch]'."
      ]
    )
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
  """Measures rates, and the ceilings before and after: the better ones count."""
  model = families.parse_config(launch.to_json(config.model))
  dtype = jnp.dtype(config.dtype)
  mesh = meshes.make_mesh(model=config.model_devices)
  subject = _Subject(config, model, dtype, mesh)
  subject.warm_up()
  # Before the ceilings are measured and others' libraries loaded.
  peak = ceilings_lib.peak_memory_bytes()
  ceilings = measure_ceilings(dtype)
  theirs = _Transformers(config) if config.compare else None
  times = subject.time_phases(config.repeats, theirs)
  ceilings = {
    name: max(value, ceilings[name])
    for name, value in measure_ceilings(dtype).items()
  }
  figures = _describe(config, model, dtype, subject, times, ceilings)
  if theirs is not None:
    figures["transformers_s"] = times["theirs"]
    figures["speedup"] = times["theirs"] / times["member"]
  figures["peak_memory_bytes"] = {"process": peak}
  return figures


class _Subject:
  """Weights, prompts and the programs that are timed."""

  def __init__(
    self,
    config: ml_collections.ConfigDict,
    model: TransformerConfig,
    dtype: np.dtype,
    mesh: Mesh,
  ):
    weights_key, prompts_key = jax.random.split(jax.random.key(config.seed))
    self.plan = memory_plan.plan_memory(
      model,
      dtype,
      mesh,
      Workload(config.num_prompts, config.prompt_tokens, config.new_tokens),
      Batching(lanes=config.lanes or None, rows=config.rows or None),
    )
    assert self.plan.lanes is not None  # A plan leaves nothing open.
    self.num_members = self.plan.lanes * mesh.shape["population"]
    shardings = transformer.shardings(model, mesh)
    make = functools.partial(transformer.init, model, dtype=dtype)
    self.base = jax.jit(make, out_shardings=shardings)(weights_key)
    self.prompts = np.asarray(
      jax.random.randint(
        prompts_key,
        (config.num_prompts, config.prompt_tokens),
        0,
        model.vocab_size,
      )
    ).tolist()
    members = population.sample_members(
      config.seed, self.num_members, (config.sigma,)
    )
    self._members = stack_members(members)
    # One generator for the whole, one that stops after the first token.
    self.generator, self._reader = (
      Generator(
        model,
        Decoding(new_tokens),
        mesh=mesh,
        batching=self.plan,
        layout=LAYERS[config.layers],
      )
      for new_tokens in (config.new_tokens, 1)
    )
    self._rebuilder = Rebuilder(
      model,
      Gaussian(),
      mesh,
      self.generator.programs.compiled,
      self.generator.layout,
    )

  def time_phases(
    self, repeats: int, theirs: "_Transformers | None"
  ) -> dict[str, float]:
    """Least seconds per member of each phase, in turns within one loop."""
    phases: dict[str, Callable[[], object]] = {
      "perturb": self._perturb,
      "prefill": lambda: self._answer(self._reader),
      "member": self._score,
    }
    best = dict.fromkeys(phases, math.inf)
    if theirs is not None:
      phases["theirs"] = lambda: theirs.generate(self.prompts)
      best["theirs"] = math.inf
      phases["theirs"]()
    for _ in range(repeats):
      for name, run in phases.items():
        start = time.perf_counter()
        run()
        best[name] = min(best[name], time.perf_counter() - start)
    return {
      name: seconds / (1 if name == "theirs" else self.num_members)
      for name, seconds in best.items()
    }

  def warm_up(self) -> None:
    """Compiles and runs all that is timed."""
    self._score()
    self._answer(self._reader)

  def _perturb(self) -> None:
    params = self._rebuilder.rebuild_many(self.base, self._members)
    self._params = jax.block_until_ready(params)

  def _answer(self, generator: Generator) -> None:
    generator.generate_members(self._params, self.prompts)

  def _score(self) -> None:
    self._perturb()
    self._answer(self.generator)


class _Transformers:
  """The same architecture in PyTorch, through transformers' own generate."""

  def __init__(self, config: ml_collections.ConfigDict):
    import torch
    import transformers

    self._torch = torch
    fields = launch.to_json(config.model)
    self._new_tokens = config.new_tokens
    hf_config = transformers.AutoConfig.for_model(**fields)
    hf_config.eos_token_id = None  # As in our runs, no row stops early.
    self._model = transformers.AutoModelForCausalLM.from_config(
      hf_config, dtype=getattr(torch, config.dtype)
    ).eval()
    if torch.cuda.is_available():
      self._model = self._model.cuda()

  def generate(self, prompts: Sequence[Sequence[int]]) -> None:
    """Generates greedily for all prompts at once, and waits for the tokens."""
    ids = self._torch.tensor(prompts, device=self._model.device)
    with self._torch.inference_mode():
      texts = self._model.generate(
        ids,
        attention_mask=self._torch.ones_like(ids),
        max_new_tokens=self._new_tokens,
        do_sample=False,
        pad_token_id=0,
      )
    new_tokens = texts.shape[1] - ids.shape[1]
    assert new_tokens == self._new_tokens, new_tokens
    texts.cpu()


def measure_ceilings(dtype: np.dtype) -> dict[str, float]:
  """Rates of all devices together."""
  is_cpu = jax.default_backend() == "cpu"
  gflops = ceilings_lib.measure_matmul_gflops(
    size=2048 if is_cpu else 8192, dtype=dtype
  )
  return {
    # On CPU one product uses all cores, whatever the number of devices.
    "matmul_gflops": gflops * (1 if is_cpu else jax.local_device_count()),
    "copy_gbytes_per_s": ceilings_lib.measure_copy_gbytes_per_s(),
  }


def _describe(
  config: ml_collections.ConfigDict,
  model: TransformerConfig,
  dtype: np.dtype,
  subject: _Subject,
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
