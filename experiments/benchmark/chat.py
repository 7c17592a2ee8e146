"""The benchmark's subject `chat`: members of a real model that answer prompts.

Rows stop when their answers end. Times are seconds per member, the shortest of
several, and stand over the roofline of what these very answers need.
"""

import functools
import random
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from configs import benchmark_chat
from experiments import launch
from experiments.benchmark import answering, comparison
from experiments.benchmark.roofline import Work, Workload
from thickets.generation import batching
from thickets.generation import texts as texts_lib
from thickets.generation.decoding import Decoding
from thickets.generation.prompts import render_prompt
from thickets.models import hub
from thickets.models.layout import LAYOUTS
from thickets.runs import process_memory
from thickets.search import meshes
from thickets.tasks.base import Message


def validate(config: ml_collections.ConfigDict) -> None:
  """Raises one UserError with everything wrong, before any device work."""
  launch.refuse(launch.check_keys(config, benchmark_chat.get_config()))
  ranges = {
    "seed": launch.Range(0, 2**32 - 1),
    "num_prompts": launch.Range(1),
    "new_tokens": launch.Range(2),
    "sigma": launch.Range(0),
    "repeats": launch.Range(1),
  }
  choices = {
    "dtype": ("bfloat16", "float16", "float32"),
    "compare": comparison.NAMES,
    "layers": LAYOUTS,
  }
  launch.refuse(
    [
      *launch.check_ranges(config, ranges),
      *launch.check_choices(config, choices),
    ]
  )
  comparison.check(config)


def check_fits(config: ml_collections.ConfigDict) -> None:
  """Loading checks it, once the model is known."""
  del config


def measure(config: ml_collections.ConfigDict) -> dict[str, Any]:
  """Measures phases and ceilings in turns; of each the best counts."""
  mesh = meshes.make_mesh()
  dtype = jnp.dtype(config.dtype)
  model = hub.load(config.model, dtype=dtype, mesh=mesh)
  prompts = _make_prompts(model.tokenizer, config.num_prompts, config.seed)
  subject = answering.Answering(
    model.config,
    model.params,
    mesh,
    prompts,
    functools.partial(Decoding.for_model, model),
    new_tokens=config.new_tokens,
    asked=batching.Batching(),
    layers=config.layers,
    seed=config.seed,
    sigma=config.sigma,
  )
  responses = subject.answer()
  subject.read()
  peak = process_memory.peak_memory_bytes()
  theirs = None
  if config.compare:
    theirs = _make_theirs(config, model, prompts).generate
  times, ceilings = subject.time_phases(theirs, config.repeats, dtype)
  workloads = [
    Workload(
      model.config,
      dtype,
      texts_lib.find_prefix(prompts),
      [len(prompt) for prompt in prompts],
      [int(length) for length in lengths],
    )
    for lengths in responses.lengths
  ]
  figures = _describe(workloads, times, ceilings)
  compiled = subject.generator.programs.compiled
  figures |= {
    "num_devices": jax.local_device_count(),
    "members_at_once": subject.num_members,
    "mean_response_tokens": float(np.mean(responses.lengths)),
    "compile_s": compiled.compile_s,
    "num_compilations": compiled.num_compilations,
  }
  if theirs is not None:
    figures["transformers_s"] = times["theirs"]
    figures["speedup"] = times["theirs"] / times["member"]
  figures["peak_memory_bytes"] = {"process": peak}
  return figures


def _make_theirs(
  config: ml_collections.ConfigDict,
  model: hub.Model,
  prompts: Sequence[Sequence[int]],
) -> comparison.Transformers:
  """The model itself in transformers, unperturbed.

  It is saved first, for they open no package and not every file.
  """
  import torch
  import transformers

  with tempfile.TemporaryDirectory() as directory:
    hub.save(directory, model)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(
      directory, dtype=getattr(torch, config.dtype)
    )
  return comparison.Transformers(
    theirs, prompts, config.new_tokens, model.stop_tokens
  )


def _make_prompts(tokenizer: Any, count: int, seed: int) -> list[list[int]]:
  """Sums of two numbers from 2 to 40, rendered as chat."""
  draw = random.Random(seed).randint
  return [
    render_prompt(
      tokenizer,
      [
        Message(
          "user",
          f"What is {draw(2, 40)} + {draw(2, 40)}? Answer with the number.",
        )
      ],
    )
    for _ in range(count)
  ]


def _describe(
  workloads: Sequence[Workload],
  times: Mapping[str, float],
  ceilings: Mapping[str, float],
) -> dict[str, Any]:
  """Of each phase its work, its least seconds, and their ratio.

  Args:
    workloads: what each member did.
    times: seconds of the phases per member.
    ceilings: the rates of the machine.
  """
  phases: dict[str, tuple[float, Sequence[Work]]] = {
    "perturb": (times["perturb"], [w.perturb() for w in workloads]),
    "prefill": (times["prefill"], [w.prefill() for w in workloads]),
    "decode": (
      times["member"] - times["perturb"] - times["prefill"],
      [step for workload in workloads for step in workload.steps()],
    ),
  }
  rates = (ceilings["matmul_gflops"] * 1e9, ceilings["copy_gbytes_per_s"] * 1e9)
  figures: dict[str, Any] = dict(ceilings)
  whole = 0.0
  for name, (seconds, works) in phases.items():
    least = sum(work.least_s(*rates) for work in works) / len(workloads)
    # Not where nothing was decoded, or noise hides how long it took.
    has_ratio = least > 0 and seconds > 0
    whole += least
    figures |= {
      f"{name}_gflop": sum(w.operations for w in works) / len(workloads) / 1e9,
      f"{name}_gbytes": sum(w.num_bytes for w in works) / len(workloads) / 1e9,
      f"{name}_least_s": least,
      f"{name}_s": seconds,
      f"{name}_over_least": seconds / least if has_ratio else None,
    }
  return figures | {
    "member_least_s": whole,
    "member_s": times["member"],
    "member_over_least": times["member"] / whole,
  }
