"""The base of a run, where the run made it: an Orbax checkpoint in `base/`.

Orbax writes to a disk. A checkpoint goes to an object store file by file, and is
there once the list of its files is, which is written last.
"""

import contextlib
import hashlib
import pathlib
import tempfile
from collections.abc import Iterator

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging

from thickets.errors import UserError
from thickets.naming import Params
from thickets.runs import json_files, locations, processes
from thickets.runs.locations import Location, Place, StorePath

_FOLDER = "base"
_LIST = "base_files.json"


def save_base(workdir: Place, base: Params) -> None:
  """Saves the base; on return it is complete, before that it is absent."""
  path = locations.locate(workdir)
  if not isinstance(path, StorePath):
    _save((path / _FOLDER).absolute(), base)
    return
  if jax.process_index() == 0:
    with tempfile.TemporaryDirectory(prefix="thickets-base-") as folder:
      _save(pathlib.Path(folder) / _FOLDER, base, writers={0})
      _upload(pathlib.Path(folder), path)
  processes.wait_for_all("the base")


def load_base(workdir: Place, like: Params) -> Params | None:
  """Loads the base that a run started from, or None in a fresh run.

  Args:
    workdir: the run directory.
    like: a tree with the base's structure, shapes and dtypes.

  Raises:
    UserError: if it is damaged, or of another structure.
  """
  path = locations.locate(workdir)
  name = _LIST if isinstance(path, StorePath) else _FOLDER
  if not (path / name).exists():
    return None
  target = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), like)
  return _restore(path, target)


def read_base(workdir: Place) -> Params:
  """Reads the base that a run left behind, as NumPy arrays.

  Raises:
    UserError: if there is none, or it is damaged.
  """
  return _restore(locations.locate(workdir))


@contextlib.contextmanager
def silence_orbax() -> Iterator[None]:
  """Silences Orbax, which logs dozens of lines for each checkpoint."""
  verbosity = logging.get_verbosity()
  logging.set_verbosity(logging.ERROR)
  try:
    yield
  finally:
    logging.set_verbosity(verbosity)


def _save(
  path: pathlib.Path, base: Params, *, writers: set[int] | None = None
) -> None:
  """Saves with these processes, all by default; Orbax waits for each of them."""
  options = ocp.options.MultiprocessingOptions(
    active_processes=writers,
    barrier_sync_key_prefix="base" if writers else None,
  )
  with (
    silence_orbax(),
    ocp.StandardCheckpointer(multiprocessing_options=options) as checkpointer,
  ):
    checkpointer.save(path, jax.device_get(base))


def _restore(workdir: Location, *target: Params) -> Params:
  path = workdir / _FOLDER
  try:
    with (
      _on_disk(workdir) as folder,
      silence_orbax(),
      ocp.StandardCheckpointer() as checkpointer,
    ):
      restored = checkpointer.restore(folder, *target)
  except (OSError, ValueError, KeyError) as error:
    reason = str(error).strip().splitlines()[0][:200]
    raise UserError(
      f"{path} does not hold a base of this model, or is damaged ({reason}). Restore the"
      " folder, or choose another workdir."
    ) from error
  return jax.tree.map(np.asarray, restored)


def _upload(folder: pathlib.Path, workdir: StorePath) -> None:
  """Uploads the checkpoint in a folder, and at last the list of its files."""
  files = {}
  for file in sorted((folder / _FOLDER).rglob("*")):
    if file.is_file():
      name, data = file.relative_to(folder).as_posix(), file.read_bytes()
      workdir.store.put((workdir / name).key, data)
      files[name] = hashlib.sha256(data).hexdigest()
  json_files.write_json(workdir / _LIST, {"sha256": files})


@contextlib.contextmanager
def _on_disk(workdir: Location) -> Iterator[pathlib.Path]:
  """Yields the folder of the checkpoint, fetched where it is in a store."""
  if not isinstance(workdir, StorePath):
    yield (workdir / _FOLDER).absolute()
    return
  with tempfile.TemporaryDirectory(prefix="thickets-base-") as folder:
    for name, digest in json_files.read_json(workdir / _LIST)["sha256"].items():
      data = (workdir / name).read_bytes()
      if hashlib.sha256(data).hexdigest() != digest:
        raise ValueError(f"{name} is not what was uploaded")
      file = pathlib.Path(folder) / name
      file.parent.mkdir(parents=True, exist_ok=True)
      file.write_bytes(data)
    yield pathlib.Path(folder) / _FOLDER
