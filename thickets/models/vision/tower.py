"""The towers of Qwen2.5-VL and Qwen3-VL: from patches to features.

Weights are a nested dict whose paths are the published names; those of blocks are
stacked along their first axis. All functions here are pure; `encode` adds what a
host does around them.

References: Qwen2.5-VL (arXiv:2502.13923), Qwen3-VL (arXiv:2511.21631).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Num, PRNGKeyArray

from thickets.errors import UserError
from thickets.models import attention, rope
from thickets.models.vision import places
from thickets.models.vision.config import VisionConfig
from thickets.models.vision.pixels import Prepared
from thickets.models.vision.places import Inputs
from thickets.naming import Params

_EPS = np.float32(1e-6)  # Of norms; the published towers have it fixed.
_THETA = 10_000.0  # Of rotary frequencies, fixed too.
_MASKED = -1e30  # Finite, so that a row that sees nothing makes no NaN.
# Products of a query and a key that attention holds at once, for each head.
_MAX_SCORES = 1 << 24
_MAX_BATCH = 64  # Images that run together at most.


@dataclasses.dataclass(frozen=True, eq=False)
class Features:
  """What a tower makes of one image.

  Attributes:
    tokens: [T, D] the features that stand in place of its tokens' embeddings.
    deepstack: [K, T, D] those that are added behind each of the first K layers of
      the text model; K is 0 for towers without them.
  """

  tokens: Num[np.ndarray, "T D"]
  deepstack: Num[np.ndarray, "K T D"]


def apply(
  config: VisionConfig, params: Params, inputs: Inputs
) -> tuple[Float[Array, "T D"], Float[Array, "K T D"]]:
  """The features of one image, in the dtype of the weights.

  Args:
    config: the tower.
    params: its weights, as from `init`: the subtree `visual` of a model's.
    inputs: the image, see `places.make_inputs`; with padding, the first features
      are the image's and the others mean nothing. `jax.vmap` over it runs several
      of one shape.

  Returns:
    [T, D] the features of its tokens, and [K, T, D] those for deepstack.
  """
  inputs = jax.tree.map(jnp.asarray, inputs)
  x = _embed(config, params, inputs)
  angles = _find_angles(config, inputs)
  slots = np.full(config.num_blocks, len(config.deepstack_blocks), np.int32)
  slots[list(config.deepstack_blocks)] = range(len(config.deepstack_blocks))
  taps = jnp.zeros((len(config.deepstack_blocks), *x.shape), x.dtype)

  def step(carry, block):
    x, taps = carry
    weights, is_full, slot = block
    x = _run_block(config, weights, x, inputs, angles, is_full)
    if len(config.deepstack_blocks):
      taps = taps.at[slot].set(x, mode="drop")
    return (x, taps), None

  blocks = (params["blocks"], jnp.asarray(config.is_full), jnp.asarray(slots))
  (x, taps), _ = lax.scan(step, (x, taps), blocks)
  tokens = _merge(config, params["merger"], x, is_shuffled_first=False)
  if not config.deepstack_blocks:
    return tokens, jnp.zeros((0, *tokens.shape), tokens.dtype)
  merge_tap = functools.partial(_merge, config, is_shuffled_first=True)
  return tokens, jax.vmap(merge_tap)(params["deepstack_merger_list"], taps)


def _embed(config: VisionConfig, params: Params, inputs: Inputs) -> Array:
  """[N, width] the embedded patches, with their learned positions."""
  weights = params["patch_embed"]
  kernel = weights["proj"]  # [width, channels, frames, side, side].
  # The patches do not overlap: the convolution is one product.
  matrix = {"proj": kernel.reshape(kernel.shape[0], -1)}
  if "proj_bias" in weights:
    matrix["proj_bias"] = weights["proj_bias"]
  x = _linear(matrix, "proj", inputs.patches.astype(kernel.dtype))
  if config.table_side is not None:
    table = params["pos_embed"].astype(jnp.float32)
    near = table[inputs.corners] * inputs.shares[:, :, None]
    x = x + near.sum(1).astype(x.dtype)
  return x


def _find_angles(config: VisionConfig, inputs: Inputs) -> tuple[Array, Array]:
  """[1, N, head_dim / 2] cosines and sines, half by rows and half by columns."""
  half = config.head_dim // 2
  frequencies = np.float32(1) / np.float32(_THETA) ** (
    np.arange(0, half, 2, dtype=np.float32) / np.float32(half)
  )
  angles = (
    inputs.places.astype(jnp.float32)[:, :, None] * frequencies[None, None]
  )
  angles = angles.reshape(1, len(inputs.places), half)
  return jnp.cos(angles), jnp.sin(angles)


def _run_block(
  config: VisionConfig,
  weights: Params,
  x: Array,
  inputs: Inputs,
  angles: tuple[Array, Array],
  is_full: Array,
) -> Array:
  """[N, width] one block: attention and MLP, each added to its input."""
  heads = _linear(weights["attn"], "qkv", _norm(weights, "norm1", x))
  # Queries, keys and values of all heads, in this order.
  query, key, value = heads.reshape(
    len(x), 3, config.num_heads, config.head_dim
  ).swapaxes(0, 1)
  query = rope.rotate(query[None], *angles)[0]
  key = rope.rotate(key[None], *angles)[0]
  query = attention.scale(query, config.head_dim**-0.5)
  if config.window is None:
    mixed = _attend_all(query, key, value, inputs.is_patch)
  else:
    mixed = lax.cond(
      is_full,
      lambda q, k, v: _attend_all(q, k, v, inputs.is_patch),
      lambda q, k, v: _attend_windows(q, k, v, inputs.windows),
      *(query, key, value),
    )
  x = x + _linear(weights["attn"], "proj", mixed.reshape(x.shape))
  return x + _feed_forward(config, weights["mlp"], _norm(weights, "norm2", x))


def _attend_all(query: Array, key: Array, value: Array, is_key: Array) -> Array:
  """[N, H, d] attention over the whole image, a part of the queries at a time."""
  count = len(query)
  step = max(1, _MAX_SCORES // count)
  if step >= count:
    return _attend(query, key, value, is_key)
  while count % step:  # Sizes have few divisors but powers of two.
    step -= 1
  parts = query.reshape(count // step, step, *query.shape[1:])
  attend = functools.partial(_attend, key=key, value=value, is_key=is_key)
  return lax.map(attend, parts).reshape(query.shape)


def _attend_windows(
  query: Array, key: Array, value: Array, windows: Array
) -> Array:
  """[N, H, d] attention within windows, whose patches are gathered."""
  is_key = windows >= 0
  taken = jnp.maximum(windows, 0)
  mixed = jax.vmap(_attend)(query[taken], key[taken], value[taken], is_key)
  # Back to where each was taken from; what no window has is dropped.
  target = jnp.where(is_key, windows, len(query)).reshape(-1)
  rows = mixed.reshape(-1, *query.shape[1:])
  return jnp.zeros_like(query).at[target].set(rows, mode="drop")


def _attend(query: Array, key: Array, value: Array, is_key: Array) -> Array:
  """[Q, H, d] softmax attention over the keys that are there, in float32."""
  precision = attention.precision(query.dtype)
  scores = jnp.einsum(
    "qhd,khd->hqk",
    query,
    key,
    preferred_element_type=jnp.float32,
    precision=precision,
  )
  scores = jnp.where(is_key[None, None], scores, jnp.float32(_MASKED))
  shares = jax.nn.softmax(scores, axis=-1).astype(value.dtype)
  return jnp.einsum("hqk,khd->qhd", shares, value, precision=precision)


def _feed_forward(config: VisionConfig, weights: Params, x: Array) -> Array:
  if config.has_gate:
    gate = jax.nn.silu(_linear(weights, "gate_proj", x))
    return _linear(weights, "down_proj", gate * _linear(weights, "up_proj", x))
  hidden = jax.nn.gelu(_linear(weights, "linear_fc1", x), approximate=True)
  return _linear(weights, "linear_fc2", hidden)


def _merge(
  config: VisionConfig, weights: Params, x: Array, *, is_shuffled_first: bool
) -> Array:
  """[N / merge², D] the patches of each token, side by side, made one vector."""
  wide = (-1, config.width * config.merge**2)
  norm, (first, parts), last = (
    ("norm", ("linear_fc1", weights), "linear_fc2")
    if config.has_layer_norm
    else ("ln_q", ("0", weights["mlp"]), "2")
  )
  if is_shuffled_first:
    x = x.reshape(wide)
  x = _norm(weights, norm, x).reshape(wide)
  x = jax.nn.gelu(_linear(parts, first, x), approximate=False)
  return _linear(parts, last, x)


def _norm(weights: Params, name: str, x: Array) -> Array:
  """RMSNorm, or LayerNorm where there is a bias, computed in float32."""
  wide = x.astype(jnp.float32)
  bias = weights.get(f"{name}_bias")
  if bias is not None:
    wide = wide - wide.mean(-1, keepdims=True)
  square = (wide * wide).mean(-1, keepdims=True)
  wide = wide * lax.rsqrt(square + _EPS)
  wide = wide * weights[name].astype(jnp.float32)[None]
  if bias is not None:
    wide = wide + bias.astype(jnp.float32)[None]
  return wide.astype(x.dtype)


def _linear(weights: Params, name: str, x: Array) -> Array:
  """A product with a matrix [outputs, inputs], and its bias if it has one."""
  precision = attention.precision(x.dtype)
  y = jnp.einsum("nd,fd->nf", x, weights[name], precision=precision)
  bias = weights.get(f"{name}_bias")
  return y if bias is None else y + bias.astype(y.dtype)[None]


def encode(
  config: VisionConfig, params: Params, prepared: Sequence[Prepared]
) -> list[Features]:
  """The features of images, in order, on the host.

  Images whose numbers of patches and windows round up to the same sizes run
  together: a full batch, then one by one, so that each shape is compiled twice at
  most. An image has the same features whichever others it comes with.

  Args:
    config: the tower.
    params: its weights: the subtree `visual` of a model's.
    prepared: the images.

  Returns:
    The features of each, in the dtype of the weights.

  Raises:
    UserError: if the weights are float16, in which activations overflow.
  """
  check_dtype(config, jax.tree.leaves(params)[0].dtype)
  inputs = [places.make_inputs(config, image) for image in prepared]
  groups: dict[tuple[int, ...], list[int]] = {}
  for i, one in enumerate(inputs):
    groups.setdefault(one.shape, []).append(i)
  features: dict[int, Features] = {}
  for shape, members in groups.items():
    size = max(1, min(_MAX_BATCH, _MAX_SCORES // shape[0] ** 2))
    whole = len(members) // size * size
    batches = [members[i : i + size] for i in range(0, whole, size)]
    for batch in batches + [[i] for i in members[whole:]]:
      stacked = places.stack_inputs([inputs[i] for i in batch])
      tokens, deepstack = jax.device_get(_run(config, params, stacked))
      for row, i in enumerate(batch):
        count = prepared[i].num_tokens
        features[i] = Features(tokens[row, :count], deepstack[row, :, :count])
  return [features[i] for i in range(len(prepared))]


@functools.partial(jax.jit, static_argnums=0)
def _run(config: VisionConfig, params: Params, inputs: Inputs) -> Any:
  """`apply` on several images of one shape."""
  run = functools.partial(apply, config, params)
  return jax.vmap(run)(inputs)


def check_dtype(config: VisionConfig, dtype: DTypeLike) -> None:
  """Refuses float16, in which activations of the published towers overflow."""
  if np.dtype(dtype) == np.float16:
    raise UserError(
      f"dtype must be float32 or bfloat16 for a {config.family} model, got"
      " float16: activations of its tower overflow. Load it with dtype bfloat16."
    )


def init(
  config: VisionConfig, key: PRNGKeyArray, dtype: DTypeLike = jnp.float32
) -> Params:
  """Random weights: normal matrices, norms of one, biases of zero."""
  check_dtype(config, dtype)
  template = abstract_params(config, dtype)
  leaves, structure = jax.tree_util.tree_flatten_with_path(template)
  is_drawn = [
    not name.endswith("_bias") and name not in _NORMS
    for name in (path[-1].key for path, _ in leaves)
  ]
  sizes = [
    leaf.size
    for (_, leaf), drawn in zip(leaves, is_drawn, strict=True)
    if drawn
  ]
  # All at once: to draw each on its own takes a minute to compile.
  values = jax.random.normal(key, (sum(sizes),)) * np.float32(config.init_std)
  parts = iter(jnp.split(values.astype(dtype), np.cumsum(sizes)[:-1]))

  def fill(path: Any, leaf: Any, drawn: bool) -> Array:
    if drawn:
      return next(parts).reshape(leaf.shape)
    is_norm = path[-1].key in _NORMS
    return jnp.full(leaf.shape, float(is_norm), leaf.dtype)

  filled = [
    fill(path, leaf, drawn)
    for (path, leaf), drawn in zip(leaves, is_drawn, strict=True)
  ]
  return jax.tree.unflatten(structure, filled)


_NORMS = ("norm1", "norm2", "norm", "ln_q")


def abstract_params(config: VisionConfig, dtype: DTypeLike) -> Params:
  """The tree of weights as shapes and a dtype, without weights."""
  width, wide = config.width, config.width * config.merge**2
  has_bias = config.has_layer_norm

  def norm(name: str, size: int) -> dict[str, tuple[int, ...]]:
    return {name: (size,)} | ({f"{name}_bias": (size,)} if has_bias else {})

  def linear(name: str, outputs: int, inputs: int) -> dict[str, Any]:
    return {name: (outputs, inputs), f"{name}_bias": (outputs,)}

  def merger(norm_size: int) -> dict[str, Any]:
    if config.has_layer_norm:
      return {
        **norm("norm", norm_size),
        **linear("linear_fc1", wide, wide),
        **linear("linear_fc2", config.out_width, wide),
      }
    mlp = {**linear("0", wide, wide), **linear("2", config.out_width, wide)}
    return {**norm("ln_q", norm_size), "mlp": mlp}

  if config.has_gate:
    mlp = linear("gate_proj", config.mlp_width, width)
    mlp |= linear("up_proj", config.mlp_width, width)
    mlp |= linear("down_proj", width, config.mlp_width)
  else:
    mlp = linear("linear_fc1", config.mlp_width, width)
    mlp |= linear("linear_fc2", width, config.mlp_width)
  attn = linear("qkv", 3 * width, width) | linear("proj", width, width)
  block = {**norm("norm1", width), **norm("norm2", width)}
  side = config.patch
  kernel = (width, config.patch_width // (config.temporal * side**2))
  patch_embed: dict[str, Any] = {"proj": (*kernel, config.temporal, side, side)}
  if has_bias:
    patch_embed["proj_bias"] = (width,)

  def stack(tree: Any, count: int) -> Any:
    return jax.tree.map(lambda shape: (count, *shape), tree, is_leaf=_is_shape)

  tree = {
    "patch_embed": patch_embed,
    "blocks": stack({**block, "attn": attn, "mlp": mlp}, config.num_blocks),
    "merger": merger(width),
  }
  if config.table_side is not None:
    tree["pos_embed"] = (config.table_side**2, width)
  if config.deepstack_blocks:
    count = len(config.deepstack_blocks)
    tree["deepstack_merger_list"] = stack(merger(wide), count)
  return jax.tree.map(
    lambda shape: jax.ShapeDtypeStruct(shape, dtype), tree, is_leaf=_is_shape
  )


def _is_shape(tree: Any) -> bool:
  return isinstance(tree, tuple)
