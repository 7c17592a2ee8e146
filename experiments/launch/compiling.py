"""What is to be compiled for a machine that is not here, read from a config."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import ml_collections
import numpy as np
from jax.sharding import Mesh

from experiments.launch import specs
from experiments.launch.compiled_prompts import Shown, render_prompts
from experiments.launch.config_checks import (
  Range,
  check_choices,
  check_ranges,
  refuse,
  to_json,
)
from thickets.errors import NoRoomError, UserError
from thickets.generation import memory_plan, towers
from thickets.generation import texts as texts_lib
from thickets.generation.batching import Batching
from thickets.generation.decoding import Decoding
from thickets.generation.memory_plan import Workload
from thickets.generation.rehearsal import Rehearsal, Segments, rehearse
from thickets.models import (
  families,
  flops,
  memory,
  sources,
  tokenizer_files,
  transformer,
)
from thickets.models.config import TransformerConfig
from thickets.models.layout import LAYOUTS, Layout
from thickets.models.vision.config import VisionConfig
from thickets.models.vision.images import FeatureTable
from thickets.perturbation import Gaussian, Kind
from thickets.search import meshes
from thickets.search.targets import Target
from thickets.tasks import registry

# More devices share a member if steps move less by more than this: what they
# send each other takes time, too.
_SPARED = 1.1


@dataclasses.dataclass(frozen=True)
class Case:
  """A run without its weights.

  Attributes:
    config: the architecture.
    dtype: the dtype of the weights.
    workload: what each member has to do.
    prefix_tokens: how many tokens all prompts begin with.
    decoding: how tokens are chosen.
    asked: lanes and rows, None where memory decides.
    devices: how many devices share a member; 0 finds the fewest.
    devices_key: the key of the config that says so.
    layout: how layers lie, None to find it.
    kind: how noise is drawn.
    tower: the tower of a vision-language model, whose programs are not compiled; it
      runs once. None for a text model.
    table: the features of the pictures of prompts, by their shapes.
  """

  config: TransformerConfig
  dtype: np.dtype
  workload: Workload
  prefix_tokens: int
  decoding: Decoding
  asked: Batching
  devices: int
  devices_key: str
  layout: Layout | None
  kind: Kind
  tower: VisionConfig | None = None
  table: FeatureTable | None = None

  def place(self, target: Target) -> Mesh:
    """The mesh of a machine, with the devices of a member as its axis `model`.

    Raises:
      UserError: if they do not divide the machine.
      NoRoomError: if not even one row fits.
    """
    if self.devices and target.num_devices % self.devices:
      raise UserError(
        f"{self.devices_key} must divide the devices of the machine, got"
        f" {self.devices} of the {target.num_devices} of {target.name}. Write"
        f" one of {', '.join(map(str, _divisors(target.num_devices)))}."
      )
    found = target.make_devices()
    counts = [n for n in _divisors(target.num_devices) if n >= self.devices]
    problems: list[NoRoomError] = []
    fitting = {}  # Meshes on which at least one row fits, with what steps move.
    for count in counts:
      mesh = meshes.make_mesh(found, model=count)
      try:
        fitting[count] = mesh, self._count_moved(self.plan(mesh, target))
      except NoRoomError as error:
        problems.append(error)
        continue
      if self.devices == count:
        break
    if not fitting:
      raise _raise_anew(
        problems[-1],
        f"{target.name} must hold the model, got: {problems[-1]} Name a larger"
        " machine: not even all of it suffices for one member.",
      )
    if self.devices and self.devices not in fitting:
      raise _raise_anew(
        problems[0],
        f"{problems[0]} Of {target.name}, {min(fitting)} devices a member"
        f" suffice: write {self.devices_key}={min(fitting)}.",
      )
    least = min(moved for _, moved in fitting.values())
    return next(
      mesh for mesh, moved in fitting.values() if moved <= _SPARED * least
    )

  def _count_moved(self, plan: Batching) -> float:
    """Bytes that a token of all responses moves, over all batches of rows.

    They are those of a member on all its devices together, so that members an
    hour are as its inverse, however many devices share one.
    """
    assert plan.rows is not None  # A plan leaves nothing open.
    num_batches = -(-self.workload.num_prompts // plan.rows)
    seen = self.workload.prompt_tokens + self.workload.new_tokens
    return num_batches * flops.step_bytes(
      self.config, self.dtype, plan.rows, seen
    )

  def plan(self, mesh: Mesh, target: Target) -> Batching:
    """Lanes and rows on a mesh of a machine.

    Raises:
      NoRoomError: if not one fits.
    """
    return memory_plan.plan_memory(
      self.config,
      self.dtype,
      mesh,
      self.workload,
      self.asked,
      target.chip.memory_bytes,
      layout=self.layout,
    )

  def rehearse(
    self, mesh: Mesh, target: Target, *, segments: Segments
  ) -> Rehearsal:
    """Compiles the programs for a mesh of a machine.

    Args:
      mesh: the mesh, from `place`.
      target: the machine.
      segments: which segments of decoding are compiled.

    Raises:
      NoRoomError: if a program turns out to be too large for the machine.
    """
    return rehearse(
      self.config,
      self.dtype,
      mesh,
      self.workload,
      self.decoding,
      asked=self.asked,
      memory_bytes=target.chip.memory_bytes,
      prefix_tokens=self.prefix_tokens,
      kind=self.kind,
      layout=self.layout,
      compiled_segments=segments,
      tower=self.tower,
      table=self.table,
    )

  def describe(self) -> dict[str, Any]:
    """What it asks as JSON, for two cases to be compared."""
    return {
      "config": _describe_config(self.config),
      "dtype": self.dtype.name,
      # What only prompts with images have is left out elsewhere, as in cells that
      # earlier versions compiled.
      "workload": {
        name: value
        for name, value in dataclasses.asdict(self.workload).items()
        if value or not name.startswith(("image", "has_own_images", "tower"))
      },
      "prefix_tokens": self.prefix_tokens,
      "decoding": self.decoding.describe(),
      "layout": None if self.layout is None else self.layout.value,
      "kind": [type(self.kind).__name__, dataclasses.asdict(self.kind)],
    }


def _describe_config(config: TransformerConfig) -> dict[str, Any]:
  """The fields of an architecture; axes of frequencies where it has any."""
  fields = dataclasses.asdict(config)
  for kind in fields["kinds"]:
    if kind["rope"] is not None and kind["rope"]["axes"] is None:
      del kind["rope"]["axes"]
  return fields


def _raise_anew(error: NoRoomError, message: str) -> NoRoomError:
  """The same refusal in other words."""
  return NoRoomError(message, error.needed_bytes, error.size_bytes)


def read_cases(
  config: ml_collections.ConfigDict, name: str, prompt_tokens: int | None
) -> Mapping[str, Case]:
  """What a config asks to be compiled, by its names, smaller models first.

  Args:
    config: what `read_case` takes, or one that has several bare shapes as `models`.
    name: what the case is called where there is one.
    prompt_tokens: how many tokens the longest prompt has, as `read_case` takes it.

  Raises:
    UserError: with everything that is wrong.
  """
  if "models" not in config:
    return {name: read_case(config, prompt_tokens)}
  cases = {}
  for shape in config.models:
    one = ml_collections.ConfigDict(config.to_dict())
    one.model = one.models[shape]
    cases[shape] = read_case(one, prompt_tokens)
  # A config keeps its keys in the order of the alphabet.
  sizes = {k: transformer.count_params(v.config) for k, v in cases.items()}
  return dict(sorted(cases.items(), key=lambda case: sizes[case[0]]))


def read_case(
  config: ml_collections.ConfigDict, prompt_tokens: int | None
) -> Case:
  """What a config asks to be compiled: a bare shape, or a run's programs.

  Args:
    config: of configs/compile.py or configs/benchmark_language.py, or that of a
      run of `experiments.randopt`.
    prompt_tokens: tokens of the longest prompt of a run; None reads its data.

  Raises:
    UserError: with everything that is wrong.
  """
  if config.get("experiment") == "randopt":
    return _read_run(config, prompt_tokens)
  if config.get("subject") == "language":
    if prompt_tokens is not None:
      raise UserError(
        "--prompt_tokens must be given with a run's config, got it with a bare"
        " shape. Write --config.prompt_tokens."
      )
    return _read_shape(config)
  raise UserError(
    "--config must be a bare shape, as configs/compile.py:qwen2_5_7b, or a run of"
    " a language model, as configs/randopt.py:qwen2_5_7b-gsm8k."
  )


def _read_shape(config: ml_collections.ConfigDict) -> Case:
  refuse(
    [
      *check_ranges(
        config,
        {
          "num_prompts": Range(1),
          "prompt_tokens": Range(1),
          "new_tokens": Range(1),
          "lanes": Range(0),
          "rows": Range(0),
          "model_devices": Range(0),
        },
      ),
      *check_choices(
        config,
        {"dtype": ("bfloat16", "float16", "float32"), "layers": tuple(LAYOUTS)},
      ),
    ]
  )
  model = families.parse_config(to_json(config.model))
  workload = Workload(
    config.num_prompts, config.prompt_tokens, config.new_tokens
  )
  return Case(
    model,
    _check_context(model, workload, config.dtype),
    workload,
    prefix_tokens=0,
    decoding=_decode_unread(model, workload, (0,)),
    asked=Batching(lanes=config.lanes or None, rows=config.rows or None),
    devices=config.model_devices,
    devices_key="--config.model_devices",
    layout=LAYOUTS[config.layers],
    kind=Gaussian(),
  )


def _read_run(
  config: ml_collections.ConfigDict, prompt_tokens: int | None
) -> Case:
  spec = specs.read_randopt(config)
  source = sources.find(spec.model.name, spec.model.revision)
  model = families.parse_config(source.fields)
  task = registry.load_task(spec.task.name)
  num_prompts, prefix, tokenizer = spec.task.sizes.select, 0, None
  shown = Shown()
  if prompt_tokens is None:
    tokenizer = source.load_tokenizer()
    tokens, shown = render_prompts(tokenizer, spec, source, model.vocab_size)
    prompt_tokens = max(map(len, tokens))
    prefix = 0 if shown.table else texts_lib.find_prefix(tokens)
    num_prompts = len(tokens)
  compute = spec.answering.compute
  tower, kind = families.parse_vision(source.fields), spec.population.kind
  if tower is not None:
    kind = towers.settle_kind(kind)
  workload = Workload(
    num_prompts,
    prompt_tokens,
    spec.answering.max_new_tokens or task.max_new_tokens,
    image_bytes=shown.num_bytes,
    image_tokens=shown.num_tokens / num_prompts,
    tower_bytes=memory.tower_bytes(tower, spec.model.dtype) if tower else 0,
  )
  stop_tokens = tokenizer_files.find_stop_tokens(
    source.fields, source.generation, tokenizer, model.vocab_size
  )
  decoding = _decode_unread(model, workload, stop_tokens)
  if tokenizer is not None:
    decoding = Decoding.for_tokenizer(
      tokenizer,
      model,
      workload.new_tokens,
      stop_tokens=stop_tokens,
      placeholders=shown.placeholders,
    )
  return Case(
    model,
    _check_context(model, workload, spec.model.dtype),
    workload,
    prefix_tokens=prefix,
    decoding=decoding,
    asked=Batching(lanes=compute.lanes, rows=compute.rows),
    devices=compute.devices_per_member,
    devices_key="--config.compute.devices_per_member",
    layout=LAYOUTS[compute.layers],
    kind=kind,
    tower=tower,
    table=shown.table,
  )


def _decode_unread(
  model: TransformerConfig, workload: Workload, stop_tokens: tuple[int, ...]
) -> Decoding:
  """Decoding where no tokenizer was read: with the masks that one would need.

  Published models have rows of the embedding without a token; here the last is
  taken for one, so that the program that leaves them out is the one compiled.
  """
  num_tokens = max(model.vocab_size - 1, 1, *(t + 1 for t in stop_tokens))
  return Decoding(
    workload.new_tokens, stop_tokens=stop_tokens, num_tokens=num_tokens
  )


def _check_context(
  model: TransformerConfig, workload: Workload, dtype: str
) -> np.dtype:
  """The dtype, once the texts are known to fit into the context."""
  if workload.prompt_tokens + workload.new_tokens > model.context:
    raise UserError(
      "Tokens of a prompt and its response must be at most the model's context"
      f" of {model.context}, got {workload.prompt_tokens} +"
      f" {workload.new_tokens}."
    )
  return jnp.dtype(dtype)


def _divisors(count: int) -> list[int]:
  return [size for size in range(1, count + 1) if count % size == 0]
