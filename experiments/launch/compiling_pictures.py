"""What is to be compiled of a pipeline for a machine that is not here."""

import jax.numpy as jnp
import ml_collections

from configs import compile_pictures as keys
from experiments.launch.config_checks import (
  Range,
  check_choices,
  check_ranges,
  refuse,
  to_json,
)
from thickets.errors import UserError
from thickets.generation.images.forecast import Case
from thickets.models.diffusion import clip_config, schedule, unet_config, vae


def read_case(config: ml_collections.ConfigDict) -> Case:
  """Reads a config of configs/compile_pictures.py.

  Raises:
    UserError: with everything that is wrong.
  """
  if config.get("subject") != "pictures":
    raise UserError(
      "--config must be of configs/compile_pictures.py, got another. Runs of"
      " language models are compiled by experiments.compile."
    )
  refuse(
    [
      f"{key} is missing from the config."
      for key in keys.get_config()
      if key not in config
    ]
  )
  refuse(
    [
      *check_ranges(
        config,
        {
          "height": Range(8),
          "width": Range(8),
          "num_pictures": Range(1),
          "pictures_at_once": Range(0),
          "num_steps": Range(1, 1000),
          "guidance": Range(0),
          "num_members": Range(1),
        },
      ),
      *check_choices(config, {"dtype": ("bfloat16", "float16", "float32")}),
    ]
  )
  decoder = vae.parse_config(to_json(config.vae))
  for name in ("height", "width"):
    if config[name] % decoder.factor:
      raise UserError(
        f"{name} must be a multiple of {decoder.factor} pixels, got"
        f" {config[name]}."
      )
  return Case(
    unet=unet_config.parse_config(to_json(config.unet)),
    vae=decoder,
    scorer=clip_config.parse_scorer_config(to_json(config.scorer)),
    schedule=schedule.parse_config(to_json(config.scheduler)),
    dtype=jnp.dtype(config.dtype),
    size=(config.height, config.width),
    num_pictures=config.num_pictures,
    pictures_at_once=config.pictures_at_once or None,
    num_steps=config.num_steps,
    guidance=float(config.guidance),
    num_members=config.num_members,
  )
