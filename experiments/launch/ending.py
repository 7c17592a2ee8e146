"""How a binary runs and ends: devices before it, one line after a mistake.

Its exit status says what to do:

    0    the work is done
    1    refused or failed: the message says what must change
    75   ended before its work was done and through no fault of its own, by SIGTERM
         or since another process of the run was lost: start the same command again
    130  interrupted by Ctrl-C
    141  whoever read its output has gone
    143  ended by SIGTERM without a run directory in which to go on
"""

import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator

import absl.logging
import jax
from absl import app

from experiments.launch import failures, hosts, screen
from experiments.launch.flags import BinaryFlags
from experiments.launch.hosts import Ending
from thickets.errors import UserError
from thickets.runs import mirror, processes, stopping
from thickets.runs.stopping import StoppedError

UNFINISHED = os.EX_TEMPFAIL  # 75: the same command goes on.
_FAILED, _INTERRUPTED, _UNREAD, _TERMINATED = 1, 130, 141, 143

_GRACE_S = 3.0  # What an interrupted process may take to end by itself.
_SETTLING_S = 15.0  # What a thread that ends the process may take for it.

# What watches the other processes, once this one has joined them.
_watch: hosts.Watch | None = None
_ending = threading.Lock()  # Held by the thread that ends the process.
# Set once the main thread is to end, which no further signal breaks off.
_is_ending = threading.Event()


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
    _heed_signals(flags)

    def shown(argv: list[str]) -> None:
      with screen.showing_log():
        main(argv)
      sys.stdout.flush()  # Where writing fails, it fails here and not unseen.
      if _watch is not None:
        # Without JAX's own end, which aborts whoever comes to it late.
        _watch.finish()
        _leave(0, None)

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
    _refuse(str(error))
  except BrokenPipeError:  # The reader has gone, as with `| head`.
    _leave(_UNREAD, "whoever read its output has gone")
  except KeyboardInterrupt:
    # Without waiting for work that is under way on the devices.
    _end_interrupted(flags)
  except StoppedError:
    _end_stopped(flags)
  except Exception as error:
    message = failures.describe_failure(error)
    if message is None:
      if _watch is None:
        raise
      if isinstance(error, jax.errors.JaxRuntimeError):
        _watch.wait_for_lost()  # What failed may be what it sent to this one.
      traceback.print_exc()
      _leave(_FAILED, "an error that its log shows")
    absl.logging.debug("The traceback of this error:", exc_info=True)
    _drop_output()
    _refuse(f"{message}{_advise(flags)}")


def start_devices(flags: BinaryFlags) -> None:
  """Joins the cluster if asked to, and gives every CPU core a device.

  Raises:
    UserError: if there is no cluster to join.
  """
  global _watch
  configure_jax()
  cluster = flags.cluster
  if cluster is None:
    return

  def end(ending: Ending) -> None:
    _end_with_other(ending, flags)

  hosts.join(cluster, end, flags.grace_s)
  _watch = hosts.Watch(
    cluster.lost_after_s, end, processes.client(), flags.grace_s
  )
  _watch.start()


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


def _refuse(message: str) -> None:
  _is_ending.set()
  screen.finish_line()
  if _watch is None:
    sys.exit(f"error: {message}")
  print(f"error: {message}", file=sys.stderr, flush=True)
  _leave(_FAILED, message)


def _advise(flags: BinaryFlags) -> str:
  """Says how a run is continued, where there is one."""
  workdir = flags.given_workdir
  if not workdir or ("://" not in workdir and not os.path.isdir(workdir)):
    return ""  # There is none, or it had not begun.
  return f" What was finished is in {workdir}; the same command continues it."


def _drop_output() -> None:
  """Writes what is left for standard output, or else nothing at the end.

  Python would write it again as it ends, and fail again with a traceback.
  """
  try:
    sys.stdout.flush()
  except OSError:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _heed_signals(flags: BinaryFlags) -> None:
  """Signals end the process, even while the main thread cannot.

  Python raises KeyboardInterrupt in the main thread once it is back from
  compiled code. A thread ends the process where that takes too long, as while a
  large program compiles. SIGTERM lets work under way be finished, if it is in time.
  """
  signal.signal(signal.SIGINT, _interrupt)
  signal.signal(signal.SIGTERM, _stop)
  heard, told = socket.socketpair()
  told.setblocking(False)
  signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)

  def listen():
    end, deadline, is_told = _end_interrupted, None, False
    with heard, told:
      while True:
        left = None if deadline is None else deadline - time.monotonic()
        heard.settimeout(left if left is None else max(left, 0.01))
        try:
          number = heard.recv(1)[0]
        except TimeoutError:
          # In another thread, so that Ctrl-C is heard while that one waits.
          threading.Thread(target=end, args=(flags,), daemon=True).start()
          deadline = None
          continue
        if number == signal.SIGINT:
          end, deadline = _end_interrupted, time.monotonic() + _GRACE_S
        elif number == signal.SIGTERM and not is_told:
          grace_s = flags.grace_s if stopping.is_deferring() else _GRACE_S
          end, deadline = _end_stopped, time.monotonic() + grace_s
          if stopping.is_deferring():
            absl.logging.info(
              "Told to end: members under way may finish, for at most %g s.",
              grace_s,
            )
          _announce_stop()
        is_told |= number in (signal.SIGINT, signal.SIGTERM)

  threading.Thread(target=listen, daemon=True).start()


def _interrupt(signum, frame):
  del signum, frame
  if not _is_ending.is_set():
    _is_ending.set()
    raise KeyboardInterrupt


def _stop(signum, frame):
  del signum, frame
  if not _is_ending.is_set():
    stopping.ask()


def _announce_stop() -> None:
  """Has the other processes of a run end with this one, at once or soon."""
  if _watch is not None:
    _watch.announce(
      Ending(jax.process_index(), UNFINISHED, "SIGTERM", is_stop=True)
    )


def _end_interrupted(flags: BinaryFlags) -> None:
  _end(_INTERRUPTED, f"\nInterrupted.{_advise(flags)}", "it was interrupted")


def _end_stopped(flags: BinaryFlags) -> None:
  code = UNFINISHED if flags.has_workdir else _TERMINATED
  _end(code, f"Told to end by SIGTERM.{_advise(flags)}")


def _end_with_other(ending: Ending, flags: BinaryFlags) -> None:
  """Ends this process since another ends or is lost; not in the main thread."""
  if ending.is_stop:
    if not stopping.is_asked():
      os.kill(os.getpid(), signal.SIGTERM)
    return
  _end(ending.code, f"error: {ending.why}{_advise(flags)}")


def _end(code: int, message: str, why: str | None = None) -> None:
  """Ends the process with a line, from whatever thread.

  Args:
    code: the exit status.
    message: the line.
    why: what other processes of the run are told; None if they know.
  """
  _is_ending.set()
  if not _ending.acquire(blocking=False):
    # Another thread is at it, unless it hangs.
    waits = _watch is not None and code != _INTERRUPTED
    time.sleep(_SETTLING_S + (_watch.leaving_s if waits else 0.0))
    _exit(code)
  try:
    screen.finish_line()
    print(message, file=sys.stderr, flush=True)
    with contextlib.suppress(OSError):
      sys.stdout.flush()
    _leave(code, why)
  finally:
    _ending.release()


def _leave(code: int, why: str | None) -> None:
  """Ends the process; tells the others why, unless they know."""
  _is_ending.set()
  if _watch is not None:
    if why is not None:
      process = jax.process_index()
      words = f"Process {process} ended the run: {why}"
      _watch.announce(Ending(process, code, f"{words.rstrip('.')}."))
    _watch.leave()
  _exit(code)


def _exit(code: int) -> None:
  """Ends the process as it is; only copies of records are deleted first."""
  mirror.remove_mirrors()
  os._exit(code)
