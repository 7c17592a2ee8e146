"""The benchmark's subject `denoising`: steps of members beside those of diffusers.

Both run the same UNet in float32 with random weights, on the same rows and steps,
each member with weights of its own. PyTorch adds its own noise to a copy of the
weights; the seconds of drawing it count on both sides.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from configs import benchmark_denoising
from experiments import launch
from experiments.benchmark import comparison
from thickets.members import Member
from thickets.models.diffusion import (
  flops,
  sampling,
  schedule,
  unet,
  unet_config,
  weights,
)
from thickets.naming import Params
from thickets.runs import process_memory
from thickets.search import traced
from thickets.search.traced import Traced


def validate(config: ml_collections.ConfigDict) -> None:
  """Raises one UserError with everything wrong, before any device work."""
  launch.refuse(launch.check_keys(config, benchmark_denoising.get_config()))
  launch.refuse(
    launch.check_ranges(
      config,
      {
        "seed": launch.Range(0, 2**32 - 1),
        "num_members": launch.Range(1),
        "num_rows": launch.Range(1),
        "num_steps": launch.Range(1, 1000),
        "num_tokens": launch.Range(1),
        "size": launch.Range(1),
        "sigma": launch.Range(0),
        "repeats": launch.Range(1),
      },
    )
  )
  unet_config.parse_config(launch.to_json(config.model))
  if config.compare:
    comparison.check_installed("compare=true")


def check_fits(config: ml_collections.ConfigDict) -> None:
  """Does nothing: the models of this subject are small."""
  del config


def measure(config: ml_collections.ConfigDict) -> dict[str, Any]:
  """Measures member-steps per second; the best of the repeats counts."""
  fields = launch.to_json(config.model)
  model = unet_config.parse_config(fields)
  params = weights.init(unet.describe(model), jax.random.key(config.seed))
  random = np.random.default_rng(config.seed)
  shape = (config.num_rows, config.size, config.size, model.in_channels)
  noise = random.standard_normal(shape).astype(np.float32)
  context = random.standard_normal(
    (config.num_rows, config.num_tokens, model.context_width)
  ).astype(np.float32)
  made = schedule.make_schedule(
    schedule.parse_config(launch.to_json(config.scheduler)), config.num_steps
  )
  member_steps = config.num_members * config.num_steps
  evaluator, run = _make_ours(config, model, made, params, noise, context)
  runs = {"ours": run}
  if config.compare:
    runs["diffusers"] = _make_theirs(config, fields, made, noise, context)
  seconds = _time_in_turn(runs, config.repeats)
  work = flops.unet_flops(model, shape[1:3], config.num_tokens)
  figures: dict[str, Any] = {
    f"{name}_member_steps_per_s": member_steps / s
    for name, s in seconds.items()
  }
  figures["compile_s"] = evaluator.compile_s
  figures["num_params"] = weights.count_params(unet.describe(model))
  figures["ours_gflops_per_s"] = (
    member_steps * config.num_rows * work / seconds["ours"] / 1e9
  )
  if config.compare:
    figures["ours_over_diffusers"] = seconds["diffusers"] / seconds["ours"]
  figures["peak_memory_bytes"] = {"process": process_memory.peak_memory_bytes()}
  return figures


def _make_ours(
  config: ml_collections.ConfigDict,
  model: unet_config.UNetConfig,
  made: schedule.Schedule,
  params: Params,
  noise: np.ndarray,
  context: np.ndarray,
) -> tuple[Traced, Callable[[], None]]:
  """The evaluator of a search, and a call of it for all members.

  Members are rebuilt, and each device has one at a time.
  """

  def sample(params, batch):
    def denoise(x, t):
      times = jnp.broadcast_to(t, x.shape[:1])
      return unet.apply(model, params, x, times, {"context": batch["context"]})

    latents = sampling.integrate(made, denoise, batch["noise"])
    return jnp.mean(latents, axis=(1, 2, 3))

  evaluator = traced.traced(sample, names=weights.tensor_names(params), lanes=1)
  members = [Member(seed, config.sigma) for seed in range(config.num_members)]
  base, batch = evaluator.place(
    params, {"noise": noise, "context": context}, len(members)
  )

  def run() -> None:
    evaluator(base, members, batch).result()

  return evaluator, run


def _make_theirs(
  config: ml_collections.ConfigDict,
  fields: dict[str, Any],
  made: schedule.Schedule,
  noise: np.ndarray,
  context: np.ndarray,
) -> Callable[[], None]:
  """The same by diffusers: noise is added to a copy of the weights."""
  import diffusers
  import torch

  base = diffusers.UNet2DConditionModel.from_config(fields).eval()
  kept = {name: tensor.clone() for name, tensor in base.state_dict().items()}
  text = torch.from_numpy(context)
  first = torch.from_numpy(noise.transpose(0, 3, 1, 2).copy())

  def run() -> None:
    with torch.no_grad():
      for seed in range(config.num_members):
        generator = torch.Generator().manual_seed(seed)
        for name, tensor in base.state_dict().items():
          eps = torch.randn(tensor.shape, generator=generator)
          tensor.copy_(kept[name] + config.sigma * eps)
        x = first * float(made.init_scale)
        for i, t in enumerate(made.timesteps):
          sigma, after = (float(s) for s in made.sigmas[i : i + 2])
          given = x / (sigma**2 + 1) ** 0.5
          x = x + (after - sigma) * base(given, float(t), text).sample

  return run


def _time_in_turn(
  runs: Mapping[str, Callable[[], Any]], repeats: int
) -> dict[str, float]:
  """Seconds of the fastest of some calls each, after one that is not counted.

  They take turns, so that what else the machine does slows all of them.
  """
  taken: dict[str, list[float]] = {name: [] for name in runs}
  for _ in range(repeats + 1):
    for name, run in runs.items():
      start = time.perf_counter()
      run()
      taken[name].append(time.perf_counter() - start)
  return {name: min(seconds[1:]) for name, seconds in taken.items()}
