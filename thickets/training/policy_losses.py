"""Objectives of policy gradients: pure functions of log-probabilities and rewards.

Axes: B prompts, G responses to each, R = B * G roll-outs, N tokens of the longest
response. A mask [R, N] is 1 for the tokens of a response and 0 behind its end.

References: Schulman et al. (2017), arXiv:1707.06347 (PPO), and (2016),
  arXiv:1506.02438 (GAE); Shao et al. (2024), arXiv:2402.03300 (GRPO); Yu et al.
  (2025), arXiv:2503.14476 (the mean over tokens, and two bounds of the ratio).
"""

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

# Added to the standard deviation of a group, as in the paper's code.
_SMALL = 1e-6
_SMALL_VARIANCE = 1e-8


def normalise_groups(
  scores: Float[np.ndarray, "B G"], *, is_scaled: bool = True
) -> Float[np.ndarray, "B G"]:
  """Returns how far each response scores above the mean of its group.

  Where all responses of a group score alike, all are 0, and never NaN.

  Args:
    scores: [B, G] finite scores of G responses to each prompt, G at least 2.
    is_scaled: whether the differences are divided by the standard deviation of
      the group, with G - 1 in place of G as in the paper's code.
  """
  scores = scores.astype(np.float64)
  centred = scores - scores.mean(axis=1, keepdims=True)
  # Exactly: a mean may differ by its rounding.
  centred[find_alike(scores)] = 0.0
  if is_scaled:
    centred /= scores.std(axis=1, ddof=1, keepdims=True) + _SMALL
  return centred.astype(np.float32)


def find_alike(scores: Float[np.ndarray, "B G"]) -> np.ndarray:
  """Which prompts [B] have responses that all score alike."""
  return np.ptp(scores, axis=1) == 0


def estimate_advantages(
  rewards: Float[Array, "R N"],
  values: Float[Array, "R N"],
  mask: Float[Array, "R N"],
  *,
  discount: float,
  trace: float,
) -> Float[Array, "R N"]:
  """Generalised advantage estimation (GAE) over the tokens of each response.

  With d_t = r_t + discount * V_{t+1} - V_t, and V = 0 behind the end of a response:

      A_t = d_t + discount * trace * A_{t+1}

  Args:
    rewards: [R, N] what each token earns.
    values: [R, N] what the critic expects before each token.
    mask: [R, N] which tokens count.
    discount: gamma, in [0, 1].
    trace: lambda, in [0, 1].

  Returns:
    [R, N] the advantages, 0 behind the end.
  """
  values = values * mask
  following = jnp.pad(values[:, 1:], ((0, 0), (0, 1)))
  deltas = (rewards + discount * following - values) * mask

  def step(carry, delta):
    carry = delta + discount * trace * carry
    return carry, carry

  start = jnp.zeros_like(deltas[:, 0])
  _, advantages = lax.scan(step, start, deltas.T, reverse=True)
  return advantages.T * mask


def whiten(
  values: Float[Array, "R N"], mask: Float[Array, "R N"]
) -> Float[Array, "R N"]:
  """Shifts and scales masked values to mean 0 and variance 1; the rest are 0."""
  count = jnp.sum(mask)
  centred = (values - jnp.sum(values * mask) / count) * mask
  variance = jnp.sum(centred**2) / jnp.maximum(count - 1, 1)
  return centred * lax.rsqrt(variance + _SMALL_VARIANCE)


def policy_losses(
  log_probs: Float[Array, "R N"],
  old_log_probs: Float[Array, "R N"],
  advantages: Float[Array, "R N"],
  *,
  clip_low: float,
  clip_high: float,
) -> Float[Array, "R N"]:
  """The clipped surrogate of each token, to be minimised.

  Args:
    log_probs: [R, N] of the tokens under the weights that learn.
    old_log_probs: [R, N] of the same tokens under those that sampled them.
    advantages: [R, N] of the tokens.
    clip_low: the ratio of the probabilities counts no lower than 1 - clip_low ...
    clip_high: ... and no higher than 1 + clip_high, where that would gain.
  """
  ratios = jnp.exp(log_probs - old_log_probs)
  clipped = jnp.clip(ratios, 1 - clip_low, 1 + clip_high)
  return -jnp.minimum(ratios * advantages, clipped * advantages)


def divergences(
  log_probs: Float[Array, "R N"], reference: Float[Array, "R N"]
) -> Float[Array, "R N"]:
  """Estimates of KL(policy, reference) from each token: never below 0.

  With x = log(reference / policy) it is exp(x) - x - 1, whose mean over tokens of
  the policy is the divergence (http://joschu.net/blog/kl-approx.html).
  """
  x = reference - log_probs
  return jnp.exp(x) - x - 1


def value_losses(
  values: Float[Array, "R N"],
  old_values: Float[Array, "R N"],
  returns: Float[Array, "R N"],
  *,
  clip: float,
) -> Float[Array, "R N"]:
  """Half the squared error of each value, at the worse of it and its clipped self.

  Args:
    values: [R, N] what the critic expects.
    old_values: [R, N] what it expected when the roll-outs were made.
    returns: [R, N] what it should have expected.
    clip: how far a value counts from the old one at most, above 0.
  """
  near = old_values + jnp.clip(values - old_values, -clip, clip)
  return 0.5 * jnp.maximum((values - returns) ** 2, (near - returns) ** 2)
