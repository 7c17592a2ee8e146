"""Tests of the filter of system calls as a program of the kernel."""

from absl.testing import parameterized

from thickets.tasks.sandbox import system_calls


class FilterTest(parameterized.TestCase):
  @parameterized.parameters("x86_64", "aarch64")
  def test_filter_is_a_program(self, machine):
    program = system_calls.make_filter(machine)
    self.assertEqual(len(program) % 8, 0)
    self.assertLess(len(program) // 8, 4096)

  def test_filter_of_another_machine_is_unknown(self):
    with self.assertRaisesRegex(OSError, "got riscv64"):
      system_calls.make_filter("riscv64")
