"""Hostile programs that take their time, many at once, and all of MBPP."""

import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import textwrap
import time
import unittest

import pytest
from absl.testing import parameterized

from thickets.tasks import mbpp, sandbox

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROWS_FILE = ROOT.parent / "shared/data/mbpp/mbpp.jsonl"
TROUBLE = sandbox.find_trouble()
LIMITS = sandbox.Limits(cpu_s=1, wall_s=10)

pytestmark = [
  pytest.mark.slow,
  pytest.mark.skipif(
    TROUBLE is not None, reason=f"no namespaces here to test: {TROUBLE}"
  ),
]

BOMBS = {
  "fork bomb": """
    import os
    while True:
      try:
        os.fork()
      except OSError:
        pass""",
  "fork bomb by clone": """
    import ctypes
    libc = ctypes.CDLL(None)
    while True:
      for number in (56, 57, 58, 435):
        libc.syscall(number, 17, 0, 0, 0, 0)""",
  "thread bomb": """
    import threading
    def spin():
      while True: pass
    while True:
      try:
        threading.Thread(target=spin).start()
      except RuntimeError:
        pass""",
  "memory bomb": """
    kept = []
    while True:
      try:
        kept.append(bytearray(1 << 20))
      except MemoryError:
        pass""",
  "memory in files": """
    import os
    number = 0
    while True:
      number += 1
      try:
        with open(f"{number % 999}", "wb") as file:
          file.write(bytes(1 << 20))
      except OSError:
        pass""",
  "memory in pipes": """
    import fcntl, os
    ends = []
    while True:
      try:
        source, sink = os.pipe()
        os.set_blocking(sink, False)
        ends.append(sink)
        fcntl.fcntl(sink, fcntl.F_SETPIPE_SZ, 1 << 20)
        os.write(sink, bytes(1 << 20))
      except OSError:
        pass""",
  "endless output": """
    import os, sys
    while True:
      try:
        print("x" * 10000, flush=True)
        for number in range(8):
          os.write(number, b"x" * 100000)
      except OSError:
        pass""",
  "deaf to signals": """
    import signal
    for number in signal.valid_signals():
      try:
        signal.signal(number, signal.SIG_IGN)
      except (OSError, ValueError):
        pass
    while True: pass""",
  "catches everything": """
    while True:
      try:
        while True: pass
      except BaseException:
        pass""",
  "regular expression": """
    import re
    re.match("(a*)*b", "a" * 64)""",
  "tower of powers": "9 ** 9 ** 9 ** 9",
  "deep recursion": """
    import sys
    sys.setrecursionlimit(10 ** 9)
    class A:
      def __repr__(self): return repr([self])
    repr(A())""",
  "huge source": "x = [" + "[]," * 200_000 + "]",
}


class BombTest(parameterized.TestCase):
  @parameterized.parameters(*BOMBS)
  def test_ends_and_leaves_nothing(self, name):
    before = _count_processes()
    code = textwrap.dedent(BOMBS[name]) + "\nimport os\nos._exit(0)"
    start = time.monotonic()
    outcome = sandbox.run_calls(code, ["f(1)"], limits=LIMITS)
    self.assertLess(time.monotonic() - start, 40)
    self.assertNotEqual(outcome.results[0].kind, "value")
    self.assertEqual(sandbox.run_calls("x = 1", ["x"]).results[0].value, 1)
    deadline = time.monotonic() + 20
    while _count_processes() > before + 3 and time.monotonic() < deadline:
      time.sleep(0.1)
    self.assertLessEqual(_count_processes(), before + 3)

  def test_neighbours_are_graded_meanwhile(self):
    bystander = subprocess.Popen([sys.executable, "-c", "input()"], stdin=-1)
    with tempfile.NamedTemporaryFile() as precious:
      attack = textwrap.dedent(f"""
        import os
        for path in ({precious.name!r}, "/etc/passwd"):
          try: os.remove(path)
          except OSError: pass
        for process in (-1, 1, {os.getpid()}, {bystander.pid}, os.getppid()):
          try: os.kill(process, 9)
          except OSError: pass
        while True: pass
      """)
      jobs = [attack if i % 4 == 0 else f"x = {i}" for i in range(32)]
      with concurrent.futures.ThreadPoolExecutor(8) as pool:
        outcomes = list(
          pool.map(
            lambda code: sandbox.run_calls(code, ["x"], limits=LIMITS), jobs
          )
        )
      self.assertTrue(os.path.exists(precious.name))
    for i, outcome in enumerate(outcomes):
      result = outcome.results[0]
      expected = ("timeout", None) if i % 4 == 0 else ("value", i)
      self.assertEqual((result.kind, result.value), expected)
    self.assertIsNone(bystander.poll())
    bystander.communicate(b"\n")

  @unittest.skipUnless(os.geteuid() == 0, "only root can become nobody")
  def test_works_for_nobody(self):
    program = textwrap.dedent("""
      import os, shutil, sys
      os.setgroups([]); os.setresgid(65534, 65534, 65534)
      os.setresuid(65534, 65534, 65534)
      from thickets.tasks import sandbox
      sandbox.check_protection()
      for code in ("import os; os.fork()", "open('/etc/passwd')"):
        print(sandbox.run_calls(code, []).loaded.detail)
      print(sandbox.run_calls("import os", ["os.getuid(), os.getpid()"]).results)
    """)
    # What is imported must be readable by nobody, who may not enter a home.
    done = subprocess.run(
      [_public_python(), "-c", _IMPORTABLE + program],
      env={"SANDBOX": str(pathlib.Path(sandbox.__file__).parents[2])},
      capture_output=True,
      text=True,
      check=False,
    )
    self.assertIn("PermissionError", done.stdout, done.stderr)
    self.assertIn("value=(65534, 1)", done.stdout)


class MbppTest(parameterized.TestCase):
  @unittest.skipUnless(ROWS_FILE.exists(), "the data are not there")
  def test_all_solutions_are_right_and_those_of_others_wrong(self):
    with ROWS_FILE.open(encoding="utf-8") as file:
      rows = list(map(json.loads, file))
    examples = [mbpp.TASK.make_example(row, i) for i, row in enumerate(rows)]
    grades = {}
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
      for rules, shift in (("standard", 0), ("paper", 0), ("standard", 1)):
        responses = [
          f"<answer>\n{rows[(i + shift) % len(rows)]['code']}\n</answer>"
          for i in range(len(rows))
        ]
        grader = mbpp.TASK.grader(rules)
        grades[rules, shift] = list(pool.map(grader, examples, responses))

    def right(key):
      pairs = zip(examples, grades[key], strict=True)
      return {example.id for example, grade in pairs if grade.correct}

    every = {example.id for example in examples}
    self.assertEqual(every - right(("standard", 0)), set())
    # The solution of 123 computes for about as long as the authors' limit of 5 s,
    # so that it is in time on some processors only.
    self.assertEqual(every - right(("paper", 0)) - {"123"}, {"367", "927"})
    self.assertEqual(right(("standard", 1)), set())


# Makes the package importable without its dependencies, which may lie in a home.
_IMPORTABLE = textwrap.dedent("""
  import os, sys, types
  package = types.ModuleType("thickets")
  package.__path__ = [os.environ["SANDBOX"]]
  sys.modules["thickets"] = package
""")


def _public_python():
  for path in (sys.executable, "/usr/bin/python3"):
    parts = [pathlib.Path(os.path.realpath(path)), pathlib.Path(path)]
    folders = [folder for part in parts for folder in part.parents]
    if all(folder.stat().st_mode & 0o001 for folder in folders):
      return path
  raise unittest.SkipTest("nobody may not enter the folder of any Python")


def _count_processes():
  return sum(entry.name.isdigit() for entry in pathlib.Path("/proc").iterdir())
