"""Tests of the sandbox: hostile programs, limits, refusal and opting in."""

import ctypes
import math
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import unittest
from unittest import mock

from absl.testing import parameterized

from thickets.errors import UserError
from thickets.tasks import sandbox
from thickets.tasks.sandbox import calls, checks

TROUBLE = sandbox._find_trouble()
needs_namespaces = unittest.skipIf(
  TROUBLE is not None, f"no namespaces here, so only refusal: {TROUBLE}"
)

# Of this run alone; the kernel keeps 15 characters.
_NAME = f"box-{os.getpid()}"
_PLACES = ("'/'", "os.__file__", "'.'")
LIMITS = sandbox.Limits(cpu_s=1, wall_s=8, memory_bytes=256 << 20)


def run(code, *calls_, limits=LIMITS, **options):
  code = textwrap.dedent(code).replace("NAME", repr(_NAME))
  return sandbox.run_calls(code, list(calls_), limits=limits, **options)


def _find(name):
  """The folder in `/proc` of the process of a name, None where there is none."""
  for entry in pathlib.Path("/proc").iterdir():
    if entry.name.isdigit():
      try:
        if name in (entry / "comm").read_text():
          return entry
      except OSError:
        continue
  return None


@needs_namespaces
class RunCallsTest(parameterized.TestCase):
  def test_returns_values_in_order(self):
    outcome = run(
      """
      import math, collections
      Point = collections.namedtuple("Point", "x y")
      log = []
      def f(x):
        log.append(x)
        return {"log": tuple(log), 1.5: {x}, None: Point(x, math.inf)}
      """,
      "f(1)",
      "f(base)",
      "log",
      setup="base = 10**30",
    )
    self.assertEqual(outcome.loaded.kind, "value")
    self.assertEqual(
      [result.value for result in outcome.results],
      [
        {"log": (1,), 1.5: {1}, None: (1, math.inf)},
        {"log": (1, 10**30), 1.5: {10**30}, None: (10**30, math.inf)},
        [1, 10**30],
      ],
    )
    self.assertGreater(outcome.wall_s, 0)

  @parameterized.parameters(
    ("def f(:", "syntax"),
    ("x = '\x00'", "syntax"),
    ("x = '\ud800'", "syntax"),
    ("(" * 10_000, "syntax"),
    ("raise KeyError(1)", "exception"),
    ("import no_such_module", "exception"),
    ("import sys; sys.exit(0)", "exception"),
    ("raise KeyboardInterrupt", "exception"),
    ("x = bytearray(10**10)", "memory"),
    ("import os; os._exit(0)", "crash"),
    ("import ctypes; ctypes.string_at(0)", "crash"),
  )
  def test_code_that_does_not_load(self, code, kind):
    outcome = run(code, "1", "2")
    self.assertEqual(outcome.loaded.kind, kind, outcome)
    self.assertEqual([result.kind for result in outcome.results], [kind] * 2)

  @parameterized.parameters(
    ("return 1 / 0", "exception"),
    ("return f(x)", "exception"),
    ("return [0] * 10**9", "memory"),
    ("return 'x' * 10**6", "output"),
    ("return [0] * 10**6", "unencodable"),
    ("return object()", "unencodable"),
    ("yield 1", "unencodable"),
    ("raise SystemExit", "exception"),
  )
  def test_calls_after_a_failed_one_are_made(self, body, kind):
    outcome = run(f"def f(x):\n  {body}", "f(1)", "5")
    self.assertEqual(
      [result.kind for result in outcome.results], [kind, "value"]
    )

  @parameterized.parameters(
    ("import os\n  os._exit(0)", "crash"),
    ("while True: pass", "timeout"),
    ("while True: print('x' * 1000, flush=True)", "timeout"),
  )
  def test_results_before_the_end_are_kept(self, body, kind):
    outcome = run(f"def f(x):\n  {body}", "1", "f(1)", "2")
    self.assertEqual(
      [result.kind for result in outcome.results], ["value", kind, kind]
    )

  def test_sleep_ends_by_the_clock(self):
    start = time.monotonic()
    outcome = run(
      "import time; time.sleep(100)", limits=sandbox.Limits(wall_s=0.3)
    )
    self.assertEqual(outcome.loaded.kind, "timeout")
    self.assertLess(time.monotonic() - start, 20)

  def test_strings_hash_alike_every_time(self):
    code = "def f(): return list({'a', 'b', 'c', 'd', 'e'}), hash('x')"
    once = run(code, "f()").results
    sandbox._drop_zygote(True)
    self.assertEqual(run(code, "f()").results, once)

  def test_candidates_share_nothing(self):
    write = "open('mine', 'w').write('x'); import re; re.mark = 1"
    self.assertEqual(run(write).loaded.kind, "value")
    read = "import os, re; seen = os.path.exists('mine'), hasattr(re, 'mark')"
    self.assertEqual(run(read, "seen").results[0].value, (False, False))

  @parameterized.parameters(
    {"cpu_s": 0},
    {"wall_s": math.nan},
    {"memory_bytes": -1},
    {"wall_s": math.inf},
  )
  def test_refuses_limits(self, **limits):
    with self.assertRaisesRegex(ValueError, "must be above 0"):
      sandbox.Limits(**limits)


@needs_namespaces
class ProtectionTest(parameterized.TestCase):
  def _fails(self, statement, *kinds):
    outcome = run(statement)
    self.assertIn(outcome.loaded.kind, kinds or ("exception",), outcome)
    self.assertEqual(run("x = 1", "x").results[0].value, 1)  # It goes on.

  @parameterized.parameters(
    "import os; os.fork()",
    "import subprocess, sys; subprocess.run([sys.executable, '-c', ''])",
    "import multiprocessing as m; p = m.Process(target=print); p.start()",
    "import os; os.posix_spawn('/bin/true', ['true'], {})",
    "import socket; socket.create_connection(('127.0.0.1', 22))",
    "import socket; socket.socket(socket.AF_VSOCK)",
    "import urllib.request; urllib.request.urlopen('http://example.com')",
    "import os; os.kill(1, 9)",
    "import os; os.kill(-1, 9)",
    "import os; os.kill(os.getppid(), 9)",
    "import os; os.listdir('/proc')",
    "import os; os.listdir('/home')",
    "open('/etc/passwd').read()",
    "open('/proc/self/environ').read()",
    "open('/proc/1/environ').read()",
    "open('../escaped', 'w')",
    "open('/usr/lib/escaped', 'w')",
    "open('/dev/shm/escaped', 'w')",
    "open('big', 'wb').write(bytes(17 << 20))",
    "import os; os.chroot('.')",
    "import os; os.setuid(0)",
    "import os; os.memfd_create('x')",
    "import resource as r; r.setrlimit(r.RLIMIT_CPU, (99, 99))",
    "import resource as r; r.prlimit(1000, r.RLIMIT_CPU, (1, 1))",
    "[open(str(i), 'w') for i in range(2000)]",
  )
  def test_is_refused(self, statement):
    self._fails(statement)

  def test_file_outside_survives(self):
    with tempfile.TemporaryDirectory() as folder:
      path = pathlib.Path(folder, "precious")
      path.write_text("still here")
      os.chmod(folder, 0o777)
      os.chmod(path, 0o666)
      self._fails(f"import os; os.remove({str(path)!r})")
      self._fails(f"import shutil; shutil.rmtree({folder!r})")
      self._fails(f"open({str(path)!r})")
      run("import shutil; shutil.rmtree('/', ignore_errors=True)")
      self.assertEqual(path.read_text(), "still here")

  def test_environment_of_the_grader_is_unknown(self):
    with mock.patch.dict(os.environ, SECRET_TOKEN="hush"):
      outcome = run(
        "import os", "dict(os.environ)", "os.getenv('SECRET_TOKEN')"
      )
    self.assertEqual([result.value for result in outcome.results], [{}, None])

  @unittest.skipUnless(os.geteuid() == 0, "only root may look at it")
  def test_environment_is_not_in_its_memory_either(self):
    run("x = 1")
    pid = sandbox._zygotes[True]._process.pid
    environment = pathlib.Path(f"/proc/{pid}/environ").read_text()
    self.assertEqual(environment.strip("\0"), "PYTHONHASHSEED=0")

  def test_mounts_are_read_only(self):
    outcome = run(
      "import os", *(f"os.statvfs({path}).f_flag & 1" for path in _PLACES)
    )
    self.assertEqual([result.value for result in outcome.results], [1, 1, 0])

  def test_is_nobody_and_alone(self):
    outcome = run(
      """
      import os
      """,
      "os.getuid()",
      "os.getgroups()",
      "os.getpid()",
      "os.getppid()",
      "os.listdir('.')",
      "os.uname().nodename",
    )
    found = [result.value for result in outcome.results]
    self.assertEqual(found[:1] + found[2:5], [65534, 1, 0, []])
    self.assertLessEqual(set(found[1]), {65534})
    self.assertEqual(found[5], "sandbox")

  @unittest.skipUnless(os.geteuid() == 0, "only root may look at its links")
  def test_all_namespaces_are_its_own(self):
    code = """
      import ctypes, time
      ctypes.CDLL(None).prctl(15, NAME.encode())
      time.sleep(100)
    """
    limits = sandbox.Limits(wall_s=2)
    runner = threading.Thread(
      target=run, args=(code,), kwargs={"limits": limits}
    )
    runner.start()
    self.assertTrue(_wait_until(lambda: _find(_NAME)))
    theirs, ours = (
      _find(_NAME) / "ns",
      pathlib.Path("/proc/self/ns"),
    )
    for kind in ("user", "pid", "mnt", "net", "ipc", "uts"):
      self.assertNotEqual(os.readlink(theirs / kind), os.readlink(ours / kind))
    self.assertEqual((theirs.parent / "oom_score_adj").read_text(), "1000\n")
    runner.join()

  def test_has_no_capabilities_and_no_system_calls(self):
    outcome = run(
      """
      import ctypes
      libc = ctypes.CDLL(None, use_errno=True)
      def call(number, *arguments):
        result = libc.syscall(number, *arguments)
        return result if result >= 0 else -ctypes.get_errno()
      def capabilities():
        header = (ctypes.c_uint32 * 2)(0x20080522, 0)
        data = (ctypes.c_uint32 * 6)()
        libc.capget(header, data)
        return list(data)
      """,
      "capabilities()",
      "libc.prctl(39, 0, 0, 0, 0)",  # PR_GET_NO_NEW_PRIVS.
      "libc.prctl(21, 0, 0, 0, 0)",  # PR_GET_SECCOMP.
      "(libc.prctl(1, 0), ctypes.get_errno())",  # PR_SET_PDEATHSIG.
      "(libc.unshare(0x10000000), ctypes.get_errno())",
    )
    found = [result.value for result in outcome.results]
    self.assertEqual(found, [[0] * 6, 1, 2, (-1, 1), (-1, 1)])

  @parameterized.parameters(*sorted(calls._NUMBERS))
  def test_system_call_is_refused(self, name):
    column = calls.MACHINES[os.uname().machine][1]
    number = calls._NUMBERS[name][column]
    if number is None:
      self.skipTest(f"{name} does not exist on {os.uname().machine}")
    outcome = run(
      "import ctypes; libc = ctypes.CDLL(None, use_errno=True)",
      f"(libc.syscall({number}, -1, -1, -1, -1, -1, -1), ctypes.get_errno())",
    )
    self.assertEqual(outcome.results[0].value, (-1, 1))

  def test_threads_are_few(self):
    code = """
      import threading
      gate = threading.Event()
      def count():
        threading.stack_size(1 << 16)
        number = 0
        try:
          for _ in range(1000):
            threading.Thread(target=gate.wait, daemon=True).start()
            number += 1
        except RuntimeError:
          return number
    """
    number = run(code, "count()").results[0].value
    self.assertBetween(number, 4, 32)

  @parameterized.parameters(
    # It only says that its calls gave this.
    (
      'import os; os.write(3, b\'["value", "null"]\\n\' * 9); os._exit(0)',
      None,
    ),
    (
      "import os; os.write(3, b'\\x80\\x04garbage\\n' * 9); os._exit(0)",
      "crash",
    ),
    ("import os; os.write(3, b'x' * 10**7); os._exit(0)", "output"),
    ("import os\nwhile True: os.write(3, b'x' * 10**5)", "output"),
    ("import os; os.close(3)", "crash"),
    ("import os; [os.close(i) for i in range(3, 60)]", "exception"),
    ("import os; os.write(3, b'[' * 10**5 + b'\\n'); os._exit(0)", "crash"),
    ('print(\'["value", "null"]\'); import os; os._exit(0)', "crash"),
    (
      "import atexit, os; atexit.register(os.write, 3, b'x'); os._exit(0)",
      "crash",
    ),
    ("import sys; sys.exit = print; sys.modules.clear(); x()", "exception"),
    ("import sys; del sys.modules['os']; import json; json.dumps = 0", "crash"),
    ("import builtins; vars(builtins).clear()", "crash"),
    (
      "import gc\nfor o in gc.get_objects():\n  if type(o) is dict: o.clear()",
      "crash",
    ),
  )
  def test_no_trick_forges_a_value(self, code, kind):
    outcome = run(code, "secret(1)")
    if kind is None:
      self.assertIsNone(outcome.results[0].value)
    else:
      self.assertNotEqual(outcome.results[0].kind, "value")
      self.assertLess(outcome.wall_s, 7)  # Nobody waits for a full pipe.
    self.assertEqual(run("x = 1", "x").results[0].value, 1)

  def test_expected_values_are_nowhere_in_the_process(self):
    marker = "expected-" + "4711"  # Not in this form in the process.
    check = checks.parse_test(f"assert f(1) == {marker!r}")
    outcome = run(
      """
      import gc, sys
      def f(x):
        texts, seen, todo = [], set(), [*gc.get_objects(), sys._getframe()]
        while todo:
          item = todo.pop()
          if id(item) in seen:
            continue
          seen.add(id(item))
          if isinstance(item, str):
            texts.append(item)
          todo += gc.get_referents(item)
        needle = "-".join(["expected", "4711"])
        return any(needle in text for text in texts), len(texts) > 1000
      """,
      check.call,
      limits=sandbox.Limits(cpu_s=5),
    )
    self.assertEqual(outcome.results[0].value, (False, True), outcome)

  def test_no_daemon_survives(self):
    run(
      """
      import ctypes, os, threading, time
      libc = ctypes.CDLL(None)
      libc.prctl(15, NAME.encode())
      try:
        os.setsid()
      except OSError:
        pass
      for start in (os.fork, lambda: libc.syscall(56, 17, 0, 0, 0, 0), libc.vfork):
        try:
          start()
        except OSError:
          pass
      threading.Thread(target=time.sleep, args=(1000,)).start()
      os._exit(0)
      """
    )
    self.assertIsNone(_find(_NAME))

  def test_zygote_is_started_again(self):
    run("x = 1")
    zygote = sandbox._zygotes[True]
    os.kill(zygote._process.pid, signal.SIGKILL)
    zygote._process.wait()
    self.assertEqual(run("x = 2", "x").results[0].value, 2)
    self.assertIsNot(sandbox._zygotes[True], zygote)

  def test_everything_ends_with_the_grader(self):
    program = textwrap.dedent(
      """
      from thickets import sandbox
      code = (
        "import ctypes, time; ctypes.CDLL(None).prctl(15, NAME.encode());"
        "time.sleep(500)"
      )
      print(sandbox.run_calls("x = 1", ["x"]).results[0].value, flush=True)
      limits = sandbox.Limits(wall_s=400)
      sandbox.run_calls(code, [], limits=limits)
      """
    ).replace("NAME", repr(_NAME))
    root = pathlib.Path(sandbox.__file__).parents[3]
    grader = subprocess.Popen(
      [sys.executable, "-c", program], cwd=root, stdout=subprocess.PIPE
    )
    grader.stdout.readline()
    self.assertTrue(_wait_until(lambda: _find(_NAME)))
    grader.kill()
    grader.communicate()
    self.assertTrue(_wait_until(lambda: not _find(_NAME)))


def _wait_until(condition, patience_s=20.0):
  deadline = time.monotonic() + patience_s
  while not condition():
    if time.monotonic() > deadline:
      return False
    time.sleep(0.02)
  return True


class RefusalTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.enter_context(
      mock.patch.object(
        sandbox, "_find_trouble", lambda: "unshare: no such luck"
      )
    )

  def test_refuses_with_the_reason(self):
    for refused in (sandbox.check_protection, lambda: run("x = 1", "x")):
      with self.assertRaisesRegex(
        UserError, "got: unshare: no such luck.*allow_un"
      ):
        refused()

  def test_opting_in_runs(self):
    outcome = run("def f(x): return x + 1", "f(1)", allow_unprotected=True)
    self.assertEqual(outcome.results[0].value, 2)

  @parameterized.parameters(
    ("while True: pass", "timeout"),
    ("x = bytearray(10**10)", "memory"),
    ("import os; os._exit(0)", "crash"),
    ("import time; time.sleep(99)", "timeout"),
  )
  def test_limits_hold_without_namespaces(self, code, kind):
    if sys.platform == "darwin" and kind == "memory":
      self.skipTest("macOS knows no limit of a process's memory")
    limits = sandbox.Limits(cpu_s=1, wall_s=3)
    outcome = run(code, limits=limits, allow_unprotected=True)
    self.assertEqual(outcome.loaded.kind, kind)

  @parameterized.parameters(
    "open('/etc/passwd')",
    "open('/tmp/sandbox-escaped', 'w')",
    "import os; os.fork()",
    "import os; os.kill(os.getppid(), 0)",
    "import os; os.listdir(f'/proc/{os.getppid()}')",
  )
  @unittest.skipUnless(
    sys.platform == "linux" and ctypes.CDLL(None).syscall(444, None, 0, 1) > 0,
    "the kernel has no Landlock",
  )
  def test_other_locks_hold_without_namespaces(self, code):
    outcome = run(code, allow_unprotected=True)
    self.assertEqual(outcome.loaded.detail, "PermissionError")

  def test_the_throw_away_directory_is_thrown_away(self):
    code = "import os; open('x', 'w').write('y')"
    outcome = run(
      code, "os.getcwd()", "os.listdir('.')", allow_unprotected=True
    )
    folder, names = (result.value for result in outcome.results)
    self.assertEqual(names, ["x"])
    self.assertFalse(os.path.exists(folder))


class ProbeTest(parameterized.TestCase):
  def test_a_system_without_namespaces_is_named(self):
    with mock.patch.object(sys, "platform", "darwin"):
      sandbox._find_trouble.cache_clear()
      try:
        with self.assertRaisesRegex(UserError, "Linux, this is darwin"):
          sandbox.check_protection()
      finally:
        sandbox._find_trouble.cache_clear()

  @parameterized.parameters("x86_64", "aarch64")
  def test_filter_is_a_program(self, machine):
    program = calls.make_filter(machine)
    self.assertEqual(len(program) % 8, 0)
    self.assertLess(len(program) // 8, 4096)

  def test_filter_of_another_machine_is_unknown(self):
    with self.assertRaisesRegex(OSError, "got riscv64"):
      calls.make_filter("riscv64")
