"""What the processes of a run tell each other, and how they wait for each other.

They talk through the key-value store that process 0 keeps for all of them
(`jax.distributed`). All processes call these functions in the same order. A
process that runs by itself has nobody to wait for.
"""

import collections
import json
import time
from collections.abc import Callable
from typing import Any, TypeVar

import jax
from absl import logging
from jax._src import distributed  # Nothing public leads to the store.

from thickets.errors import UserError

T = TypeVar("T")

# How long the others wait for a process that makes no progress.
PATIENCE_S = 3600.0
_LOOK_S = 1.0  # Between two looks, at which a signal is heeded.
_NEWS_S = 60.0  # Between two lines of the log that say who is missing.

_turns: collections.Counter[str] = collections.Counter()
_progress = 0  # Chunks that this process has finished.


def client() -> Any:
  """The client of the store, None where this process runs by itself."""
  return distributed.global_state.client


def share(name: str, value: T, *, source: int = 0) -> T:
  """The value that one process has, for all processes that call this.

  Args:
    name: says what the value is.
    value: a JSON value; that of the source counts.
    source: the number of the process.

  Raises:
    UserError: if the source does not come.
  """
  if jax.process_count() == 1:
    return value
  key = _number(f"thickets/value/{name}/{source}")
  if source == jax.process_index():
    client().key_value_set(key, json.dumps(value))
    return value
  return json.loads(_wait_for_key(key, source, name))


def wait_for_all(name: str) -> None:
  """Waits until all processes have come this far.

  Now and then the log says which ones are missing.

  Args:
    name: says what they have done.

  Raises:
    UserError: if one of them has neither come nor finished a chunk for
      `PATIENCE_S`; it says which.
  """
  if jax.process_count() == 1:
    return
  key = _number(f"thickets/reached/{name}")
  client().key_value_set(f"{key}/{jax.process_index()}", "")
  for process in range(jax.process_count()):
    _wait_for_key(f"{key}/{process}", process, name)


def note_progress() -> None:
  """Says that this process has finished a chunk, and is not stuck."""
  global _progress
  if jax.process_count() > 1:
    _progress += 1
    key = f"thickets/progress/{jax.process_index()}"
    client().key_value_set(key, str(_progress), allow_overwrite=True)


def _number(name: str) -> str:
  """A key of its own for each call of the same name."""
  _turns[name] += 1
  return f"{name}/{_turns[name]}"


def _wait_for_key(key: str, process: int, name: str) -> str:
  """The value of a key that a process sets when it has come to `name`."""
  return wait_for(
    lambda: _try_get(key),
    lambda: _try_get(f"thickets/progress/{process}", wait_s=0.01),
    process=process,
    name=name,
  )


def wait_for(
  look: Callable[[], T | None],
  read_progress: Callable[[], Any],
  *,
  process: int,
  name: str,
  clock: Callable[[], float] = time.monotonic,
) -> T:
  """Waits for a process as long as it makes progress.

  Args:
    look: returns what is waited for, or, after a while, None.
    read_progress: returns what changes as the process makes progress.
    process: its number, for messages.
    name: what it is to reach, for messages.
    clock: returns seconds.

  Returns:
    What `look` returned.

  Raises:
    UserError: if for `PATIENCE_S` nothing changes.
  """
  since = told = clock()
  progress = None
  while (found := look()) is None:
    now = clock()
    if now - told < _NEWS_S and now - since < PATIENCE_S:
      continue
    told, seen = now, read_progress()
    if seen != progress:
      progress, since = seen, now
    logging.info("waiting for process %d at %s", process, name)
    if now - since >= PATIENCE_S:
      raise UserError(
        f"Every process must reach {name}, got no sign of progress from process"
        f" {process} for {PATIENCE_S:.0f} s. See its log, and end it."
      )
  return found


def _try_get(key: str, wait_s: float = _LOOK_S) -> str | None:
  """The value of a key, None where there is none for a while."""
  try:
    return client().blocking_key_value_get(key, round(1000 * wait_s))
  except jax.errors.JaxRuntimeError as error:
    if "DEADLINE_EXCEEDED" in str(error) or "NOT_FOUND" in str(error):
      return None
    raise
