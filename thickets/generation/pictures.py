"""Pictures of prompts, and the features that a tower makes of them, made once.

As long as no member moves the tower, features are the same for the base and all of
its members: they depend on the tower, the bytes of the picture and how these are
prepared, and are kept by these three.
"""

import hashlib
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from thickets import naming
from thickets.generation.questions import list_distinct
from thickets.generation.texts import PromptImages, round_width
from thickets.models.vision import pixels, tower
from thickets.models.vision.config import STACKED, VisionModel
from thickets.models.vision.images import FeatureTable
from thickets.models.vision.tower import Features
from thickets.naming import Params
from thickets.runs.json_files import JsonObject
from thickets.search.compiled import Programs
from thickets.tasks.pictures import Picture

# Pictures that are prepared at once: their patches take some megabytes each.
_PORTION = 32


class PictureStore:
  """The pictures that a model is shown, and their features.

  Args:
    vision: how the model sees.
    directory: where features are kept for later runs as well; "" for nowhere.

  Attributes:
    vision: how the model sees.
    num_encoded: how often the tower has read a picture.
  """

  def __init__(self, vision: VisionModel, directory: str | pathlib.Path = ""):
    self.vision = vision
    self._directory = pathlib.Path(directory) if directory else None
    self.num_encoded = 0
    self._pictures: dict[str, Picture] = {}
    self._grids: dict[str, tuple[int, int]] = {}
    self._kept: dict[tuple[str, str], Features] = {}
    self._tower: tuple[Sequence[Any], str] | None = None

  def add(self, picture: Picture, *, owner: str) -> tuple[int, int]:
    """Opens a picture, and returns the rows and columns of its tokens.

    Args:
      picture: the picture.
      owner: whose it is, for messages, such as an example of a task.

    Raises:
      UserError: if it cannot be read, or is none that the model can be shown.
    """
    if picture.digest not in self._pictures:
      rows, columns = pixels.find_grid(
        picture.read(),
        self.vision.pixels,
        owner=f"{owner}, picture {picture.where}",
      )
      merge = self.vision.pixels.merge
      self._grids[picture.digest] = rows // merge, columns // merge
      self._pictures[picture.digest] = picture
    return self._grids[picture.digest]

  def add_all(self, other: "PictureStore") -> None:
    """Adds the pictures of another store of the same model."""
    self._pictures |= other._pictures
    self._grids |= other._grids

  def grid(self, digest: str) -> tuple[int, int]:
    """Rows and columns of tokens of a picture that was added."""
    return self._grids[digest]

  def count_tokens(self, digests: Sequence[str]) -> int:
    """Tokens of some pictures, all together."""
    return sum(rows * columns for rows, columns in map(self.grid, digests))

  def count_bytes(self, digests: Sequence[str], dtype: np.dtype) -> int:
    """Bytes of the table of features of some pictures."""
    config = self.vision.config
    per_token = config.out_width * (1 + len(config.deepstack_blocks))
    rows = round_width(self.count_tokens(digests))
    return rows * per_token * np.dtype(dtype).itemsize

  def describe_table(
    self, digests: Sequence[str], dtype: np.dtype
  ) -> FeatureTable:
    """The shapes of the table of features of some pictures."""
    config = self.vision.config
    shape = (round_width(self.count_tokens(digests)), config.out_width)
    count = len(config.deepstack_blocks)
    return FeatureTable(
      jax.ShapeDtypeStruct(shape, dtype),
      jax.ShapeDtypeStruct((count, *shape), dtype) if count else None,
    )

  def describe(self) -> JsonObject:
    """How pictures are prepared, as JSON values."""
    return self.vision.pixels.describe()

  def encode(
    self, visual: Params, digests: Sequence[str]
  ) -> dict[str, Features]:
    """The features of pictures by some tower, which are not kept.

    Args:
      visual: the weights of the tower.
      digests: the pictures, which were added.
    """
    spec, found = self.vision.pixels, {}
    for start in range(0, len(digests), _PORTION):
      portion = digests[start : start + _PORTION]
      prepared = [
        pixels.prepare(
          self._pictures[digest].read(),
          spec,
          owner=self._pictures[digest].where,
        )
        for digest in portion
      ]
      features = tower.encode(self.vision.config, visual, prepared)
      found |= dict(zip(portion, features, strict=True))
      self.num_encoded += len(portion)
    return found

  def keep(
    self, visual: Params | None, digests: Sequence[str]
  ) -> dict[str, Features]:
    """The features of pictures by the tower that no member moves.

    They are computed where they are not kept yet.

    Args:
      visual: the weights of the tower; None for those of the last call.
      digests: the pictures, which were added.

    Raises:
      ValueError: if there was no call with a tower yet.
    """
    before, identity = self._tower, self._identify(visual)
    if before is not None and before[1] != identity:
      self._kept.clear()  # A tower that has moved does not come back.
    missing = []
    for digest in dict.fromkeys(digests):
      if (identity, digest) not in self._kept:
        read = self._read(identity, digest)
        if read is None:
          missing.append(digest)
        else:
          self._kept[identity, digest] = read
    if missing:
      assert self._tower is not None  # `_identify` has seen to it.
      if visual is None:
        raise ValueError(
          "The base must have its tower, `visual`, when pictures are met that"
          f" were not read before, got none for {len(missing)} pictures."
        )
      for digest, features in self.encode(visual, missing).items():
        self._kept[identity, digest] = features
        self._write(identity, digest, features)
    return {digest: self._kept[identity, digest] for digest in digests}

  def _identify(self, visual: Params | None) -> str:
    """The identity of a tower; the very same arrays are not hashed again."""
    if visual is None:
      if self._tower is None:
        raise ValueError("The base must have its tower, `visual`, got none.")
      return self._tower[1]
    leaves = jax.tree.leaves(visual)
    if self._tower is not None:
      known = self._tower[0]
      if len(known) == len(leaves) and all(
        one is other for one, other in zip(known, leaves, strict=True)
      ):
        return self._tower[1]
    tree = {"visual": visual}
    stacked = [f"visual.{name}" for name in STACKED if name in visual]
    names = naming.tensor_names(tree, stacked=stacked)
    # Held, so that no other array can take their place.
    self._tower = leaves, naming.identify(tree, names)
    return self._tower[1]

  def _path(self, identity: str, digest: str) -> pathlib.Path | None:
    if self._directory is None:
      return None
    key = json.dumps([identity, digest, self.describe()], sort_keys=True)
    name = hashlib.sha256(key.encode()).hexdigest()
    return self._directory / f"{name}.npz"

  def _read(self, identity: str, digest: str) -> Features | None:
    """Features that an earlier run kept on the disk."""
    path = self._path(identity, digest)
    if path is None or not path.exists():
      return None
    with np.load(path) as stored:
      dtype = jnp.dtype(str(stored["dtype"]))
      return Features(
        stored["tokens"].view(dtype), stored["deepstack"].view(dtype)
      )

  def _write(self, identity: str, digest: str, features: Features) -> None:
    path = self._path(identity, digest)
    if path is None:
      return
    path.parent.mkdir(parents=True, exist_ok=True)
    bits = np.dtype(f"u{features.tokens.dtype.itemsize}")
    # Whole or not at all, whoever else writes the same.
    scratch = path.with_suffix(f".{id(self)}.tmp")
    with scratch.open("wb") as file:
      np.savez(
        file,
        dtype=np.array(features.tokens.dtype.name),
        tokens=np.ascontiguousarray(features.tokens).view(bits),
        deepstack=np.ascontiguousarray(features.deepstack).view(bits),
      )
    scratch.replace(path)


class PictureTables:
  """Tables of features on devices, as programs read them.

  Args:
    store: the pictures.
    mesh: the devices, each of which has every table.
    programs: puts arrays on them.

  Attributes:
    store: the pictures.
  """

  def __init__(self, store: PictureStore, mesh: Mesh, programs: Programs):
    self.store = store
    self._mesh, self._programs = mesh, programs
    self._last: FeatureTable | None = None
    self._last_parts: Sequence[Features] = ()

  def show(
    self,
    shown: Sequence[Sequence[str]],
    features: Sequence[Mapping[str, Features]],
    *,
    has_own_tables: bool = False,
  ) -> PromptImages:
    """The images of prompts, as a generator takes them.

    Args:
      shown: [Q] the pictures of each prompt, by their digests.
      features: [P] the features of these pictures; one mapping, where all members
        share them.
      has_own_tables: whether each member has features of its own.
    """
    digests = list_distinct(shown)
    number = {digest: index for index, digest in enumerate(digests)}
    parts = [[of[digest] for digest in digests] for of in features]
    if has_own_tables:
      table = self._put(parts, has_own_tables)
    else:
      table = self._put_once(parts[0])
    return PromptImages(
      [[number[digest] for digest in row] for row in shown],
      [self.store.grid(digest) for digest in digests],
      table,
      self.store.vision.image_pad,
      has_own_tables,
    )

  def _put_once(self, parts: Sequence[Features]) -> FeatureTable:
    """One table for all members, as long as they are asked about these images."""
    is_last = len(parts) == len(self._last_parts) and all(
      one is other for one, other in zip(parts, self._last_parts, strict=True)
    )
    if self._last is None or not is_last:
      self._last, self._last_parts = None, parts  # Makes room first.
      self._last = self._put([parts], has_own_tables=False)
    return self._last

  def _put(
    self, parts: Sequence[Sequence[Features]], has_own_tables: bool
  ) -> FeatureTable:
    axes = ("population",) if has_own_tables else ()
    sharding = NamedSharding(self._mesh, PartitionSpec(*axes))
    tables = [_join(row) for row in parts]
    if not has_own_tables:
      return self._programs.put(tables[0], sharding)
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *tables)
    return self._programs.put(stacked, sharding)


def _join(parts: Sequence[Features]) -> FeatureTable:
  """The features of images behind each other, and rows that nobody reads.

  With these the number of rows is one of few, so that few programs differ.
  """
  count = sum(len(part.tokens) for part in parts)
  missing = round_width(count) - count
  tokens = np.concatenate([part.tokens for part in parts])
  tokens = np.pad(tokens, ((0, missing), (0, 0)))
  if not len(parts[0].deepstack):
    return FeatureTable(tokens)
  deepstack = np.concatenate([part.deepstack for part in parts], axis=1)
  return FeatureTable(tokens, np.pad(deepstack, ((0, 0), (0, missing), (0, 0))))
