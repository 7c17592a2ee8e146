"""CLIP as the judge of pictures: how near each of them is to a text."""

import dataclasses
import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from thickets.errors import UserError
from thickets.models import hub_files
from thickets.models.diffusion import (
  clip,
  clip_config,
  clip_pixels,
  part_files,
  tokens,
)
from thickets.models.diffusion.clip_config import ScorerConfig
from thickets.naming import Params


@dataclasses.dataclass(frozen=True)
class Scorer:
  """A CLIP model with its tokenizer.

  Attributes:
    config: the architecture.
    params: the weights of both towers.
    tokenizer: what makes tokens of texts.
    source: what was loaded.
  """

  config: ScorerConfig
  params: Params
  tokenizer: tokens.TextTokenizer
  source: str

  def embed_texts(self, texts: Sequence[str]) -> Float[np.ndarray, "Q E"]:
    """[Q, E] texts as vectors of length one, in float32.

    Raises:
      UserError: if a text has more tokens than the tower reads.
    """
    ids = self.tokenizer.encode(texts)
    return np.asarray(_embed_texts(self.config, self.params, ids))

  def picture_params(self) -> Params:
    """The weights that `embed_pictures` reads, for a base tree of their own."""
    return {
      name: self.params[name] for name in ("vision_model", "visual_projection")
    }

  def embed_pictures(
    self, params: Params, pictures: Float[Array, "B H W 3"]
  ) -> Float[Array, "B E"]:
    """[B, E] pictures as vectors of length one; the score is a product.

    Args:
      params: `picture_params`, or a tree that has its subtrees.
      pictures: [B, H, W, 3] RGB from 0 to 1, of any size.
    """
    return look_at(self.config, params, pictures)


def look_at(
  config: ScorerConfig, params: Params, pictures: Float[Array, "B H W 3"]
) -> Float[Array, "B E"]:
  """What `Scorer.embed_pictures` gives, by the architecture alone."""
  pixels = clip_pixels.prepare(pictures, config.vision.size)
  return clip.embed_pictures(config, params, pixels)


@functools.partial(jax.jit, static_argnums=0)
def _embed_texts(config: ScorerConfig, params: Params, ids: Array) -> Array:
  return clip.embed_texts(config, params, ids)


def load(
  name: str, *, revision: str | None = None, dtype: DTypeLike = jnp.float32
) -> Scorer:
  """Loads a CLIP model, such as openai/clip-vit-large-patch14.

  Args:
    name: a directory, or the id of a model on the hub.
    revision: branch, tag or commit on the hub.
    dtype: the dtype that it is held and computed in.

  Raises:
    UserError: if it cannot be found, or is no CLIP model.
  """
  files = hub_files.locate(name, revision)
  fields = hub_files.read_json(files.directory / "config.json")
  if fields is None:
    raise UserError(
      "A model that scores pictures must have config.json, got none in"
      f" {files.directory}. Fetch it, or name another."
    )
  config = clip_config.parse_scorer_config(fields)
  tokenizer = tokens.load(files.directory, config.text)
  files.fetch_weights()
  params = part_files.load(
    files.directory,
    clip.describe_scorer(config),
    part_files.WeightSet(part_files.TRANSFORMERS_STEM),
    dtype=dtype,
    spell=clip.spell,
    ignored=clip.UNREAD,
  )
  return Scorer(config, params, tokenizer, name)
