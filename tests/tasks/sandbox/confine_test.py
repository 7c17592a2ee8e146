"""Tests of what a candidate cannot reach: hostile programs, one by one."""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import unittest
from unittest import mock

from absl.testing import parameterized
from tasks.sandbox import candidates

from thickets.tasks import sandbox
from thickets.tasks.sandbox import assertions, system_calls
from thickets.tasks.sandbox.zygote_pool import ZYGOTES

_PLACES = ("'/'", "os.__file__", "'.'")


@candidates.needs_namespaces
class ProtectionTest(parameterized.TestCase):
  def _fails(self, statement, *kinds):
    outcome = candidates.run(statement)
    self.assertIn(outcome.loaded.kind, kinds or ("exception",), outcome)
    self.assertEqual(
      candidates.run("x = 1", "x").results[0].value, 1
    )  # It goes on.

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
      candidates.run("import shutil; shutil.rmtree('/', ignore_errors=True)")
      self.assertEqual(path.read_text(), "still here")

  def test_environment_of_the_grader_is_unknown(self):
    with mock.patch.dict(os.environ, SECRET_TOKEN="hush"):
      outcome = candidates.run(
        "import os", "dict(os.environ)", "os.getenv('SECRET_TOKEN')"
      )
    self.assertEqual([result.value for result in outcome.results], [{}, None])

  @unittest.skipUnless(os.geteuid() == 0, "only root may look at it")
  def test_environment_is_not_in_its_memory_either(self):
    candidates.run("x = 1")
    pid = ZYGOTES.get(True).process.pid
    environment = pathlib.Path(f"/proc/{pid}/environ").read_text()
    self.assertEqual(environment.strip("\0"), "PYTHONHASHSEED=0")

  def test_mounts_are_read_only(self):
    outcome = candidates.run(
      "import os", *(f"os.statvfs({path}).f_flag & 1" for path in _PLACES)
    )
    self.assertEqual([result.value for result in outcome.results], [1, 1, 0])

  def test_is_nobody_and_alone(self):
    outcome = candidates.run(
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
      target=candidates.run, args=(code,), kwargs={"limits": limits}
    )
    runner.start()
    self.assertTrue(
      candidates.wait_until(lambda: candidates.find_process(candidates.NAME))
    )
    theirs, ours = (
      candidates.find_process(candidates.NAME) / "ns",
      pathlib.Path("/proc/self/ns"),
    )
    for kind in ("user", "pid", "mnt", "net", "ipc", "uts"):
      self.assertNotEqual(os.readlink(theirs / kind), os.readlink(ours / kind))
    self.assertEqual((theirs.parent / "oom_score_adj").read_text(), "1000\n")
    runner.join()

  def test_has_no_capabilities_and_no_system_calls(self):
    outcome = candidates.run(
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

  @parameterized.parameters(*sorted(system_calls._NUMBERS))
  def test_system_call_is_refused(self, name):
    column = system_calls.MACHINES[os.uname().machine][1]
    number = system_calls._NUMBERS[name][column]
    if number is None:
      self.skipTest(f"{name} does not exist on {os.uname().machine}")
    outcome = candidates.run(
      "import ctypes; libc = ctypes.CDLL(None, use_errno=True)",
      f"(libc.syscall({number}, -1, -1, -1, -1, -1, -1), ctypes.get_errno())",
    )
    self.assertEqual(outcome.results[0].value, (-1, 1))

  @parameterized.parameters(1031, 6, 7, 37, 38, 1024, 1026)
  def test_commands_of_fcntl_that_take_memory_are_refused(self, command):
    outcome = candidates.run(
      "import ctypes; libc = ctypes.CDLL(None, use_errno=True)",
      f"(libc.fcntl(1, {command}, 0), ctypes.get_errno())",
    )
    self.assertEqual(outcome.results[0].value, (-1, 1))

  def test_memory_stays_near(self):
    """Pages far apart would cost the kernel more than the process."""
    code = """
      import ctypes, mmap
      libc = ctypes.CDLL(None, use_errno=True)
      libc.mmap.restype = libc.mremap.restype = ctypes.c_void_p
      wide = ctypes.c_long
      def put(address):
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x10
        got = libc.mmap(wide(address), wide(4096), 3, flags, -1, wide(0))
        return got == address
      def move(near, address):
        got = libc.mremap(wide(near), wide(4096), wide(4096), 3, wide(address))
        return got == address
      def grow():
        region = mmap.mmap(-1, 1 << 20)
        region.resize(8 << 20)
        return len(region)
      def find():
        region = mmap.mmap(-1, 4096)
        return ctypes.addressof(ctypes.c_char.from_buffer(region))
      near = find() - (64 << 20)
    """
    outcome = candidates.run(
      code,
      "put(near)",
      "put(1 << 40)",
      "move(near, 1 << 41)",
      "move(near, near - (1 << 20))",
      "grow()",
    )
    self.assertEqual(
      [result.value for result in outcome.results],
      [True, False, False, True, 8 << 20],
    )

  def test_sockets_hold_little(self):
    code = """
      import asyncio, socket
      def fill():
        total, ends = 0, []
        try:
          while True:
            ends += socket.socketpair()
            for end in ends[-2:]:
              end.setblocking(False)
              try:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 30)
              except OSError:
                pass
              try:
                while True:
                  total += end.send(bytes(1 << 16))
              except OSError:
                pass
        except OSError:
          return total
      async def wait():
        await asyncio.sleep(0)
        return 5
    """
    outcome = candidates.run(code, "fill()", "asyncio.run(wait())")
    held, slept = (result.value for result in outcome.results)
    # Each gets what the system gives by default, and a message that overflows.
    default = pathlib.Path("/proc/sys/net/core/wmem_default").read_text()
    self.assertBetween(held, 1, 64 * (int(default) + (1 << 16)))
    self.assertEqual(slept, 5)

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
    number = candidates.run(code, "count()").results[0].value
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
    (
      "import sys; del sys.modules['os']; import json; json.dumps = 0",
      "exception",
    ),
    ("import builtins; vars(builtins).clear()", "exception"),
    (
      "import gc\nfor o in gc.get_objects():\n  if type(o) is dict: o.clear()",
      "crash",
    ),
  )
  def test_no_trick_forges_a_value(self, code, kind):
    outcome = candidates.run(code, "secret(1)")
    if kind is None:
      self.assertIsNone(outcome.results[0].value)
    else:
      self.assertNotEqual(outcome.results[0].kind, "value")
      self.assertLess(outcome.wall_s, 7)  # Nobody waits for a full pipe.
    self.assertEqual(candidates.run("x = 1", "x").results[0].value, 1)

  def test_expected_values_are_nowhere_in_the_process(self):
    marker = "expected-" + "4711"  # Not in this form in the process.
    check = assertions.parse_test(f"assert f(1) == {marker!r}")
    outcome = candidates.run(
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
    candidates.run(
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
    self.assertIsNone(candidates.find_process(candidates.NAME))

  def test_zygote_is_started_again(self):
    candidates.run("x = 1")
    zygote = ZYGOTES.get(True)
    os.kill(zygote.process.pid, signal.SIGKILL)
    zygote.process.wait()
    self.assertEqual(candidates.run("x = 2", "x").results[0].value, 2)
    self.assertIsNot(ZYGOTES.get(True), zygote)

  def test_everything_ends_with_the_grader(self):
    program = textwrap.dedent(
      """
      from thickets.tasks import sandbox
      code = (
        "import ctypes, time; ctypes.CDLL(None).prctl(15, NAME.encode());"
        "time.sleep(500)"
      )
      print(sandbox.run_calls("x = 1", ["x"]).results[0].value, flush=True)
      limits = sandbox.Limits(wall_s=400)
      sandbox.run_calls(code, [], limits=limits)
      """
    ).replace("NAME", repr(candidates.NAME))
    root = pathlib.Path(sandbox.__file__).parents[3]
    grader = subprocess.Popen(
      [sys.executable, "-c", program], cwd=root, stdout=subprocess.PIPE
    )
    grader.stdout.readline()
    self.assertTrue(
      candidates.wait_until(lambda: candidates.find_process(candidates.NAME))
    )
    grader.kill()
    grader.communicate()
    self.assertTrue(
      candidates.wait_until(
        lambda: not candidates.find_process(candidates.NAME)
      )
    )
