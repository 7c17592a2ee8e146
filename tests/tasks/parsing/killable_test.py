"""Tests of calls in a process that can be killed."""

import json
import os
import pathlib
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time

from absl.testing import parameterized

from thickets.tasks.parsing import killable

_FUNCTIONS = """
import os, sys, time

assert "jax" not in sys.modules  # The keeper must be able to fork.
print("noise on standard output")
calls = []

def double(x): return 2 * x
def spin():
  while True: pass
def grow(base, exponent): return len(str(base ** exponent)) > 0
def sleep(seconds): time.sleep(seconds)
def allocate(size): return len(bytearray(size))
def leave(): os._exit(3)
def fail(message): raise ValueError(message)
def pids(): return [os.getpid(), os.getppid()]
def count():
  calls.append(0)
  return len(calls)
def unsayable(): return {1, 2}
"""


def _is_alive(pid):
  try:
    os.kill(pid, 0)
  except ProcessLookupError:
    return False
  stat = pathlib.Path(f"/proc/{pid}/stat")
  try:  # A dead process that nobody has waited for yet is dead.
    return stat.read_text().rpartition(")")[2].split()[0] != "Z"
  except OSError:
    return not stat.parent.parent.exists()


def _wait_until(condition, timeout_s=10):
  deadline = time.monotonic() + timeout_s
  while not condition() and time.monotonic() < deadline:
    time.sleep(0.01)
  return condition()


class KillableTest(parameterized.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    folder = tempfile.TemporaryDirectory()
    cls.addClassCleanup(folder.cleanup)
    cls.file = pathlib.Path(folder.name) / "functions.py"
    cls.file.write_text(_FUNCTIONS)
    cls.shared = killable.Killable(cls.file, cpu_s=0.3, wall_s=20)
    cls.addClassCleanup(cls.shared.close)

  def test_a_file_may_import_from_its_own_folder_and_from_no_other(self):
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    file = pathlib.Path(folder.name) / "caller.py"
    file.write_text("from . import callee\ndef call(): return callee.VALUE\n")
    file.with_name("callee.py").write_text("VALUE = 7\n")
    calls = killable.Killable(file)
    self.addCleanup(calls.close)
    self.assertEqual(calls("call").value, 7)
    file.write_text("from . import callee\nimport callee\n")
    calls = killable.Killable(file)
    self.addCleanup(calls.close)
    with self.assertRaisesRegex(RuntimeError, "No module named 'callee'"):
      calls("call")

  def _make(self, **settings):
    calls = killable.Killable(self.file, **settings)
    self.addCleanup(calls.close)
    return calls

  @parameterized.parameters(
    ("double", (4,), 8, None),
    ("double", ("é\ud800\0",), "é\ud800\0" * 2, None),
    ("double", ("x" * 300_000,), "x" * 600_000, None),
    ("spin", (), None, "time"),
    ("grow", (9, 9**9), None, "time"),  # In C, which no exception reaches.
    ("leave", (), None, "crash"),
    ("fail", ("why",), None, "error: ValueError: why"),
    ("unsayable", (), None, "crash"),
    ("missing", (), None, "error: KeyError: 'missing'"),
  )
  def test_a_call_returns_or_says_why_not_and_the_next_one_works(
    self, name, arguments, value, failure
  ):
    self.shared("double", 0)  # Starts the processes.
    start = time.monotonic()
    self.assertEqual(self.shared(name, *arguments), (value, failure))
    self.assertLess(time.monotonic() - start, 10)  # Before the backstop.
    self.assertEqual(self.shared("double", 1), (2, None))

  def test_memory_is_limited(self):
    if sys.platform != "linux":
      self.skipTest("Only Linux enforces it.")
    self.assertEqual(self.shared("allocate", 4 << 30), (None, "memory"))
    self.assertEqual(self.shared("allocate", 1 << 20), (1 << 20, None))

  def test_the_clock_is_a_backstop(self):
    calls = self._make(cpu_s=10, wall_s=0.3)
    calls("double", 1)
    start = time.monotonic()
    self.assertEqual(calls("sleep", 60), (None, "time"))
    self.assertLess(time.monotonic() - start, 5)
    self.assertEqual(calls("double", 1), (2, None))

  def test_waiting_is_not_counted(self):
    self.assertIsNone(self.shared("sleep", 0.5).failure)

  def test_a_worker_serves_many_calls_and_a_failure_replaces_it(self):
    first = self.shared("pids").value
    self.assertEqual(self.shared("pids").value, first)
    self.shared("fail", "")
    second = self.shared("pids").value
    self.assertNotEqual(second[0], first[0])
    self.assertEqual(second[1], first[1])  # The keeper is the same.

  def test_what_warms_up_is_there_in_every_worker(self):
    calls = self._make(warm_up=[("count",), ("count",)])
    self.assertEqual(calls("count").value, 3)
    calls("fail", "")
    self.assertEqual(calls("count").value, 3)

  def test_threads_take_turns(self):
    found = {}

    def call(number):
      found[number] = self.shared("double", number).value

    threads = [threading.Thread(target=call, args=(n,)) for n in range(20)]
    for thread in threads:
      thread.start()
    for thread in threads:
      thread.join()
    self.assertEqual(found, {n: 2 * n for n in range(20)})

  def test_a_pickle_has_processes_of_its_own(self):
    self.shared("double", 1)
    copy = pickle.loads(pickle.dumps(self.shared))
    self.addCleanup(copy.close)
    self.assertNotEqual(copy("pids").value[1], self.shared("pids").value[1])

  def test_closing_ends_the_processes_and_a_call_starts_them_again(self):
    calls = self._make()
    pids = calls("pids").value
    calls.close()
    self.assertTrue(_wait_until(lambda: not any(map(_is_alive, pids))))
    self.assertEqual(calls("double", 1), (2, None))

  def test_dropping_it_ends_the_processes(self):
    pids = killable.Killable(self.file)("pids").value
    self.assertTrue(_wait_until(lambda: not any(map(_is_alive, pids))))

  def test_no_process_outlives_a_killed_caller(self):
    program = (
      "import json, time; from thickets.tasks.parsing import killable;"
      f"calls = killable.Killable({str(self.file)!r});"
      "print(json.dumps(calls('pids').value), flush=True); time.sleep(60)"
    )
    caller = subprocess.Popen(
      [sys.executable, "-c", program],
      stdout=subprocess.PIPE,
      env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    pids = json.loads(caller.stdout.readline())
    self.assertTrue(all(map(_is_alive, pids)))
    caller.kill()
    caller.wait()
    caller.stdout.close()
    self.assertTrue(_wait_until(lambda: not any(map(_is_alive, pids))))

  def test_a_killed_keeper_is_replaced(self):
    worker, keeper = self.shared("pids").value
    os.kill(keeper, signal.SIGKILL)
    self.assertEqual(self.shared("double", 1), (2, None))
    self.assertTrue(_wait_until(lambda: not _is_alive(worker)))

  def test_a_file_that_does_not_load_is_an_error(self):
    file = self.file.with_name("broken.py")
    file.write_text("import nonsense_of_no_package")
    with self.assertRaisesRegex(RuntimeError, "nonsense_of_no_package"):
      killable.Killable(file)("double", 1)
