"""1-D signals: predict the rest of a curve from its beginning.

A prompt is the first `context` values of a signal on the grid x = -2.5, -2.4,
...; the answer is the next `horizon` values, predicted one at a time from a
sliding window of the model's own predictions. The score is the negative mean
squared error over the horizon.

The families are those of the authors' code. Where its formulas leave a range
open (the parts of `composite_triple`), the range of the other composites is
used. The `one_` families are single signals without random parameters: all
prompts of a split, and of two splits, are then alike.

Reference: Gan and Isola (2026), section 3, and the authors' `datasets.py`.
"""

import functools
import math
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from thickets import errors
from thickets.errors import UserError
from thickets.naming import Params

SignalBatch = dict[
  str, Float[Array, "Q T"]
]  # `context` [Q, C] and `target` [Q, T].
ApplyFn = Callable[[Params, Float[Array, "Q C"]], Float[Array, " Q"]]

SPLITS = ("select", "dev", "judge")
GRID_START, GRID_STEP = -2.5, 0.1
_FREQUENCY = 4.0
_PI = math.pi


class _RandomParameters:
  """Hands out the random parameters of one signal, one after the other."""

  NUM = 16  # At least as many as any family takes.

  def __init__(self, uniforms: Float[Array, " NUM"], taken: int = 0):
    self._uniforms, self._taken = uniforms, taken

  def uniform(self, low: float, high: float) -> Float[Array, ""]:
    assert self._taken < self.NUM
    self._taken += 1
    return low + (high - low) * self._uniforms[self._taken - 1]

  def phase(self) -> Float[Array, ""]:
    return self.uniform(0.0, 2 * _PI)

  def offset(self) -> Float[Array, ""]:
    return self.uniform(-0.5, 0.5)

  def copy(self) -> "_RandomParameters":
    return _RandomParameters(self._uniforms, self._taken)


Signal = Callable[[_RandomParameters, Float[Array, " T"]], Float[Array, " T"]]


def _square(t, hardness):
  return jnp.tanh(hardness * jnp.sin(t))


def _saw(t):  # The sawtooth of the composites, close to unit height.
  return 0.55 * (jnp.sin(t) - 0.45 * jnp.sin(2 * t) + 0.25 * jnp.sin(3 * t))


def sigmoid(
  draw: _RandomParameters, x: Float[Array, " T"]
) -> Float[Array, " T"]:
  """A slow step: a tanh(x / 10 + phase) + b."""
  phase, height = draw.uniform(-_PI, _PI), draw.uniform(0.5, 1.5)
  return height * jnp.tanh(0.1 * x + phase) + draw.offset()


def line(draw: _RandomParameters, x: Float[Array, " T"]) -> Float[Array, " T"]:
  """A straight line."""
  return draw.uniform(-0.5, 0.5) * x + draw.uniform(-1.0, 1.0)


def harmonic(
  draw: _RandomParameters, x: Float[Array, " T"]
) -> Float[Array, " T"]:
  """A fundamental of random phase over a fixed second harmonic."""
  t, height = _FREQUENCY * x, draw.uniform(0.8, 1.2)
  wave = 0.5 * jnp.sin(t + draw.phase()) + 0.3 * jnp.sin(2 * t)
  return height * wave + draw.offset()


def sinusoid(
  draw: _RandomParameters, x: Float[Array, " T"]
) -> Float[Array, " T"]:
  """A sine of random phase, height and offset."""
  height = draw.uniform(0.8, 1.2)
  return height * jnp.sin(_FREQUENCY * x + draw.phase()) + draw.offset()


def sinusoid2(
  draw: _RandomParameters, x: Float[Array, " T"]
) -> Float[Array, " T"]:
  """A sine higher than those of `sinusoid`."""
  height = draw.uniform(1.2, 1.6)
  return height * jnp.sin(_FREQUENCY * x + draw.phase()) + draw.offset()


def sinusoid_with_texture(
  draw: _RandomParameters, x: Float[Array, " T"]
) -> Float[Array, " T"]:
  """A sine with a small sine of another frequency upon it."""
  height, frequency = draw.uniform(0.1, 0.3), draw.uniform(2.0, 8.0)
  texture = height * jnp.sin(frequency * x + draw.phase())
  return sinusoid(draw, x) + texture + draw.uniform(-0.1, 0.1)


def squarewave(
  draw: _RandomParameters, x: Float[Array, " T"]
) -> Float[Array, " T"]:
  """A square wave with rounded edges."""
  height, hardness = draw.uniform(0.2, 0.4), draw.uniform(4.0, 6.0)
  wave = _square(_FREQUENCY * x + draw.phase(), hardness)
  return height * wave + draw.offset()


def sawtooth(
  draw: _RandomParameters, x: Float[Array, " T"]
) -> Float[Array, " T"]:
  """The first four harmonics of a sawtooth."""
  t, height = _FREQUENCY * x + draw.phase(), draw.uniform(0.8, 1.2)
  wave = (
    jnp.sin(t)
    - 0.5 * jnp.sin(2 * t)
    + 0.33 * jnp.sin(3 * t)
    - 0.25 * jnp.sin(4 * t)
  )
  return 0.5 * height * wave + draw.offset()


def composite_sin_square(
  draw: _RandomParameters, x: Float[Array, " T"]
) -> Float[Array, " T"]:
  """A weak sine and a strong square wave, out of phase."""
  t1, t2 = _two_phases(draw, x)
  share, hardness = draw.uniform(0.2, 0.3), draw.uniform(3.0, 4.5)
  wave = share * jnp.sin(t1) + (1 - share) * _square(t2, hardness)
  return draw.uniform(0.7, 1.0) * wave + draw.uniform(-0.3, 0.3)


def composite_sin_sawtooth(
  draw: _RandomParameters, x: Float[Array, " T"]
) -> Float[Array, " T"]:
  """A sine and a sawtooth, out of phase."""
  t1, t2 = _two_phases(draw, x)
  share = draw.uniform(0.5, 0.6)
  wave = share * jnp.sin(t1) + (1 - share) * _saw(t2)
  return draw.uniform(0.7, 1.0) * wave + draw.uniform(-0.3, 0.3)


def composite_square_sawtooth(
  draw: _RandomParameters, x: Float[Array, " T"]
) -> Float[Array, " T"]:
  """A square wave and a sawtooth, out of phase."""
  t1, t2 = _two_phases(draw, x)
  share, hardness = draw.uniform(0.45, 0.55), draw.uniform(3.0, 4.5)
  wave = share * _square(t1, hardness) + (1 - share) * _saw(t2)
  return draw.uniform(0.7, 1.0) * wave + draw.uniform(-0.3, 0.3)


def composite_triple(
  draw: _RandomParameters, x: Float[Array, " T"]
) -> Float[Array, " T"]:
  """A sine, a square wave and a sawtooth, each a step out of phase."""
  t1 = _FREQUENCY * x + draw.phase()
  t2 = t1 + draw.uniform(_PI / 6, _PI / 4)
  t3 = t2 + draw.uniform(_PI / 6, _PI / 4)
  shares = [w + draw.uniform(-0.08, 0.08) for w in (0.45, 0.30, 0.25)]
  total = functools.reduce(jnp.add, shares)
  hardness = draw.uniform(3.0, 4.5)
  waves = (jnp.sin(t1), _square(t2, hardness), _saw(t3))
  wave = sum(
    share / total * part for share, part in zip(shares, waves, strict=True)
  )
  return draw.uniform(0.6, 0.9) * wave + draw.uniform(-0.2, 0.2)


def _two_phases(draw, x):
  first = _FREQUENCY * x + draw.phase()
  return first, first + draw.uniform(_PI / 6, _PI / 3)


def _one_of(*families: Signal) -> Signal:
  """A mixture: each signal is of one of the families, with equal chances."""

  def mixture(draw, x):
    choice = draw.uniform(0.0, len(families)).astype(jnp.int32)
    return jax.lax.switch(
      choice,
      [functools.partial(family, draw.copy(), x) for family in families],
    )

  return mixture


_PERIODIC = {
  "sinusoid": sinusoid,
  "squarewave": squarewave,
  "sawtooth": sawtooth,
  "harmonic": harmonic,
}

SIGNAL_FAMILIES: Mapping[str, Signal] = {
  **_PERIODIC,
  "sigmoid": sigmoid,
  "line": line,
  "sinusoid2": sinusoid2,
  "sinusoid_with_texture": sinusoid_with_texture,
  "composite_sin_square": composite_sin_square,
  "composite_sin_sawtooth": composite_sin_sawtooth,
  "composite_square_sawtooth": composite_square_sawtooth,
  "composite_triple": composite_triple,
  "one_line": lambda draw, x: -0.25 * x,
  "one_sinusoid": lambda draw, x: 0.5 * jnp.sin(4 * x),
  "one_sinusoid2": lambda draw, x: 0.5 * jnp.sin(4 * x),
  "one_sinusoid_with_texture": lambda draw, x: (
    0.5 * jnp.sin(4 * x) + 0.2 * jnp.sin(5 * x)
  ),
  "one_squarewave": lambda draw, x: 0.3 * _square(4 * x, 5.0),
  "mixed": _one_of(*_PERIODIC.values(), sigmoid, line),
  # As in the authors' code, a line is absent from these as well.
  **{
    f"mixed_no_{left_out}": _one_of(
      *(
        family
        for name, family in {**_PERIODIC, "sigmoid": sigmoid}.items()
        if name != left_out
      )
    )
    for left_out in (*_PERIODIC, "sigmoid")
  },
  "sinusoid_and_squarewave": _one_of(sinusoid, squarewave),
}


def check_family(name: str, field: str = "family") -> None:
  """Raises a UserError that names the nearest family if `name` is unknown."""
  if name not in SIGNAL_FAMILIES:
    raise UserError(
      f"{field} must be a signal family, got {name!r}. Nearest:"
      f" {errors.nearest(name, list(SIGNAL_FAMILIES), count=3)}."
    )


def is_single(name: str) -> bool:
  """Whether a family is a single signal, without random parameters."""
  return name.startswith("one_")


@functools.partial(jax.jit, static_argnames=("family", "num_signals", "length"))
def sample_signals(
  key: PRNGKeyArray, family: str, num_signals: int, length: int
) -> Float[Array, "Q T"]:
  """Samples signals of a family, on the device.

  Args:
    key: drives the random parameters.
    family: a key of `SIGNAL_FAMILIES`.
    num_signals: Q.
    length: T, number of grid points from x = -2.5 on.

  Returns:
    [Q, T] values; signal q depends on (key, q) only.
  """
  check_family(family)
  x = jnp.asarray(GRID_START + GRID_STEP * np.arange(length), jnp.float32)
  signal = SIGNAL_FAMILIES[family]
  keys = jax.vmap(functools.partial(jax.random.fold_in, key))(
    jnp.arange(num_signals)
  )

  def sample(signal_key):
    return signal(
      _RandomParameters(
        jax.random.uniform(signal_key, (_RandomParameters.NUM,))
      ),
      x,
    )

  return jax.vmap(sample)(keys)


def sample_splits(
  key: PRNGKeyArray,
  family: str,
  sizes: Mapping[str, int],
  *,
  context: int,
  horizon: int,
) -> dict[str, SignalBatch]:
  """Samples the prompts of each split, independent of each other.

  Args:
    key: drives all splits; each has a key of its own, so that the size of one
      changes nothing in another.
    family: a key of `SIGNAL_FAMILIES`.
    sizes: number of signals per split, keys from `SPLITS`.
    context: values that the model is given.
    horizon: values that it must predict.
  """
  keys: dict[str, PRNGKeyArray] = dict(
    zip(SPLITS, jax.random.split(key, len(SPLITS)), strict=True)
  )
  splits = {}
  for split, size in sizes.items():
    signals = sample_signals(keys[split], family, size, context + horizon)
    splits[split] = {
      "context": signals[:, :context],
      "target": signals[:, context:],
    }
  return splits


def roll_out(
  apply_fn: ApplyFn,
  params: Params,
  context: Float[Array, "Q C"],
  num_steps: int,
) -> Float[Array, "Q T"]:
  """Predicts `num_steps` values, feeding predictions back into the window."""

  def step(window_QC, _):
    next_Q = apply_fn(params, window_QC)
    window_QC = jnp.concatenate([window_QC[:, 1:], next_Q[:, None]], axis=1)
    return window_QC, next_Q

  _, predictions_TQ = jax.lax.scan(step, context, length=num_steps)
  return predictions_TQ.T


def score_roll_out(
  apply_fn: ApplyFn, params: Params, batch: SignalBatch
) -> dict[str, Float[Array, "Q ..."]]:
  """Rolls out over the horizon and scores it.

  Returns:
    `score` [Q], the negative mean squared error, and `prediction` [Q, T].
  """
  target_QT = batch["target"]
  predictions_QT = roll_out(
    apply_fn, params, batch["context"], target_QT.shape[1]
  )
  error_Q = jnp.mean(jnp.square(predictions_QT - target_QT), axis=1)
  return {"score": -error_Q, "prediction": predictions_QT}


def next_value_loss(
  apply_fn: ApplyFn, params: Params, batch: SignalBatch
) -> Float[Array, ""]:
  """Mean squared error of the first predicted value, the pretraining loss."""
  next_Q = apply_fn(params, batch["context"])
  return jnp.mean(jnp.square(next_Q - batch["target"][:, 0]))
