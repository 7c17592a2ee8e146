"""A search around a tiny SDXL from its files, to an expert that diffusers draws by."""

import importlib.util
import pathlib
import shutil
import tempfile
import unittest
from unittest import mock

import numpy as np
import pytest
from absl.testing import absltest
from golden import diffusion_cases as cases
from golden import pipeline_files

from configs import diffusion
from experiments.launch import (
  diffusion_run,
  diffusion_specs,
  picture_experts,
)
from thickets.errors import UserError
from thickets.generation.images import picture_files, pipelines
from thickets.members import BASE
from thickets.models.diffusion import scorer
from thickets.report import diffusion_table
from thickets.runs import directory

pytestmark = pytest.mark.slow

_HAS_TORCH = all(map(importlib.util.find_spec, ("torch", "diffusers")))
_SIZE, _STEPS, _GUIDANCE, _NEGATIVE = (32, 48), 2, 3.0, "sad"
_SELECT, _JUDGE = ("a cat", "the sun!"), ("a hat", "red")
_TARGETS = ("dog", "sea", "rain")
_N, _K = 6, 2


def _make_config(root, **model):
  config = diffusion.get_config("sdxl_base")
  with config.unlocked():
    config.model.update(
      {
        "name": str(root / "pipeline"),
        "variant": "",
        "dtype": "float32",
        "scorer": str(root / "clip"),
        "height": _SIZE[0],
        "width": _SIZE[1],
        "num_steps": _STEPS,
        "guidance": _GUIDANCE,
        "negative": (_NEGATIVE,),
        **model,
      }
    )
    config.task.update(
      {
        "select_prompts": _SELECT,
        "judge_prompts": _JUDGE,
        "targets": _TARGETS,
        "target": "sea",
      }
    )
    # Noise of few tensors, since what draws it is compiled for each.
    config.population.update(
      {"size": _N, "sigmas": (0.1,), "include": ("unet.mid_block.*",)}
    )
    config.population.chunk = 3
    config.ensemble.update({"top_k": _K, "also": (), "num_random": 2})
  return diffusion_specs.read_diffusion(config)


@unittest.skipUnless(_HAS_TORCH, "needs torch and diffusers")
class PipelinesTest(absltest.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    from golden import diffusers_pipeline

    root = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
    made = diffusers_pipeline.make(
      root / "tokenizers", unet_fields=cases.SMALL_XL
    )
    made.save_pretrained(root / "pipeline")
    (root / "clip").mkdir()
    pipeline_files.write_scorer(root / "clip")
    cls.root, cls.workdir = root, root / "run"
    spec = cls.spec = _make_config(root)
    # It is ended after the search, and goes on.
    stop = RuntimeError("ended")
    with mock.patch.object(diffusion_run, "_draw_together", side_effect=stop):
      try:
        diffusion_run.run(spec, str(cls.workdir))
      except RuntimeError as error:
        assert error is stop
    assert not (cls.workdir / "results.json").exists()
    cls.results = diffusion_run.run(spec, str(cls.workdir))

  def read(self, split, positions, name):
    with directory.open_run(str(self.workdir), self.spec.config) as run:
      return run.channel(split, positions, name)

  def test_the_table_has_all_who_drew_and_paired_gains(self):
    rows = {row["role"]: row for row in self.results["table"]}
    self.assertEqual(
      set(rows), {"base", "top-1", "primary", "random", "members"}
    )
    for role, row in rows.items():
      self.assertEqual("score_gain" in row, role != "base")
      self.assertEqual(row["num_failed"], 0)
    text = diffusion_table.format_diffusion_results(self.results)
    self.assertIn(f"mean of best {_K}", text)
    for name in ("grid", "gains", "scores"):
      self.assertTrue((self.workdir / "figures" / f"{name}.png").exists())
    (row,) = self.results["discordance"]
    self.assertEqual(row["num_members"], _N)

  def test_a_finished_run_ends_with_the_same_bytes(self):
    patterns = ("experts.json", "records/*", "pictures/judge/*/*.png")
    paths = [p for pattern in patterns for p in self.workdir.glob(pattern)]
    before = {path: path.read_bytes() for path in paths}
    self.assertGreater(len(before), 12)
    results = diffusion_run.run(self.spec, str(self.workdir))
    for path, content in before.items():
      self.assertEqual(path.read_bytes(), content, path)
    self.assertEqual(
      *({**found, "timing": None} for found in (results, self.results))
    )

  def test_recorded_vectors_give_the_scores_for_any_target(self):
    judge = scorer.load(str(self.root / "clip"))
    texts = judge.embed_texts(_TARGETS)
    vectors = self.read("select", range(_N), "embedding").astype(np.float32)
    targets = self.read("select", range(_N), "targets")
    np.testing.assert_allclose(vectors @ texts.T, targets, atol=2e-3)
    self.assertGreater(np.std(targets, axis=0).min(), 1e-4)

  def test_pictures_are_kept_and_differ(self):
    base = picture_files.read_pictures(self.workdir, "judge", BASE, len(_JUDGE))
    self.assertEqual(base.shape, (2, *_SIZE, 3))
    folders = {
      path.name[:4] for path in (self.workdir / "pictures" / "judge").iterdir()
    }
    self.assertEqual(folders, {"base", "memb", "mean"})
    self.assertGreater(base.std(), 5)

  def test_diffusers_draws_the_pictures_of_an_exported_expert(self):
    import diffusers
    import torch

    path, out = self.workdir / "experts.json", self.root / "expert"
    member = picture_experts.export(path, 0, out, name=None)
    theirs = diffusers.StableDiffusionXLPipeline.from_pretrained(
      out, add_watermarker=False
    )
    theirs.set_progress_bar_config(disable=True)
    noise = pipelines.make_starting_noise(
      0, "judge", _JUDGE, 1, (_SIZE[0] // 4, _SIZE[1] // 4, 4)
    )
    drawn = [
      theirs(
        prompt=prompt,
        negative_prompt=_NEGATIVE,
        height=_SIZE[0],
        width=_SIZE[1],
        num_inference_steps=_STEPS,
        guidance_scale=_GUIDANCE,
        latents=torch.from_numpy(latents.transpose(2, 0, 1)[None].copy()),
        output_type="np",
      ).images[0]
      for prompt, latents in zip(_JUDGE, noise, strict=True)
    ]
    ours, of_base = (
      picture_files.read_pictures(self.workdir, "judge", who, len(_JUDGE))
      for who in (member, BASE)
    )
    difference = np.abs(255 * np.stack(drawn) - ours)
    self.assertLess(difference.max(), 1.0)
    self.assertGreater(np.abs(of_base.astype(float) - ours).max(), 5)

  def test_an_expert_of_another_base_is_refused(self):
    import safetensors.numpy

    out, other = self.root / "refused", self.root / "other"
    shutil.copytree(self.root / "pipeline", other)
    path = other / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = safetensors.numpy.load_file(path)
    tensors["conv_in.bias"][0] += 1
    safetensors.numpy.save_file(tensors, path, metadata={"format": "pt"})
    with self.assertRaisesRegex(UserError, "belongs to the base"):
      picture_experts.export(
        self.workdir / "experts.json", 0, out, name=str(other)
      )
    with self.assertRaisesRegex(UserError, "rank must be within 0 and 1"):
      picture_experts.export(self.workdir / "experts.json", 2, out, name=None)
    self.assertFalse(out.exists())

  def test_a_denoiser_that_overflows_is_refused_before_members(self):
    import safetensors.numpy

    broken = self.root / "broken"
    shutil.copytree(self.root / "pipeline", broken / "pipeline")
    shutil.copytree(self.root / "clip", broken / "clip")
    path = broken / "pipeline" / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = safetensors.numpy.load_file(path)
    tensors["conv_in.weight"] = 3e4 * np.sign(tensors["conv_in.weight"])
    safetensors.numpy.save_file(tensors, path, metadata={"format": "pt"})
    spec = _make_config(broken, dtype="float16")
    workdir = self.root / "overflown"
    with self.assertRaisesRegex(
      UserError, "finite scores on the prompts of select.*model.dtype"
    ):
      diffusion_run.run(spec, str(workdir))
    self.assertFalse((workdir / "pictures").exists())
    self.assertFalse((workdir / "experts.json").exists())


if __name__ == "__main__":
  absltest.main()
