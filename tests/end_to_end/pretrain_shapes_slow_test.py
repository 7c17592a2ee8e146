"""Tests of the binary that trains the small model of shapes, as users start it."""

import pathlib
import tempfile

import pytest
from absl.testing import absltest

from tests.end_to_end.commands import kill_binary, read_results, run_binary

pytestmark = pytest.mark.slow

_SMALL = "--config=configs/pretrain_shapes.py:smoke"


class PretrainShapesTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    self.folder = pathlib.Path(folder.name)

  def run_well(self, name, *arguments):
    # As many devices as where it is killed: sums depend on how they are divided.
    done = run_binary(name, *arguments, num_devices=1)
    self.assertEqual(done.returncode, 0, msg=done.stderr)
    return done

  def test_killed_and_continued_it_ends_with_the_same_model(self):
    whole, broken = self.folder / "whole", self.folder / "broken"
    self.run_well("pretrain_shapes", _SMALL, f"--workdir={whole}")
    status = kill_binary(
      "pretrain_shapes",
      _SMALL,
      f"--workdir={broken}",
      until=(broken / "checkpoints" / "2").exists,
    )
    self.assertEqual(status, -9)
    self.assertFalse((broken / "model").exists())
    self.run_well("pretrain_shapes", _SMALL, f"--workdir={broken}")
    paths = sorted((whole / "model").rglob("*.safetensors"))
    self.assertLen(paths, 3)  # Denoiser, words and judge.
    for path in paths:
      name = path.relative_to(whole)
      self.assertEqual(path.read_bytes(), (broken / name).read_bytes(), name)
    self.assertEqual(read_results(whole), read_results(broken))
    self.assertEqual(set(read_results(whole)), {"dev", "judge"})

    searched = self.folder / "searched"
    self.run_well(
      "diffusion",
      "--config=configs/diffusion.py:smoke",
      "--config.population.size=2",
      "--config.ensemble.top_k=1",
      "--config.ensemble.num_random=1",
      f"--config.model.name={broken / 'model'}",
      f"--workdir={searched}",
    )
    self.assertTrue((searched / "figures" / "grid.png").exists())


if __name__ == "__main__":
  absltest.main()
