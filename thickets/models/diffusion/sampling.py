"""From noise to latents: guidance, and one integrator for every schedule.

The integrator is a scan over the arrays of a schedule and has no state of its own,
so that the same call gives the same latents again. All of it is float32.
"""

from collections.abc import Callable
from typing import Any, cast

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from thickets.models.diffusion.schedule import Prediction, Schedule

# Maps (latents as the denoiser takes them, timestep []) to its prediction.
Denoise = Callable[[Array, Array], Array]


def is_guided(guidance: float) -> bool:
  """Whether a scale asks for the prediction without the text as well.

  With 1 or less it would change nothing or push away from the text; models that
  were distilled are published with a scale of 0, which means none.
  """
  return guidance > 1


def guide(
  negative: Float[Array, "..."],
  positive: Float[Array, "..."],
  guidance: float,
) -> Float[Array, "..."]:
  """Goes beyond what the text adds to a prediction, in float32.

  Args:
    negative: the prediction for the negative prompt.
    positive: the prediction for the prompt.
    guidance: the scale, above 1; with 1 the result is `positive`.

  Reference: Ho and Salimans (2022), arXiv:2207.12598.
  """
  negative, positive = (x.astype(jnp.float32) for x in (negative, positive))
  return negative + guidance * (positive - negative)


def predict_guided(
  predict: Callable[[Array, Array, Any], Array],
  x: Float[Array, "Q ..."],
  t: Float[Array, ""],
  conditioning: Any,
  negative: Any | None,
  guidance: float,
) -> Float[Array, "Q ..."]:
  """The prediction of one denoiser for prompts, guided if that is asked for.

  The prediction without the text is computed in the same call, beside the other.

  Args:
    predict: maps latents [R, ...], times [R] and a conditioning tree of R rows to
      a prediction.
    x: [Q, ...] latents as the denoiser takes them.
    t: [] the timestep.
    conditioning: a tree with prompts first.
    negative: the same for the negative prompt; None where nothing guides.
    guidance: the scale; see `is_guided`.
  """
  rows = x.shape[0]
  if not is_guided(guidance):
    return predict(x, jnp.broadcast_to(t, (rows,)), conditioning)
  if negative is None:
    raise ValueError(
      f"negative must be given where guidance is above 1, got {guidance}."
    )
  both = jax.tree.map(
    lambda *leaves: jnp.concatenate(leaves), negative, conditioning
  )
  predicted = predict(
    jnp.concatenate([x, x]), jnp.broadcast_to(t, (2 * rows,)), both
  )
  return guide(predicted[:rows], predicted[rows:], guidance)


def integrate(
  schedule: Schedule, denoise: Denoise, noise: Float[Array, "B ..."]
) -> Float[Array, "B ..."]:
  """Removes the noise step by step.

  Args:
    schedule: the steps.
    denoise: maps latents [B, ...] as the denoiser takes them and a timestep [] to
      what it predicts: guided, or the mean over members.
    noise: [B, ...] noise of unit spread.

  Returns:
    [B, ...] latents without noise, float32.
  """

  def step(x: Array, inputs: tuple[Array, Array, Array]) -> tuple[Array, None]:
    t, sigma, after = inputs
    prediction = denoise(scale_input(x, sigma), t).astype(jnp.float32)
    slope = find_noise(schedule.prediction, x, sigma, prediction)
    return x + (after - sigma) * slope, None

  timesteps, sigmas = (
    jnp.asarray(array, jnp.float32)
    for array in (schedule.timesteps, schedule.sigmas)
  )
  x = noise.astype(jnp.float32) * jnp.asarray(schedule.init_scale)
  x, _ = lax.scan(step, x, (timesteps, sigmas[:-1], sigmas[1:]))
  return cast(jax.Array, x)


def scale_input(
  x: Float[Array, "B ..."], sigma: Float[Array, ""]
) -> Float[Array, "B ..."]:
  """Latents as a denoiser takes them: of about unit spread, whatever the noise."""
  return x * lax.rsqrt(sigma * sigma + 1)


def find_noise(
  prediction: Prediction,
  x: Float[Array, "B ..."],
  sigma: Float[Array, ""],
  predicted: Float[Array, "B ..."],
) -> Float[Array, "B ..."]:
  """The noise in latents `x`, from what a denoiser predicts for them.

  Nothing is divided by sigma, which may be tiny.
  """
  if prediction is Prediction.NOISE:
    return predicted
  square = sigma * sigma + 1
  return predicted * lax.rsqrt(square) + x * (sigma / square)
