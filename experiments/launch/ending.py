"""How a binary runs and ends: devices before it, one line after a mistake."""

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator

import jax
from absl import app

from experiments.launch.flags import BinaryFlags
from thickets.errors import UserError


def run(main: Callable[[list[str]], None], flags: BinaryFlags) -> None:
  """Runs a binary: reads its flags, and ends mistakes with one line each.

  Args:
    main: takes the program's name and the positional arguments.
    flags: what the binary declares.
  """
  # transformers would tell every user of its tokenizers to install PyTorch.
  os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")

  def guarded(argv: list[str]) -> None:
    with ending_in_one_line(flags):
      main(argv)

  app.run(guarded, flags_parser=flags.parse)


@contextlib.contextmanager
def ending_in_one_line(flags: BinaryFlags) -> Iterator[None]:
  """Ends with one line on a user's error or an interrupt.

  Where there is a run directory, an interrupt says that it can be continued.
  """
  signal.signal(signal.SIGTERM, _interrupt)
  try:
    yield
  except UserError as error:
    sys.exit(f"error: {error}")
  except BrokenPipeError:  # The reader has gone, as with `| head`.
    os._exit(141)
  except KeyboardInterrupt:
    advice = ""
    if flags.has_workdir:
      advice = (
        f" What was finished is in {flags.workdir}; the same command continues"
        " it."
      )
    print(f"\nInterrupted.{advice}", file=sys.stderr, flush=True)
    # Without waiting for work that is under way on the devices.
    os._exit(130)


def start_devices(flags: BinaryFlags) -> None:
  """Joins the cluster if asked to, and gives every CPU core a device."""
  configure_jax()
  if flags.cluster is not None:
    jax.distributed.initialize(*flags.cluster)


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


def _interrupt(signum, frame):
  del signum, frame
  raise KeyboardInterrupt
