"""Pipelines in files that are refused before anything is computed."""

import contextlib
import json
import pathlib
import re
import shutil
import tempfile
from unittest import mock

import numpy as np
import safetensors.numpy
from absl.testing import parameterized
from golden import pipeline_files

from thickets.errors import UserError
from thickets.models.diffusion import directory, opening, part_files, pipeline
from thickets.models.diffusion.schedule import Sampler

_UNET_FILE = "diffusion_pytorch_model.safetensors"


class RefusalsTest(parameterized.TestCase):
  """Nothing is read but small files, and then the headers of weights."""

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    folder = cls.enterClassContext(tempfile.TemporaryDirectory())
    cls.whole = pathlib.Path(folder) / "pipeline"
    cls.whole.mkdir()
    pipeline_files.write(cls.whole)

  def setUp(self):
    super().setUp()
    folder = self.enterContext(tempfile.TemporaryDirectory())
    self.path = pathlib.Path(folder) / "pipeline"
    shutil.copytree(self.whole, self.path)

  def _refuse(self, message, *, is_early=True):
    with contextlib.ExitStack() as stack:
      if is_early:
        stack.enter_context(
          mock.patch.object(part_files, "read", side_effect=AssertionError)
        )
      stack.enter_context(self.assertRaisesRegex(UserError, message))
      pipeline.load(str(self.path))

  def test_no_index(self):
    (self.path / "model_index.json").unlink()
    self._refuse(
      "must have model_index.json, got none.*scheduler, text_encoder"
    )

  @parameterized.parameters(
    "FluxPipeline", (["StableDiffusionXLPipeline"],), None
  )
  def test_other_pipelines(self, name):
    pipeline_files.change_json(self.path / "model_index.json", _class_name=name)
    got = re.escape(repr(name))
    self._refuse(f"must be one of .*StableDiffusionXL.*got {got}")

  def test_the_refiner(self):
    pipeline_files.change_json(
      self.path / "model_index.json", requires_aesthetics_score=True
    )
    self._refuse("the refiner of SDXL is not supported")

  @parameterized.parameters("unet", "vae", "text_encoder_2", "tokenizer")
  def test_missing_parts(self, part):
    shutil.rmtree(self.path / part)
    self._refuse(f"must have the part {part}, got no folder")

  def test_a_part_that_the_index_leaves_out(self):
    pipeline_files.change_json(
      self.path / "model_index.json", text_encoder_2=[None, None]
    )
    self._refuse("text_encoder_2 must be one of .* got none")

  def test_parts_of_another_class(self):
    pipeline_files.change_json(
      self.path / "model_index.json", vae=["diffusers", "AutoencoderTiny"]
    )
    self._refuse("vae must be one of .* got AutoencoderTiny")

  @parameterized.parameters("unet", "text_encoder")
  def test_missing_configs(self, part):
    (self.path / part / "config.json").unlink()
    self._refuse(f"{part} must have config.json, got none")

  def test_missing_weights(self):
    (self.path / "vae" / _UNET_FILE).rename(self.path / "vae" / "a.bin")
    self._refuse("vae must have .* got a.bin. Save the pipeline with diffusers")

  def test_parts_of_different_models(self):
    pipeline_files.change_json(
      self.path / "unet" / "config.json", cross_attention_dim=12
    )
    self._refuse("cross_attention_dim must be the width of the texts, got 12")

  def test_a_decoder_of_other_latents(self):
    pipeline_files.change_json(
      self.path / "vae" / "config.json", latent_channels=16
    )
    self._refuse("unet.in_channels must be vae.latent_channels, got 4 and 16")

  def test_a_denoiser_that_predicts_other_latents(self):
    pipeline_files.change_json(
      self.path / "unet" / "config.json", out_channels=8
    )
    self._refuse("unet.out_channels must be vae.latent_channels, got 8 and 4")

  def test_an_sdxl_without_its_scale(self):
    path = self.path / "vae" / "config.json"
    fields = json.loads(path.read_text())
    del fields["scaling_factor"]
    path.write_text(json.dumps(fields))
    self._refuse("vae.scaling_factor must be a number other than 0, got none")

  def test_an_sdxl_without_its_embedding(self):
    pipeline_files.change_json(
      self.path / "unet" / "config.json", addition_embed_type=None
    )
    self._refuse("addition_embed_type must be text_time in .* got null")

  def test_an_embedding_of_sdxl_without_its_second_tower(self):
    pipeline_files.change_json(
      self.path / "model_index.json", _class_name="StableDiffusionPipeline"
    )
    self._refuse("addition_embed_type must be text_time in .* got text_time")

  def test_a_denoiser_of_other_pooled_texts(self):
    pipeline_files.change_json(
      self.path / "text_encoder_2" / "config.json", projection_dim=24
    )
    self._refuse("the pooled width of unet must be .* got 20 and 24")

  def test_weights_that_lack_a_tensor(self):
    self._change_weights(lambda tensors: tensors.pop("conv_in.bias"))
    self._refuse("got none for conv_in.bias", is_early=False)

  def test_weights_with_a_tensor_too_many(self):
    extra = {"down_blocks.0.extra": np.zeros(2, np.float32)}
    self._change_weights(lambda tensors: tensors.update(extra))
    self._refuse("got unexpected down_blocks.0.extra", is_early=False)

  def test_weights_of_another_shape(self):
    wide = np.zeros((9, 4, 3, 3), np.float32)
    self._change_weights(lambda t: t.update({"conv_in.weight": wide}))
    self._refuse(
      r"shape \[8, 4, 3, 3\] by config.json, got \[9", is_early=False
    )

  def test_weights_of_whole_numbers(self):
    whole = np.zeros(8, np.int32)
    self._change_weights(lambda t: t.update({"conv_in.bias": whole}))
    self._refuse("stored as one of .*'F32'.* got I32", is_early=False)

  def test_weights_of_several_dtypes_need_one_that_is_given(self):
    half = np.zeros(8, np.float16)
    self._change_weights(lambda t: t.update({"conv_in.bias": half}))
    self._refuse(r"dtype must be given .* \['F16', 'F32'\]", is_early=False)

  @parameterized.parameters({}, {"a": "../unet.safetensors"}, {"a": "b/c"})
  def test_shards_that_are_not_beside_their_index(self, **places):
    (self.path / "unet" / _UNET_FILE).unlink()
    index = part_files.WeightSet("diffusion_pytorch_model").indices[0]
    pipeline_files.write_json(
      self.path / "unet" / index, {"weight_map": places}
    )
    self._refuse("must list files beside it")

  @parameterized.parameters(np.nan, np.inf)
  def test_weights_that_are_not_finite(self, value):
    broken = np.full(8, value, np.float32)
    self._change_weights(lambda t: t.update({"conv_in.bias": broken}))
    self._refuse(
      rf"conv_in.bias \(.*unet/{_UNET_FILE}\) must be finite", is_early=False
    )

  def test_weights_too_large_for_half_precision(self):
    large = np.full(8, 1e5, np.float32)
    self._change_weights(lambda t: t.update({"conv_in.bias": large}))
    with self.assertRaisesRegex(UserError, "within what float16 holds"):
      pipeline.load(str(self.path), dtype=np.float16)

  def test_ddim_that_clips(self):
    pipeline_files.change_json(
      self.path / "scheduler" / "scheduler_config.json", clip_sample=True
    )
    with self.assertRaisesRegex(UserError, "clip_sample must be false"):
      pipeline.load(str(self.path), sampler=Sampler.DDIM)

  @parameterized.parameters("text_encoder", "text_encoder_2")
  def test_texts_that_one_of_the_towers_would_cut(self, part):
    pipeline_files.change_json(
      self.path / part / "config.json", max_position_embeddings=8
    )
    opened = opening.open_pipeline(str(self.path))
    opened.check_texts("task.targets", ["cat " * 6])
    with self.assertRaisesRegex(UserError, "task.targets must have at most 6"):
      opened.check_texts("task.targets", ["red", "cat " * 7])

  @parameterized.parameters("nowhere/at/all", "./nowhere", "")
  def test_names_of_nothing(self, name):
    with self.assertRaisesRegex(UserError, "must be a directory that exists"):
      directory.locate(name)

  def test_a_revision_of_a_directory(self):
    with self.assertRaisesRegex(UserError, "revision must not be given"):
      directory.locate(str(self.path), revision="main")

  def _change_weights(self, change):
    file = self.path / "unet" / _UNET_FILE
    tensors = safetensors.numpy.load_file(file)
    change(tensors)
    safetensors.numpy.save_file(tensors, file)
