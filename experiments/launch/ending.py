"""How a binary runs and ends: devices before it, one line after a mistake."""

import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator

import absl.logging
import jax
from absl import app

from experiments.launch import failures, screen
from experiments.launch.flags import BinaryFlags
from thickets.errors import UserError

_GRACE_S = 3.0  # What an interrupted process may take to end by itself.


def run(main: Callable[[list[str]], None], flags: BinaryFlags) -> None:
  """Runs a binary: reads its flags, and ends mistakes with one line each.

  Args:
    main: takes the program's name and the positional arguments.
    flags: what the binary declares.
  """
  # transformers would tell every user of its tokenizers to install PyTorch.
  os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
  screen.prepare_output()
  with ending_in_one_line(flags):
    _watch_interrupts(flags)

    def shown(argv: list[str]) -> None:
      with screen.showing_log():
        main(argv)
      sys.stdout.flush()  # Where writing fails, it fails here and not unseen.

    app.run(shown, flags_parser=flags.parse)


@contextlib.contextmanager
def ending_in_one_line(flags: BinaryFlags) -> Iterator[None]:
  """Ends with one line on a user's error, a machine's failure or an interrupt.

  Where there is a run directory, the line says that it can be continued. The
  traceback is logged with --verbosity=1. Bugs keep theirs.
  """
  try:
    yield
  except UserError as error:
    sys.exit(_refuse(str(error)))
  except BrokenPipeError:  # The reader has gone, as with `| head`.
    os._exit(141)
  except KeyboardInterrupt:
    # Without waiting for work that is under way on the devices.
    _end_interrupted(flags)
  except Exception as error:
    message = failures.describe_failure(error)
    if message is None:
      raise
    absl.logging.debug("The traceback of this error:", exc_info=True)
    _drop_output()
    sys.exit(_refuse(message + _advise(flags)))


def start_devices(flags: BinaryFlags) -> None:
  """Joins the cluster if asked to, and gives every CPU core a device.

  Raises:
    UserError: if there is no cluster to join.
  """
  configure_jax()
  if flags.cluster is None:
    return
  try:
    jax.distributed.initialize(*flags.cluster)
  except (ValueError, RuntimeError) as error:
    reason = " ".join(str(error).split()).rstrip(".")
    raise UserError(
      "--distributed must find the other processes of a pod or cluster, got:"
      f" {reason}. Name them with --coordinator=HOST:PORT, --num_processes and"
      " --process_id, or leave out --distributed."
    ) from error


def configure_jax() -> None:
  """Sets the precision, and gives every CPU core a device, before JAX starts.

  Each member then runs on one core with its data in that core's cache, instead
  of all cores on one matrix product after the other. An explicit
  JAX_NUM_CPU_DEVICES or XLA flag wins.
  """
  # On accelerators float32 products would otherwise be rounded to fewer bits.
  jax.config.update("jax_default_matmul_precision", "highest")
  # JAX reports every accelerator that is not there; that is no news.
  logging.getLogger("jax._src.xla_bridge").setLevel(logging.WARNING)
  explicit = "host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
  if not explicit and "JAX_NUM_CPU_DEVICES" not in os.environ:
    jax.config.update("jax_num_cpu_devices", _num_cores())


def _num_cores() -> int:
  if hasattr(os, "sched_getaffinity"):  # The cores of this process, on Linux.
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1


def _refuse(message: str) -> str:
  screen.finish_line()
  return f"error: {message}"


def _advise(flags: BinaryFlags) -> str:
  """Says how a run is continued, where there is one."""
  if not flags.has_workdir:
    return ""
  return (
    f" What was finished is in {flags.workdir}; the same command continues it."
  )


def _drop_output() -> None:
  """Writes what is left for standard output, or else nothing at the end.

  Python would write it again as it ends, and fail again with a traceback.
  """
  try:
    sys.stdout.flush()
  except OSError:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _watch_interrupts(flags: BinaryFlags) -> None:
  """Interrupts end the process, even while the main thread cannot.

  Python raises KeyboardInterrupt in the main thread once it is back from
  compiled code. A thread ends the process where that takes too long, as while a
  large program compiles.
  """
  signal.signal(signal.SIGINT, _interrupt)
  signal.signal(signal.SIGTERM, _interrupt)
  heard, told = socket.socketpair()
  told.setblocking(False)
  signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)

  def listen():
    with heard, told:
      numbers = (signal.SIGINT, signal.SIGTERM)
      while heard.recv(1)[:1] not in map(bytes, zip(numbers, strict=True)):
        pass
      time.sleep(_GRACE_S)
      _end_interrupted(flags)

  threading.Thread(target=listen, daemon=True).start()


def _interrupt(signum, frame):
  del signum, frame
  raise KeyboardInterrupt


def _end_interrupted(flags: BinaryFlags) -> None:
  screen.finish_line()
  print(f"\nInterrupted.{_advise(flags)}", file=sys.stderr, flush=True)
  with contextlib.suppress(OSError):
    sys.stdout.flush()
  os._exit(130)
