"""A machine is measured stage by stage, and what is missing is made up for."""

import importlib.util
import json
import pathlib
import tempfile

import pytest
from absl.testing import absltest
from end_to_end import commands

from thickets.report import machine_table, tables


class BenchmarkMachineTest(absltest.TestCase):
  @pytest.mark.slow
  def test_stages_that_are_missing_are_made_up_for(self):
    folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))
    page = folder / "page.md"
    page.write_text(machine_table.write_markdown([]), "utf-8")
    command = (
      "benchmark_machine",
      "--config=configs/benchmark_machine.py:smoke",
      f"--workdir={folder / 'machine'}",
      f"--config.table={page}",
      "--config.bound_s.apart=()",
    )
    if importlib.util.find_spec("torch"):
      command = (*command, "--config.bound_s.transformers=(300,)")
    cut = commands.run_binary(*command, "--config.bound_s.stacked=(1,)")
    self.assertEqual(cut.returncode, 1, cut.stderr)
    self.assertIn("smoke-stacked took longer than 1 s", cut.stderr)
    self.assertEqual(page.read_text("utf-8"), machine_table.write_markdown([]))
    done = commands.run_binary(*command)
    self.assertEqual(done.returncode, 0, done.stderr)
    again = commands.run_binary(*command)
    self.assertNotIn("at most", again.stderr)  # Nothing was left to be run.
    written = page.read_text("utf-8")
    self.assertEqual(written, done.stdout)
    (line,) = written.splitlines()[2:]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    row = dict(zip(machine_table.HEADER, cells, strict=True))
    path = folder / "machine/smoke-stacked/benchmark.json"
    figures = json.loads(path.read_text("utf-8"))
    self.assertEqual(row["members/h"], f"{figures['members_per_hour']:.0f}")
    # Other cells may have a dash where a machine is too busy to be measured.
    for name in ("`transformers`, s", "speed-up"):
      self.assertEqual(
        row[name] != tables.DASH, importlib.util.find_spec("torch") is not None
      )


if __name__ == "__main__":
  absltest.main()
