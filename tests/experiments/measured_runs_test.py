"""Tests of --out: a directory where one is meant, and a file where one is."""

import pathlib
import tempfile

from absl.testing import absltest, parameterized

from experiments import benchmark_analysis, coverage, coverage_diversity
from experiments.launch import measured_runs
from thickets.errors import UserError


class MakeOutTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

  @parameterized.parameters("x.html", "a/Report.HTML", "density.json", "x.png")
  def test_the_name_of_a_file_is_refused_and_not_made(self, name):
    with self.assertRaisesRegex(UserError, f"--out must be .*{name}.*--out="):
      measured_runs.make_out(self.folder / name)
    self.assertEmpty(list(self.folder.iterdir()))

  @parameterized.parameters("results", "run.v2", "sigma_0.01")
  def test_other_names_are_made(self, name):
    self.assertTrue(measured_runs.make_out(self.folder / name).is_dir())

  def test_a_file_and_what_lies_below_one_are_refused(self):
    (self.folder / "file").touch()
    for out in ("file", "file/below"):
      with self.assertRaisesRegex(UserError, "--out must be"):
        measured_runs.make_out(self.folder / out)


class MakeOutFileTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

  def test_a_directory_and_what_lies_below_a_file_are_refused(self):
    (self.folder / "file").touch()
    for out in (".", "file/below.json"):
      with self.assertRaisesRegex(UserError, "--out must be a file"):
        measured_runs.make_out_file(str(self.folder / out))

  def test_the_directory_of_the_file_is_made_and_the_file_is_not(self):
    path = measured_runs.make_out_file(str(self.folder / "a" / "b.json"))
    self.assertEqual(list(self.folder.rglob("*")), [path.parent])

  @parameterized.parameters(coverage, coverage_diversity, benchmark_analysis)
  def test_a_directory_is_refused_before_any_work(self, binary):
    binary.FLAGS.values([binary.__name__, f"--out={self.folder}"])
    self.addCleanup(binary.FLAGS.values.unparse_flags)
    with self.assertRaisesRegex(UserError, "--out must be a file"):
      binary.main([])


if __name__ == "__main__":
  absltest.main()
