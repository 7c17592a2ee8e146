"""The benchmark's subject `chat`: members of a real model that answer prompts.

Rows stop when their answers end. Times are seconds per member, the shortest of
several, and stand over the roofline of what these very answers need.
"""

import importlib.util
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from configs import benchmark_chat
from experiments import launch
from experiments.benchmark import ceilings as ceilings_lib
from experiments.benchmark import language
from experiments.benchmark.roofline import Work, Workload
from thickets.generation import batching, memory_plan
from thickets.generation.decoding import Decoding
from thickets.generation.generator import Generator
from thickets.generation.member_weights import Rebuilder
from thickets.generation.prompts import render_prompt
from thickets.members import stack_members
from thickets.models import hub
from thickets.perturbation import Gaussian
from thickets.search import meshes, population
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
    "compare": ("", "transformers"),
    "layers": language.LAYERS,
  }
  launch.refuse(
    [
      *launch.check_ranges(config, ranges),
      *launch.check_choices(config, choices),
    ]
  )
  if config.compare and (
    config.model.startswith(("shipped/", "package:"))
    or config.model.endswith(".gguf")
  ):
    launch.refuse(
      [
        "compare=transformers needs a model that transformers opens, a directory"
        f" or an id of the hub, got model={config.model}."
      ]
    )
  if config.compare and importlib.util.find_spec("torch") is None:
    launch.refuse(
      [
        f"compare={config.compare} needs PyTorch, got none. Install it with"
        " pip install -e '.[torch]'."
      ]
    )


def check_fits(config: ml_collections.ConfigDict) -> None:
  """Loading checks it, once the model is known."""
  del config


def measure(config: ml_collections.ConfigDict) -> dict[str, Any]:
  """Measures phases, and the ceilings before and after: the better ones count."""
  subject = _Subject(config)
  responses = subject.answer()
  subject.read()
  peak = ceilings_lib.peak_memory_bytes()
  ceilings = language.measure_ceilings(subject.dtype)
  theirs = _Transformers(config, subject) if config.compare else None
  times = _time_phases(subject, theirs, config.repeats)
  again = language.measure_ceilings(subject.dtype)
  ceilings = {name: max(value, again[name]) for name, value in ceilings.items()}
  figures = _describe(subject, responses, times, ceilings)
  if theirs is not None:
    figures["transformers_s"] = times["theirs"]
    figures["speedup"] = times["theirs"] / times["member"]
  figures["peak_memory_bytes"] = {"process": peak}
  return figures


class _Subject:
  """A model, its prompts and the programs that are timed."""

  def __init__(self, config: ml_collections.ConfigDict):
    mesh = meshes.make_mesh()
    self.dtype = jnp.dtype(config.dtype)
    self.model = hub.load(config.model, dtype=self.dtype, mesh=mesh)
    self.prompts = _make_prompts(
      self.model.tokenizer, config.num_prompts, config.seed
    )
    workload = memory_plan.Workload(
      config.num_prompts, max(map(len, self.prompts)), config.new_tokens
    )
    plan = memory_plan.plan_memory(
      self.model.config, self.dtype, mesh, workload, batching.Batching()
    )
    assert plan.lanes is not None  # A plan leaves nothing open.
    self.num_members = plan.lanes * mesh.shape["population"]
    self._members = stack_members(
      population.sample_members(config.seed, self.num_members, (config.sigma,))
    )
    # One generator for the whole, one that stops after the first token.
    self.generator, self._reader = (
      Generator(
        self.model.config,
        Decoding.for_model(self.model, new_tokens),
        mesh=mesh,
        batching=plan,
        layout=language.LAYERS[config.layers],
      )
      for new_tokens in (config.new_tokens, 1)
    )
    self._rebuilder = Rebuilder(
      self.model.config,
      Gaussian(),
      mesh,
      self.generator.programs.compiled,
      self.generator.layout,
    )

  def perturb(self) -> None:
    """Rebuilds the members."""
    params = self._rebuilder.rebuild_many(self.model.params, self._members)
    self._params = jax.block_until_ready(params)

  def read(self) -> None:
    """The members that were rebuilt last read the prompts."""
    self._reader.generate_members(self._params, self.prompts)

  def answer(self) -> Any:
    """Rebuilds the members and lets them answer: [P, Q, T]."""
    self.perturb()
    return self.generator.generate_members(self._params, self.prompts)


class _Transformers:
  """The model itself through transformers' own generate, unperturbed."""

  def __init__(self, config: ml_collections.ConfigDict, subject: _Subject):
    import torch
    import transformers

    self._torch = torch
    self._new_tokens = config.new_tokens
    self._stop_tokens = list(subject.model.stop_tokens)
    # Padded on the left, as their documentation asks for.
    width = max(map(len, subject.prompts))
    ids = np.zeros((len(subject.prompts), width), np.int64)
    mask = np.zeros_like(ids)
    for row, prompt in enumerate(subject.prompts):
      ids[row, width - len(prompt) :] = prompt
      mask[row, width - len(prompt) :] = 1
    self._model = transformers.AutoModelForCausalLM.from_pretrained(
      config.model, dtype=getattr(torch, config.dtype)
    ).eval()
    if torch.cuda.is_available():
      self._model = self._model.cuda()
    self._ids, self._mask = (
      torch.tensor(part, device=self._model.device) for part in (ids, mask)
    )

  def generate(self) -> None:
    """Generates greedily for all prompts at once, and waits for the tokens."""
    with self._torch.inference_mode():
      texts = self._model.generate(
        self._ids,
        attention_mask=self._mask,
        max_new_tokens=self._new_tokens,
        do_sample=False,
        eos_token_id=self._stop_tokens or None,
        pad_token_id=0,
      )
    texts.cpu()


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


def _time_phases(
  subject: _Subject, theirs: _Transformers | None, repeats: int
) -> dict[str, float]:
  """Least seconds per member of each phase, in turns within one loop."""
  phases: dict[str, Callable[[], object]] = {
    "perturb": subject.perturb,
    "prefill": subject.read,
    "member": subject.answer,
  }
  if theirs is not None:
    phases["theirs"] = theirs.generate
    theirs.generate()
  best = dict.fromkeys(phases, math.inf)
  for _ in range(repeats):
    for name, run in phases.items():
      start = time.perf_counter()
      run()
      best[name] = min(best[name], time.perf_counter() - start)
  return {
    name: seconds / (1 if name == "theirs" else subject.num_members)
    for name, seconds in best.items()
  }


def _describe(
  subject: _Subject,
  responses: Any,
  times: Mapping[str, float],
  ceilings: Mapping[str, float],
) -> dict[str, Any]:
  """The figures: of each phase its work, its least seconds, and their ratio."""
  workloads = [
    Workload(
      subject.model.config,
      subject.dtype,
      batching.find_prefix(subject.prompts),
      [len(prompt) for prompt in subject.prompts],
      [int(length) for length in lengths],
    )
    for lengths in responses.lengths
  ]
  phases: dict[str, tuple[float, Sequence[Work]]] = {
    "perturb": (times["perturb"], [w.perturb() for w in workloads]),
    "prefill": (times["prefill"], [w.prefill() for w in workloads]),
    "decode": (
      times["member"] - times["perturb"] - times["prefill"],
      [step for workload in workloads for step in workload.steps()],
    ),
  }
  rates = (ceilings["matmul_gflops"] * 1e9, ceilings["copy_gbytes_per_s"] * 1e9)
  figures: dict[str, Any] = {
    "num_devices": jax.local_device_count(),
    "members_at_once": subject.num_members,
    "mean_response_tokens": float(np.mean(responses.lengths)),
    **ceilings,
  }
  whole = 0.0
  for name, (seconds, works) in phases.items():
    least = sum(work.least_s(*rates) for work in works) / len(workloads)
    whole += least
    figures |= {
      f"{name}_gflop": sum(w.operations for w in works) / len(workloads) / 1e9,
      f"{name}_gbytes": sum(w.num_bytes for w in works) / len(workloads) / 1e9,
      f"{name}_least_s": least,
      f"{name}_s": seconds,
      f"{name}_over_least": seconds / least,
    }
  compiled = subject.generator.programs.compiled
  return figures | {
    "member_least_s": whole,
    "member_s": times["member"],
    "member_over_least": times["member"] / whole,
    "compile_s": compiled.compile_s,
    "num_compilations": compiled.num_compilations,
  }
