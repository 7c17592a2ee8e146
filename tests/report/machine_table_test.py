"""Tests of the table of machines."""

import datetime
import pathlib
import tempfile

from absl.testing import absltest

from thickets.errors import UserError
from thickets.report import machine_table

_DAY = datetime.date(2026, 11, 27)
_FIGURES = {
  "environment": {"device_kind": "GPU", "num_devices": 1, "commit": "abc"},
  "member_s": 0.5,
  "members_at_once": 4,
  "members_per_hour": 7200.0,
  "perturb_s": 0.01,
  "prefill_s": 0.09,
  "decode_s": None,
  "decode_roofline_frac": None,
  "matmul_gflops": 693000.0,
  "copy_gbytes_per_s": 1895.2,
  "compile_s": 25.0,
}
_OURS = ("GPU", "shape", "apart", "4", "7200", "0.01, 0.09, –")
_FORETOLD = {
  "num_members": 4,
  "members_per_hour": 14400.0,
  "forecast": {"rebuild_s": 0.02, "prefill_s": 0.2, "decode_s": 0.78},
}


def _make(theirs_s=None, foretold=None, **changes):
  figures = _FIGURES | changes
  return machine_table.make_row(
    "shape", "apart", figures, theirs_s, foretold, _DAY
  )


class MachineTableTest(absltest.TestCase):
  def test_a_row_holds_what_was_measured(self):
    rest = ("–", "–", "693, 1895", "25", "–", "–", "2026-11-27, abc")
    self.assertEqual(_make(), (*_OURS, *rest))
    self.assertLen(_make(), len(machine_table.HEADER))

  def test_a_forecast_stands_beside_it_for_one_member(self):
    said = "14400/h, 4 at once, 0.005, 0.05, 0.195 s"
    self.assertEqual(_make(foretold=_FORETOLD)[6], said)
    refused = {"refused": "It must fit."}
    self.assertEqual(_make(foretold=refused)[6], "does not fit")

  def test_speed_up_is_over_transformers_of_either_stage(self):
    for row in (_make(1.5), _make(transformers_s=1.5)):
      self.assertEqual(row[-3:-1], ("1.5", "3"))

  def test_rows_are_added_behind_those_of_the_page(self):
    folder = self.enter_context(tempfile.TemporaryDirectory())
    page = pathlib.Path(folder) / "page.md"
    before = machine_table.write_markdown([_make()])
    page.write_text(f"# Page\n\n{before}\nBehind.\n", "utf-8")
    machine_table.append_rows(page, [_make(1.5)])
    both = machine_table.write_markdown([_make(), _make(1.5)])
    self.assertEqual(page.read_text("utf-8"), f"# Page\n\n{both}\nBehind.\n")

  def test_a_page_without_the_table_is_refused(self):
    folder = self.enter_context(tempfile.TemporaryDirectory())
    page = pathlib.Path(folder) / "page.md"
    page.write_text("# Page\n", "utf-8")
    with self.assertRaisesRegex(UserError, "must have the table of machines"):
      machine_table.append_rows(page, [_make()])

  def test_the_page_of_benchmarks_has_the_table(self):
    page = pathlib.Path(__file__).parents[2] / "docs/benchmarks.md"
    header = machine_table.write_markdown([]).splitlines()[0]
    self.assertIn(header, page.read_text("utf-8").splitlines())


if __name__ == "__main__":
  absltest.main()
