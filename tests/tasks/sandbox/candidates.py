"""Programs that the tests of the sandbox run in it."""

import os
import pathlib
import textwrap
import time
import unittest
from collections.abc import Callable

from thickets.tasks import sandbox

TROUBLE = sandbox.find_trouble()
needs_namespaces = unittest.skipIf(
  TROUBLE is not None, f"no namespaces here, so only refusal: {TROUBLE}"
)

# A process name that no other test run has; the kernel keeps 15 characters.
NAME = f"box-{os.getpid()}"
LIMITS = sandbox.Limits(cpu_s=1, wall_s=8, memory_bytes=256 << 20)


def run(code, *calls, limits=LIMITS, **options) -> sandbox.ProgramOutcome:
  """Runs a program, in which NAME stands for the text `NAME`."""
  code = textwrap.dedent(code).replace("NAME", repr(NAME))
  return sandbox.run_calls(code, list(calls), limits=limits, **options)


def find_process(name: str) -> pathlib.Path | None:
  """Returns the folder in `/proc` of the process of a name, None without one."""
  for entry in pathlib.Path("/proc").iterdir():
    if entry.name.isdigit():
      try:
        if name in (entry / "comm").read_text():
          return entry
      except OSError:
        continue
  return None


def wait_until(condition: Callable[[], object], patience_s=20.0) -> bool:
  """Waits for a condition; returns whether it came about in time."""
  deadline = time.monotonic() + patience_s
  while not condition():
    if time.monotonic() > deadline:
      return False
    time.sleep(0.02)
  return True
