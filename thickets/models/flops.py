"""Floating-point operations and bytes of the decoder, by its formula.

These are *model* FLOPs and bytes: what the mathematics needs, not what a program
happens to do, so that utilisation cannot be raised by doing more.
"""

import collections

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Float64, Int

from thickets.models import transformer
from thickets.models.config import TransformerConfig


def count_matmul_weights(config: TransformerConfig) -> int:
  """Weights that every token is multiplied with, the output head excluded.

  Of a mixture these are the router and the experts that a token goes through.
  """
  matrices, experts = _count_matrices(config)
  if config.mixture is not None:
    experts *= config.mixture.num_chosen
  return matrices + experts


def _count_matrices(config: TransformerConfig) -> tuple[int, int]:
  """Weights of all layers' matrices, and those of one expert of each layer."""
  layers = transformer.abstract_params(config, jnp.float32)["layers"]
  leaves = jax.tree.leaves(layers)
  matrices = sum(leaf.size for leaf in leaves if leaf.ndim == 3)
  experts = sum(leaf.size // leaf.shape[1] for leaf in leaves if leaf.ndim == 4)
  return matrices, experts


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


def text_flops(
  config: TransformerConfig, num_tokens: int | Int[np.ndarray, "..."]
) -> Float64[np.ndarray, "..."]:
  """FLOPs of texts of some numbers of tokens, which see themselves, without the head.

  What `token_flops` gives for 1, 2, ... `num_tokens` seen tokens, summed.
  """
  tokens = np.asarray(num_tokens, np.float64)
  width = config.num_heads * config.head_dim
  seen = np.zeros_like(tokens)
  windows = [config.kinds[kind].window for kind in config.layer_kinds]
  for window, count in collections.Counter(windows).items():
    inside = tokens if not window else np.minimum(tokens, window)
    seen += count * inside * (inside + 1) / 2
    if window:
      seen += count * window * (tokens - inside)
  return 2 * count_matmul_weights(config) * tokens + 4 * width * seen


def response_flops(
  config: TransformerConfig,
  prompt_tokens: Int[np.ndarray, "..."],
  response_tokens: Int[np.ndarray, "..."],
) -> Float64[np.ndarray, "..."]:
  """FLOPs of reading prompts and generating responses to them.

  The last token of a response is chosen and never read; every token of it costs
  the head once.

  Args:
    config: the architecture.
    prompt_tokens: tokens of each prompt, at least 1.
    response_tokens: tokens of each response, at least 1, its stop token included.
  """
  prompt_tokens, response_tokens = map(
    np.asarray, (prompt_tokens, response_tokens)
  )
  read = prompt_tokens.astype(np.int64) + response_tokens - 1
  return text_flops(config, read) + response_tokens * head_flops(config)


def _sum_tokens(config: TransformerConfig, first: int, last: int) -> float:
  """FLOPs of the tokens `first` to `last` of a text, which see themselves."""
  before, all_of_them = text_flops(config, np.array([first - 1, last]))
  return float(all_of_them - before)


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


def weight_bytes(
  config: TransformerConfig, dtype: DTypeLike, num_rows: int
) -> float:
  """Bytes of the weights that a step reads: all but rows of the embedding.

  Of a mixture, the experts that its rows choose, if they choose independently
  and all experts are as likely.
  """
  matrices, experts = _count_matrices(config)
  weights = matrices + config.vocab_size * config.width
  if config.mixture is not None:
    mixture = config.mixture
    missed = (1 - mixture.num_chosen / mixture.num_experts) ** num_rows
    weights += experts * mixture.num_experts * (1 - missed)
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
  return weight_bytes(config, dtype, num_rows) + rows


def prefill_bytes(
  config: TransformerConfig,
  dtype: DTypeLike,
  num_tokens: float,
  num_seen: float,
  *,
  num_devices: int = 1,
) -> float:
  """Bytes of what a device holds of one layer while it reads `num_tokens` tokens.

  Fitted to what the compilers of TPUs and GPUs allot: each token's channels four
  times, two arrays of the MLP, and the attention scores.

  Args:
    config: the architecture.
    dtype: the dtype of the activations.
    num_tokens: how many tokens are read, of all rows together.
    num_seen: how many tokens each of them attends to; attention scores and
      their softmax are float32, as are sums over experts.
    num_devices: how many devices share the layer. Each of them has all channels
      of a token, and its share of the rest.
  """
  whole, divided = 4 * config.width, 2 * config.mlp_width
  wide = config.num_heads * num_seen
  if config.mixture is not None:  # Few tokens at a time are in experts.
    whole, divided = 6 * config.width, 0
    wide *= 2
    wide += config.mixture.num_groups * config.width
    wide += 4 * config.mixture.num_chosen + 2 * config.mixture.num_experts
  size = np.dtype(dtype).itemsize
  return num_tokens * (size * whole + (size * divided + 4 * wide) / num_devices)
