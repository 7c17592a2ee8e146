"""The base of a run, where the run made it: an Orbax checkpoint in `base/`."""

import contextlib
import os
import pathlib
from collections.abc import Iterator

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging

from thickets.errors import UserError
from thickets.naming import Params

_FOLDER = "base"


def save_base(workdir: str | os.PathLike[str], base: Params) -> None:
  """Saves the base; on return it is complete, before that it is absent."""
  with silence_orbax(), ocp.StandardCheckpointer() as checkpointer:
    checkpointer.save(_locate(workdir), jax.device_get(base))


def load_base(workdir: str | os.PathLike[str], like: Params) -> Params | None:
  """Loads the base that a run started from, or None in a fresh run.

  Args:
    workdir: the run directory.
    like: a tree with the base's structure, shapes and dtypes.

  Raises:
    UserError: if it is damaged, or of another structure.
  """
  if not _locate(workdir).exists():
    return None
  target = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), like)
  return _restore(_locate(workdir), target)


def read_base(workdir: str | os.PathLike[str]) -> Params:
  """Reads the base that a run left behind, as NumPy arrays.

  Raises:
    UserError: if there is none, or it is damaged.
  """
  return _restore(_locate(workdir))


@contextlib.contextmanager
def silence_orbax() -> Iterator[None]:
  """Silences Orbax, which logs dozens of lines for each checkpoint."""
  verbosity = logging.get_verbosity()
  logging.set_verbosity(logging.ERROR)
  try:
    yield
  finally:
    logging.set_verbosity(verbosity)


def _locate(workdir: str | os.PathLike[str]) -> pathlib.Path:
  return (pathlib.Path(workdir) / _FOLDER).absolute()


def _restore(path: pathlib.Path, *target: Params) -> Params:
  try:
    with silence_orbax(), ocp.StandardCheckpointer() as checkpointer:
      restored = checkpointer.restore(path, *target)
  except (OSError, ValueError, KeyError) as error:
    reason = str(error).strip().splitlines()[0][:200]
    raise UserError(
      f"{path} does not hold a base of this model, or is damaged ({reason}). Restore the"
      " folder, or choose another workdir."
    ) from error
  return jax.tree.map(np.asarray, restored)
