"""Checkpoints of a training: the last two, each complete or absent."""

import contextlib
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import jax
import orbax.checkpoint as ocp

from thickets.errors import UserError
from thickets.runs import base_checkpoint


@contextlib.contextmanager
def open_checkpoints(
  directory: str | os.PathLike[str],
) -> Iterator[ocp.CheckpointManager]:
  """Opens a folder of checkpoints, which is made if it is missing."""
  options = ocp.CheckpointManagerOptions(
    max_to_keep=2, create=True, enable_async_checkpointing=False
  )
  path = pathlib.Path(directory).absolute()
  with base_checkpoint.silence_orbax():
    manager = ocp.CheckpointManager(path, options=options)
  try:
    yield manager
  finally:
    with base_checkpoint.silence_orbax():
      manager.close()


def save_checkpoint(
  manager: ocp.CheckpointManager, step: int, state: Any
) -> None:
  """Saves a state; on return it is complete, before that it is absent.

  A step that is not behind the last one that was saved is left out: the folder
  holds the same or what a longer training came to.
  """
  if step > (manager.latest_step() or 0):
    with base_checkpoint.silence_orbax():
      manager.save(step, args=ocp.args.StandardSave(jax.device_get(state)))


def restore_checkpoint(
  manager: ocp.CheckpointManager, state: Any, *, most: int | None = None
) -> tuple[int, Any]:
  """Restores the last checkpoint.

  Args:
    manager: the open folder.
    state: what a training starts from, a tree of arrays.
    most: the last step that counts; by default all do.

  Returns:
    The number of finished steps, and the state after them; 0 and `state` where
    there is no checkpoint.

  Raises:
    UserError: if the checkpoint is damaged, or of another model.
  """
  steps = [s for s in manager.all_steps() if most is None or s <= most]
  if not steps:
    return 0, state
  last = max(steps)
  try:
    with base_checkpoint.silence_orbax():
      return last, manager.restore(last, args=ocp.args.StandardRestore(state))
  except (OSError, ValueError, KeyError) as error:
    reason = str(error).strip().splitlines()[0][:200]
    raise UserError(
      f"{manager.directory} must hold checkpoints of this model, got {reason}."
      " Choose another workdir, or delete them."
    ) from error
