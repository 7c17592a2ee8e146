"""The parts of the transformer, as Flax modules.

Matrices are [outputs, inputs], as in the published files, so that a tensor's
noise is addressed as others store it.
"""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from thickets.models import attention, rope
from thickets.models.attention import KVCache
from thickets.models.config import TransformerConfig

_ACTIVATIONS = {
  "silu": nn.silu,
  "gelu": functools.partial(nn.gelu, approximate=False),
  "gelu_new": functools.partial(nn.gelu, approximate=True),
  "gelu_pytorch_tanh": functools.partial(nn.gelu, approximate=True),
  "relu": nn.relu,
}

# Maps (cache, layer, context, query, key, value) to the values that the query
# mixes and the KV cache afterwards; the cache may be None where none is kept.
Attend = Callable[..., tuple[Array, KVCache | None]]


class _Module(nn.Module):
  """Parts with weights by name, in float32 and with their logical axes."""

  config: TransformerConfig

  def _norm(self, name: str, x: Array, width: int | None = None) -> Array:
    """RMSNorm or LayerNorm over the last axis, computed in float32."""
    width = self.config.width if width is None else width
    ones = nn.with_partitioning(nn.initializers.ones, (None,))
    weight = self.param(name, ones, (width,))
    wide = x.astype(jnp.float32)
    if self.config.has_layer_norm:
      wide = wide - jnp.mean(wide, axis=-1, keepdims=True)
    square = jnp.mean(wide * wide, axis=-1, keepdims=True)
    wide = wide * lax.rsqrt(square + jnp.float32(self.config.norm_eps))
    wide = wide * _along_last(weight, wide)
    if self.config.has_layer_norm:
      zeros = nn.with_partitioning(nn.initializers.zeros, (None,))
      bias = self.param(f"{name}_bias", zeros, (width,))
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
    weight = self.param(
      name, nn.with_partitioning(normal, axes), (features, x.shape[-1])
    )
    y = jnp.einsum(
      "...d,fd->...f",
      x,
      weight.astype(x.dtype),
      precision=attention.precision(x.dtype),
    )
    if has_bias:
      zeros = nn.with_partitioning(nn.initializers.zeros, axes[:1])
      bias = self.param(f"{name}_bias", zeros, (features,))
      y = y + _along_last(bias, y).astype(y.dtype)
    return y


def _along_last(vector: Array, x: Array) -> Array:
  """A vector as float32, shaped to go along the last axis of `x`."""
  shape = (1,) * (x.ndim - 1) + vector.shape
  return vector.astype(jnp.float32).reshape(shape)


class Attention(_Module):
  """Grouped-query attention; what it reads from is up to `attend`."""

  @nn.compact
  def __call__(self, x, context, attend):
    """Maps x [B, S, D] to [B, S, D] and whatever `attend` adds."""
    config = self.config
    query = self._heads("q_proj", x, config.num_heads, "heads")
    key = self._heads("k_proj", x, config.num_kv_heads, "kv_heads")
    value = self._heads("v_proj", x, config.num_kv_heads, "kv_heads")
    if context.cosines is not None:
      query = rope.rotate(query, context.cosines, context.sines)
      key = rope.rotate(key, context.cosines, context.sines)
    mixed, cache = attend(context, query, key, value)
    y = self._linear(
      "o_proj",
      mixed.reshape(*x.shape[:2], -1),
      config.width,
      axes=(None, "heads"),
      has_bias=config.has_output_bias,
    )
    return y, cache

  def _heads(self, name, x, num_heads, axis):
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


class MLP(_Module):
  """Two matrices with an activation between them, or three with a gate."""

  @nn.compact
  def __call__(self, x):
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


class Layer(_Module):
  """Attention and MLP, each added to its input."""

  @nn.compact
  def __call__(self, x, context, attend):
    """Maps x [B, S, D] to [B, S, D] and whatever `attend` adds."""
    self_attn = Attention(self.config, name="self_attn")
    mlp = MLP(self.config, name="mlp")
    if self.config.has_post_norm:
      y, cache = self_attn(x, context, attend)
      x = x + self._norm("post_attention_layernorm", y)
      x = x + self._norm("post_feedforward_layernorm", mlp(x))
    else:
      y = self._norm("input_layernorm", x)
      y, cache = self_attn(y, context, attend)
      x = x + y
      x = x + mlp(self._norm("post_attention_layernorm", x))
    return x, cache


class Ends(_Module):
  """What comes before and after the layers: embedding, last norm, head."""

  def setup(self):
    config = self.config
    matrix = nn.with_partitioning(
      nn.initializers.normal(config.init_std), ("vocab", None)
    )
    shape = (config.vocab_size, config.width)
    self.embed_tokens = self.param("embed_tokens", matrix, shape)
    if config.has_position_table:
      table = nn.with_partitioning(
        nn.initializers.normal(config.init_std), (None, None)
      )
      self.embed_positions = self.param(
        "embed_positions", table, (config.context, config.width)
      )
    if not config.is_tied:
      self.lm_head = self.param("lm_head", matrix, shape)

  def embed(self, tokens, positions):
    """Maps tokens [B, S] at positions [B, S] to vectors [B, S, D]."""
    x = self.embed_tokens[tokens]
    if self.config.has_position_table:
      x = x + self.embed_positions[positions]
    return x

  @nn.compact
  def unembed(self, x):
    """Maps vectors [..., D] to logits [..., V] in float32."""
    x = self._norm("norm", x)
    head = self.embed_tokens if self.config.is_tied else self.lm_head
    return jnp.einsum(
      "...d,vd->...v",
      x,
      head,
      preferred_element_type=jnp.float32,
      precision=attention.precision(x.dtype),
    )

  def __call__(self, tokens):
    """Touches every weight, for `init`."""
    return self.unembed(self.embed(tokens, jnp.zeros_like(tokens)))
