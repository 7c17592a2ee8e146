"""The files about preprocessing that are published with a vision-language model.

transformers 5 writes processor_config.json with the image processor inside;
before it, and where an image processor is saved alone, it has a file of its own.
"""

import json
from collections.abc import Mapping
from typing import Any

from thickets.errors import UserError
from thickets.models.vision import fields as vision_fields
from thickets.models.vision import pixel_fields
from thickets.models.vision.config import VisionConfig, VisionModel

IMAGES_FILE, JOINT_FILE = "preprocessor_config.json", "processor_config.json"
FILES = (IMAGES_FILE, JOINT_FILE, "video_preprocessor_config.json")
_NESTED = "image_processor"  # In the joint file.


def make_vision_model(
  fields: Mapping[str, Any],
  config: VisionConfig,
  vocab_size: int,
  tokenizer: Any,
  files: Mapping[str, bytes],
) -> VisionModel:
  """Gathers what a model needs besides its weights to see images.

  Args:
    fields: the contents of its config.json.
    config: its tower.
    vocab_size: rows of its embedding.
    tokenizer: a tokenizer of `transformers`, or None.
    files: the bytes of those files of `FILES` that it has, by name.

  Raises:
    UserError: if they do not say how pictures are prepared, or the tokenizer has
      no tokens for images.
  """
  said = (_read(files, JOINT_FILE) or {}).get(_NESTED)
  if said is None:
    said = _read(files, IMAGES_FILE)
  if not isinstance(said, Mapping):
    raise UserError(
      f"A {config.family} model must have a {IMAGES_FILE}, which says how pictures"
      f" are prepared, got {'none' if said is None else repr(said)}. Fetch it from"
      " where the weights were published."
    )
  image_pad, start, end, video_pad = vision_fields.read_tokens(
    fields, vocab_size
  )
  model = VisionModel(
    config=config,
    pixels=pixel_fields.read_pixels(said, config),
    image_pad=image_pad,
    vision_start=start,
    vision_end=end,
    video_pad=video_pad,
    files=dict(files),
  )
  _check_tokenizer(tokenizer, model)
  return model


def _read(files: Mapping[str, bytes], name: str) -> dict[str, Any] | None:
  """The JSON object in a file, None if there is no file."""
  if name not in files:
    return None
  try:
    contents = json.loads(files[name])
  except ValueError as error:
    raise UserError(
      f"{name} must be JSON, got {error}. Fetch it again."
    ) from error
  if not isinstance(contents, dict):
    raise UserError(f"{name} must be a JSON object, got {contents!r}.")
  return contents


def write_file(preprocessor: Mapping[str, Any] | None) -> dict[str, bytes]:
  """The file of an image processor that exists only in memory, if there is one."""
  if preprocessor is None:
    return {}
  text = json.dumps(dict(preprocessor), indent=2, sort_keys=True) + "\n"
  return {IMAGES_FILE: text.encode("utf-8")}


def _check_tokenizer(tokenizer: Any, model: VisionModel) -> None:
  """Refuses a tokenizer without tokens for images."""
  if tokenizer is None:
    return
  added = set(tokenizer.get_added_vocab().values())
  missing = [token for token in model.tokens if token not in added]
  if missing:
    raise UserError(
      f"The tokenizer of a {model.config.family} model must have special tokens"
      f" with the ids {list(model.tokens)} for images, got none for {missing}. Use"
      " the tokenizer that was published with the model."
    )
