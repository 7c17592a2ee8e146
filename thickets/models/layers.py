"""The parts of the transformer, as Flax modules.

Matrices are [outputs, inputs], as in the published files, so that a tensor's
noise is addressed as others store it.
"""

import functools
from collections.abc import Callable
from typing import Any, cast

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array

from thickets.models import attention, mixtures, rope
from thickets.models.config import Mixture, TransformerConfig


def _quick_gelu(x: Array) -> Array:
  return x * nn.sigmoid(1.702 * x)


_ACTIVATIONS = {
  "silu": nn.silu,
  "gelu": functools.partial(nn.gelu, approximate=False),
  "gelu_new": functools.partial(nn.gelu, approximate=True),
  "gelu_pytorch_tanh": functools.partial(nn.gelu, approximate=True),
  "quick_gelu": _quick_gelu,
  "relu": nn.relu,
}

# Maps (cache, layer, context, query, key, value) to the values that the query
# mixes and the KV cache afterwards, which is None where none is kept.
Attend = Callable[..., tuple[Array, Any]]


class _Module(nn.Module):
  """Parts with weights by name, in float32 and with their logical axes."""

  config: TransformerConfig

  def _weight(
    self,
    name: str,
    initializer: Callable[..., Array],
    shape: tuple[int, ...],
    axes: tuple[str | None, ...],
  ) -> Array:
    """A weight, with the logical name of each of its axes."""
    boxed = nn.with_partitioning(initializer, axes)
    # `param` takes weights out of their boxes, which its types do not tell.
    return cast(Array, self.param(name, boxed, shape))

  def _norm(self, name: str, x: Array, width: int | None = None) -> Array:
    """RMSNorm or LayerNorm over the last axis, computed in float32."""
    width = self.config.width if width is None else width
    ones, zeros = nn.initializers.ones, nn.initializers.zeros
    initializer = zeros if self.config.has_offset_norm else ones
    weight = self._weight(name, initializer, (width,), (None,))
    wide = x.astype(jnp.float32)
    if self.config.has_layer_norm:
      wide = wide - jnp.mean(wide, axis=-1, keepdims=True)
    square = jnp.mean(wide * wide, axis=-1, keepdims=True)
    wide = wide * lax.rsqrt(square + jnp.float32(self.config.norm_eps))
    factor = _along_last(weight, wide)
    if self.config.has_offset_norm:
      factor = 1 + factor
    wide = wide * factor
    if self.config.has_layer_norm:
      bias = self._weight(f"{name}_bias", zeros, (width,), (None,))
      wide = wide + _along_last(bias, wide)
    return wide.astype(x.dtype)

  def _linear(
    self,
    name: str,
    x: Array,
    features: int,
    *,
    axes: tuple[str | None, str | None],
    has_bias: bool,
  ) -> Array:
    """A product with a matrix [features, inputs], and a bias."""
    normal = nn.initializers.normal(self.config.init_std)
    weight = self._weight(name, normal, (features, x.shape[-1]), axes)
    y = jnp.einsum(
      "...d,fd->...f",
      x,
      weight.astype(x.dtype),
      precision=attention.precision(x.dtype),
    )
    if has_bias:
      bias = self._weight(
        f"{name}_bias", nn.initializers.zeros, (features,), axes[:1]
      )
      y = y + _along_last(bias, y).astype(y.dtype)
    return y


def _along_last(vector: Array, x: Array) -> Array:
  """A vector as float32, shaped to go along the last axis of `x`."""
  shape = (1,) * (x.ndim - 1) + vector.shape
  return vector.astype(jnp.float32).reshape(shape)


class Attention(_Module):
  """Grouped-query attention; what it reads from is up to `attend`."""

  @nn.compact
  def __call__(self, x: Array, context: Any, attend: Attend):
    """Maps x [B, S, D] to [B, S, D] and whatever `attend` adds."""
    config = self.config
    query = self._heads("q_proj", x, config.num_heads, "heads")
    key = self._heads("k_proj", x, config.num_kv_heads, "kv_heads")
    value = self._heads("v_proj", x, config.num_kv_heads, "kv_heads")
    if context.cosines is not None:
      query = rope.rotate(query, context.cosines, context.sines)
      key = rope.rotate(key, context.cosines, context.sines)
    multiplier = config.query_multiplier
    if multiplier is None:
      multiplier = config.head_dim**-0.5
    query = attention.scale(query, multiplier)
    mixed, cache = attend(context, query, key, value)
    y = self._linear(
      "o_proj",
      mixed.reshape(*x.shape[:2], -1),
      config.width,
      axes=(None, "heads"),
      has_bias=config.has_output_bias,
    )
    return y, cache

  def _heads(self, name: str, x: Array, num_heads: int, axis: str) -> Array:
    """Projects to heads [B, S, H, d], and norms them where the model does."""
    config = self.config
    y = self._linear(
      name,
      x,
      num_heads * config.head_dim,
      axes=(axis, None),
      has_bias=config.has_qkv_bias,
    )
    norm = name.replace("proj", "norm")
    is_normed = name != "v_proj"
    if is_normed and config.qk_norm == "all":
      y = self._norm(norm, y, y.shape[-1])
    y = y.reshape(*x.shape[:2], num_heads, config.head_dim)
    if is_normed and config.qk_norm == "head":
      y = self._norm(norm, y, config.head_dim)
    return y


class Experts(_Module):
  """The matrices of a mixture's experts, stacked over them."""

  @nn.compact
  def __call__(
    self, x: Array, mixture: Mixture, shares: Array, chosen: Array
  ) -> Array:
    """Maps x [T, D] to [T, D], by the experts chosen and their shares [T, C]."""
    config = self.config
    normal = nn.initializers.normal(config.init_std)
    wide = (mixture.num_experts, config.mlp_width, config.width)
    narrow = (mixture.num_experts, config.width, config.mlp_width)
    up_axes = ("experts", "expert_mlp", None)
    down_axes = ("experts", None, "expert_mlp")
    experts = {
      "gate_proj": self._weight("gate_proj", normal, wide, up_axes),
      "up_proj": self._weight("up_proj", normal, wide, up_axes),
      "down_proj": self._weight("down_proj", normal, narrow, down_axes),
    }
    activate = _ACTIVATIONS[config.activation]
    return mixtures.run_experts(mixture, x, shares, chosen, experts, activate)


class SparseFeedForward(_Module):
  """A router, and the experts that it chooses for each token."""

  @nn.compact
  def __call__(self, x: Array, mixture: Mixture) -> Array:
    """Maps x [B, S, D] to [B, S, D]."""
    tokens = x.reshape(-1, x.shape[-1])
    logits = self._linear(
      "gate", tokens, mixture.num_experts, axes=(None, None), has_bias=False
    )
    shares, chosen = mixtures.choose_experts(mixture, logits)
    experts = Experts(self.config, name="experts")
    return experts(tokens, mixture, shares, chosen).reshape(x.shape)


class FeedForward(_Module):
  """Two matrices with an activation between them, or three with a gate."""

  @nn.compact
  def __call__(self, x: Array) -> Array:
    """Maps x [B, S, D] to [B, S, D]."""
    config = self.config
    widen = functools.partial(
      self._linear,
      x=x,
      features=config.mlp_width,
      axes=("mlp", None),
      has_bias=config.has_mlp_bias,
    )
    activate = _ACTIVATIONS[config.activation]
    if config.has_gate:
      hidden = activate(widen("gate_proj")) * widen("up_proj")
    else:
      hidden = activate(widen("up_proj"))
    return self._linear(
      "down_proj",
      hidden,
      config.width,
      axes=(None, "mlp"),
      has_bias=config.has_mlp_bias,
    )


# The norms before and after attention and MLP, as published: one name means
# another place where both have two.
_NORM_NAMES = {
  "before": (("input_layernorm", "post_attention_layernorm"), (None, None)),
  "after": (
    (None, None),
    ("post_attention_layernorm", "post_feedforward_layernorm"),
  ),
  "both": (
    ("input_layernorm", "pre_feedforward_layernorm"),
    ("post_attention_layernorm", "post_feedforward_layernorm"),
  ),
}


class Layer(_Module):
  """Attention and a feed-forward part, each added to its input."""

  @nn.compact
  def __call__(self, x: Array, context: Any, attend: Attend):
    """Maps x [B, S, D] to [B, S, D] and whatever `attend` adds."""
    before, after = _NORM_NAMES[self.config.norm_places]
    y = self._norm_if(before[0], x)
    y, cache = Attention(self.config, name="self_attn")(y, context, attend)
    x = self._add(x, self._norm_if(after[0], y))
    y = self._norm_if(before[1], x)
    if self.config.mixture is None:
      y = FeedForward(self.config, name="mlp")(y)
    else:
      mlp = SparseFeedForward(self.config, name="mlp")
      y = mlp(y, self.config.mixture)
    x = self._add(x, self._norm_if(after[1], y))
    return x, cache

  def _norm_if(self, name: str | None, x: Array) -> Array:
    return x if name is None else self._norm(name, x)

  def _add(self, x: Array, y: Array) -> Array:
    return x + attention.scale(y, self.config.residual_multiplier)


class Ends(_Module):
  """What comes before and after the layers: embedding, last norm, head."""

  def setup(self):
    config = self.config
    normal = nn.initializers.normal(config.init_std)
    shape, axes = (config.vocab_size, config.width), ("vocab", None)
    self.embed_tokens = self._weight("embed_tokens", normal, shape, axes)
    if config.has_position_table:
      self.embed_positions = self._weight(
        "embed_positions", normal, (config.context, config.width), (None, None)
      )
    if not config.is_tied:
      self.lm_head = self._weight("lm_head", normal, shape, axes)

  def embed(self, tokens: Array, positions: Array) -> Array:
    """Maps tokens [B, S] at positions [B, S] to vectors [B, S, D]."""
    x = self.embed_tokens[tokens]
    multiplier = self.config.embedding_multiplier
    if self.config.is_multiplier_rounded:
      multiplier = float(np.asarray(multiplier, x.dtype))
    x = attention.scale(x, multiplier)
    if self.config.has_position_table:
      x = x + self.embed_positions[positions]
    return x

  @nn.compact
  def unembed(self, x: Array) -> Array:
    """Maps vectors [..., D] to logits [..., V] in float32."""
    x = self._norm("norm", x)
    head = self.embed_tokens if self.config.is_tied else self.lm_head
    logits = jnp.einsum(
      "...d,vd->...v",
      x,
      head,
      preferred_element_type=jnp.float32,
      precision=attention.precision(x.dtype),
    )
    if self.config.logits_divisor != 1:
      logits = logits / jnp.float32(self.config.logits_divisor)
    if self.config.logits_cap is not None:
      cap = jnp.float32(self.config.logits_cap)
      logits = cap * jnp.tanh(logits / cap)
    return logits

  def __call__(self, tokens: Array) -> Array:
    """Touches every weight, for `init`."""
    return self.unembed(self.embed(tokens, jnp.zeros_like(tokens)))
