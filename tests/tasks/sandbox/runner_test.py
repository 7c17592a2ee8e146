"""Tests of running programs: results, limits, refusal and opting in."""

import ctypes
import math
import os
import sys
import time
import unittest
from unittest import mock

from absl.testing import parameterized
from tasks.sandbox import candidates

from thickets.errors import UserError
from thickets.tasks import sandbox
from thickets.tasks.sandbox import runner
from thickets.tasks.sandbox.zygote_pool import ZYGOTES


@candidates.needs_namespaces
class RunCallsTest(parameterized.TestCase):
  def test_returns_values_in_order(self):
    outcome = candidates.run(
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
    outcome = candidates.run(code, "1", "2")
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
    outcome = candidates.run(f"def f(x):\n  {body}", "f(1)", "5")
    self.assertEqual(
      [result.kind for result in outcome.results], [kind, "value"]
    )

  @parameterized.parameters(
    ("import os\n  os._exit(0)", "crash"),
    ("while True: pass", "timeout"),
    ("while True: print('x' * 1000, flush=True)", "timeout"),
  )
  def test_results_before_the_end_are_kept(self, body, kind):
    outcome = candidates.run(f"def f(x):\n  {body}", "1", "f(1)", "2")
    self.assertEqual(
      [result.kind for result in outcome.results], ["value", kind, kind]
    )

  def test_sleep_ends_by_the_clock(self):
    start = time.monotonic()
    outcome = candidates.run(
      "import time; time.sleep(100)", limits=sandbox.Limits(wall_s=0.3)
    )
    self.assertEqual(outcome.loaded.kind, "timeout")
    self.assertLess(time.monotonic() - start, 20)

  def test_strings_hash_alike_every_time(self):
    code = "def f(): return list({'a', 'b', 'c', 'd', 'e'}), hash('x')"
    once = candidates.run(code, "f()").results
    ZYGOTES.drop(True)
    self.assertEqual(candidates.run(code, "f()").results, once)

  def test_candidates_share_nothing(self):
    write = "open('mine', 'w').write('x'); import re; re.mark = 1"
    self.assertEqual(candidates.run(write).loaded.kind, "value")
    read = "import os, re; seen = os.path.exists('mine'), hasattr(re, 'mark')"
    self.assertEqual(
      candidates.run(read, "seen").results[0].value, (False, False)
    )

  @parameterized.parameters(
    {"cpu_s": 0},
    {"wall_s": math.nan},
    {"memory_bytes": -1},
    {"wall_s": math.inf},
  )
  def test_refuses_limits(self, **limits):
    with self.assertRaisesRegex(ValueError, "must be above 0"):
      sandbox.Limits(**limits)


class RefusalTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.enter_context(
      mock.patch.object(runner, "find_trouble", lambda: "unshare: no such luck")
    )

  def test_refuses_with_the_reason(self):
    for refused in (
      sandbox.check_protection,
      lambda: candidates.run("x = 1", "x"),
    ):
      with self.assertRaisesRegex(
        UserError, "got: unshare: no such luck.*allow_un"
      ):
        refused()

  def test_opting_in_runs(self):
    outcome = candidates.run(
      "def f(x): return x + 1", "f(1)", allow_unprotected=True
    )
    self.assertEqual(outcome.results[0].value, 2)

  @parameterized.parameters(
    ("while True: pass", "timeout"),
    ("x = bytearray(10**10)", "memory"),
    ("import os; os._exit(0)", "crash"),
    ("import time; time.sleep(99)", "timeout", 0.5),
  )
  def test_limits_hold_without_namespaces(self, code, kind, wall_s=8):
    if sys.platform == "darwin" and kind == "memory":
      self.skipTest("macOS knows no limit of a process's memory")
    limits = sandbox.Limits(cpu_s=1, wall_s=wall_s)
    outcome = candidates.run(code, limits=limits, allow_unprotected=True)
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
    outcome = candidates.run(code, allow_unprotected=True)
    self.assertEqual(outcome.loaded.detail, "PermissionError")

  def test_the_throw_away_directory_is_thrown_away(self):
    code = "import os; open('x', 'w').write('y')"
    outcome = candidates.run(
      code, "os.getcwd()", "os.listdir('.')", allow_unprotected=True
    )
    folder, names = (result.value for result in outcome.results)
    self.assertEqual(names, ["x"])
    self.assertFalse(os.path.exists(folder))


class ProbeTest(parameterized.TestCase):
  def test_a_system_without_namespaces_is_named(self):
    with mock.patch.object(sys, "platform", "darwin"):
      sandbox.find_trouble.cache_clear()
      try:
        with self.assertRaisesRegex(UserError, "Linux, this is darwin"):
          sandbox.check_protection()
      finally:
        sandbox.find_trouble.cache_clear()
