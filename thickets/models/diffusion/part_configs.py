"""The architectures of all parts of a pipeline, checked against each other."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from thickets.errors import UserError
from thickets.models.diffusion import (
  clip_config,
  directory,
  schedule,
  unet_config,
  vae,
)
from thickets.models.diffusion.clip_config import TextConfig
from thickets.models.diffusion.schedule import Sampler, ScheduleConfig
from thickets.models.diffusion.unet_config import UNetConfig
from thickets.models.diffusion.vae import VAEConfig

# What latents of Stable Diffusion 1 and 2 are multiplied with. Files from before
# diffusers had a field for it, in January 2023, lack it: the pipeline had the number.
_SD_SCALE = 0.18215


@dataclasses.dataclass(frozen=True)
class Configs:
  """What the parts of one pipeline are.

  Attributes:
    unet: the denoiser.
    vae: the decoder.
    schedule: what the denoiser was trained with.
    texts: the text towers, by the name of the part.
    is_xl: whether it is a pipeline of SDXL.
  """

  unet: UNetConfig
  vae: VAEConfig
  schedule: ScheduleConfig
  texts: Mapping[str, TextConfig]
  is_xl: bool


def parse(
  source: directory.Directory, *, sampler: Sampler | None = None
) -> Configs:
  """Reads the configs of a pipeline.

  Args:
    source: the pipeline.
    sampler: Euler or DDIM, by default what the scheduler's file says.

  Raises:
    UserError: if an option is not supported, or the parts do not fit.
  """
  texts = {
    part: clip_config.parse_text_config(
      source.fields[part],
      part,
      is_projected=source.index[part][1] == "CLIPTextModelWithProjection",
    )
    for part in source.text_parts
  }
  configs = Configs(
    unet=unet_config.parse_config(source.fields["unet"]),
    vae=vae.parse_config(_complete_vae(source)),
    schedule=schedule.parse_config(source.fields["scheduler"], sampler=sampler),
    texts=texts,
    is_xl=source.class_name == directory.SDXL,
  )
  _check_fit(configs)
  return configs


def _complete_vae(source: directory.Directory) -> Mapping[str, Any]:
  """The config of the decoder; early files of Stable Diffusion say no scale."""
  if source.class_name == directory.SDXL:
    return source.fields["vae"]
  return {"scaling_factor": _SD_SCALE, **source.fields["vae"]}


def _check_fit(configs: Configs) -> None:
  """Refuses parts of different models."""
  denoiser, decoder, texts = configs.unet, configs.vae, configs.texts
  if configs.is_xl != (denoiser.added is not None):
    raise UserError(
      "unet.addition_embed_type must be text_time in pipelines of SDXL alone, got"
      f" {'text_time' if denoiser.added else 'null'}. Correct model_index.json."
    )
  width = sum(config.tower.width for config in texts.values())
  pooled = list(texts.values())[-1].projection_width
  expected = denoiser.added.pooled_width if denoiser.added else None
  found = [
    ("unet.cross_attention_dim", "the width of the texts", width),
    ("unet.in_channels", "vae.latent_channels", decoder.latent_channels),
    ("unet.out_channels", "vae.latent_channels", decoder.latent_channels),
    ("the pooled width of unet", "that of the text towers", pooled),
  ]
  have = [
    denoiser.context_width,
    denoiser.in_channels,
    denoiser.out_channels,
    expected,
  ]
  for (name, other, want), got in zip(found, have, strict=True):
    if got != want:
      raise UserError(
        f"{name} must be {other}, got {got} and {want}. The parts are of"
        " different models: fetch the pipeline again."
      )
