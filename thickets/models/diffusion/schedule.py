"""When a denoiser is asked, and for which noise: the schedules of Euler and DDIM.

Noise is added to a picture as picture + sigma × noise. A schedule is a list of
falling sigmas, computed in float64 on the host and given out in float32: in
bfloat16 the smallest sigma is zero, and most timesteps are others.

DDIM without added noise computes the same pictures as Euler in other
coordinates, so both are one list of numbers here and one integrator. They differ
in what is rounded, and in how strong the first noise is.

Reference: Song et al. (2021), arXiv:2010.02502; Karras et al. (2022),
arXiv:2206.00364.
"""

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from absl import logging
from jaxtyping import Float

from thickets.errors import UserError
from thickets.models.diffusion import part_options
from thickets.models.published_classes import Field

_WHERE = "scheduler"
_KNOWN = {
  "_class_name": Field("text", "EulerDiscreteScheduler"),
  "num_train_timesteps": Field("size", 1000),
  "beta_start": Field("share", 0.0001),
  "beta_end": Field("share", 0.02),
  "beta_schedule": Field("text", "linear"),
  "prediction_type": Field("text", "epsilon"),
  "timestep_spacing": Field("text", None, may_be_null=True),
  "steps_offset": Field("count", 0),
}
_OFF = (False, None)
_NEUTRAL = {
  "final_sigmas_type": ("zero",),
  "interpolation_type": ("linear",),
  "rescale_betas_zero_snr": _OFF,
  "thresholding": _OFF,
  "timestep_type": ("discrete",),
  "trained_betas": (None,),
  "use_beta_sigmas": _OFF,
  "use_exponential_sigmas": _OFF,
  "use_karras_sigmas": _OFF,
}
_SPACINGS = {  # That a class has where its file gives none.
  "EulerDiscreteScheduler": "linspace",
  "EulerAncestralDiscreteScheduler": "linspace",
  "DDIMScheduler": "leading",
  "PNDMScheduler": "leading",
}
_MOST_NOISE = 1e9  # Float32 holds its square; published schedules reach 157.
_RATES = ("linear", "scaled_linear")
_SPACING_WORDS = ("leading", "trailing", "linspace")


class Prediction(enum.Enum):
  """What a denoiser predicts.

  Attributes:
    NOISE: the noise itself.
    VELOCITY: noise and picture, weighted by their shares (Salimans and Ho, 2022).
  """

  NOISE = "epsilon"
  VELOCITY = "v_prediction"


class Sampler(enum.Enum):
  """Which of the two published samplers a schedule is that of."""

  EULER = "euler"
  DDIM = "ddim"


@dataclasses.dataclass(frozen=True)
class ScheduleConfig:
  """What a denoiser was trained with, and how its steps are spaced.

  Attributes:
    num_timesteps: timesteps of training.
    first_beta: rate at which noise is added at the first of them.
    last_beta: the rate at the last.
    is_rate_squared: whether the roots of the rates grow evenly, not the rates.
    prediction: what the denoiser predicts.
    spacing: leading, trailing or linspace.
    offset: what is added to the timesteps where the spacing is leading.
    sampler: the published sampler.
  """

  num_timesteps: int
  first_beta: float
  last_beta: float
  is_rate_squared: bool
  prediction: Prediction
  spacing: str
  offset: int
  sampler: Sampler

  def __post_init__(self):
    if self.spacing not in _SPACING_WORDS:
      raise UserError(
        f"timestep_spacing must be one of {list(_SPACING_WORDS)}, got"
        f" {self.spacing!r}."
      )


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Schedule:
  """The steps of one sampling.

  Attributes:
    timesteps: [n] when the denoiser is asked; fractions for linspace of Euler.
    sigmas: [n + 1] the noise before each step and after the last, which is 0.
    init_scale: [] what unit noise is multiplied with to begin.
    prediction: what the denoiser predicts.
  """

  timesteps: Any
  sigmas: Any
  init_scale: Any
  prediction: Prediction = dataclasses.field(metadata={"static": True})

  @property
  def num_steps(self) -> int:
    """How often the denoiser is asked."""
    return self.timesteps.shape[0]


def parse_config(
  fields: Mapping[str, Any], *, sampler: Sampler | None = None
) -> ScheduleConfig:
  """Reads a scheduler_config.json.

  Fields of other samplers that files carry along are not read: with
  `set_alpha_to_one` of SDXL's file, DDIM would end before the noise is gone.

  Args:
    fields: its contents.
    sampler: which sampler is meant, by default that of the file. Files of PNDM
      and of the stochastic Euler are read as those of Euler.

  Raises:
    UserError: if the class or an option is not supported.
  """
  read = part_options.read_fields(
    fields, _WHERE, known=_KNOWN, neutral=_NEUTRAL, unread=None
  )
  published = read["_class_name"]
  if published not in _SPACINGS:
    raise UserError(
      f"scheduler must be one of {sorted(_SPACINGS)}, got {published!r}. Save"
      " the pipeline with one of them."
    )
  if read["beta_schedule"] not in _RATES:
    raise UserError(
      f"scheduler.beta_schedule must be one of {list(_RATES)}, got"
      f" {read['beta_schedule']!r}. Others are not supported."
    )
  kinds = [kind.value for kind in Prediction]
  if read["prediction_type"] not in kinds:
    raise UserError(
      f"scheduler.prediction_type must be one of {kinds}, got"
      f" {read['prediction_type']!r}. Others are not supported."
    )
  _check_rates(read)
  if sampler is None:
    sampler = Sampler.DDIM if published == "DDIMScheduler" else Sampler.EULER
    if published not in ("DDIMScheduler", "EulerDiscreteScheduler"):
      logging.info("%s is read as EulerDiscreteScheduler", published)
  if sampler is Sampler.DDIM and _clips(fields):
    raise UserError(
      "scheduler.clip_sample must be false for DDIM, got true, the default of"
      " its class. Latents are not bounded: write false in its config."
    )
  config = ScheduleConfig(
    num_timesteps=read["num_train_timesteps"],
    first_beta=float(read["beta_start"]),
    last_beta=float(read["beta_end"]),
    is_rate_squared=read["beta_schedule"] == "scaled_linear",
    prediction=Prediction(read["prediction_type"]),
    spacing=read["timestep_spacing"] or _SPACINGS[published],
    offset=read["steps_offset"],
    sampler=sampler,
  )
  most = noise_levels(config)[-1]
  if not most < _MOST_NOISE:
    raise UserError(
      "scheduler.beta_end must leave some of the picture at the last timestep, got"
      f" {config.last_beta:g}, of which it leaves {1 / most:.3g}. Correct its"
      " config."
    )
  return config


def _check_rates(read: Mapping[str, Any]) -> None:
  """Refuses rates that add no noise, or leave nothing of the picture."""
  for name in ("beta_start", "beta_end"):
    if not 0 < read[name] < 1:
      raise UserError(
        f"scheduler.{name} must be above 0 and below 1, got {read[name]}."
        " Correct its config."
      )


def _clips(fields: Mapping[str, Any]) -> bool:
  is_ddim = fields.get("_class_name") == "DDIMScheduler"
  return bool(fields.get("clip_sample", is_ddim))


def make_schedule(config: ScheduleConfig, num_steps: int) -> Schedule:
  """The steps of a sampling.

  Args:
    config: what the denoiser was trained with.
    num_steps: how often it is asked, from 1 on.

  Raises:
    UserError: if there are more steps than timesteps, or the offset leads
      beyond the last timestep.
  """
  timesteps = _space(config, num_steps)
  ratios = noise_levels(config)
  sigmas = np.interp(timesteps, np.arange(config.num_timesteps), ratios)
  first = sigmas[0]
  # By the sampler's coordinates, in which its first noise has a spread of one.
  is_unit = config.sampler is Sampler.DDIM or config.spacing == "leading"
  init_scale = np.sqrt(first**2 + 1) if is_unit else first
  sigmas = np.append(sigmas, 0.0).astype(np.float32)
  if np.any(np.diff(sigmas) >= 0):
    raise UserError(
      f"num_steps must give falling sigmas, got two equal ones with {num_steps}"
      f" steps ({config.spacing}). Take fewer steps, or correct beta_start and"
      " beta_end of its scheduler."
    )
  return Schedule(
    timesteps=timesteps.astype(np.float32),
    sigmas=sigmas,
    init_scale=np.float32(init_scale),
    prediction=config.prediction,
  )


def noise_levels(config: ScheduleConfig) -> Float[np.ndarray, " T"]:
  """[T] the sigma of every timestep of training, in float64."""
  power = 2 if config.is_rate_squared else 1
  first, last = config.first_beta, config.last_beta
  roots = np.linspace(
    first ** (1 / power), last ** (1 / power), config.num_timesteps
  )
  betas = roots**power
  kept = np.cumprod(1 - betas)
  with np.errstate(divide="ignore", over="ignore"):  # Such rates are refused.
    return np.sqrt((1 - kept) / kept)


def _space(config: ScheduleConfig, num_steps: int) -> Float[np.ndarray, " n"]:
  """[n] falling timesteps, as the published samplers space them."""
  total = config.num_timesteps
  if not 1 <= num_steps <= total:
    raise UserError(
      f"num_steps must be from 1 to {total}, the timesteps of training, got"
      f" {num_steps}."
    )
  if config.spacing == "leading":
    stride = total // num_steps
    timesteps = np.arange(num_steps)[::-1] * float(stride) + config.offset
  elif config.spacing == "trailing":
    places = np.arange(total, 0, -total / num_steps)[:num_steps]
    timesteps = np.round(places) - 1
  else:
    timesteps = np.linspace(0, total - 1, num_steps)[::-1]
    if config.sampler is Sampler.DDIM:
      timesteps = np.round(timesteps)
  if timesteps[0] > total - 1:
    raise UserError(
      f"num_steps must leave room for steps_offset, got {num_steps} steps that"
      f" begin at timestep {timesteps[0]:g} of {total}. Take fewer steps."
    )
  return timesteps
