"""Tests of the binary that searches for pictures, as users start it."""

import pathlib
import tempfile

import pytest
from absl.testing import absltest

from tests.end_to_end.commands import kill_binary, read_results, run_binary

pytestmark = pytest.mark.slow

_SMALL = (
  "--config=configs/diffusion.py:smoke",
  "--config.population.size=6",
  "--config.population.chunk=2",
  "--config.model.num_steps=2",
)
# What does not depend on when and where a run took place.
_SAME = ("experts.json", "pictures/judge/*/*.png")


def _count_lines(records):
  return sum(len(path.read_bytes().splitlines()) for path in records.glob("*"))


class DiffusionTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    self.folder = pathlib.Path(folder.name)

  def run_well(self, workdir):
    done = run_binary("diffusion", *_SMALL, f"--workdir={workdir}")
    self.assertEqual(done.returncode, 0, msg=done.stderr)
    return done

  def test_killed_and_continued_it_ends_with_the_same_bytes(self):
    whole, broken = self.folder / "whole", self.folder / "broken"
    printed = self.run_well(whole).stdout
    self.assertIn("random members", printed)
    moments = (  # While members are scored, and while they are judged.
      lambda: _count_lines(broken / "records") > 2,
      lambda: (broken / "pictures" / "judge" / "base").exists(),
    )
    for moment in moments:
      status = kill_binary(
        "diffusion", *_SMALL, f"--workdir={broken}", until=moment
      )
      self.assertEqual(status, -9)
      self.assertFalse((broken / "results.json").exists())
    self.run_well(broken)
    for pattern in _SAME:
      paths = sorted(whole.glob(pattern))
      self.assertNotEmpty(paths)
      for path in paths:
        name = path.relative_to(whole)
        self.assertEqual(path.read_bytes(), (broken / name).read_bytes(), name)
    self.assertEqual(read_results(whole), read_results(broken))

  def test_a_hue_that_is_not_known_is_refused_before_anything_is_written(self):
    workdir = self.folder / "refused"
    done = run_binary(
      "diffusion",
      *_SMALL,
      f"--workdir={workdir}",
      "--config.task.target=blu",
    )
    self.assertNotEqual(done.returncode, 0)
    self.assertIn("Nearest: blue", done.stderr + done.stdout)
    self.assertFalse(workdir.exists())


if __name__ == "__main__":
  absltest.main()
