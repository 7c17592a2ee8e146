"""The decoder-only transformer of the families that people load.

Its weights are a nested dict; layers are stacked along the first axis of every
leaf below `layers`. `apply` reads whole texts; `generation` continues texts with
the parts (`contexts.make_contexts`, `embed`, `run_layers`, `unembed`) and a KV
cache.
"""

import dataclasses
import functools
import math
from typing import Any, TypeVar, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
from absl import logging
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, PRNGKeyArray

from thickets import naming
from thickets.models import attention
from thickets.models.attention import KVCache
from thickets.models.config import TransformerConfig
from thickets.models.contexts import Context, make_contexts
from thickets.models.layers import Attend, Ends, Layer
from thickets.models.vision.config import STACKED
from thickets.models.vision.images import Images
from thickets.naming import Names, Params

Cache = TypeVar("Cache", bound=KVCache | None)

# The axes of the mesh over which a member is divided. The second is there where
# `model` has more devices than heads can be divided over; see `fit_mesh`.
MODEL_AXES = ("model", "model_rest")


def run_layers(
  config: TransformerConfig,
  layers: Params | tuple[Params, ...],
  x: Float[Array, "B S D"],
  contexts: tuple[Context, ...],
  attend: Attend,
  cache: Cache,
  images: Images | None = None,
) -> tuple[Float[Array, "B S D"], Cache]:
  """Runs all layers, handing the KV cache from one to the next.

  Args:
    config: the architecture.
    layers: the layers' weights, stacked (then one layer is compiled and scanned)
      or a tuple of layers (then each is compiled, and none is copied out of the
      stack).
    x: [B, S, D] embedded tokens.
    contexts: what each kind of layer knows about the positions.
    attend: see `Attend`.
    cache: what `attend` reads and writes; None where it needs none.
    images: what the first layers add for the images among the tokens; None where
      there are none.

  Returns:
    [B, S, D] the output of the last layer, and the KV cache afterwards.
  """
  module = Layer(config)

  def run(layer, params, context, x, cache):
    y, cache = module.apply(
      {"params": params}, x, context, functools.partial(attend, cache, layer)
    )
    if images is not None:
      y = images.add_after(layer, cast(Array, y))
    return cast(Array, y), cast(Cache, cache)

  if isinstance(layers, tuple):
    for layer, params in enumerate(layers):
      context = contexts[config.layer_kinds[layer]]
      x, cache = run(layer, params, context, x, cache)
    return x, cache

  stacked_contexts = jax.tree.map(lambda *leaves: jnp.stack(leaves), *contexts)

  def step(carry, inputs):
    layer, kind, params = inputs
    context = contexts[0]
    if len(contexts) > 1:
      context = jax.tree.map(lambda leaf: leaf[kind], stacked_contexts)
    return run(layer, params, context, *carry), None

  indices = jnp.arange(config.num_layers)
  kinds = jnp.asarray(config.layer_kinds)
  (x, cache), _ = lax.scan(step, (x, cache), (indices, kinds, layers))
  return x, cache


def embed(
  config: TransformerConfig,
  params: Params,
  tokens: Int[Array, "B S"],
  positions: Int[Array, "B S"],
  images: Images | None = None,
) -> Float[Array, "B S D"]:
  """Embeds tokens at their positions, which are not below zero.

  Those of images become the features that `images` puts in their place.
  """
  x = Ends(config).apply(
    {"params": _ends(params)}, tokens, positions, method="embed"
  )
  return cast(Array, x) if images is None else images.place(cast(Array, x))


def unembed(
  config: TransformerConfig, params: Params, x: Float[Array, "... D"]
) -> Float[Array, "... V"]:
  """The logits of vectors, in float32."""
  logits = Ends(config).apply({"params": _ends(params)}, x, method="unembed")
  return cast(Array, logits)


def apply(
  config: TransformerConfig,
  params: Params,
  tokens: Int[Array, "B S"],
  images: Images | None = None,
) -> Float[Array, "B S V"]:
  """Logits in float32 after every token, each row a text from its beginning.

  Args:
    config: the architecture.
    params: the weights, layers stacked, as from `init`.
    tokens: [B, S] token ids, S at most `config.context`.
    images: the images among them; all can be differentiated by their features.
  """
  return unembed(config, params, read(config, params, tokens, images))


def read(
  config: TransformerConfig,
  params: Params,
  tokens: Int[Array, "B S"],
  images: Images | None = None,
) -> Float[Array, "B S D"]:
  """The output of the last layer after every token; `unembed` makes it logits.

  Args:
    config: the architecture.
    params: the weights, layers stacked, as from `init`.
    tokens: [B, S] token ids, S at most `config.context`.
    images: the images among them.
  """
  rows, steps = tokens.shape
  if steps > config.context:
    raise ValueError(
      f"Texts must have at most {config.context} tokens, the model's context,"
      f" got {steps}."
    )
  positions = jnp.broadcast_to(jnp.arange(steps)[None], (rows, steps))
  x = embed(config, params, tokens, positions, images)
  contexts = make_contexts(
    config,
    positions,
    (positions,),
    num_positions=steps,
    rope_positions=None if images is None else images.positions,
  )

  def attend(cache, layer, context, query, key, value):
    del layer
    piece = (_heads_first(key), _heads_first(value), context.visible[0])
    return attention.attend(query, [piece]), cache

  x, _ = run_layers(config, params["layers"], x, contexts, attend, None, images)
  return x


def init(
  config: TransformerConfig, key: PRNGKeyArray, dtype: DTypeLike = jnp.float32
) -> Params:
  """Random weights: normal matrices, norms of one, biases of zero."""
  params = nn.meta.unbox(_init_boxed(config, key))
  return jax.tree.map(lambda leaf: leaf.astype(dtype), params)


def abstract_params(config: TransformerConfig, dtype: DTypeLike) -> Params:
  """The tree of weights as shapes and a dtype, without weights."""
  return jax.tree.map(
    lambda leaf: jax.ShapeDtypeStruct(leaf.shape, dtype),
    nn.meta.unbox(_boxed_shapes(config)),
  )


def fit_mesh(config: TransformerConfig, mesh: Mesh) -> Mesh:
  """The mesh whose axis `model` divides the heads of keys and values.

  Heads are never cut. Where the devices of a member do not divide their number,
  as many of them do as can: the axis `model` gets that size, and an axis
  `model_rest` the rest, over which all that can be is divided further. Attention
  is then computed as often as that.

  Args:
    config: the architecture.
    mesh: the devices, with an axis `model`.
  """
  size = mesh.shape["model"]
  fitting = math.gcd(size, config.num_kv_heads)
  if "model_rest" in mesh.shape or fitting in (1, size):
    return mesh
  sizes = {}
  for name, count in mesh.shape.items():
    parts = (fitting, size // fitting) if name == "model" else (count,)
    names = MODEL_AXES if name == "model" else (name,)
    sizes |= dict(zip(names, parts, strict=True))
  return Mesh(
    mesh.devices.reshape(tuple(sizes.values())),
    tuple(sizes),
    axis_types=(AxisType.Auto,) * len(sizes),
  )


def count_model_devices(mesh: Mesh) -> int:
  """How many devices of a mesh share a member."""
  return math.prod(mesh.shape.get(axis, 1) for axis in MODEL_AXES)


def shardings(config: TransformerConfig, mesh: Mesh) -> Params:
  """How each leaf lies on a mesh, by its logical axes.

  An axis that the devices do not divide (an odd vocabulary, heads: see
  `fit_mesh`) is divided over fewer of them, or stays whole; the log says which do.
  Experts are divided, or, where the devices do not divide their number, each of
  them is.
  """
  mesh = fit_mesh(config, mesh)
  sizes = {
    "vocab": config.vocab_size,
    "heads": config.num_heads,
    "kv_heads": config.num_kv_heads,
    "mlp": config.mlp_width,
  }
  if config.mixture is not None:
    del sizes["mlp"]
    sizes["experts"] = config.mixture.num_experts
    sizes["expert_mlp"] = config.mlp_width
  mesh_axes = {name: _divide(size, mesh) for name, size in sizes.items()}
  if sizes.get("experts", 0) % count_model_devices(mesh):
    mesh_axes["experts"] = (
      None  # Over all devices or none: see `group_experts`.
    )
  whole = sorted(name for name, axes in mesh_axes.items() if axes is None)
  if whole:
    logging.info(
      "%s stay whole: %s are not divisible by %d devices",
      whole,
      [sizes[axis] for axis in whole],
      count_model_devices(mesh),
    )
  if mesh_axes.get("experts") is not None:
    del mesh_axes["expert_mlp"]

  def place(path, box):
    axes = tuple(mesh_axes.get(axis) for axis in box.names)
    is_stacked = path[0].key == "layers"
    return NamedSharding(
      mesh, PartitionSpec(*((None,) if is_stacked else ()), *axes)
    )

  return jax.tree_util.tree_map_with_path(
    place, _boxed_shapes(config), is_leaf=_is_box
  )


def _divide(count: int, mesh: Mesh) -> str | tuple[str, ...] | None:
  """The axes of a mesh that divide so many parts: all of a member's, or fewer."""
  if count % mesh.shape["model"]:
    return None
  is_even = count % count_model_devices(mesh) == 0
  return MODEL_AXES if "model_rest" in mesh.shape and is_even else "model"


def group_experts(config: TransformerConfig, mesh: Mesh) -> TransformerConfig:
  """The config whose experts run where `shardings` puts them."""
  mixture, size = config.mixture, count_model_devices(mesh)
  if mixture is None or mixture.num_experts % size:
    return config
  mixture = dataclasses.replace(mixture, num_groups=size)
  return dataclasses.replace(config, mixture=mixture)


def tensor_names(params: Params) -> Names:
  """Logical names of the tensors: `layers.3.mlp.up_proj`, `embed_tokens`.

  Each expert of a mixture has its own: `layers.3.mlp.experts.5.up_proj`. Those of
  a tower, where the tree has one, lie below `visual`: `visual.blocks.3.attn.qkv`.
  """
  stacked = ["layers"]
  if "experts" in params["layers"]["mlp"]:
    stacked.append("layers.mlp.experts")
  for name in STACKED:
    if name in params.get("visual", {}):
      stacked.append(f"visual.{name}")
  return naming.tensor_names(params, stacked=stacked)


def count_params(config: TransformerConfig) -> int:
  """Number of weights, the embedding included."""
  shapes = jax.tree.leaves(abstract_params(config, jnp.float32))
  return sum(math.prod(leaf.shape) for leaf in shapes)


def count_layer_params(config: TransformerConfig) -> int:
  """Number of weights of one layer; all layers have as many."""
  layers = jax.tree.leaves(abstract_params(config, jnp.float32)["layers"])
  return sum(math.prod(leaf.shape[1:]) for leaf in layers)


@functools.lru_cache(maxsize=64)
def _boxed_shapes(config: TransformerConfig) -> Params:
  """Shapes and logical axes of the weights, kept since tracing them is slow."""
  return jax.eval_shape(lambda: _init_boxed(config, jax.random.key(0)))


def _init_boxed(config: TransformerConfig, key: PRNGKeyArray) -> Params:
  """Weights in float32, each in a box with its logical axes."""
  ends_key, layers_key = jax.random.split(key)
  tokens = jnp.zeros((1, 1), jnp.int32)
  x = jnp.zeros((1, 1, config.width))
  context = make_contexts(config, tokens, (tokens,), num_positions=1)[0]

  def init_layer(layer_key):
    module = Layer(config)
    return module.init(layer_key, x, context, _echo)["params"]

  ends = Ends(config).init(ends_key, tokens)["params"]
  layer_keys = jax.random.split(layers_key, config.num_layers)
  return {**ends, "layers": jax.vmap(init_layer)(layer_keys)}


def _ends(params: Params) -> Params:
  others = ("layers", "visual")
  return {name: leaf for name, leaf in params.items() if name not in others}


def _heads_first(x: Array) -> Array:
  return x.transpose(0, 2, 1, 3)


def _echo(
  context: Any, query: Array, key: Array, value: Array
) -> tuple[Array, None]:
  """Stands for attention where only shapes matter."""
  del context, key, value
  return query, None


def _is_box(leaf: Any) -> bool:
  return isinstance(leaf, nn.meta.Partitioned)
