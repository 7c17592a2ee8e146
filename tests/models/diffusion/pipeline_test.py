"""Pipelines in files: read and written, in all the forms that they have."""

import contextlib
import json
import pathlib
import tempfile
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy
from absl.testing import parameterized
from golden import diffusion_cases as cases
from golden import pipeline_files

from thickets import naming
from thickets.errors import UserError
from thickets.models.diffusion import (
  directory,
  opening,
  part_files,
  pipeline,
  vae,
)

_UNET_FILE = "diffusion_pytorch_model.safetensors"


@contextlib.contextmanager
def _written(**options):
  """A directory with a tiny pipeline."""
  with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / "pipeline"
    path.mkdir()
    pipeline_files.write(path, **options)
    yield path


class PipelineTest(parameterized.TestCase):
  """Laws of one pipeline of SDXL, which is loaded once."""

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.folder = cls.enterClassContext(_written())
    cls.loaded = pipeline.load(str(cls.folder))

  def test_what_is_saved_is_what_was_loaded(self):
    target = self.folder.parent / "copy"
    pipeline.save(target, self.loaded, self.loaded.params["unet"])
    again = pipeline.load(str(target))
    self.assertEqual(again.identity, self.loaded.identity)
    for path in sorted(self.folder.rglob("*")):
      if path.is_file() and path.name not in (_UNET_FILE, "model_index.json"):
        copied = target / path.relative_to(self.folder)
        self.assertEqual(copied.read_bytes(), path.read_bytes(), path)
    for file in ("model_index.json",):
      self.assertEqual(
        json.loads((target / file).read_text()),
        json.loads((self.folder / file).read_text()),
      )
    stored, copied = (
      safetensors.numpy.load_file(root / "unet" / _UNET_FILE)
      for root in (self.folder, target)
    )
    self.assertEqual(stored.keys(), copied.keys())
    for key, tensor in stored.items():
      np.testing.assert_array_equal(copied[key], tensor)
    with self.assertRaisesRegex(UserError, "new or empty directory"):
      pipeline.save(target, self.loaded, self.loaded.params["unet"])

  def test_another_unet_is_refused(self):
    with self.assertRaisesRegex(UserError, "unet_params must have"):
      pipeline.save(self.folder.parent / "other", self.loaded, {"conv_in": 0})
    self.assertFalse((self.folder.parent / "other").exists())

  def test_names_have_the_part_first(self):
    pairs = naming.named_leaves(self.loaded.params, self.loaded.names())
    names = {
      str(name)
      for template, leaf in pairs
      for name in naming.slice_names(template, leaf).reshape(-1)
    }
    self.assertIn("unet.conv_in", names)
    self.assertIn("vae.decoder.conv_in_bias", names)
    self.assertIn(
      "unet.mid_block.attentions.0.transformer_blocks.2.attn1.to_q", names
    )

  def test_prompts_come_first_and_do_not_depend_on_each_other(self):
    frame = pipeline.Frame((512, 768), corner=(3, 5), original=(1024, 900))
    both = self.loaded.encode(["a red cat", "the cat!"], frame)
    alone = self.loaded.encode(["the cat!"], frame)
    self.assertEqual(both["context"].shape, (2, 20, 24))
    self.assertEqual(both["pooled"].shape, (2, 20))
    for name, array in both.items():
      self.assertEqual(array.dtype, jnp.float32)
      np.testing.assert_array_equal(array[1:], alone[name])
    # Heights before widths.
    np.testing.assert_array_equal(
      both["time_ids"][0], [1024, 900, 3, 5, 512, 768]
    )

  def test_no_negative_prompt_is_zeros_and_an_empty_one_is_read(self):
    frame, other = pipeline.Frame((512, 768)), pipeline.Frame((64, 32))
    none = self.loaded.encode_negative(None, 2, frame)
    empty = self.loaded.encode_negative("", 2, other)
    for name in ("context", "pooled"):
      self.assertEqual(np.abs(none[name]).max(), 0)
      self.assertGreater(np.abs(empty[name]).min(), 0)
      self.assertEqual(none[name].shape, empty[name].shape)
    # Its sizes are its own, and no zeros.
    np.testing.assert_array_equal(none["time_ids"][1], frame.time_ids())
    np.testing.assert_array_equal(empty["time_ids"][1], other.time_ids())

  def test_sizes_that_are_not_given_are_those_of_the_picture(self):
    for frame, expected in (
      (pipeline.Frame((64, 96)), [64, 96, 0, 0, 64, 96]),
      (pipeline.Frame((64, 96), target=(7, 9)), [64, 96, 0, 0, 7, 9]),
      (pipeline.Frame((64, 96), original=(5, 3)), [5, 3, 0, 0, 64, 96]),
    ):
      np.testing.assert_array_equal(frame.time_ids(), expected)

  def test_cut_prompts_are_refused(self):
    with self.assertRaisesRegex(UserError, "'cat' would be ignored"):
      self.loaded.encode(["cat " * 19], pipeline.Frame((512, 512)))

  def test_latents_of_a_size(self):
    with self.assertLogs(level="WARNING") as logs:
      self.assertEqual(self.loaded.latent_shape((64, 96)), (16, 24, 4))
    self.assertIn("poor below 512", logs.output[0])
    with self.assertNoLogs(level="WARNING"):
      self.loaded.latent_shape((512, 512))

  @parameterized.parameters(
    ((514, 512), "height must be .* multiple of 4 pixels, got 514. Take 512"),
    ((512, 0), "width must be .* got 0. Take 4"),
  )
  def test_sizes_that_do_not_divide(self, size, message):
    with self.assertRaisesRegex(UserError, message):
      self.loaded.latent_shape(size)


class FormsTest(parameterized.TestCase):
  def test_variants_beside_other_files(self):
    with _written(variant="fp16", dtype=np.float16) as path:
      # Other sets of weights, which must not be read.
      for folder in ("unet", "vae"):
        (path / folder / "other.safetensors").write_bytes(b"none")
        (path / folder / "diffusion_pytorch_model.bin").write_bytes(b"none")
      loaded = pipeline.load(str(path), variant="fp16")
      leaves = jax.tree.leaves(loaded.params)
      self.assertEqual({leaf.dtype.name for leaf in leaves}, {"float16"})
      text = jax.tree.leaves(loaded.texts[0].params)[0]
      self.assertEqual(text.dtype, jnp.float32)
      with self.assertRaisesRegex(
        UserError,
        "unet must have diffusion_pytorch_model.safetensors.*got.*fp16",
      ):
        pipeline.load(str(path))
      target = path.parent / "copy"
      pipeline.save(target, loaded, loaded.params["unet"])
      again = pipeline.load(str(target), variant="fp16")
      self.assertEqual(again.identity, loaded.identity)

  @parameterized.parameters(None, "fp16")
  def test_shards(self, variant):
    wanted = part_files.WeightSet("diffusion_pytorch_model", variant)
    with _written() as path:
      whole = pipeline.load(str(path))
      unet = path / "unet"
      (unet / _UNET_FILE).unlink()
      part_files.save(
        unet, whole.params["unet"], wanted, max_shard_bytes=60_000
      )
      files = part_files.find_files(unet, wanted)
      self.assertGreater(len(files), 2)
      word = ".fp16" if variant else ""
      self.assertEqual(
        files[0],
        f"diffusion_pytorch_model{word}-00001-of-0000{len(files)}.safetensors",
      )
      if variant is None:
        self.assertEqual(pipeline.load(str(path)).identity, whole.identity)
      (unet / files[1]).unlink()
      with self.assertRaisesRegex(UserError, "1 must still be fetched"):
        part_files.find_files(unet, wanted)

  def test_a_shard_has_one_tensor_or_more(self):
    params = {name: np.zeros(2, np.float32) for name in ("a", "b", "c")}
    wanted = part_files.WeightSet("diffusion_pytorch_model")
    for limit, num_files in ((8, 3), (15, 3), (16, 2), (1, 3), (24, 1)):
      with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        part_files.save(folder, params, wanted, max_shard_bytes=limit)
        files = part_files.find_files(folder, wanted)
        self.assertLen(files, num_files)
        written = sorted(path.name for path in folder.glob("*.safetensors"))
        self.assertEqual(written, files)
        if num_files > 1:
          index = json.loads((folder / wanted.indices[0]).read_text())
          self.assertEqual(index["metadata"], {"total_size": 24})

  def test_a_copy_has_the_shards_of_a_part_and_no_other_weights(self):
    wanted = part_files.WeightSet("diffusion_pytorch_model")
    with _written() as path:
      described = vae.describe(vae.parse_config(cases.TINY_VAE))
      (path / "vae" / _UNET_FILE).unlink()
      part_files.save(
        path / "vae",
        pipeline_files.make_params(described),
        wanted,
        max_shard_bytes=20_000,
      )
      files = part_files.find_files(path / "vae", wanted)
      self.assertGreater(len(files), 1)
      (path / "vae" / "diffusion_pytorch_model.fp16.safetensors").touch()
      target = path.parent / "copy"
      directory.copy_with(
        directory.open_directory(path), target, lambda folder: None
      )
      self.assertEqual(part_files.find_files(target / "vae", wanted), files)
      self.assertEqual(
        {file.name for file in (target / "vae").iterdir()},
        {*files, *wanted.indices, "config.json"},
      )

  def test_stable_diffusion_reads_one_tower_to_its_end(self):
    with _written(is_xl=False) as path:
      loaded = pipeline.load(str(path))
    frame = pipeline.Frame((512, 512))
    read = loaded.encode(["the cat"], frame)
    self.assertEqual(list(read), ["context"])
    # Its negative prompt is read, even where there is none.
    none = loaded.encode_negative(None, 1, frame)
    empty = loaded.encode_negative("", 1, frame)
    np.testing.assert_array_equal(none["context"], empty["context"])
    # Normed by the last layer: its mean is that of the shift.
    model = loaded.texts[0].params["text_model"]
    normed = read["context"] - model["final_layer_norm_bias"].reshape(1, 1, -1)
    normed = normed / model["final_layer_norm"].reshape(1, 1, -1)
    np.testing.assert_allclose(normed.mean(-1), 0, atol=1e-5)

  def test_early_files_of_stable_diffusion_say_no_scale(self):
    with _written(is_xl=False) as path:
      config = path / "vae" / "config.json"
      fields = json.loads(config.read_text())
      for scale, expected in ((None, 0.18215), (0.5, 0.5)):
        fields.pop("scaling_factor", None)
        if scale is not None:
          fields["scaling_factor"] = scale
        config.write_text(json.dumps(fields))
        opened = opening.open_pipeline(str(path))
        self.assertEqual(opened.configs.vae.scale, expected)

  @parameterized.parameters((None, True), (False, False))
  def test_sdxl_has_a_negative_of_zeros_unless_its_index_denies_it(
    self, said, expected
  ):
    with _written() as path:
      index = json.loads((path / "model_index.json").read_text())
      del index["force_zeros_for_empty_prompt"]
      if said is not None:
        index["force_zeros_for_empty_prompt"] = said
      pipeline_files.write_json(path / "model_index.json", index)
      with mock.patch.object(
        part_files, "read", return_value={"a": np.zeros(1, np.float32)}
      ):
        loaded = pipeline.load(str(path))
    self.assertEqual(loaded.has_zero_negative, expected)

  def test_keys_of_old_and_new_towers(self):
    with _written() as path:
      before = pipeline.load(str(path))
      file = path / "text_encoder" / "model.safetensors"
      tensors = safetensors.numpy.load_file(file)
      bare = {k.removeprefix("text_model."): t for k, t in tensors.items()}
      bare["embeddings.position_ids"] = np.arange(20)[None]
      safetensors.numpy.save_file(bare, file)
      after = pipeline.load(str(path))
    for one, other in zip(
      jax.tree.leaves(before.texts[0].params),
      jax.tree.leaves(after.texts[0].params),
      strict=True,
    ):
      np.testing.assert_array_equal(one, other)

  def test_keys_of_old_decoders_and_of_encoders(self):
    with _written() as path:
      before = pipeline.load(str(path))
      file = path / "vae" / _UNET_FILE
      tensors = safetensors.numpy.load_file(file)
      prefix = "decoder.mid_block.attentions.0."
      for new, old in (
        ("to_q", "query"),
        ("to_k", "key"),
        ("to_v", "value"),
        ("to_out.0", "proj_attn"),
      ):
        for end in ("weight", "bias"):
          tensor = tensors.pop(f"{prefix}{new}.{end}")
          tensors[f"{prefix}{old}.{end}"] = tensor
      tensors["encoder.conv_in.weight"] = np.zeros((8, 3, 3, 3), np.float32)
      tensors["quant_conv.bias"] = np.zeros(8, np.float32)
      safetensors.numpy.save_file(tensors, file)
      self.assertEqual(pipeline.load(str(path)).identity, before.identity)

  def test_the_hub_is_asked_for_what_is_read(self):
    with mock.patch("huggingface_hub.snapshot_download") as download:
      download.return_value = "/cache"
      found = directory.locate("owner/name", variant="fp16", revision="main")
    self.assertEqual(found, pathlib.Path("/cache"))
    wanted = download.call_args.kwargs["allow_patterns"]
    self.assertIn("unet/diffusion_pytorch_model.fp16.safetensors", wanted)
    self.assertIn("text_encoder_2/model.fp16.safetensors", wanted)
    shards = "unet/diffusion_pytorch_model.fp16-*-of-*.safetensors"
    self.assertIn(shards, wanted)
    for index in ("safetensors.index.fp16", "fp16.safetensors.index"):
      self.assertIn(f"unet/diffusion_pytorch_model.{index}.json", wanted)
    self.assertIn("tokenizer/merges.txt", wanted)
    self.assertNotIn("unet/diffusion_pytorch_model.safetensors", wanted)
    self.assertFalse(
      [p for p in wanted if p.endswith("*.safetensors") and "-of-" not in p]
    )
