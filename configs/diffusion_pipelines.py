"""RandOpt on published pipelines: the variants of configs/diffusion.py for SDXL.

Command   python -m experiments.diffusion --workdir=runs/sdxl \
            --config=configs/diffusion.py:sdxl_base
Variants  sdxl_base, sdxl_turbo and sd15, for a colour; sdxl_base-styles and so on,
          for a style; sdxl_base-dev and so on judge on the prompts of `dev`, on which
          settings may be chosen
Hardware  not tried; by arithmetic 6 GiB of base and 5 of a member, beside activations
          (docs/accelerators.md); on TPUs write --config.model.dtype=bfloat16
Time      not measured; sdxl_base makes 61 920 predictions of 1.589 TFLOP to choose
          members, sdxl_turbo 4 128
Result    none: no published weights were at hand where this was written. The code is
          compared with diffusers on tiny models (docs/diffusion.md).

sdxl_base has the settings of the authors (appendix J, and their code): SDXL base 1.0
in float16, N 128, K 8, sigma 3e-3 on all tensors of the UNet, 30 steps, guidance 5,
512 × 512 pixels, the negative prompt below, one starting noise a prompt, 8 prompts
that select, and the cosine of CLIP ViT-L/14 with the bare word as the score. Prompts
are our own, 8 that select and 16 that judge; theirs name other colours now and then,
and 8 of them judge. Their table has neither random members nor intervals.

sdxl_turbo has the published settings of SDXL-Turbo: 512 × 512 pixels, 4 steps spaced
as trailing, no guidance. sd15 has those of Stable Diffusion 1.5: 512 × 512 pixels,
guidance 7.5, no negative prompt; 30 steps. That sigma 3e-3 suits these two is not
known.
"""

from collections.abc import Mapping
from typing import Any

import ml_collections

from configs import picture_prompts

# What a variant changes of the section `model`.
PIPELINES: Mapping[str, Mapping[str, Any]] = {
  "sdxl_base": {
    "name": "stabilityai/stable-diffusion-xl-base-1.0",
    "num_steps": 30,
    "guidance": 5.0,
    "negative": ("low quality, blurry, distorted",),
  },
  "sdxl_turbo": {
    "name": "stabilityai/sdxl-turbo",
    "num_steps": 4,
    "spacing": "trailing",
    "guidance": 0.0,
  },
  "sd15": {
    "name": "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "num_steps": 30,
    "guidance": 7.5,
  },
}
_CHANGES = ("styles", "dev")


def get_config(variant: str = "sdxl_base") -> ml_collections.ConfigDict:
  """Returns the config of a pipeline: its name, and what is changed, by dashes."""
  name, *changes = variant.split("-")
  if name not in PIPELINES or not set(changes) <= set(_CHANGES):
    raise ValueError(
      f"variant must be one of {list(PIPELINES)}, with -styles or -dev behind it"
      f" or not, got {variant!r}."
    )
  config = ml_collections.ConfigDict()
  config.experiment = "diffusion"
  # Root of every random choice: population and starting noise.
  config.seed = 0

  config.model = ml_collections.ConfigDict()
  # A directory of diffusers, or the id of a pipeline on the hub.
  config.model.name = ""
  config.model.revision = ""  # Branch, tag or commit on the hub.
  config.model.variant = "fp16"  # The word in the names of files, or none.
  config.model.dtype = "float16"  # The UNet has it; the decoder is float32.
  # The CLIP that scores pictures: a directory, or its id on the hub.
  config.model.scorer = "openai/clip-vit-large-patch14"
  config.model.scorer_revision = ""
  config.model.scorer_dtype = "float32"
  config.model.height = 512  # In pixels.
  config.model.width = 512
  # For how many pictures of a member the UNet predicts at once; 0 for all. Fewer
  # need less memory, and weights are read more often.
  config.model.pictures_at_once = 0
  config.model.num_steps = 30  # Of each picture.
  config.model.spacing = ""  # leading, trailing, linspace; or as its file says.
  config.model.guidance = 5.0  # 1 or less asks no negative prompt.
  # The prompt that guidance leads away from, one at most. With none, SDXL takes
  # zeros and others the empty text; ("",) is the empty text for all.
  config.model.negative = ()
  config.model.update(PIPELINES[name])

  config.task = ml_collections.ConfigDict()
  is_style = "styles" in changes
  # What members are chosen for: one of the targets, for which all are scored.
  config.task.target = "watercolor" if is_style else "blue"
  config.task.targets = (
    picture_prompts.STYLES if is_style else picture_prompts.COLOURS
  )
  config.task.select_prompts = picture_prompts.SELECT
  config.task.judge_prompts = (
    picture_prompts.DEV if "dev" in changes else picture_prompts.JUDGE
  )
  config.task.num_select = 1  # Pictures of each prompt that choose members.
  config.task.num_judge = 1  # Pictures of each prompt that judge the choice.
  config.task.margins = (
    0.01,
    0.02,
  )  # Least gains in score that make an expert.

  config.population = ml_collections.ConfigDict()
  config.population.size = 128  # N. A finished run continues with a larger N.
  config.population.sigmas = (0.003,)  # In the weights' own units.
  config.population.design = "balanced"  # Equal counts; or "independent".
  config.population.include = (
    "unet.*",
  )  # Patterns of the UNet to perturb, ...
  config.population.exclude = ()  # ... and of what of it to leave.
  config.population.chunk = 0  # Members to a chunk; 0 finds it from memory.

  config.ensemble = ml_collections.ConfigDict()
  config.ensemble.top_k = 8  # The K that is reported, chosen beforehand.
  config.ensemble.also = (2,)  # Others, for the table.
  config.ensemble.num_random = 6  # Members that are judged as they were drawn.

  # Whether the pictures of judging are kept as PNG files. The figure needs them.
  config.keep_pictures = True
  return config.lock()
