"""Tests of the analyses that a report makes: missing ones, and those too old."""

import json
import pathlib
import tempfile
from unittest import mock

from absl.testing import absltest
from report.small_runs import analyse, make_run

from thickets.analysis import neighbourhood
from thickets.analysis.neighbourhood import Settings
from thickets.errors import UserError
from thickets.report import saved_analyses
from thickets.runs import json_files

OF_FLAGS = Settings(num_resamples=30)


class CompleteDensityTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.folder = analyse(make_run(folder / "run"))
    self.path = self.folder / "density.json"
    self.save = self.enterContext(
      mock.patch.object(saved_analyses, "save_neighbourhood")
    )
    self.analyse = self.enterContext(
      mock.patch.object(neighbourhood, "analyse")
    )

  def complete(self) -> Settings | None:
    """With what settings the density is made; None if it is not."""
    saved_analyses.complete_measure(self.folder, OF_FLAGS)
    made = self.analyse.call_args
    self.assertEqual(made is None, not self.save.called)
    return made and made.args[1]

  def age(self, **changes) -> None:
    content = json_files.read_json(self.path) | changes
    del content["version"]
    self.path.write_text(json.dumps(content), encoding="utf-8")

  def test_one_of_this_version_stays(self):
    self.assertIsNone(self.complete())

  def test_a_missing_one_is_made_as_the_flags_say(self):
    self.path.unlink()
    self.assertEqual(self.complete(), OF_FLAGS)

  def test_one_of_another_version_is_made_anew_as_it_was_made(self):
    self.age(settings={"num_resamples": 20, "margins": [0.0, 0.1], "old": 1})
    self.assertEqual(
      self.complete(), Settings(num_resamples=20, margins=(0.0, 0.1))
    )

  def test_one_that_holds_other_runs_as_well_is_refused(self):
    self.age(densities={"drills/sums": {}, "other": {}})
    with self.assertRaisesRegex(UserError, r"density\.json must be of this"):
      self.complete()


if __name__ == "__main__":
  absltest.main()
