"""How the next token is chosen from logits.

Every row has a key of its own, so that its response depends on its prompt and
its key, and not on the rows that it is computed with.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from thickets.errors import UserError

# What float32 holds with all of its digits. Devices read smaller numbers as
# zero, by which nothing can be divided.
_SMALLEST = float(np.finfo(np.float32).tiny)
_LARGEST = float(np.finfo(np.float32).max)
# Above it no logit within 1e18 overflows when it is divided.
_SMALL_TEMPERATURE = 1e-20


TEMPERATURE_RANGE = f"within float32's {_SMALLEST:.2g} to {_LARGEST:.2g}"


def is_temperature(value: float) -> bool:
  """Whether a row can be sampled at a temperature, above 0; not so for NaN."""
  return _SMALLEST <= value <= _LARGEST


@dataclasses.dataclass(frozen=True)
class Sampling:
  """Greedy at temperature 0, else a draw from the warped distribution.

  Attributes:
    temperature: divides the logits; 0, or within what float32 holds (1.2e-38 to
      3.4e38).
    top_k: keeps the k most likely tokens, and all that tie with the last of
      them; 0 keeps every token.
    top_p: then keeps the fewest most likely tokens whose shares reach p
      together, and all that tie with the last of them; 1 keeps every token.

  Raises:
    UserError: if a value is out of range.
  """

  temperature: float = 0.0
  top_k: int = 0
  top_p: float = 1.0

  def __post_init__(self):
    if self.temperature != 0 and not is_temperature(self.temperature):
      raise UserError(
        f"temperature must be 0 (greedy) or {TEMPERATURE_RANGE}, got"
        f" {self.temperature}."
      )
    if not (isinstance(self.top_k, int) and self.top_k >= 0):
      raise UserError(
        f"top_k must be a count of tokens, or 0 for all, got {self.top_k!r}."
      )
    if not 0 < self.top_p <= 1:
      raise UserError(f"top_p must be within (0, 1], got {self.top_p}.")

  @property
  def is_greedy(self) -> bool:
    """Whether no randomness is involved."""
    return self.temperature == 0


GREEDY = Sampling()


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class RowSampling:
  """What the draws of each row depend on; without meaning when greedy.

  A row's key and temperature are data of a call, so that programs serve all.

  Attributes:
    keys: [..., 2] uint32 data of each row's random key.
    temperatures: [...] each row's temperature, above 0, which counts in place
      of that of `Sampling`.
  """

  keys: Any  # Not only arrays, while JAX transforms the tree.
  temperatures: Any


def choose_tokens(
  logits: Float[Array, "B V"],
  rows: RowSampling,
  step: Int[Array, ""],
  sampling: Sampling,
  *,
  num_tokens: int,
  missing_tokens: tuple[int, ...] = (),
) -> tuple[Int[Array, " B"], Float[Array, " B"]]:
  """Chooses a token per row.

  Args:
    logits: [B, V] logits of the next token, in float32.
    rows: the key and the temperature of each of the B rows.
    step: position of the next token in its response; each step of a row has
      randomness of its own.
    sampling: how to choose, except for the temperature above 0.
    num_tokens: one more than the highest id that a token has; rows of the
      embedding beyond it are never chosen.
    missing_tokens: ids below the highest that no token has, never chosen
      either.

  Returns:
    [B] tokens, and [B] their log-probabilities under the model: at temperature
    1, before top-k and top-p, among the tokens that exist.
  """
  if num_tokens < logits.shape[1] or missing_tokens:
    exists = jnp.arange(logits.shape[1]) < num_tokens
    if missing_tokens:  # A constant of the program, one byte for each id.
      is_missing = np.zeros(logits.shape[1], np.bool_)
      is_missing[list(missing_tokens)] = True
      exists &= ~is_missing
    logits = jnp.where(exists[None], logits, -jnp.inf)
  if sampling.is_greedy:
    # On GPUs every reduction reads all logits from memory.
    best, log_sum = lax.platform_dependent(
      logits,
      cuda=_reduce_at_once,
      rocm=_reduce_at_once,
      default=lambda x: (_argmax(x), jax.nn.logsumexp(x, axis=1)),
    )
    # Where one is NaN none is best: any token that exists will do, and it is the same
    # one on every platform.
    last = jnp.int32(num_tokens - 1)
    tokens = jnp.where(jnp.isnan(log_sum), last, jnp.minimum(best, last))
  else:
    warped = _warp(logits, rows.temperatures.astype(jnp.float32), sampling)
    step_keys = jax.vmap(jax.random.fold_in, in_axes=(0, None))(
      jax.random.wrap_key_data(rows.keys), step
    )
    tokens = jax.vmap(jax.random.categorical)(step_keys, warped)
    tokens = jnp.minimum(tokens.astype(jnp.int32), num_tokens - 1)
    log_sum = jax.nn.logsumexp(logits, axis=1)
  chosen = jnp.take_along_axis(logits, tokens[:, None], axis=1)[:, 0]
  return tokens, chosen - log_sum


def _argmax(logits: Float[Array, "B V"]) -> Int[Array, " B"]:
  """The first of the largest; two plain reductions, which CPUs vectorise."""
  best = jnp.max(logits, axis=1, keepdims=True)
  positions = lax.broadcasted_iota(jnp.int32, logits.shape, 1)
  beyond = jnp.int32(logits.shape[1])
  return jnp.min(jnp.where(logits == best, positions, beyond), axis=1)


def _reduce_at_once(
  logits: Float[Array, "B V"],
) -> tuple[Int[Array, " B"], Float[Array, " B"]]:
  """The first of the largest, and the logarithm of the sum of exponentials.

  One reduction, which reads the logits once.
  """

  def rescale(total, largest, new):
    return total * jnp.where(largest == new, 1.0, jnp.exp(largest - new))

  def join(one, other):
    (largest, first, total), (largest_2, first_2, total_2) = one, other
    new = jnp.maximum(largest, largest_2)
    earlier = jnp.minimum(first, first_2)
    later = jnp.where(largest_2 > largest, first_2, earlier)
    return (
      new,
      jnp.where(largest > largest_2, first, later),
      rescale(total, largest, new) + rescale(total_2, largest_2, new),
    )

  positions = lax.broadcasted_iota(jnp.int32, logits.shape, 1)
  largest, first, total = lax.reduce(
    (logits, positions, jnp.ones_like(logits)),
    (
      jnp.float32(-jnp.inf),
      jnp.int32(logits.shape[1]),
      jnp.float32(0),
    ),
    join,
    (1,),
  )
  return first, largest + jnp.log(total)


def _warp(
  logits: Float[Array, "B V"],
  temperatures: Float[Array, " B"],
  sampling: Sampling,
):
  """Divides by the temperature and removes what top-k and top-p remove."""
  # Less the largest, the quotients of others overflow to -inf at the most, which
  # is their share in the limit. Elsewhere bits stay as they are without it.
  largest = jnp.max(logits, axis=1)
  is_small = (temperatures < _SMALL_TEMPERATURE) & jnp.isfinite(largest)
  logits = logits - jnp.where(is_small, largest, 0.0)[:, None]
  logits = logits / temperatures[:, None]
  if 0 < sampling.top_k < logits.shape[1]:
    logits = _keep_top(
      logits, lambda kept: jnp.sum(kept, axis=1) >= sampling.top_k
    )
  if sampling.top_p < 1:
    shares = jax.nn.softmax(logits, axis=1)
    # The likeliest token has a larger share than what is read as zero.
    least = np.float32(max(sampling.top_p, _SMALLEST))
    logits = _keep_top(
      logits,
      lambda kept: jnp.sum(jnp.where(kept, shares, 0.0), axis=1) >= least,
    )
  return logits


def _keep_top(
  logits: Float[Array, "B V"],
  is_enough: Callable[[Bool[Array, "B V"]], Bool[Array, " B"]],
) -> Float[Array, "B V"]:
  """Keeps the fewest largest logits that are enough, and their ties.

  Finds the threshold by bisection over the 32 bits of a float's order, which
  needs no sorting and is exact.

  Args:
    logits: [B, V] logits, -inf where a token was removed before.
    is_enough: maps a mask [B, V] of kept tokens to [B] whether they are enough;
      more tokens are enough as well.
  """
  order = _order(logits)

  def narrow(bit, threshold):
    raised = threshold | (jnp.uint32(1) << (jnp.uint32(31) - bit))
    return jnp.where(is_enough(order >= raised[:, None]), raised, threshold)

  threshold = lax.fori_loop(
    jnp.uint32(0),
    jnp.uint32(32),
    narrow,
    jnp.zeros(logits.shape[:1], jnp.uint32),
  )
  kept: Bool[Array, "B V"] = order >= threshold[:, None]
  return jnp.where(kept, logits, -jnp.inf)


def _order(x: Float[Array, "..."]):
  """Unsigned integers that are ordered as the floats are."""
  bits = lax.bitcast_convert_type(x, jnp.uint32)
  # Not by the sign bit: -0.0 ties with 0.0.
  return jnp.where(x < 0, ~bits, bits | jnp.uint32(1 << 31))
