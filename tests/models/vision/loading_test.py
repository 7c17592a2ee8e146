"""Tests of vision-language models in directories: names, identity, refusals."""

import json
import pathlib
import tempfile

import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy
from absl.testing import parameterized
from golden import vision_cases as cases
from jax.sharding import Mesh

from thickets.errors import UserError
from thickets.models import (
  checkpoint,
  families,
  hub,
  memory,
  published_names,
)
from thickets.models.vision import joined

_NESTED_NAMES = (
  ("model.", "model.language_model."),
  ("visual.", "model.visual."),
)


def _make_model(name, dtype=jnp.float32):
  return cases.make_model(cases.FIELDS[name], dtype)


class _Test(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    folder = self.enter_context(tempfile.TemporaryDirectory())
    self.directory = pathlib.Path(folder) / "model"

  def _rename(self, rename):
    """Renames the tensors of the saved model; None removes one."""
    path = self.directory / "model.safetensors"
    tensors = safetensors.numpy.load_file(path)
    renamed = {rename(key): tensor for key, tensor in tensors.items()}
    renamed.pop(None, None)
    safetensors.numpy.save_file(renamed, path)

  def _assert_same(self, found, expected):
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def _nest(key):
  for flat, nested in _NESTED_NAMES:
    if key.startswith(flat):
      return nested + key.removeprefix(flat)
  return key


def _flatten(key):
  for flat, nested in reversed(_NESTED_NAMES):
    if key.startswith(nested):
      return flat + key.removeprefix(nested)
  return key


class NamesTest(_Test):
  @parameterized.parameters("qwen2_5_vl", "qwen3_vl")
  def test_what_is_saved_is_loaded_bit_for_bit(self, name):
    model = _make_model(name, jnp.bfloat16)
    hub.save(self.directory, model, max_shard_bytes=40_000)
    loaded = hub.load(self.directory, dtype=None)
    self._assert_same(loaded.params, model.params)
    self.assertEqual(loaded.identity, model.identity)
    self.assertEqual(loaded.config, model.config)
    self.assertEqual(loaded.vision, model.vision)
    self.assertEqual(loaded.vision.image_pad, 290)
    self.assertEqual(loaded.vision.tokens, (292, 293, 290, 291))
    self.assertEqual(loaded.vision.pixels.max_pixels, 65536)
    self.assertEqual(loaded.dtype, jnp.bfloat16)
    names = {file.name for file in self.directory.iterdir()}
    self.assertIn("preprocessor_config.json", names)

  @parameterized.parameters(
    ("qwen2_5_vl", lambda key: key),
    ("qwen2_5_vl", _nest),
    ("qwen3_vl", _flatten),
    ("qwen3_vl", lambda key: key.removeprefix("model.")),
    ("qwen2_5_vl", lambda key: f"module.{key}"),
    ("qwen3_vl", lambda key: f"_orig_mod.{key}"),
  )
  def test_both_ways_to_name_tensors(self, name, rename):
    model = _make_model(name)
    hub.save(self.directory, model)
    self._rename(rename)
    loaded = hub.load(self.directory)
    self._assert_same(loaded.params, model.params)
    self.assertEqual(loaded.identity, model.identity)

  def test_published_names(self):
    for name, count, text, tower in (
      (
        "qwen2_5_vl",
        68,
        "model.layers.1.mlp.up_proj.weight",
        "visual.merger.ln_q.weight",
      ),
      (
        "qwen3_vl",
        115,
        "model.language_model.layers.3.self_attn.q_norm.weight",
        "model.visual.deepstack_merger_list.1.norm.bias",
      ),
    ):
      config = families.parse_config(cases.FIELDS[name])
      vision = families.parse_vision(cases.FIELDS[name])
      names = checkpoint.logical_shapes(config, vision)
      keys = {
        published_names.find_place(name, logical).key for logical in names
      }
      self.assertLen(keys, count)
      self.assertLessEqual({text, tower}, keys)

  def test_logical_names_of_the_text_are_those_of_the_text_family(self):
    shapes = checkpoint.logical_shapes(
      *(
        parse(cases.QWEN2_5_VL)
        for parse in (families.parse_config, families.parse_vision)
      )
    )
    plain = {
      k: v
      for k, v in cases.QWEN2_5_VL.items()
      if k not in ("vision_config", "rope_scaling")
    }
    text = checkpoint.logical_shapes(
      families.parse_config({**plain, "model_type": "qwen2"})
    )
    found = {k: v for k, v in shapes.items() if not k.startswith("visual.")}
    self.assertEqual(found, text)
    self.assertIn("visual.blocks.2.attn.qkv_bias", shapes)
    self.assertEqual(shapes["visual.patch_embed.proj"], (32, 3, 2, 4, 4))

  def test_an_untied_head(self):
    fields = {**cases.QWEN3_VL, "tie_word_embeddings": False}
    fields["text_config"] = {
      **fields["text_config"],
      "tie_word_embeddings": False,
    }
    model = cases.make_model(fields)
    hub.save(self.directory, model)
    for rename in (lambda key: key, lambda key: f"module.{key}"):
      self._rename(rename)
      self._assert_same(hub.load(self.directory).params, model.params)


class RefusedTest(_Test):
  @parameterized.parameters(
    # Some layers in one way, some in the other; and a tower unlike its text.
    lambda key: _nest(key) if ".layers.1." in key else key,
    lambda key: _nest(key) if key.startswith("visual.") else key,
    lambda key: key if key.startswith("visual.") else _nest(key),
    lambda key: _nest(key) if "merger" in key else key,
  )
  def test_names_that_are_mixed(self, rename):
    hub.save(self.directory, _make_model("qwen2_5_vl"))
    self._rename(rename)
    with self.assertRaisesRegex(UserError, "named in one way"):
      hub.load(self.directory)

  @parameterized.parameters(
    "visual.blocks.1.attn.qkv.bias",
    "visual.merger.mlp.2.weight",
    "visual.patch_embed.proj.weight",
    "model.layers.0.self_attn.q_proj.bias",
  )
  def test_a_tensor_that_is_missing(self, missing):
    hub.save(self.directory, _make_model("qwen2_5_vl"))
    self._rename(lambda key: None if key == missing else key)
    with self.assertRaisesRegex(UserError, f"got none for {missing}"):
      hub.load(self.directory)

  def test_a_tower_that_is_missing(self):
    hub.save(self.directory, _make_model("qwen2_5_vl"))
    self._rename(lambda key: None if key.startswith("visual.") else key)
    with self.assertRaisesRegex(UserError, "got none for visual.blocks.0"):
      hub.load(self.directory)

  def test_a_tensor_that_is_left_over(self):
    hub.save(self.directory, _make_model("qwen3_vl"))
    self._rename(lambda key: key)
    path = self.directory / "model.safetensors"
    tensors = safetensors.numpy.load_file(path)
    tensors["model.visual.blocks.4.norm1.weight"] = np.ones(32, np.float32)
    safetensors.numpy.save_file(tensors, path)
    with self.assertRaisesRegex(UserError, "unexpected model.visual.blocks.4"):
      hub.load(self.directory)

  @parameterized.parameters("preprocessor_config.json", "config.json")
  def test_a_file_that_is_missing(self, file):
    hub.save(self.directory, _make_model("qwen2_5_vl"))
    (self.directory / file).unlink()
    with self.assertRaisesRegex(UserError, file):
      hub.load(self.directory)

  def test_float16(self):
    hub.save(self.directory, _make_model("qwen2_5_vl"))
    with self.assertRaisesRegex(
      UserError, "float32 or bfloat16 for a qwen2_5_vl"
    ):
      hub.load(self.directory, dtype=jnp.float16)
    path = self.directory / "model.safetensors"
    tensors = safetensors.numpy.load_file(path)
    halves = {key: tensor.astype(np.float16) for key, tensor in tensors.items()}
    safetensors.numpy.save_file(halves, path)
    with self.assertRaisesRegex(UserError, "got float16"):
      hub.load(self.directory, dtype=None)

  def test_a_language_model_has_no_tower(self):
    plain = {
      k: v
      for k, v in cases.QWEN2_5_VL.items()
      if k not in ("vision_config", "rope_scaling")
    }
    self.assertIsNone(families.parse_vision({**plain, "model_type": "qwen2"}))


class ModelTest(_Test):
  def test_the_identity_is_of_the_tower_too(self):
    model = _make_model("qwen2_5_vl")
    hub.save(self.directory, model)
    self.assertEqual(hub.load(self.directory).identity, model.identity)
    path = self.directory / "model.safetensors"
    tensors = safetensors.numpy.load_file(path)
    tensors["visual.merger.mlp.0.bias"][7] += 1
    safetensors.numpy.save_file(tensors, path)
    self.assertNotEqual(hub.load(self.directory).identity, model.identity)

  def test_an_expert_is_saved_with_the_tower_of_its_base(self):
    model = _make_model("qwen3_vl")
    text = joined.take_text(model.params)
    moved = jax.tree.map(lambda leaf: leaf + 1, text)
    hub.save(self.directory, model, params=moved)
    loaded = hub.load(self.directory)
    self._assert_same(joined.take_text(loaded.params), moved)
    self._assert_same(loaded.params["visual"], model.params["visual"])

  def test_files_about_preprocessing_are_saved_byte_for_byte(self):
    hub.save(self.directory, _make_model("qwen3_vl"))
    content = json.dumps(cases.PREPROCESSOR, indent=7).encode()
    (self.directory / "preprocessor_config.json").write_bytes(content)
    (self.directory / "video_preprocessor_config.json").write_bytes(b"{ }")
    other = self.directory.with_name("other")
    hub.save(other, hub.load(self.directory))
    self.assertEqual((other / "preprocessor_config.json").read_bytes(), content)
    video = other / "video_preprocessor_config.json"
    self.assertEqual(video.read_bytes(), b"{ }")

  def test_every_device_has_the_whole_tower(self):
    model = _make_model("qwen2_5_vl")
    hub.save(self.directory, model)
    mesh = Mesh(
      np.array(jax.devices()[:2]).reshape(1, 2), ("population", "model")
    )
    loaded = hub.load(self.directory, mesh=mesh)
    self._assert_same(loaded.params, model.params)
    for leaf in jax.tree.leaves(loaded.params["visual"]):
      self.assertTrue(leaf.sharding.is_fully_replicated)
      self.assertLen(leaf.sharding.device_set, 2)

  def test_memory_counts_the_tower_once(self):
    vision = families.parse_vision(cases.QWEN2_5_VL)
    template = joined.abstract_params(
      families.parse_config(cases.QWEN2_5_VL), vision, jnp.bfloat16
    )["visual"]
    count = sum(leaf.size for leaf in jax.tree.leaves(template))
    self.assertEqual(memory.tower_bytes(vision, jnp.bfloat16), 2 * count)

  def test_new_weights_are_normal_matrices_and_norms_of_one(self):
    model = hub.make_model(
      cases.QWEN3_VL, jax.random.key(0), preprocessor=cases.PREPROCESSOR
    )
    block = model.params["visual"]["blocks"]
    np.testing.assert_array_equal(block["norm1"], 1)
    np.testing.assert_array_equal(block["attn"]["qkv_bias"], 0)
    np.testing.assert_allclose(block["attn"]["qkv"].std(), 0.02, rtol=0.05)
    merger = model.params["visual"]["deepstack_merger_list"]
    np.testing.assert_array_equal(merger["norm"], 1)
    self.assertEqual(merger["norm"].shape, (2, 128))
