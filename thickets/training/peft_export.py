"""Adapters as `peft` reads them: adapter_config.json and adapter_model.safetensors.

Tensors have their published names. Where several of our matrices are published as
one (queries, keys and values of GPT-2), their adapters become one of a larger rank,
whose second factor is zero outside of each one's rows.
"""

import collections
import json
import pathlib
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from thickets import placement
from thickets.errors import UserError, shorten
from thickets.models import checkpoint, file_modes, published_names, transformer
from thickets.models.hub import Model
from thickets.models.published_names import Place
from thickets.training import lora
from thickets.training.lora import Adapters, LoraSpec

CONFIG_FILE, WEIGHTS_FILE = "adapter_config.json", "adapter_model.safetensors"
_PREFIX = "base_model.model."  # What peft calls the model inside of its own.
_NUM_SHOWN = 3  # Words of a list that a message shows.

# The factors of one of our matrices, and where it lies in the published one.
_Part = tuple[Place, np.ndarray, np.ndarray]


def save(
  directory: pathlib.Path, spec: LoraSpec, model: Model, adapters: Adapters
) -> None:
  """Saves adapters whole, in place of what an earlier run left there.

  Args:
    directory: the directory, which is made or replaced.
    spec: which matrices are adapted.
    model: the base.
    adapters: what `lora.init` has made, trained or not.

  Raises:
    UserError: if `check` refuses it.
  """
  import safetensors.numpy

  modules = _group_by_module(spec, model, adapters)
  tensors = {}
  for module, parts in modules.items():
    first, second = _join(parts)
    tensors[f"{_PREFIX}{module}.lora_A.weight"] = first
    tensors[f"{_PREFIX}{module}.lora_B.weight"] = second
  partial = directory.with_name(f"{directory.name}.partial")
  for path in (partial, directory):
    shutil.rmtree(path, ignore_errors=True)
  partial.mkdir(parents=True)
  weights = partial / WEIGHTS_FILE
  safetensors.numpy.save_file(tensors, weights, metadata={"format": "pt"})
  file_modes.open_to_readers(weights)
  fields = _describe(spec, model, modules)
  text = json.dumps(fields, indent=2, sort_keys=True) + "\n"
  (partial / CONFIG_FILE).write_text(text, encoding="utf-8")
  partial.rename(directory)


def check(spec: LoraSpec, model: Model) -> None:
  """Refuses matrices that are no modules in `transformers`, before a training.

  Raises:
    UserError: if a router or an expert of a mixture is adapted, or a pattern matches
      nothing.
  """
  names = transformer.tensor_names(model.params)
  targets = lora.find_targets(spec, model.params, names)
  if stacked := [
    name
    for target in targets
    for name in target.names
    if ".experts." in name or name.endswith(".mlp.gate")
  ]:
    raise UserError(
      "lora.targets must match matrices that peft can adapt, got"
      f" {shorten(stacked, _NUM_SHOWN)}, which transformers holds in one tensor of a"
      " mixture. Leave them out with lora.exclude."
    )


def _group_by_module(
  spec: LoraSpec, model: Model, adapters: Adapters
) -> dict[str, list[_Part]]:
  """The parts of each published matrix that is adapted, in the order of the tree."""
  check(spec, model)
  names = transformer.tensor_names(model.params)
  modules = collections.defaultdict(list)
  for target in lora.find_targets(spec, model.params, names):
    factors: Any = adapters
    for key in target.path:
      factors = factors[key]
    first, second = (
      np.asarray(placement.fetch(factors[k]), np.float32) for k in "ab"
    )
    for row, name in enumerate(target.names):
      place = published_names.find_place(model.config.family, name)
      modules[_module(place)].append((place, first[row], second[row]))
  return dict(modules)


def _join(parts: Sequence[_Part]) -> tuple[np.ndarray, np.ndarray]:
  """The factors [R, in] and [out, R] of a published matrix.

  Where it is fused, R is the sum of the ranks.
  """
  if parts[0][0].num_parts == 1:
    return parts[0][1], parts[0][2]
  height, rank = parts[0][2].shape
  second = np.zeros(
    (parts[0][0].num_parts * height, len(parts) * rank), np.float32
  )
  for number, (place, _, of_part) in enumerate(parts):
    rows = slice(place.part * height, (place.part + 1) * height)
    second[rows, number * rank : (number + 1) * rank] = of_part
  return np.concatenate([first for _, first, _ in parts]), second


def _describe(
  spec: LoraSpec, model: Model, modules: Mapping[str, Sequence[_Part]]
) -> dict[str, Any]:
  """The contents of adapter_config.json."""
  several = {module: len(p) for module, p in modules.items() if len(p) > 1}
  return {
    "peft_type": "LORA",
    "task_type": "CAUSAL_LM",
    "base_model_name_or_path": model.source,
    "revision": model.revision,
    "r": spec.rank,
    "lora_alpha": spec.alpha,
    # alpha / rank stays what it is where adapters are joined.
    "rank_pattern": {m: count * spec.rank for m, count in several.items()},
    "alpha_pattern": {m: count * spec.alpha for m, count in several.items()},
    "lora_dropout": 0.0,
    "bias": "none",
    "target_modules": _name_modules(model, list(modules)),
    "fan_in_fan_out": any(p[0][0].is_transposed for p in modules.values()),
    "inference_mode": True,
    "modules_to_save": None,
    "use_rslora": False,
  }


def _name_modules(model: Model, chosen: Sequence[str]) -> list[str]:
  """The modules by their last word, where all that end with it are adapted."""
  shapes = checkpoint.logical_shapes(model.config)
  places = (
    published_names.find_place(model.config.family, name)
    for name, shape in shapes.items()
    if len(shape) == 2
  )
  words = {module.rpartition(".")[2] for module in chosen}
  meant = {m for m in map(_module, places) if m.rpartition(".")[2] in words}
  return sorted(words) if meant == set(chosen) else list(chosen)


def _module(place: Place) -> str:
  return place.key.removesuffix(".weight")
