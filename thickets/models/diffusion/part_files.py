"""The weights of one part of a pipeline, in its own folder of safetensors files.

A folder may hold several sets of weights: of other precisions (variants), of
other programs. Which files are read follows from the name of the set alone, never
from what else is there.
"""

import dataclasses
import json
import pathlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from thickets.errors import UserError, shorten
from thickets.models import file_modes, foreign_files, stored_tensors
from thickets.models import weight_formats as formats
from thickets.models.diffusion import weights
from thickets.models.stored_tensors import Stored
from thickets.naming import Params

DIFFUSERS_STEM = "diffusion_pytorch_model"  # Of UNets and VAEs.
TRANSFORMERS_STEM = "model"  # Of text and image towers.

_NUM_SHOWN = 4  # Words of a list that a message shows.
_DTYPES = {"BF16": jnp.bfloat16, "F16": np.float16, "F32": np.float32}

# Maps a logical name to the keys under which it may be stored, the first of them
# that of current files.
Spell = Callable[[str], Sequence[str]]


@dataclasses.dataclass(frozen=True)
class WeightSet:
  """The set of weights that is read from a folder.

  Attributes:
    stem: how the names of its files begin.
    variant: a word in their names, such as "fp16"; None for plain ones.
  """

  stem: str
  variant: str | None = None

  @property
  def file(self) -> str:
    """The name of the file of all weights."""
    word = "" if self.variant is None else f".{self.variant}"
    return f"{self.stem}{word}.safetensors"

  @property
  def indices(self) -> tuple[str, ...]:
    """The names that the index of shards may have."""
    plain = f"{self.stem}.safetensors.index.json"
    if self.variant is None:
      return (plain,)
    return (
      f"{self.stem}.safetensors.index.{self.variant}.json",
      f"{self.stem}.{self.variant}.safetensors.index.json",
    )


def find_files(folder: pathlib.Path, wanted: WeightSet) -> list[str]:
  """The names of the files of a set of weights.

  Raises:
    UserError: if the folder has no such set, or some of its shards are missing;
      it lists what was found.
  """
  listed = sorted(path.name for path in folder.iterdir())
  if wanted.file in listed:
    return [wanted.file]
  for index in wanted.indices:
    if index in listed:
      files = _read_index(folder / index)
      if missing := sorted(set(files) - set(listed)):
        raise UserError(
          f"{folder / index} lists {len(files)} files, but {len(missing)} must"
          f" still be fetched: {shorten(missing, _NUM_SHOWN)}."
        )
      return files
  found = [file for file in listed if not file.endswith(".json")]
  remedy = "Fetch them, or name another variant"
  if any(file.endswith((".bin", ".ckpt", ".pt")) for file in found):
    remedy = "Save the pipeline with diffusers as safetensors"
  raise UserError(
    f"{folder} must have {wanted.file}, or shards with {wanted.indices[0]}, got"
    f" {shorten(found, _NUM_SHOWN) or 'no weights'}. {remedy}."
  )


def _read_index(path: pathlib.Path) -> list[str]:
  try:
    listed = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
    files = sorted({str(file) for file in listed.values()})
  except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
    must_be = "JSON that maps tensors to files under weight_map"
    raise foreign_files.explain(path, must_be, error) from error
  if not files or any(pathlib.PurePath(file).name != file for file in files):
    raise UserError(
      f"{path} must list files beside it, got {shorten(files, _NUM_SHOWN)}."
      " Fetch it again."
    )
  return files


def spell_as_published(name: str) -> Sequence[str]:
  """The key of a logical tensor where the layout is the published one."""
  return (weights.publish_name(name),)


def load(
  folder: pathlib.Path,
  description: Params,
  wanted: WeightSet,
  *,
  dtype: DTypeLike | None,
  spell: Spell = spell_as_published,
  ignored: str = r"$^",
) -> Params:
  """Reads the weights of a part to the default device; see `read`."""
  arrays = read(
    folder, description, wanted, dtype=dtype, spell=spell, ignored=ignored
  )
  return jax.tree.map(jnp.asarray, arrays)


def read(
  folder: pathlib.Path,
  description: Params,
  wanted: WeightSet,
  *,
  dtype: DTypeLike | None,
  spell: Spell = spell_as_published,
  ignored: str = r"$^",
) -> Params:
  """Reads the weights of a part, one tensor at a time.

  Args:
    folder: the folder of the part.
    description: what weights the part has.
    wanted: which set of weights is read.
    dtype: the dtype in which they are held; None for that of the files.
    spell: under which keys they may be stored.
    ignored: an expression for keys that are there and not read.

  Returns:
    The weights, as NumPy arrays.

  Raises:
    UserError: if a file or a tensor is missing, or has another shape or dtype,
      or a tensor is not of the part, or a weight is not finite.
  """
  files = stored_tensors.open_files(folder, find_files(folder, wanted))
  stored = stored_tensors.read_headers(files)
  formats.check_names(stored, str(folder))
  places = _find(folder, weights.list_names(description), stored, spell)
  _check_unused(folder, stored, places.values(), ignored)
  dtype = _choose_dtype(folder, places.values()) if dtype is None else dtype

  def read_tensor(name: str) -> np.ndarray:
    tensor = places[name]
    array = files[tensor.file].get_tensor(tensor.key)
    with np.errstate(over="ignore"):  # It is refused below.
      cast = array.astype(dtype)
    _check_finite(array, cast, f"{tensor.key} ({folder / tensor.file})")
    return cast

  return fill(description, read_tensor, dtype)


def fill(
  description: Params, read: Callable[[str], np.ndarray], dtype: DTypeLike
) -> Params:
  """Makes the tree of weights from logical tensors, as NumPy arrays.

  Args:
    description: what weights there are.
    read: returns a tensor by its logical name.
    dtype: the dtype in which they are held.
  """
  shapes = weights.abstract_params(description, dtype)
  arrays = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), shapes)
  for name, slot in weights.split_stacks(arrays):
    slot[...] = read(name)
  return arrays


def _find(
  folder: pathlib.Path,
  shapes: Mapping[str, tuple[int, ...]],
  stored: Mapping[str, Stored],
  spell: Spell,
) -> dict[str, Stored]:
  """Where each logical tensor lies, checked against its header."""
  places, missing = {}, []
  for name, shape in shapes.items():
    tensor = next((stored[key] for key in spell(name) if key in stored), None)
    if tensor is None:
      missing.append(spell(name)[0])
      continue
    if tensor.shape != shape:
      raise UserError(
        f"{tensor.key} ({folder / tensor.file}) must have shape {list(shape)} by"
        f" config.json, got {list(tensor.shape)}. Correct config.json, or fetch"
        " the weights again."
      )
    if tensor.dtype not in _DTYPES:
      raise UserError(
        f"{tensor.key} ({folder / tensor.file}) must be stored as one of"
        f" {sorted(_DTYPES)}, got {tensor.dtype}. Convert it with diffusers."
      )
    places[name] = tensor
  if missing:
    raise UserError(
      f"The weights in {folder} must have every tensor of the part, got none for"
      f" {shorten(missing, _NUM_SHOWN)}. Fetch the files again, or correct"
      " config.json."
    )
  return places


def _check_unused(
  folder: pathlib.Path,
  stored: Mapping[str, Stored],
  used: Iterable[Stored],
  ignored: str,
) -> None:
  """Refuses tensors that nobody would read."""
  keys = {tensor.key for tensor in used}
  unknown = [
    key for key in sorted(set(stored) - keys) if not re.search(ignored, key)
  ]
  if unknown:
    raise UserError(
      f"The weights in {folder} must be those of config.json, got unexpected"
      f" {shorten(unknown, _NUM_SHOWN)}. Correct config.json, or remove them."
    )


def _choose_dtype(folder: pathlib.Path, places: Iterable[Stored]) -> DTypeLike:
  dtypes = {tensor.dtype for tensor in places}
  if len(dtypes) > 1:
    raise UserError(
      f"dtype must be given for weights that are stored in several, got"
      f" {sorted(dtypes)} in {folder}. Pass dtype."
    )
  return _DTYPES[dtypes.pop()]


def _check_finite(array: np.ndarray, cast: np.ndarray, tensor: str) -> None:
  """Refuses weights that cannot be computed with."""
  if np.isfinite(cast).all():
    return
  if np.isfinite(array).all():
    raise UserError(
      f"{tensor} must lie within what {cast.dtype.name}"
      " holds, got a larger weight. Load it with dtype bfloat16 or float32."
    )
  raise UserError(
    f"{tensor} must be finite numbers, got NaN or infinity. Fetch it again."
  )


def save(
  folder: pathlib.Path,
  params: Params,
  wanted: WeightSet,
  *,
  spell: Spell = spell_as_published,
  max_shard_bytes: float = 10e9,
) -> None:
  """Writes the weights of a part as diffusers reads them, shard by shard.

  Args:
    folder: an existing folder.
    params: the weights; each is stored in the dtype that it has.
    wanted: how the files are called.
    spell: under which keys they are stored: the first of those that it gives.
    max_shard_bytes: how many bytes a file has at most; a larger tensor has its
      own.
  """
  import safetensors.numpy

  shards: list[list[tuple[str, np.ndarray]]] = [[]]
  size = 0
  for name, tensor in weights.split_stacks(jax.tree.map(np.asarray, params)):
    if shards[-1] and size + tensor.nbytes > max_shard_bytes:
      shards.append([])
      size = 0
    shards[-1].append((spell(name)[0], tensor))
    size += tensor.nbytes
  weight_map, total = {}, 0
  stem, _, suffix = wanted.file.removesuffix(".safetensors").partition(".")
  suffix = f".{suffix}" if suffix else ""
  for i, shard in enumerate(shards):
    file = wanted.file
    if len(shards) > 1:
      number = f"{i + 1:05d}-of-{len(shards):05d}"
      file = f"{stem}{suffix}-{number}.safetensors"
    tensors = {key: np.ascontiguousarray(tensor) for key, tensor in shard}
    safetensors.numpy.save_file(
      tensors, folder / file, metadata={"format": "pt"}
    )
    file_modes.open_to_readers(folder / file)
    weight_map |= dict.fromkeys(tensors, file)
    total += sum(tensor.nbytes for tensor in tensors.values())
  if len(shards) > 1:
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    text = json.dumps(index, indent=2, sort_keys=True) + "\n"
    (folder / wanted.indices[0]).write_text(text, encoding="utf-8")
