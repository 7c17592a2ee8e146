"""Run directories: everything that one run leaves behind, and how it resumes.

    <workdir>/config.json  base/  records/*.jsonl  experts.json  results.json
              figures/*.png

The records are the checkpoint: the same command again reads them, evaluates
only chunks of which a member is missing, and ends with the same files.
"""

import contextlib
import json
import math
import os
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging
from jax.experimental import multihost_utils
from jaxtyping import Float

from thickets.runs import environment, record_log
from thickets.errors import UserError
from thickets.naming import Params
from thickets.members import BASE, Member

BASE_POSITION = -1


class Run:
  """An open run directory; use as a context manager.

  Args:
    workdir: the directory, made if it is missing.
    config: the configuration as JSON values, nested dicts at the outside.
    extendable: dotted keys of `config` that may change when the run is
      continued, as the size of the population.

  Raises:
    UserError: if the directory cannot be written, is in use, is corrupt, or
      holds a run whose configuration means something else.
  """

  def __init__(
    self,
    workdir: str | os.PathLike[str],
    config: dict[str, Any],
    *,
    extendable: Iterable[str] = (),
  ):
    self.workdir = make_workdir(workdir)
    check_config(self.workdir, config, extendable)
    self._log = record_log.RecordLog(
      self.workdir / "records" / f"process_{jax.process_index():04d}.jsonl"
    )
    self._records: dict[tuple[str, int], record_log.Record] = {}
    self.refresh()
    self._config = config
    if not (self.workdir / "config.json").exists():
      self._save_config()

  def __enter__(self):
    return self

  def __exit__(self, *exception):
    self._log.close()

  @property
  def header(self) -> dict[str, Any] | None:
    """What the records mean, as any process has written it; None at first."""
    headers = map(record_log.read_header, self._log_paths())
    return next((header for header in headers if header), None)

  def write_header(self, header: dict[str, Any]) -> None:
    """States what the records mean.

    Raises:
      UserError: if there are records that mean something else; it says in what
        they differ.
    """
    for path in self._log_paths():
      record_log.check_header(path, header)
    if self._log.header is None:
      self._log.write_header(header)
    if jax.process_count() > 1:
      # Each against what the others wrote: their bases may differ in bits.
      multihost_utils.sync_global_devices("thickets header")
      for path in self._log_paths():
        record_log.check_header(path, header)
    self._save_config()

  def _save_config(self):
    if jax.process_index() == 0:
      self.save_json(
        "config.json",
        {"config": self._config, "environment": environment.describe()},
      )

  def refresh(self) -> None:
    """Reads the records of all processes.

    Of several records of one member, the last of the first process that has one
    counts, however often and by whom the log is read.
    """
    for path in reversed(self._log_paths()):
      self._keep(record_log.read_log(path))

  def _keep(self, found: Iterable[record_log.Record]) -> None:
    for record in found:
      self._records[record.split, record.position] = record

  def append(
    self,
    split: str,
    positions: Sequence[int],
    members: Sequence[Member],
    scores: Float[np.ndarray, " P"],
    channels: dict[str, np.ndarray],
  ) -> None:
    """Logs the records of a chunk; see `record_log.RecordLog.append`."""
    self._keep(self._log.append(split, positions, members, scores, channels))

  def find(self, split: str, position: int) -> record_log.Record | None:
    """The record of one member on one split, None where there is none yet."""
    return self._records.get((split, position))

  def records(self, split: str) -> list[record_log.Record]:
    """All records of a split, that of the base among them."""
    return [r for r in self._records.values() if r.split == split]

  def record(self, split: str, position: int) -> record_log.Record:
    """The record of one member (or `BASE_POSITION`) on one split."""
    return self._records[split, position]

  def scores(
    self, split: str, positions: Sequence[int]
  ) -> Float[np.ndarray, " P"]:
    """[P] mean scores of members on a split; NaN where a member failed."""
    return np.array([self._records[split, int(p)].score for p in positions])

  def channel(
    self, split: str, positions: Sequence[int], name: str
  ) -> np.ndarray:
    """[P, Q, ...] a channel of members on a split, read from the log."""
    return np.stack(
      [self._records[split, int(p)].channels()[name] for p in positions]
    )

  def load_base(self, like: Params) -> Params | None:
    """Loads the base that the run started from, or None in a fresh run.

    Args:
      like: a tree with its structure, shapes and dtypes.

    Raises:
      UserError: if it is damaged, or of another structure.
    """
    path = (self.workdir / "base").absolute()
    if not path.exists():
      return None
    target = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), like)
    return _restore(path, target)

  def save_base(self, base: Params) -> None:
    """Saves the base; on return it is complete, before that it is absent."""
    with quietly(), ocp.StandardCheckpointer() as checkpointer:
      checkpointer.save(
        (self.workdir / "base").absolute(), jax.device_get(base)
      )

  def save_json(self, name: str, content: dict[str, Any]) -> pathlib.Path:
    """Writes a JSON file of the run, whole or not at all."""
    return write_json(self.workdir / name, content)

  def figure_path(self, name: str) -> pathlib.Path:
    """Where a figure of the run belongs."""
    return self.workdir / "figures" / name

  def _log_paths(self) -> list[pathlib.Path]:
    return sorted((self.workdir / "records").glob("*.jsonl"))


def read_base(workdir: str | os.PathLike[str]) -> Params:
  """Reads the base that a run left behind, as NumPy arrays.

  Raises:
    UserError: if there is none, or it is damaged.
  """
  return _restore((pathlib.Path(workdir) / "base").absolute())


def check_config(
  workdir: str | os.PathLike[str],
  config: dict[str, Any],
  extendable: Iterable[str] = (),
) -> None:
  """Refuses a config that means something else than that of a directory's run.

  Raises:
    UserError: that says in what they differ.
  """
  if different := config_differences(workdir, config, extendable):
    raise UserError(
      f"{workdir} holds a run whose config differs: "
      + "; ".join(different)
      + ". Choose another workdir, or the values it was made with."
    )


def config_differences(
  workdir: str | os.PathLike[str],
  config: dict[str, Any],
  extendable: Iterable[str] = (),
) -> list[str]:
  """Lists how a config differs from that of the run in a directory.

  Args:
    workdir: of the run; without one nothing differs.
    config: JSON values, nested dicts at the outside.
    extendable: dotted keys that may differ.

  Raises:
    UserError: if the run's own config is corrupt.
  """
  path = pathlib.Path(workdir) / "config.json"
  if not path.exists():
    return []
  try:
    old = json.loads(path.read_text(encoding="utf-8"))["config"]
  except (ValueError, KeyError, TypeError) as error:
    raise UserError(
      f"{path} is corrupt ({error}). Delete the run, or restore the file."
    ) from error
  allowed = frozenset(extendable)
  return [
    line
    for line in record_log.differences(old, json.loads(json.dumps(config)))
    if line.split(" ", 1)[0] not in allowed
  ]


def make_workdir(workdir: str | os.PathLike[str]) -> pathlib.Path:
  """Makes a directory if it is missing, and checks that it can be written.

  Raises:
    UserError: if it cannot.
  """
  path = pathlib.Path(workdir)
  try:
    path.mkdir(parents=True, exist_ok=True)
    probe = path / f".probe.{os.getpid()}"
    probe.touch()
    probe.unlink()
  except OSError as error:
    raise UserError(
      f"workdir must be a directory that can be written, got {path}"
      f" ({error.strerror}). Choose another with --workdir."
    ) from error
  return path


def write_json(path: pathlib.Path, content: dict[str, Any]) -> pathlib.Path:
  """Writes a JSON file whole or not at all."""
  text = json.dumps(content, indent=2, allow_nan=False) + "\n"
  temporary = path.with_name(f".{path.name}.{os.getpid()}")
  temporary.write_text(text, encoding="utf-8")
  temporary.replace(path)
  return path


@contextlib.contextmanager
def quietly() -> Iterator[None]:
  """Silences Orbax, which logs dozens of lines for each checkpoint."""
  verbosity = logging.get_verbosity()
  logging.set_verbosity(logging.ERROR)
  try:
    yield
  finally:
    logging.set_verbosity(verbosity)


def _restore(path: pathlib.Path, *target: Params) -> Params:
  try:
    with quietly(), ocp.StandardCheckpointer() as checkpointer:
      restored = checkpointer.restore(path, *target)
  except (OSError, ValueError, KeyError) as error:
    reason = str(error).strip().splitlines()[0][:200]
    raise UserError(
      f"{path} is no base of this model or is damaged ({reason}). Restore the"
      " folder, or choose another workdir."
    ) from error
  return jax.tree.map(np.asarray, restored)
