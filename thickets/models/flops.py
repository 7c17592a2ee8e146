"""Floating-point operations and bytes of the decoder, by its formula.

These are *model* FLOPs and bytes: what the mathematics needs, not what a program
happens to do, so that utilisation cannot be raised by doing more.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from thickets.models import transformer
from thickets.models.config import TransformerConfig


def count_matmul_weights(config: TransformerConfig) -> int:
  """Weights that every token is multiplied with, the output head excluded."""
  layers = transformer.abstract_params(config, jnp.float32)["layers"]
  return sum(leaf.size for leaf in jax.tree.leaves(layers) if leaf.ndim == 3)


def token_flops(config: TransformerConfig, num_seen: float) -> float:
  """FLOPs of one token that attends to `num_seen` tokens, without the head.

  Two per weight, and four per channel of every query head and seen token. Sliding
  windows are taken into account.
  """
  width = config.num_heads * config.head_dim
  windows = [config.kinds[kind].window for kind in config.layer_kinds]
  seen = sum(min(num_seen, window or num_seen) for window in windows)
  return 2 * count_matmul_weights(config) + 4 * width * seen


def head_flops(config: TransformerConfig) -> float:
  """FLOPs of one token's logits."""
  return 2 * config.vocab_size * config.width


def _sum_tokens(config: TransformerConfig, first: int, last: int) -> float:
  """FLOPs of the tokens `first` to `last` of a text, which see themselves."""
  return sum(token_flops(config, seen) for seen in range(first, last + 1))


def prefill_flops(
  config: TransformerConfig, num_prompts: int, prompt_tokens: int
) -> float:
  """FLOPs of reading prompts of equal length and choosing a first token."""
  per_prompt = _sum_tokens(config, 1, prompt_tokens)
  return num_prompts * (per_prompt + head_flops(config))


def decode_flops(
  config: TransformerConfig, num_rows: int, prompt_tokens: int, num_steps: int
) -> float:
  """FLOPs of `num_steps` steps of all rows, after their first token."""
  per_row = _sum_tokens(config, prompt_tokens + 1, prompt_tokens + num_steps)
  return num_rows * (per_row + num_steps * head_flops(config))


def weight_bytes(config: TransformerConfig, dtype: DTypeLike) -> int:
  """Bytes of the weights that a step reads: all but rows of the embedding."""
  weights = count_matmul_weights(config) + config.vocab_size * config.width
  return np.dtype(dtype).itemsize * weights


def kv_cache_bytes(
  config: TransformerConfig, dtype: DTypeLike, num_tokens: float
) -> float:
  """Bytes of the KV cache of one row with `num_tokens` tokens."""
  per_token = 2 * config.num_layers * config.num_kv_heads * config.head_dim
  return np.dtype(dtype).itemsize * per_token * num_tokens


def step_bytes(
  config: TransformerConfig, dtype: DTypeLike, num_rows: int, num_seen: float
) -> float:
  """Bytes that a step must read: the weights once, and every row's KV cache."""
  windows = [config.kinds[kind].window for kind in config.layer_kinds]
  # A layer with a window reads no more than that, though all is kept.
  mean_read = sum(min(num_seen, w or num_seen) for w in windows) / len(windows)
  rows = num_rows * kv_cache_bytes(config, dtype, mean_read)
  return weight_bytes(config, dtype) + rows


def prefill_bytes(
  config: TransformerConfig,
  dtype: DTypeLike,
  num_tokens: float,
  num_seen: float,
) -> float:
  """Bytes of what one layer holds while it reads `num_tokens` tokens.

  An upper estimate: a compiler fuses some of it away.

  Args:
    config: the architecture.
    dtype: the dtype of the activations.
    num_tokens: how many tokens are read, of all rows together.
    num_seen: how many tokens each of them attends to; attention scores and
      their softmax are float32.
  """
  channels = 6 * config.width + 3 * config.mlp_width
  scores = 2 * 4 * config.num_heads * num_seen
  return num_tokens * (np.dtype(dtype).itemsize * channels + scores)
