"""Texts that a model reads, with images or without, and how they begin alike."""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from thickets.generation.rows import Reading
from thickets.models.vision.images import FeatureTable
from thickets.models.vision.positions import find_positions

_MIN_WIDTH = 8
_MIN_PREFIX = 16  # Tokens; a shorter one is not worth a program of its own.


@dataclasses.dataclass(frozen=True)
class PromptImages:
  """The images of prompts, and the features that stand for them.

  Attributes:
    numbers: [Q] the images of each prompt, in their order, as numbers from 0.
    grids: [I] rows and columns of tokens of each image.
    table: the features of all images, in the order of their numbers; [P, ...] where
      each member has its own.
    image_token: the id that stands for a feature.
    has_own_tables: whether each member has features of its own.
  """

  numbers: Sequence[Sequence[int]]
  grids: Sequence[tuple[int, int]]
  table: FeatureTable
  image_token: int
  has_own_tables: bool = False


@dataclasses.dataclass(frozen=True)
class Text:
  """The tokens of a prompt, or a part of them, with what they are read as.

  Attributes:
    tokens: [S] token ids.
    places: [S] for each token the row of the table of features that stands for it,
      -1 for its own embedding; None where no prompt has an image.
    positions: [3, S] time, row and column of each token; None where no prompt
      has an image.
    delta: see `positions.find_positions`; that of the whole prompt.
  """

  tokens: Sequence[int]
  places: Int[np.ndarray, " S"] | None = None
  positions: Int[np.ndarray, "3 S"] | None = None
  delta: int = 0

  def __len__(self) -> int:
    return len(self.tokens)

  @functools.cached_property
  def keys(self) -> list[int]:
    """[S] what two texts must have in common to be read alike.

    Those of images are negative, and differ where the images do, although the
    tokens of all images are the same.
    """
    if self.places is None:
      return list(self.tokens)
    places = np.asarray(self.places)
    return np.where(places >= 0, -1 - places, self.tokens).tolist()

  def cut(self, start: int, end: int | None = None) -> "Text":
    """The tokens from `start` on, before `end`."""
    part = slice(start, end)
    if self.places is None or self.positions is None:
      return Text(self.tokens[part])
    return Text(
      self.tokens[part],
      self.places[part],
      self.positions[:, part],
      self.delta,
    )


def make_texts(
  prompts: Sequence[Sequence[int]], images: PromptImages | None
) -> list[Text]:
  """Finds for each token of prompts what it is read as.

  Args:
    prompts: [Q] token ids of each prompt.
    images: their images; None where they have none.

  Raises:
    ValueError: if the image tokens of a prompt are not those of its images.
  """
  if images is None:
    return [Text(prompt) for prompt in prompts]
  sizes = [rows * columns for rows, columns in images.grids]
  starts = np.cumsum([0, *sizes])
  texts = []
  for number, (prompt, shown) in enumerate(
    zip(prompts, images.numbers, strict=True)
  ):
    try:
      positions, delta = find_positions(
        prompt,
        [images.grids[image] for image in shown],
        image_token=images.image_token,
      )
    except ValueError as error:
      raise ValueError(f"Prompt {number}: {error}") from error
    places = np.full(len(prompt), -1, np.int32)
    rows = [starts[image] + np.arange(sizes[image]) for image in shown]
    is_image = np.asarray(prompt) == images.image_token
    places[is_image] = np.concatenate(rows) if rows else []
    texts.append(Text(prompt, places, positions, delta))
  return texts


def find_prefix(prompts: Sequence[Sequence[int]]) -> int:
  """How many first tokens all prompts share, leaving each at least one.

  Short prefixes, and that of a single prompt, count as none.

  Args:
    prompts: [Q] token ids of each prompt, or `Text.keys` where there are images: a
      prefix then ends before the first one that prompts do not share.
  """
  length = count_common(prompts) if len(prompts) > 1 else 0
  return length if length >= _MIN_PREFIX else 0


def count_common(prompts: Sequence[Sequence[int]]) -> int:
  """How many first tokens prompts share, however few, leaving each at least one."""
  # The two that differ soonest.
  first, last = min(prompts, key=list), max(prompts, key=list)
  most = min(len(prompt) for prompt in prompts) - 1
  length = 0
  while length < most and first[length] == last[length]:
    length += 1
  return length


def round_width(width: int, most_padding: int | None = None) -> int:
  """The next of four prompt widths per octave, so that few programs differ.

  Args:
    width: tokens of the longest prompt.
    most_padding: how many columns may be added; where that is not enough, the
      next of so many more widths per octave that it is. None for any number.
  """
  multiple = max(_MIN_WIDTH, 2 ** (width.bit_length() - 3))
  rounded = -(-width // multiple) * multiple
  while most_padding is not None and rounded - width > most_padding:
    multiple //= 2
    rounded = -(-width // multiple) * multiple
  return rounded


def pad_texts(texts: Sequence[Sequence[Text | None]], width: int) -> Reading:
  """The tokens [G, B, T] of texts, padded on the left.

  Args:
    texts: for each of G groups the texts of its B rows, None where a row only
      fills up; all groups have as many rows.
    width: T, at least the length of the longest.
  """
  shape = (len(texts), len(texts[0]))
  tokens = np.zeros((*shape, width), np.int32)
  starts = np.full(shape, width - 1, np.int32)
  for seat in np.ndindex(*shape):
    text = texts[seat[0]][seat[1]]
    if text is not None:
      starts[seat] = width - len(text)
      tokens[seat][starts[seat] :] = text.tokens
  has_images = any(
    text is not None and text.places is not None
    for group in texts
    for text in group
  )
  if not has_images:
    return Reading(tokens, starts)
  places = np.full((*shape, width), -1, np.int32)
  positions = np.zeros((*shape, 3, width), np.int32)
  for seat in np.ndindex(*shape):
    text = texts[seat[0]][seat[1]]
    if text is not None and text.places is not None:
      places[seat][starts[seat] :] = text.places
      positions[seat][:, starts[seat] :] = text.positions
  return Reading(tokens, starts, places, positions)
