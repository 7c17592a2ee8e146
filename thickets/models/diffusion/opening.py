"""Pipelines whose weights are not read yet: what they are, and what they refuse."""

import dataclasses
from collections.abc import Sequence

from absl import logging

from thickets.errors import UserError
from thickets.models.diffusion import directory, part_configs, tokens
from thickets.models.diffusion.directory import Directory
from thickets.models.diffusion.part_configs import Configs
from thickets.models.diffusion.schedule import Sampler
from thickets.models.diffusion.tokens import TextTokenizer

Size = tuple[int, int]  # Height and width, in this order everywhere.

_SMALL = 512  # Below it, pictures of SDXL are poor: it was trained at 1024.


@dataclasses.dataclass(frozen=True)
class Opened:
  """A pipeline of which the small files were read.

  Attributes:
    source: the directory.
    configs: the architectures of its parts.
    tokenizers: the tokenizers of its text towers.
  """

  source: Directory
  configs: Configs
  tokenizers: tuple[TextTokenizer, ...]

  def latent_shape(self, size: Size) -> tuple[int, int, int]:
    """Height, width and channels of the latents of a picture; see below."""
    return find_latent_shape(self.configs, size)

  def check_texts(self, key: str, texts: Sequence[str]) -> None:
    """Refuses texts that a tokenizer would cut; see `tokens.check_texts`."""
    for tokenizer in self.tokenizers:
      tokens.check_texts(tokenizer, key, texts)


def open_pipeline(
  name: str,
  *,
  revision: str | None = None,
  variant: str | None = None,
  sampler: Sampler | None = None,
) -> Opened:
  """Reads what a pipeline is, and refuses what cannot be used.

  Args:
    name: a directory of diffusers, or the id of a pipeline on the hub.
    revision: branch, tag or commit on the hub.
    variant: the word in the names of its weights' files, such as "fp16".
    sampler: Euler or DDIM, by default what the scheduler's file says.

  Raises:
    UserError: if the pipeline or a part of it is missing or not supported.
  """
  path = directory.locate(name, revision=revision, variant=variant)
  source = directory.open_directory(path, variant=variant)
  configs = part_configs.parse(source, sampler=sampler)
  tokenizers = tuple(
    tokens.load(source.folder(f"tokenizer{part[12:]}"), config)
    for part, config in configs.texts.items()
  )
  return Opened(source, configs, tokenizers)


def find_latent_shape(configs: Configs, size: Size) -> tuple[int, int, int]:
  """Height, width and channels of the latents of a picture.

  Raises:
    UserError: if the size is not a multiple of what a latent stands for.
  """
  factor = configs.vae.factor
  for name, side in zip(("height", "width"), size, strict=True):
    if side < factor or side % factor:
      raise UserError(
        f"{name} must be a positive multiple of {factor} pixels, got {side}."
        f" Take {max(1, round(side / factor)) * factor}; multiples of"
        f" {8 * factor} are best."
      )
  if configs.is_xl and min(size) < _SMALL:
    logging.warning(
      "Pictures of SDXL are poor below %d pixels a side, got %s.",
      _SMALL,
      size,
    )
  return size[0] // factor, size[1] // factor, configs.unet.in_channels
