"""Pipelines as diffusers stores them: an index, and a folder for each part.

Nothing but small files is read here. What a part is follows from the index, which
files hold its weights from its library and the variant, never from what else lies
in the folder.
"""

import dataclasses
import json
import pathlib
import shutil
from collections.abc import Callable, Mapping
from typing import Any

from thickets import huggingface
from thickets.errors import UserError, shorten
from thickets.models import hub_files
from thickets.models.diffusion import part_files
from thickets.models.diffusion.part_files import WeightSet

INDEX_FILE = "model_index.json"

# The parts that are read, by the class of a pipeline: their own classes.
_TEXT = ("CLIPTextModel", "CLIPTextModelWithProjection")
_TOKENIZERS = ("CLIPTokenizer", "CLIPTokenizerFast")
_SCHEDULERS = (
  "DDIMScheduler",
  "EulerAncestralDiscreteScheduler",
  "EulerDiscreteScheduler",
  "PNDMScheduler",
)
_COMMON: dict[str, tuple[str, ...]] = {
  "unet": ("UNet2DConditionModel",),
  "vae": ("AutoencoderKL",),
  "scheduler": _SCHEDULERS,
  "text_encoder": ("CLIPTextModel",),
  "tokenizer": _TOKENIZERS,
}
SD, SDXL = "StableDiffusionPipeline", "StableDiffusionXLPipeline"
_PARTS: dict[str, dict[str, tuple[str, ...]]] = {
  SD: _COMMON,
  SDXL: {
    **_COMMON,
    "text_encoder_2": ("CLIPTextModelWithProjection",),
    "tokenizer_2": _TOKENIZERS,
  },
}
_STEMS = {
  "unet": part_files.DIFFUSERS_STEM,
  "vae": part_files.DIFFUSERS_STEM,
  "text_encoder": part_files.TRANSFORMERS_STEM,
  "text_encoder_2": part_files.TRANSFORMERS_STEM,
}
_NUM_SHOWN = 6  # Words of a list that a message shows.


@dataclasses.dataclass(frozen=True)
class Directory:
  """A pipeline whose small files were read.

  Attributes:
    path: where it is.
    variant: the word in the names of its weights' files, such as "fp16", or None.
    index: the contents of its index.
    fields: the config of each part that has one, by the part's name.
  """

  path: pathlib.Path
  variant: str | None
  index: Mapping[str, Any]
  fields: Mapping[str, Mapping[str, Any]]

  @property
  def class_name(self) -> str:
    """The class of the pipeline."""
    return self.index["_class_name"]

  @property
  def text_parts(self) -> tuple[str, ...]:
    """The names of its text towers."""
    return tuple(
      part for part in _PARTS[self.class_name] if part.startswith("text_")
    )

  def folder(self, part: str) -> pathlib.Path:
    """The folder of a part."""
    return self.path / part

  def weight_set(self, part: str) -> WeightSet:
    """Which files hold the weights of a part."""
    return WeightSet(_STEMS[part], self.variant)


def open_directory(
  path: pathlib.Path, *, variant: str | None = None
) -> Directory:
  """Reads the index and the configs of a pipeline, and finds its weights.

  Args:
    path: the directory.
    variant: the word in the names of its weights' files, such as "fp16".

  Raises:
    UserError: if it is no pipeline, or of a class that is not supported, or a
      part, its config or its weights are missing.
  """
  index = hub_files.read_json(path / INDEX_FILE)
  if index is None:
    found = sorted(file.name for file in path.iterdir())
    raise UserError(
      f"A pipeline must have {INDEX_FILE}, got none in {path}, which has"
      f" {shorten(found, _NUM_SHOWN) or 'nothing'}. Name a directory as diffusers"
      " saves it; a checkpoint in a single file is not read."
    )
  class_name = index.get("_class_name")
  if not isinstance(class_name, str) or class_name not in _PARTS:
    raise UserError(
      f"A pipeline must be one of {sorted(_PARTS)}, got {class_name!r} in"
      f" {path / INDEX_FILE}. Others are not supported."
    )
  if index.get("requires_aesthetics_score"):
    raise UserError(
      "requires_aesthetics_score must be false, got true: the refiner of SDXL is"
      " not supported. Name the base model."
    )
  fields = {}
  for part, classes in _PARTS[class_name].items():
    fields[part] = _read_part(path, index, part, classes)
  directory = Directory(path, variant, index, fields)
  for part in _STEMS:
    if part in fields:
      part_files.find_files(path / part, directory.weight_set(part))
  return directory


def _read_part(
  path: pathlib.Path,
  index: Mapping[str, Any],
  part: str,
  classes: tuple[str, ...],
) -> Mapping[str, Any]:
  """The config of a part, whose class and folder are checked."""
  entry = index.get(part)
  published = entry[1] if isinstance(entry, list) and len(entry) == 2 else None
  if published not in classes:
    raise UserError(
      f"{part} must be one of {list(classes)} in {path / INDEX_FILE}, got"
      f" {published or 'none'}. Pipelines with other parts are not supported."
    )
  folder = path / part
  if not folder.is_dir():
    raise UserError(
      f"A {index['_class_name']} must have the part {part}, got no folder"
      f" {folder}. Fetch it, or save the pipeline again."
    )
  if part.startswith("tokenizer"):
    return {}
  name = "scheduler_config.json" if part == "scheduler" else "config.json"
  fields = hub_files.read_json(folder / name)
  if fields is None:
    raise UserError(f"{part} must have {name}, got none in {folder}. Fetch it.")
  return fields


def locate(
  name: str, *, revision: str | None = None, variant: str | None = None
) -> pathlib.Path:
  """The directory of a pipeline, fetched from the hub if it is not one.

  Only the files that are read are fetched: repositories hold the same weights in
  several precisions and formats.

  Args:
    name: a directory, or the id of a pipeline on the hub.
    revision: branch, tag or commit on the hub, its main branch by default.
    variant: the word in the names of its weights' files, such as "fp16".

  Raises:
    UserError: if there is no such pipeline or revision, or the hub cannot be
      reached.
  """
  path = pathlib.Path(name).expanduser()
  if name and path.is_dir():
    if revision is not None:
      raise UserError(
        f"revision must not be given with a directory, got {revision!r} for"
        f" {path}. Leave it out."
      )
    return path
  if name.startswith((".", "~", "/")) or name.count("/") > 1 or not name:
    raise UserError(
      "A pipeline must be a directory that exists or the id of one on the hub,"
      f" got {name!r}, which is neither. Correct the path."
    )
  huggingface.import_progress_bars()
  import huggingface_hub

  return pathlib.Path(
    huggingface.ask_hub(
      lambda: huggingface_hub.snapshot_download(
        name, revision=revision, allow_patterns=_list_wanted(variant)
      ),
      name,
      revision,
    )
  )


def _list_wanted(variant: str | None) -> list[str]:
  """Patterns of the files of a pipeline that are read."""
  wanted = [INDEX_FILE, "scheduler/*.json"]
  for part in ("tokenizer", "tokenizer_2"):
    wanted += [f"{part}/*.json", f"{part}/merges.txt"]
  for part, stem in _STEMS.items():
    weights = WeightSet(stem, variant)
    shards = weights.file.replace(".safetensors", "-*-of-*.safetensors")
    wanted += [
      f"{part}/{file}"
      for file in ("config.json", weights.file, shards, *weights.indices)
    ]
  return wanted


def copy_with(
  source: Directory,
  target: pathlib.Path,
  write_unet: Callable[[pathlib.Path], None],
) -> None:
  """Writes a pipeline whose UNet is another, all else byte for byte.

  The index is written last: without it a directory is not a pipeline. Files that
  are not read (weights of other variants, other programs' formats) are left out.

  Args:
    source: the pipeline.
    target: a directory that is new or empty.
    write_unet: writes the weights of the UNet into a folder that exists.

  Raises:
    UserError: if the directory is not empty.
  """
  if target.exists() and (not target.is_dir() or any(target.iterdir())):
    raise UserError(
      f"A pipeline must be saved in a new or empty directory, got {target}."
      " Remove it, or name another."
    )
  target.mkdir(parents=True, exist_ok=True)
  for part, entry in sorted(source.index.items()):
    folder = source.folder(part)
    if not isinstance(entry, list) or not folder.is_dir():
      continue
    (target / part).mkdir()
    files = [path for path in sorted(folder.iterdir()) if path.is_file()]
    if part in _STEMS:
      kept = {"config.json", *_list_weights(source, part)}
      files = [file for file in files if file.name in kept]
    for file in files:
      if part != "unet" or file.name == "config.json":
        shutil.copyfile(file, target / part / file.name)
  write_unet(target / "unet")
  text = json.dumps(source.index, indent=2) + "\n"
  (target / INDEX_FILE).write_text(text, encoding="utf-8")


def _list_weights(source: Directory, part: str) -> list[str]:
  weights = source.weight_set(part)
  listed = {path.name for path in source.folder(part).iterdir()}
  files = part_files.find_files(source.folder(part), weights)
  return [*files, *(index for index in weights.indices if index in listed)]
