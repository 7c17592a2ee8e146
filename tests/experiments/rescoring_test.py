"""Tests of members that are scored for other targets, from recorded vectors."""

import pathlib
import tempfile

import numpy as np
from absl.testing import absltest
from golden import pipeline_files

from configs import diffusion
from experiments.launch import diffusion_specs, rescoring
from thickets.errors import UserError
from thickets.members import BASE
from thickets.report import diffusion_table
from thickets.runs import directory

_OWN, _OTHERS = ("blue", "red"), ("a green owl", "red")
_FAILED = 3  # The member with a picture that is not finite.


class RescoringTest(absltest.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    folder = tempfile.TemporaryDirectory()
    cls.addClassCleanup(folder.cleanup)
    cls.folder = pathlib.Path(folder.name)
    (cls.folder / "clip").mkdir()
    pipeline_files.write_scorer(cls.folder / "clip")
    config = diffusion.get_config("sd15").copy_and_resolve_references()
    with config.unlocked():
      config.model.scorer = str(cls.folder / "clip")
      config.population.size = 6
      config.population.sigmas = (0.001, 0.003)
      config.ensemble.top_k = 2
      config.ensemble.also = ()
      config.ensemble.num_random = 2
      config.task.targets = _OWN
      config.task.target = "blue"
    cls.spec = diffusion_specs.read_diffusion(config)
    cls.judge = rescoring.load_scorer(cls.spec)
    vectors = np.random.default_rng(0).normal(
      size=(7, 4, cls.judge.embed_texts(_OWN).shape[-1])
    )
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    cls.vectors = vectors.astype(np.float16)
    cls.vectors[_FAILED, 1] = np.nan

  def write_run(self, name, *, shift=0.0, has_all=True):
    """A run whose pictures have random vectors; the last one is the base's."""
    targets = self.vectors.astype(np.float32) @ self.judge.embed_texts(_OWN).T
    targets += shift
    members = self.spec.population.sample()
    workdir = str(self.folder / name)
    with directory.open_run(workdir, self.spec.config) as run:
      run.write_header({"base": {}})
      run.save_config()
      for position, member in [*enumerate(members), (-1, BASE)]:
        if position == 5 and not has_all:
          continue
        run.append(
          "select",
          [position],
          [member],
          targets[position, :, 0].mean(keepdims=True),
          {
            "score": targets[None, position, :, 0],
            "targets": targets[None, position],
            "embedding": self.vectors[None, position],
          },
        )
    return workdir

  def rescore(self, workdir):
    spec = rescoring.read_spec(workdir)
    with directory.open_run(workdir, spec.config) as run:
      rescoring.check_scorer(spec, run, self.judge)
      return rescoring.rescore(
        spec, run, _OTHERS, rescoring.embed(self.judge, _OTHERS)
      )

  def test_scores_are_cosines_of_what_was_recorded(self):
    results = self.rescore(self.write_run("whole"))
    self.assertEqual((results["size"], results["num_failed"]), (6, 1))
    texts = self.judge.embed_texts(_OTHERS)
    cosines = (
      np.einsum("pqe,te->pt", self.vectors.astype(np.float32), texts) / 4
    )
    cosines[_FAILED] = -np.inf
    for place, row in enumerate(results["best"]):
      self.assertEqual(row["target"], _OTHERS[place])
      self.assertEqual(row["position"], cosines[:6, place].argmax())
      self.assertAlmostEqual(row["best"], cosines[:6, place].max(), places=4)
      self.assertAlmostEqual(row["base"], cosines[-1, place], places=4)
    text = diffusion_table.format_rescored(results)
    self.assertIn("6 members (1 failed)", text)
    self.assertIn("a green owl", text)

  def test_another_clip_is_refused(self):
    with self.assertRaisesRegex(UserError, "the weights that the run had"):
      self.rescore(self.write_run("other", shift=0.02))

  def test_members_that_are_not_scored_are_counted(self):
    with self.assertRaisesRegex(UserError, "without 1 of them"):
      self.rescore(self.write_run("part", has_all=False))

  def test_texts_that_would_be_cut_are_refused(self):
    with self.assertRaisesRegex(UserError, "--targets"):
      rescoring.embed(self.judge, ("blue " * 200,))


if __name__ == "__main__":
  absltest.main()
