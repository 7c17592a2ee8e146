"""A text-to-picture pipeline as four functions that the engine knows.

`encode` turns prompts into arrays with prompts first, once for a whole population;
`predict` is the denoiser, the only function whose weights differ between members;
`schedule` says when it is asked; `decode` draws. A pipeline of another kind is
whatever has these four.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from thickets import naming
from thickets.errors import UserError
from thickets.models.diffusion import (
  clip,
  clip_config,
  directory,
  opening,
  part_files,
  schedule,
  tokens,
  unet,
  vae,
  weights,
)
from thickets.models.diffusion.opening import Opened, Size
from thickets.models.diffusion.part_configs import Configs
from thickets.models.diffusion.schedule import Sampler, Schedule
from thickets.models.diffusion.unet import Conditioning
from thickets.naming import Names, Params


class Denoiser(Protocol):
  """What the engine knows of a pipeline."""

  def encode(self, prompts: Sequence[str], frame: "Frame") -> Conditioning:
    """What `predict` depends on beside latents and time, prompts first."""
    ...

  def predict(
    self, params: Params, x: Array, t: Array, conditioning: Conditioning
  ) -> Array:
    """Predicts noise or velocity in latents [Q, h, w, c] at times [Q]."""
    ...

  def schedule(self, num_steps: int) -> Schedule:
    """When the denoiser is asked."""
    ...

  def decode(self, params: Params, x: Array) -> Array:
    """Draws pictures [Q, H, W, 3], RGB from 0 to 1, from latents."""
    ...


@dataclasses.dataclass(frozen=True)
class Frame:
  """What SDXL is told about the size and the cut of a picture.

  Attributes:
    size: height and width of the picture, in pixels.
    original: height and width before it was cut, None for those of `size`.
    corner: top and left of the cut.
    target: height and width that it is to have, None for those of `size`.
  """

  size: Size
  original: Size | None = None
  corner: Size = (0, 0)
  target: Size | None = None

  def time_ids(self) -> Float[np.ndarray, " 6"]:
    """[6] the numbers that the UNet reads, heights before widths."""
    original = self.original or self.size
    target = self.target or self.size
    return np.array([*original, *self.corner, *target], np.float32)


@dataclasses.dataclass(frozen=True)
class TextPart:
  """A text tower with its tokenizer.

  Attributes:
    config: its architecture.
    params: its weights.
    tokenizer: what makes its tokens.
  """

  config: clip_config.TextConfig
  params: Params
  tokenizer: tokens.TextTokenizer


@dataclasses.dataclass(frozen=True)
class Pipeline:
  """Stable Diffusion or SDXL.

  Attributes:
    params: the weights {"unet", "vae"}; members differ in the first alone.
    configs: the architectures of its parts, and what it was trained with.
    texts: the text towers; none where all texts were read.
    has_zero_negative: whether the prompt None is zeros, not the empty text.
    identity: the identity of the UNet's and the decoder's weights, in the dtypes in
      which they are held.
    source: the directory that it was loaded from.
  """

  params: Params
  configs: Configs
  texts: tuple[TextPart, ...]
  has_zero_negative: bool
  identity: str
  source: directory.Directory

  def encode(self, prompts: Sequence[str], frame: Frame) -> Conditioning:
    """Reads prompts.

    Args:
      prompts: the texts, none of which may be cut by a tokenizer.
      frame: the size and the cut of the pictures.

    Returns:
      `context` [Q, T, D], and of SDXL `pooled` [Q, P] and `time_ids` [Q, 6], all
      float32.

    Raises:
      UserError: if a text has more tokens than a tower reads.
    """
    tokenised = [text.tokenizer.encode(prompts) for text in self.texts]
    read = [
      _read_texts(text, ids)
      for text, ids in zip(self.texts, tokenised, strict=True)
    ]
    if not self.configs.is_xl:
      return {"context": read[0].last}
    return {
      "context": np.concatenate(
        [features.before_last for features in read], axis=-1
      ),
      "pooled": read[-1].pooled,
      "time_ids": np.tile(frame.time_ids(), (len(prompts), 1)),
    }

  def encode_negative(
    self, prompt: str | None, num_prompts: int, frame: Frame
  ) -> Conditioning:
    """Reads the prompt that guidance leads away from, once for all prompts.

    Args:
      prompt: the text; "" is read as a text. None stands for no text: zeros where
        the pipeline says so, as SDXL's does, otherwise the empty text.
      num_prompts: how often it is repeated.
      frame: the size and the cut that its branch is told, which need not be those
        of the prompts.
    """
    encoded = self.encode([prompt or ""], frame)
    if prompt is None and self.has_zero_negative:
      times = {"time_ids": encoded["time_ids"]}
      encoded = {**jax.tree.map(np.zeros_like, dict(encoded)), **times}
    return {
      key: np.repeat(array, num_prompts, axis=0)
      for key, array in encoded.items()
    }

  def predict(
    self,
    params: Params,
    x: Float[Array, "Q h w c"],
    t: Float[Array, " Q"],
    conditioning: Conditioning,
  ) -> Float[Array, "Q h w c"]:
    """Predicts the noise in latents; `params` has the subtree "unet"."""
    return unet.apply(self.configs.unet, params["unet"], x, t, conditioning)

  def schedule(self, num_steps: int) -> Schedule:
    """When the denoiser is asked."""
    return schedule.make_schedule(self.configs.schedule, num_steps)

  def decode(
    self, params: Params, x: Float[Array, "Q h w c"]
  ) -> Float[Array, "Q H W C"]:
    """Draws pictures, RGB from 0 to 1; `params` has the subtree "vae"."""
    return vae.decode(self.configs.vae, params["vae"], x)

  def latent_shape(self, size: Size) -> tuple[int, int, int]:
    """Height, width and channels of latents; see `opening.find_latent_shape`."""
    return opening.find_latent_shape(self.configs, size)

  def names(self) -> Names:
    """Logical names of `params`: `unet.conv_in`, `vae.decoder.conv_in`."""
    return weights.tensor_names(self.params)


def _read_texts(
  text: TextPart, tokens_QT: Int[np.ndarray, "Q T"]
) -> clip.TextFeatures:
  """Runs a text tower, in NumPy's float32.

  Texts are read one by one, so that none depends on how many there are.
  """
  rows = [_read_text(text.config, text.params, row[None]) for row in tokens_QT]
  return jax.tree.map(
    lambda *leaves: np.concatenate(leaves).astype(np.float32), *rows
  )


@functools.partial(jax.jit, static_argnums=0)
def _read_text(
  config: clip_config.TextConfig, params: Params, ids: Array
) -> clip.TextFeatures:
  return clip.read_texts(config, params, ids)


def load(
  name: str,
  *,
  revision: str | None = None,
  variant: str | None = None,
  dtype: DTypeLike | None = None,
  sampler: Sampler | None = None,
) -> Pipeline:
  """Loads a pipeline; what cannot be used is refused before weights are read.

  Args:
    name: a directory of diffusers, or the id of a pipeline on the hub.
    revision: branch, tag or commit on the hub.
    variant: the word in the names of its weights' files, such as "fp16".
    dtype: the dtype that the UNet is held and computed in; None for that of its
      file. The other parts are computed in float32.
    sampler: Euler or DDIM, by default what the scheduler's file says.

  Raises:
    UserError: if the pipeline or a part of it is missing or not supported.
  """
  opened = opening.open_pipeline(
    name, revision=revision, variant=variant, sampler=sampler
  )
  return read(opened, dtype=dtype)


def read(opened: Opened, *, dtype: DTypeLike | None = None) -> Pipeline:
  """Reads the weights of a pipeline that was opened.

  Args:
    opened: the pipeline.
    dtype: the dtype of the UNet, as in `load`.

  Raises:
    UserError: if its weights are not those of its configs.
  """
  source, configs = opened.source, opened.configs
  stored = {
    "unet": _read_part(source, "unet", unet.describe(configs.unet), dtype),
    "vae": _read_part(
      source,
      "vae",
      vae.describe(configs.vae),
      None,
      spell=vae.spell,
      ignored=vae.UNREAD,
    ),
  }
  texts = tuple(
    TextPart(
      config,
      jax.tree.map(
        jnp.asarray,
        _read_part(
          source,
          part,
          clip.describe_text(config),
          jnp.float32,
          spell=clip.spell,
          ignored=clip.UNREAD,
        ),
      ),
      tokenizer,
    )
    for (part, config), tokenizer in zip(
      configs.texts.items(), opened.tokenizers, strict=True
    )
  )
  return Pipeline(
    params=jax.tree.map(jnp.asarray, stored),
    configs=configs,
    texts=texts,
    has_zero_negative=configs.is_xl
    and bool(source.index.get("force_zeros_for_empty_prompt", True)),
    identity=naming.identify(stored, weights.tensor_names(stored)),
    source=source,
  )


def _read_part(
  source: directory.Directory,
  part: str,
  description: Params,
  dtype: DTypeLike | None,
  *,
  spell: part_files.Spell = part_files.spell_as_published,
  ignored: str = r"$^",
) -> Params:
  return part_files.read(
    source.folder(part),
    description,
    source.weight_set(part),
    dtype=dtype,
    spell=spell,
    ignored=ignored,
  )


def save(
  target: str | pathlib.Path, pipeline: Pipeline, unet_params: Params
) -> None:
  """Writes a pipeline with another UNet, which diffusers opens.

  All parts but the UNet are copied byte for byte.

  Args:
    target: a directory that is new or empty.
    pipeline: the pipeline.
    unet_params: the weights of the UNet, such as those of an expert; each is
      stored in the dtype that it has.

  Raises:
    UserError: if the directory is not empty, or the weights are of another UNet.
  """
  expected = jax.tree.map(jnp.shape, pipeline.params["unet"])
  if jax.tree.map(jnp.shape, unet_params) != expected:
    raise UserError(
      "unet_params must have the tensors of the pipeline's UNet, got others."
      " Pass weights of the same model."
    )
  write: Callable[[pathlib.Path], Any] = functools.partial(
    part_files.save,
    params=unet_params,
    wanted=pipeline.source.weight_set("unet"),
  )
  path = pathlib.Path(target).expanduser()
  directory.copy_with(pipeline.source, path, write)
