"""Trains the classifier that judges pictures of shapes, in one compiled loop."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from thickets.generation.images import shapes_subject
from thickets.models.diffusion import shapes_judge, weights
from thickets.naming import Params
from thickets.tasks.shapes import captions, drawing, spoiling

_LIGHTER = (30.0, 54.0)  # Lightness of backgrounds that models draw as well.
_SPOILED = 3  # One picture of so many is spoiled.
_JITTER = 0.08  # Most noise on pictures of training: drawn ones keep a little.


@dataclasses.dataclass(frozen=True)
class JudgeTraining:
  """How the judge is trained.

  Attributes:
    num_steps: steps of Adam.
    batch_size: fresh pictures for each step.
    learning_rate: the largest; it falls to 0 as a cosine.
  """

  num_steps: int
  batch_size: int
  learning_rate: float


def train_judge(seed: int, spec: JudgeTraining) -> Params:
  """Trains a judge on fresh pictures, a third of which have no coloured shape.

  Args:
    seed: root of the first weights and of all pictures.
    spec: how to train.
  """
  params = weights.init(shapes_subject.describe_judge(), jax.random.key(seed))
  rate = optax.cosine_decay_schedule(spec.learning_rate, spec.num_steps)
  optimizer = optax.adam(rate)
  state = optimizer.init(params)

  @jax.jit
  def step(params, state, batch):
    gradients = jax.grad(_find_loss)(params, batch)
    updates, state = optimizer.update(gradients, state, params)
    return optax.apply_updates(params, updates), state

  for index in range(spec.num_steps):
    rng = np.random.default_rng((seed, index))
    batch = make_batch(rng, spec.batch_size, jitter=_JITTER)
    params, state = step(params, state, batch)
  return params


def make_batch(
  rng: np.random.Generator, count: int, *, jitter: float = 0.0
) -> dict[str, np.ndarray]:
  """Draws pictures with their hue and shape, the last number for none.

  Args:
    rng: drives everything.
    count: how many pictures.
    jitter: largest standard deviation of noise on the pixels of a picture; above
      0, some backgrounds are lighter than those of real pictures.
  """
  scenes = drawing.sample_scenes(rng, count)
  if jitter:
    scenes = _lighten(rng, scenes)
  pictures = drawing.draw(scenes)
  spoiled, _ = spoiling.spoil(rng, pictures)
  is_spoiled = rng.random(count) < 1 / _SPOILED
  pictures = np.where(is_spoiled[:, None, None, None], spoiled, pictures)
  spread = rng.uniform(0, jitter, (count, 1, 1, 1))
  noise = rng.normal(0, 1, pictures.shape) * spread
  return {
    "pictures": np.clip(pictures + noise, 0, 1).astype(np.float32),
    "hue": np.where(is_spoiled, len(captions.HUES), scenes.hue),
    "shape": np.where(is_spoiled, len(captions.SHAPES), scenes.shape),
  }


def _lighten(
  rng: np.random.Generator, scenes: drawing.Scenes
) -> drawing.Scenes:
  """Gives a third of the scenes a background of medium lightness."""
  background = scenes.background.copy()
  chosen = rng.random(len(background)) < 1 / 3
  background[chosen, 0] = rng.uniform(*_LIGHTER, int(chosen.sum()))
  return dataclasses.replace(scenes, background=background)


def measure_accuracy(params: Params, seed: int, count: int) -> dict[str, float]:
  """Shares of fresh pictures that the judge tells right.

  Args:
    params: the judge.
    seed: root of the pictures, which are never those of training.
    count: how many pictures.

  Returns:
    `hue` and `shape`: shares of real pictures; `none`: of spoiled ones, by hue.
  """
  batch = make_batch(np.random.default_rng((seed, 2**31)), count)
  judged = jax.jit(shapes_judge.judge)(params, batch["pictures"])
  is_real = batch["hue"] < len(captions.HUES)
  hue = np.asarray(judged["judged_hue"]) == batch["hue"]
  shape = np.asarray(judged["judged_shape"]) == batch["shape"]
  return {
    "hue": float(hue[is_real].mean()),
    "shape": float(shape[is_real].mean()),
    "none": float(hue[~is_real].mean()),
  }


def _find_loss(params: Params, batch: dict[str, Array]) -> Float[Array, ""]:
  hues, shapes = shapes_judge.apply(params, batch["pictures"])
  losses = [
    optax.softmax_cross_entropy_with_integer_labels(logits, batch[name])
    for logits, name in ((hues, "hue"), (shapes, "shape"))
  ]
  return jnp.mean(losses[0] + losses[1])
