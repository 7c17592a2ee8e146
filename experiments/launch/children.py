"""Commands that run as processes of their own, some at a time.

A command that fails ends all: what others have finished is kept, and the same call
goes on with the rest.
"""

import concurrent.futures
import dataclasses
import os
import pathlib
import shlex
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import BinaryIO

from absl import logging

from thickets.errors import UserError
from thickets.runs import stopping

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_PATIENCE_S = 20.0  # What a process may take to end once it is told to.
_LOOK_S = 0.5  # Between two looks whether this process was told to end.


@dataclasses.dataclass(frozen=True)
class Command:
  """A run of a binary.

  Attributes:
    name: what it is for, in the log.
    binary: name of the module, such as "evolution".
    arguments: its flags, without `--workdir`.
    workdir: the directory of the run, absolute.
  """

  name: str
  binary: str
  arguments: tuple[str, ...]
  workdir: pathlib.Path

  @property
  def words(self) -> list[str]:
    """The command line behind the name of Python."""
    return [
      *("-m", f"experiments.{self.binary}"),
      *self.arguments,
      f"--workdir={self.workdir}",
    ]

  def __str__(self) -> str:
    return f"python {shlex.join(self.words)}"

  @property
  def log(self) -> pathlib.Path:
    """Where its output goes, beside its directory."""
    return self.workdir.parent / f"{self.workdir.name}.log"

  @property
  def is_done(self) -> bool:
    """Whether the run has ended."""
    return (self.workdir / "results.json").exists()


class Children:
  """Runs commands as processes, a few at a time.

  Args:
    parallel: how many at once; each then has its share of the cores.
    variables: of the environment, beside those of this process.
  """

  def __init__(self, parallel: int, variables: Mapping[str, str]):
    self._parallel, self._variables = parallel, variables
    self._cores = _divide_cores(parallel)
    self._running: set[subprocess.Popen] = set()
    self._lock = threading.Lock()
    self._is_ending = False

  def run(self, commands: Sequence[Command]) -> None:
    """Runs those of the commands that have not ended, and waits for all.

    Raises:
      UserError: if one fails; it says where its log is, and what it ends with.
      StoppedError: if this process was told to end, once the others have.
    """
    waiting = [command for command in commands if not command.is_done]
    with (
      stopping.deferring(),  # Whoever ends this process ends the others first.
      concurrent.futures.ThreadPoolExecutor(self._parallel) as pool,
    ):
      left = {pool.submit(self._run, command) for command in waiting}
      try:
        while left and not stopping.is_asked():
          done, left = concurrent.futures.wait(
            left, _LOOK_S, concurrent.futures.FIRST_COMPLETED
          )
          for future in done:
            future.result()
      finally:
        if left:
          pool.shutdown(wait=False, cancel_futures=True)
          self._end()

  def _run(self, command: Command) -> None:
    command.log.parent.mkdir(parents=True, exist_ok=True)
    with command.log.open("ab") as file:
      begin = file.tell()  # Behind what earlier starts have said.
      with self._lock:  # So that none begins behind the back of `_end`.
        if self._is_ending:
          return
        logging.info("%s begins; its output is in %s", command.name, file.name)
        file.write(f"{command}\n".encode())
        file.flush()
        cores = self._cores.pop()
        process = self._start(command, file, cores)
        self._running.add(process)
      code = process.wait()
    with self._lock:
      self._running.discard(process)
      self._cores.append(cores)
    # Whoever tells this process to end may tell the others as well.
    if code and not (self._is_ending or stopping.is_asked()):
      raise UserError(
        f"{command.name} must end well, got status {code}:"
        f" {_find_reason(command.log, begin)} The whole log is {command.log}. What was"
        " finished is kept; start the same command again."
      )

  def _start(
    self, command: Command, file: BinaryIO, cores: set[int]
  ) -> subprocess.Popen:
    if cores:  # Those of this thread, which the process takes over.
      os.sched_setaffinity(0, cores)
    return subprocess.Popen(
      [sys.executable, *command.words],
      cwd=_ROOT,
      env=os.environ | self._variables,
      stdin=subprocess.DEVNULL,
      stdout=file,
      stderr=subprocess.STDOUT,
    )

  def _end(self) -> None:
    with self._lock:
      self._is_ending = True
      running = [*self._running]
    for process in running:
      process.terminate()
    for process in running:
      try:
        process.wait(_PATIENCE_S)
      except subprocess.TimeoutExpired:
        process.kill()


def _divide_cores(parallel: int) -> list[set[int]]:
  """The cores of each process; empty sets where they cannot be divided."""
  if parallel < 2 or not hasattr(os, "sched_setaffinity"):
    return [set()] * parallel
  cores = sorted(os.sched_getaffinity(0))
  if len(cores) < parallel:
    return [set()] * parallel
  return [set(cores[start::parallel]) for start in range(parallel)]


def _find_reason(log: pathlib.Path, begin: int) -> str:
  """The last line behind a place, in bytes, that says why a command ended."""
  said = log.read_bytes()[begin:]
  lines = said.decode("utf-8", errors="replace").splitlines()
  told = [line for line in lines if line.startswith("error: ")]
  if told:
    return told[-1].removeprefix("error: ")
  return f"{(lines or ['it said nothing'])[-1].strip()}."
