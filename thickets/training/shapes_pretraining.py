"""Pretraining of the small model of shapes, to predict noise in pictures.

Pictures and captions are drawn afresh for each step; half of the captions leave
the hue open, and a tenth say nothing, which guidance needs.

Reference: Ho et al. (2020), arXiv:2006.11239; Ho and Salimans (2022),
arXiv:2207.12598.
"""

import dataclasses
import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax

from thickets.generation.images import shapes_subject
from thickets.models.diffusion import schedule as schedules
from thickets.models.diffusion import shapes_model, words
from thickets.models.diffusion.shapes_model import ShapesModel
from thickets.naming import Params
from thickets.tasks.shapes import captions, drawing
from thickets.training import spec_checks, train

_OPTIMIZER_CLIP = 1.0  # Largest norm of the gradients of all weights together.


@dataclasses.dataclass(frozen=True)
class ShapesPretraining:
  """How the small model of shapes is pretrained.

  Attributes:
    num_steps: steps of Adam; 0 leaves the model untrained.
    batch_size: fresh pictures for each step.
    learning_rate: the largest, after a warm-up; it falls to 0 as a cosine.
    warmup: steps until the largest learning rate.
    open_hue: share of captions that do not name the hue.
    empty: share of captions that say nothing.
    has_colours: whether pictures are coloured; without, objects are grey.

  Raises:
    SpecError: if a value is out of range.
  """

  num_steps: int
  batch_size: int
  learning_rate: float
  warmup: int
  open_hue: float
  empty: float
  has_colours: bool

  def __post_init__(self):
    problems = []
    for name, least in (
      ("num_steps", 0),
      ("batch_size", 1),
      ("warmup", 0),
    ):
      problems += spec_checks.check_range(
        f"pretraining.{name}", getattr(self, name), least
      )
    problems += [
      f"pretraining.{name} must be within 0 and 1, got {getattr(self, name)}."
      for name in ("open_hue", "empty")
      if not 0 <= getattr(self, name) <= 1
    ]
    if not self.learning_rate > 0:
      problems.append(
        f"pretraining.learning_rate must be above 0, got {self.learning_rate}."
      )
    if self.num_steps and self.warmup >= self.num_steps:
      problems.append(
        "pretraining.warmup must be below num_steps, got"
        f" {self.warmup} of {self.num_steps}."
      )
    spec_checks.raise_problems(problems)


def pretrain(
  seed: int,
  spec: ShapesPretraining,
  schedule: train.Schedule | None,
  directory: pathlib.Path,
) -> Params:
  """Trains from the first step, or from the last checkpoint in a directory.

  Args:
    seed: root of the first weights, and of all pictures and noise.
    spec: how to train.
    schedule: when to save and report; None leaves the model untrained.
    directory: where the checkpoints are.

  Returns:
    The weights after the last step.

  Raises:
    UserError: if the loss is not finite, or checkpoints are of another model.
  """
  model = shapes_subject.make_model()
  params = shapes_model.init(model, jax.random.key(seed))
  if schedule is None:
    return params
  return train.train(
    params,
    make_loss(model),
    functools.partial(make_batch, seed, spec),
    make_optimizer(spec),
    schedule,
    directory=directory,
    report=lambda step, metrics, params: None,
  )


def make_optimizer(spec: ShapesPretraining) -> optax.GradientTransformation:
  """Makes Adam, whose rate rises during a warm-up and falls to 0 as a cosine."""
  rate = optax.warmup_cosine_decay_schedule(
    0.0, spec.learning_rate, spec.warmup, spec.num_steps
  )
  return optax.chain(
    optax.clip_by_global_norm(_OPTIMIZER_CLIP), optax.adam(rate, b2=0.99)
  )


def make_batch(
  seed: int, spec: ShapesPretraining, step: int
) -> dict[str, np.ndarray]:
  """Draws the pictures, captions, times and noise of one step.

  Args:
    seed: the root seed of the training.
    spec: how captions and pictures are drawn, and how many.
    step: the step, from 0.
  """
  rng = np.random.default_rng((seed, step))
  scenes = drawing.sample_scenes(rng, spec.batch_size)
  if not spec.has_colours:
    scenes = dataclasses.replace(
      scenes, colour=np.repeat(scenes.colour.mean(1, keepdims=True), 3, axis=1)
    )
  texts = drawing.write_captions(
    rng,
    scenes,
    open_hue=spec.open_hue if spec.has_colours else 1.0,
    empty=spec.empty,
  )
  pictures = drawing.draw(scenes)
  return {
    "pictures": pictures,
    "tokens": captions.encode(texts),
    "timesteps": rng.integers(
      0, shapes_model.SCHEDULER_FIELDS["num_train_timesteps"], len(texts)
    ).astype(np.int32),
    "noise": rng.standard_normal(pictures.shape, np.float32),
  }


def make_loss(model: ShapesModel) -> train.LossFn:
  """The loss: the mean squared error of the predicted noise.

  Args:
    model: the architecture.

  Returns:
    A function of (params, batch), the batch as `make_batch` draws it.
  """
  levels = schedules.noise_levels(model.schedule).astype(np.float32)

  def loss_fn(params, batch):
    sigma = jnp.asarray(levels)[batch["timesteps"]][:, None, None, None]
    x = shapes_model.encode_pictures(batch["pictures"]) + sigma * batch["noise"]
    predicted = shapes_model.predict(
      model,
      params,
      x * jax.lax.rsqrt(sigma * sigma + 1),
      batch["timesteps"].astype(jnp.float32),
      {"context": words.encode(params["words"], batch["tokens"])},
    )
    return jnp.mean(jnp.square(predicted - batch["noise"]))

  return loss_fn
