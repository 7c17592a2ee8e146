"""Tests of the files of runs: what a report refuses to show or to compare."""

import json
import pathlib
import shutil
import tempfile

from absl.testing import parameterized
from report.small_runs import make_run

from thickets.errors import UserError
from thickets.report import run_files
from thickets.runs import json_files


def _change_config(folder: pathlib.Path, **changes: object) -> None:
  path = folder / "config.json"
  content = json.loads(path.read_text(encoding="utf-8"))
  content["config"] |= changes
  json_files.write_json(path, content)


class RunFilesTest(parameterized.TestCase):
  def folder(self) -> pathlib.Path:
    return pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))

  def assert_refused(self, words, *folders):
    with self.assertRaisesRegex(UserError, words):
      run_files.read_runs(folders)

  @parameterized.parameters(
    ("config.json", r"run/config\.json must be the config of a run"),
    ("results.json", r"/run must hold a finished run, got no results\.json"),
    ("records", r"/run must hold records .* got 0 logs"),
  )
  def test_missing_files(self, name, words):
    folder = make_run(self.folder() / "run")
    path = folder / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    self.assert_refused(words, folder)

  @parameterized.parameters("pretrain", "ladder", None, 7)
  def test_other_binaries(self, experiment):
    folder = make_run(self.folder() / "run")
    _change_config(folder, experiment=experiment)
    self.assert_refused(
      r"run/config\.json must be the config of a run of experiments\.measure,"
      rf" randopt, signals or diffusion, got one of the experiment {experiment!r}",
      folder,
    )

  def test_a_config_that_names_no_experiment(self):
    folder = make_run(self.folder() / "run")
    json_files.write_json(folder / "config.json", {"losses": []})
    self.assert_refused("got one of the experiment None", folder)

  def test_results_of_another_binary(self):
    folder = make_run(self.folder() / "run")
    json_files.write_json(folder / "results.json", {"losses": []})
    self.assert_refused(
      r"run/results\.json must hold what experiments\.measure writes, with the"
      " keys num_members, relative_norms, tasks, got the keys losses",
      folder,
    )

  def test_results_of_an_earlier_version(self):
    folder = make_run(self.folder() / "run")
    _change_config(folder, experiment="randopt")
    results = {"population": {"size": 8}, "table": [], "differences": []}
    json_files.write_json(
      folder / "results.json", results | {"winners_curse": []}
    )
    self.assert_refused("num_judge_groups, got .*earlier version", folder)

  def test_the_config_says_which_kind_it_is(self):
    found = run_files.read_run(make_run(self.folder() / "run"))
    self.assertEqual((found.kind.name, found.num_members), ("measure", 8))

  def test_damaged_analysis(self):
    folder = make_run(self.folder() / "run")
    (folder / "density.json").write_text('{"densities"', encoding="utf-8")
    self.assert_refused(r"run/density\.json must be JSON", folder)

  def test_twice(self):
    folder = make_run(self.folder() / "run")
    self.assert_refused("/run twice", folder, folder / "figures" / "..")

  def test_no_task_in_common(self):
    shared = self.folder()
    one, two = make_run(shared / "a"), make_run(shared / "b", ("other",))
    self.assert_refused(r"must share a task, got \['other'\] in .*/b", one, two)

  def test_tasks_that_are_scored_in_other_ways(self):
    shared = self.folder()
    one = make_run(shared / "a")
    two = make_run(shared / "b", rules="paper")
    self.assert_refused(
      "score a task in the same way.*rules.*/a and .*/b", one, two
    )

  def test_scores_and_errors(self):
    shared = self.folder()
    one, two = make_run(shared / "a"), make_run(shared / "b")
    results = {"ensemble_by_n": [], "population": {"size": 8}, "table": []}
    json_files.write_json(two / "results.json", results)
    _change_config(two, experiment="signals")
    self.assert_refused(
      "shares of right answers of a run of measure .*/a. and squared errors of a"
      " run of signals .*/b",
      one,
      two,
    )
