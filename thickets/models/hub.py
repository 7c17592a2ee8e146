"""Models in and out: `load` a published one, `save` one that others can load.

A directory, a GGUF file and the id of a model on the Hugging Face hub are the same
thing to `load` (`sources`). The hub's libraries are imported where they are used, so that a model of
random weights (`make_model`) needs none of them.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jax.typing import DTypeLike
from jaxtyping import PRNGKeyArray

from thickets import naming
from thickets.errors import UserError
from thickets.models import (
  checkpoint,
  config_export,
  families,
  generation_defaults,
  memory,
  sources,
  streaming,
  tokenizer_export,
  tokenizer_files,
  transformer,
)
from thickets.models.config import TransformerConfig
from thickets.models.vision import joined, processor_files
from thickets.models.vision import tower as vision_tower
from thickets.models.vision.config import VisionConfig, VisionModel
from thickets.naming import Params


@dataclasses.dataclass(frozen=True, eq=False)
class Model:
  """A transformer with its weights and all that was published with it.

  Attributes:
    config: the architecture.
    params: the weights, layers stacked.
    tokenizer: a tokenizer of `transformers`, None where there is none.
    identity: the hash over the weights as stored, see `naming.identify`; over
      those of a GGUF file as float32, whatever `dtype` they are cast to.
    revision: the commit on the hub, None where it does not come from there.
    source: the name that was asked for.
    dtype: the dtype in which the weights are held.
    fields: the contents of config.json.
    generation: the contents of generation_config.json, None where there is none.
    stop_tokens: ids of the tokens that end a text.
    published_tokenizer: the files of the tokenizer, None where it has none.
    vision: of a vision-language model, whose `params` have the subtree `visual`,
      its tower and how it is fed; otherwise None.
    gguf_file: of a model that was loaded from a GGUF file, the file's SHA-256 and
      how many tensors are stored in which type, as JSON values; otherwise None.
  """

  config: TransformerConfig
  params: Params
  tokenizer: Any
  identity: str
  revision: str | None
  source: str
  dtype: np.dtype
  fields: Mapping[str, Any]
  generation: Mapping[str, Any] | None
  stop_tokens: tuple[int, ...]
  published_tokenizer: tokenizer_export.PublishedTokenizer | None = None
  gguf_file: Mapping[str, Any] | None = None
  vision: VisionModel | None = None


def load(
  name_or_dir: str | pathlib.Path,
  *,
  revision: str | None = None,
  dtype: DTypeLike | None = jnp.float32,
  mesh: Mesh | None = None,
) -> Model:
  """Loads a model from a directory, a GGUF file, a package or the hub.

  All that can be known before weights are read is checked before. Weights are
  read tensor by tensor, cast and laid out on the way, and never held twice.

  Args:
    name_or_dir: a directory, a GGUF file, the id of a model on the hub,
      shipped/... for a model that comes with this package, or package:... for
      one that another package ships (`packages.PACKAGED`).
    revision: a branch, tag or commit on the hub, the main branch by default.
    dtype: the dtype in which the weights are held; None for that in which they
      are stored, which is float32 for a GGUF file.
    mesh: the devices, with an axis `model`, over which the weights are divided;
      None for the default device.

  Raises:
    UserError: if the model cannot be found or reached, is not supported, does
      not fit into memory, or its files do not fit each other.
  """
  source = sources.find(str(name_or_dir), revision)
  config = families.parse_config(source.fields)
  tower = families.parse_vision(source.fields)
  dtype = None if dtype is None else _check_dtype(dtype, tower)
  tokenizer = source.load_tokenizer()
  # At once, since the files may change while weights are read.
  published_tokenizer = source.publish_tokenizer(tokenizer)
  tokenizer_files.check_vocabulary(tokenizer, config)
  text_fields = families.read_text_fields(source.fields)
  stop_tokens = tokenizer_files.find_stop_tokens(
    text_fields, source.generation, tokenizer, config.vocab_size
  )
  vision = None
  if tower is not None:
    vision = processor_files.make_vision_model(
      source.fields,
      tower,
      config.vocab_size,
      tokenizer,
      source.read_processor(),
    )
  if dtype is not None:
    memory.check_fits(config, dtype, mesh, tower)
  stored = source.open_weights(config, tower)
  if dtype is None:
    dtype = _check_dtype(_stored_dtype(stored), tower)
    memory.check_fits(config, dtype, mesh, tower)
  generation_defaults.report(str(name_or_dir), source.generation, text_fields)
  params, identity = streaming.read_params(config, stored, dtype, mesh, tower)
  return Model(
    config=config,
    params=params,
    tokenizer=tokenizer,
    identity=identity,
    revision=source.revision,
    source=str(name_or_dir),
    dtype=dtype,
    fields=source.fields,
    generation=source.generation,
    stop_tokens=stop_tokens,
    published_tokenizer=published_tokenizer,
    gguf_file=source.describe_file(),
    vision=vision,
  )


def save(
  directory: str | pathlib.Path,
  model: Model,
  *,
  params: Params | None = None,
  max_shard_bytes: float = 5e9,
) -> None:
  """Writes a directory that `load` and `transformers` load.

  config.json is written last: without it a directory is not a model. The files
  of a tokenizer are those that it was loaded from, byte for byte, unless it was
  changed.

  Args:
    directory: a directory that is new or empty.
    model: the model whose config, tokenizer and weights are written.
    params: weights in place of the model's own, such as those of an expert. The
      tower is the model's own where they have none.
    max_shard_bytes: how many bytes a file of weights has at most.

  Raises:
    UserError: if the directory is not empty, `params` has other shapes, or
      `max_shard_bytes` is not a positive number.
  """
  if not max_shard_bytes > 0:
    raise UserError(f"max_shard_bytes must be positive, got {max_shard_bytes}.")
  if params is None:
    params = model.params
  elif model.vision is not None:  # What comes later counts.
    params = {joined.VISUAL: model.params[joined.VISUAL], **params}
  dtype = _check_params(model, params)
  path = pathlib.Path(directory).expanduser()
  if path.exists() and (not path.is_dir() or any(path.iterdir())):
    raise UserError(
      f"A model must be saved in a new or empty directory, got {path}. Remove"
      " it, or name another."
    )
  path.mkdir(parents=True, exist_ok=True)
  checkpoint.write_weights(
    path, model.config, params, max_shard_bytes=max_shard_bytes
  )
  tokenizer_export.write(path, model.tokenizer, model.published_tokenizer)
  for name, content in (model.vision.files if model.vision else {}).items():
    (path / name).write_bytes(content)
  if model.generation is not None:
    _write_json(path / "generation_config.json", model.generation)
  _write_json(
    path / "config.json", config_export.export_fields(model.fields, dtype)
  )


def make_model(
  fields: Mapping[str, Any],
  key: PRNGKeyArray,
  dtype: DTypeLike = jnp.float32,
  tokenizer: Any = None,
  preprocessor: Mapping[str, Any] | None = None,
) -> Model:
  """A model with random weights.

  Args:
    fields: the contents of a config.json.
    key: the random key of the weights.
    dtype: the dtype in which the weights are held.
    tokenizer: a tokenizer of `transformers`, or None.
    preprocessor: of a vision-language model, the contents of its
      preprocessor_config.json; otherwise None.
  """
  config = families.parse_config(fields)
  tower = families.parse_vision(fields)
  tokenizer_files.check_vocabulary(tokenizer, config)
  dtype = _check_dtype(dtype, tower)
  vision = None
  if tower is not None:
    files = processor_files.write_file(preprocessor)
    vision = processor_files.make_vision_model(
      fields, tower, config.vocab_size, tokenizer, files
    )
  memory.check_fits(config, dtype, vision=tower)
  # Compiled, so that no second copy is held in float32.
  init = jax.jit(joined.init, static_argnums=(0, 1, 3))
  params = init(config, tower, key, dtype)
  return Model(
    config=config,
    params=params,
    tokenizer=tokenizer,
    identity=naming.identify(params, transformer.tensor_names(params)),
    revision=None,
    source="random weights",
    dtype=dtype,
    fields=dict(fields),
    generation=None,
    stop_tokens=tokenizer_files.find_stop_tokens(
      families.read_text_fields(fields), None, tokenizer, config.vocab_size
    ),
    vision=vision,
  )


def _check_dtype(
  dtype: DTypeLike, tower: VisionConfig | None = None
) -> np.dtype:
  dtype = np.dtype(dtype)
  if dtype not in (np.float32, np.float16, jnp.bfloat16):
    raise UserError(
      f"dtype must be float32, bfloat16 or float16, got {dtype.name}."
    )
  if tower is not None:
    vision_tower.check_dtype(tower, dtype)
  return dtype


def _stored_dtype(stored: streaming.Weights) -> np.dtype:
  dtypes = {stored.dtype(name) for name in stored.names}
  if len(dtypes) > 1:
    raise UserError(
      "dtype must be given for weights that are stored in several, got"
      f" {sorted(dtype.name for dtype in dtypes)}. Pass dtype."
    )
  return dtypes.pop()


def _check_params(model: Model, params: Params) -> np.dtype:
  """Refuses weights of another model; returns the dtype of the embedding."""
  tower = None if model.vision is None else model.vision.config
  template = joined.abstract_params(model.config, tower, jnp.float32)
  expected = {path: leaf.shape for path, leaf in _by_path(template)}
  found = {path: leaf.shape for path, leaf in _by_path(params)}
  if expected != found:
    wrong = sorted(
      path
      for path in expected.keys() | found.keys()
      if expected.get(path) != found.get(path)
    )
    raise UserError(
      f"params must have the model's tensors, got {wrong[0]} of shape"
      f" {found.get(wrong[0])} where the model has {expected.get(wrong[0])}."
      " Pass weights of the same model, layers stacked."
    )
  return np.dtype(params["embed_tokens"].dtype)


def _by_path(tree: Params) -> Iterator[tuple[str, Any]]:
  for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
    yield jax.tree_util.keystr(path, simple=True, separator="."), leaf


def _write_json(path: pathlib.Path, contents: Mapping[str, Any]) -> None:
  """Writes whole or not at all."""
  partial = path.with_name(path.name + ".partial")
  text = json.dumps(contents, indent=2, sort_keys=True) + "\n"
  partial.write_text(text, encoding="utf-8")
  partial.replace(path)
