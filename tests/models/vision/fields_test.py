"""Tests of what the files of a vision-language model say, in both layouts."""

import copy

import jax.numpy as jnp
from absl.testing import parameterized
from golden import vision_cases as cases

from thickets.errors import UserError
from thickets.models import config_export, families
from thickets.models.vision import fields as vision_fields
from thickets.models.vision import pixel_fields, processor_files

# config.json of Qwen2.5-VL-3B as it is published, without fields of no effect.
PUBLISHED_3B = {
  "model_type": "qwen2_5_vl",
  "architectures": ["Qwen2_5_VLForConditionalGeneration"],
  "bos_token_id": 151643,
  "eos_token_id": 151645,
  "hidden_act": "silu",
  "hidden_size": 2048,
  "image_token_id": 151655,
  "initializer_range": 0.02,
  "intermediate_size": 11008,
  "max_position_embeddings": 128000,
  "max_window_layers": 70,
  "num_attention_heads": 16,
  "num_hidden_layers": 36,
  "num_key_value_heads": 2,
  "rms_norm_eps": 1e-06,
  "rope_scaling": {"mrope_section": [16, 24, 24], "type": "mrope"},
  "rope_theta": 1000000.0,
  "sliding_window": 32768,
  "tie_word_embeddings": True,
  "torch_dtype": "bfloat16",
  "use_sliding_window": False,
  "video_token_id": 151656,
  "vision_end_token_id": 151653,
  "vision_start_token_id": 151652,
  "vocab_size": 151936,
  "vision_config": {
    "depth": 32,
    "fullatt_block_indexes": [7, 15, 23, 31],
    "hidden_act": "silu",
    "hidden_size": 1280,
    "in_chans": 3,
    "intermediate_size": 3420,
    "num_heads": 16,
    "out_hidden_size": 2048,
    "patch_size": 14,
    "spatial_merge_size": 2,
    "spatial_patch_size": 14,
    "temporal_patch_size": 2,
    "tokens_per_second": 2,
    "window_size": 112,
  },
}
_OUTSIDE = (
  "model_type",
  "architectures",
  "torch_dtype",
  "vision_config",
  *cases.IDS,
)


def _nest(fields):
  """A flat config.json as transformers 5 writes it."""
  text = {k: v for k, v in fields.items() if k not in _OUTSIDE}
  scaling = text.pop("rope_scaling")
  text["rope_parameters"] = {
    "rope_type": "default",
    "rope_theta": text.pop("rope_theta"),
    "mrope_section": scaling["mrope_section"],
  }
  outside = {k: fields[k] for k in _OUTSIDE if k in fields}
  tied = {"tie_word_embeddings": fields["tie_word_embeddings"]}
  return {**outside, **tied, "text_config": text}


def _edit(fields, path, value):
  """A copy with one entry changed, or removed where the value is None."""
  fields = copy.deepcopy(fields)
  part = fields
  *path, last = path.split("/")
  for name in path:
    part = part[name]
  if value is None:
    part.pop(last)
  else:
    part[last] = value
  return fields


def _parse(fields):
  return families.parse_config(fields), families.parse_vision(fields)


class LayoutsTest(parameterized.TestCase):
  def test_the_published_file(self):
    text, tower = _parse(PUBLISHED_3B)
    self.assertEqual(
      (text.width, text.num_layers, text.head_dim), (2048, 36, 128)
    )
    self.assertTrue(text.is_tied)
    self.assertTrue(text.has_qkv_bias)
    (kind,) = text.kinds
    self.assertIsNone(kind.window)
    self.assertEqual(kind.rope.axes, (0,) * 16 + (1,) * 24 + (2,) * 24)
    self.assertEqual(tower.window, 8)
    self.assertEqual(tower.full_blocks, (7, 15, 23, 31))
    self.assertEqual(tower.head_dim, 80)
    self.assertEqual(tower.patch_width, 1176)
    self.assertEqual(sum(tower.is_full), 4)

  def test_the_text_model_is_that_of_the_text_family(self):
    text, _ = _parse(PUBLISHED_3B)
    fields = {**PUBLISHED_3B, "model_type": "qwen2"}
    del fields["vision_config"], fields["rope_scaling"]
    plain = families.parse_config(fields)
    self.assertEqual(
      text.kinds[0].rope.frequencies, plain.kinds[0].rope.frequencies
    )
    for name in (
      "width",
      "mlp_width",
      "num_kv_heads",
      "vocab_size",
      "norm_eps",
    ):
      self.assertEqual(getattr(text, name), getattr(plain, name))

  @parameterized.parameters((PUBLISHED_3B,), (cases.QWEN2_5_VL,))
  def test_both_layouts_and_both_at_once_are_one_model(self, fields):
    expected = _parse(fields)
    nested = _nest(fields)
    self.assertEqual(_parse(nested), expected)
    # As some saves of transformers 4.5x hold them.
    self.assertEqual(_parse({**fields, **nested}), expected)
    older = _edit(nested, "text_config/rope_parameters", None)
    older["text_config"] |= {
      "rope_theta": fields["rope_theta"],
      "rope_scaling": {**fields["rope_scaling"], "rope_type": "default"},
    }
    older["text_config"]["rope_scaling"]["type"] = "default"
    self.assertEqual(_parse(older), expected)

  @parameterized.parameters(
    (True, None, True),
    (None, True, True),
    (False, True, True),
    (True, False, True),
    (False, None, False),
    (None, False, False),
  )
  def test_tied_if_either_place_says_so(self, top, inside, expected):
    fields = _edit(cases.QWEN3_VL, "tie_word_embeddings", top)
    fields = _edit(fields, "text_config/tie_word_embeddings", inside)
    self.assertEqual(families.parse_config(fields).is_tied, expected)

  def test_qwen3_vl(self):
    text, tower = _parse(cases.QWEN3_VL)
    self.assertEqual(text.kinds[0].rope.axes, (0, 1, 2, 0, 1, 2, 0, 1))
    self.assertEqual(text.qk_norm, "head")
    self.assertIsNone(tower.window)
    self.assertEqual(tower.table_side, 6)
    self.assertEqual(tower.deepstack_blocks, (1, 2))
    self.assertEqual(tower.is_full, (True,) * 4)

  def test_axes_of_the_published_qwen3_vl(self):
    axes = vision_fields.find_axes("qwen3_vl", None, 128)
    self.assertEqual(axes, (0, 1, 2) * 20 + (0,) * 4)

  @parameterized.parameters("qwen2_5_vl", "qwen3_vl")
  def test_what_is_saved_is_read_as_the_same(self, name):
    for fields in (cases.FIELDS[name], _nest(cases.QWEN2_5_VL)):
      saved = config_export.export_fields(fields, jnp.dtype(jnp.bfloat16))
      self.assertEqual(_parse(saved), _parse(fields))
      # The layout is the one in which it came.
      self.assertEqual("text_config" in saved, "text_config" in fields)

  def test_saved_dtypes_are_those_of_the_weights(self):
    fields = _edit(cases.QWEN3_VL, "text_config/dtype", "float32")
    fields = _edit(fields, "vision_config/torch_dtype", "float32")
    saved = config_export.export_fields(fields, jnp.dtype(jnp.bfloat16))
    self.assertEqual(saved["dtype"], "bfloat16")
    self.assertEqual(saved["text_config"]["dtype"], "bfloat16")
    self.assertEqual(saved["vision_config"]["torch_dtype"], "bfloat16")
    self.assertEqual(fields["text_config"]["dtype"], "float32")
    theta = saved["text_config"]["rope_theta"]
    self.assertEqual(theta, 5e6)  # Which older versions read.
    scaling = saved["text_config"]["rope_scaling"]
    self.assertEqual(scaling["mrope_section"], [3, 3, 2])


class RefusedTest(parameterized.TestCase):
  @parameterized.parameters(
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_key_value_heads",
    "rms_norm_eps",
    "tie_word_embeddings",
    "rope_theta",
    "vision_config",
    "vision_config/depth",
    "vision_config/hidden_size",
    "vision_config/out_hidden_size",
    "vision_config/window_size",
    "vision_config/fullatt_block_indexes",
    "vision_config/patch_size",
  )
  def test_no_field_is_filled_in(self, path):
    fields = _edit(cases.QWEN2_5_VL, path, None)
    name = path.split("/")[-1]
    with self.assertRaisesRegex(UserError, f"{name}.*, got [Nn]one"):
      _parse(fields)

  @parameterized.parameters(
    "text_config/head_dim",
    "text_config/rope_parameters/rope_theta",
    "vision_config/deepstack_visual_indexes",
    "vision_config/num_position_embeddings",
  )
  def test_nor_one_of_qwen3_vl(self, path):
    fields = _edit(cases.QWEN3_VL, path, None)
    with self.assertRaisesRegex(
      UserError, f"{path.split('/')[-1]}.*, got none"
    ):
      _parse(fields)

  @parameterized.parameters(
    ("rope_scaling/mrope_section", [2, 3, 4], "mrope_section must be three"),
    ("rope_scaling/mrope_section", [8], "mrope_section must be three"),
    ("rope_scaling", {"type": "mrope"}, "half of head_dim, 8, got .*default"),
    ("rope_scaling/type", "yarn", "factor must be a number"),
    ("rope_scaling/mrope_interleaved", True, "mrope_interleaved must be False"),
    ("use_sliding_window", True, "use_sliding_window must be False"),
    ("layer_types", ["sliding_attention"] * 2, "must be full_attention"),
    ("vision_config/hidden_act", "gelu", "hidden_act .* must be 'silu'"),
    ("vision_config/in_channels", 4, "in_channels .* must be 3, got 4"),
    ("vision_config/out_hidden_size", 32, "out_hidden_size .* must be 64"),
    ("vision_config/window_size", 7, "window_size must be at least one token"),
    (
      "vision_config/fullatt_block_indexes",
      [1, 7],
      "positions of the 3 blocks",
    ),
    ("vision_config/fullatt_block_indexes", [-1], "positions of the 3 blocks"),
    (
      "vision_config/fullatt_block_indexes",
      ["1"],
      "must be a list of integers",
    ),
    ("vision_config/fullatt_block_indexes", 1, "must be a list of integers"),
    ("vision_config/patch_size", [4, 4], "patch_size .* must be an integer"),
    ("vision_config/num_heads", 3, "num_heads times a multiple of 4"),
    ("vision_config/num_heads", 16, "num_heads times a multiple of 4"),
    ("vision_config/in_chans", 1, "in_channels and in_chans must agree"),
    (
      "vision_config/rope_parameters",
      {"rope_type": "axial", "rope_theta": 100.0},
      "rope_theta in vision_config .* must be 10000.0",
    ),
    ("quantization_config", {"quant_method": "awq"}, "plain weights"),
  )
  def test_configs(self, path, value, message):
    with self.assertRaisesRegex(UserError, message):
      _parse(_edit(cases.QWEN2_5_VL, path, value))

  @parameterized.parameters(
    ("vision_config/num_position_embeddings", 35, "must be a square number"),
    (
      "vision_config/deepstack_visual_indexes",
      [2, 1],
      "distinct and ascending",
    ),
    (
      "vision_config/deepstack_visual_indexes",
      [1, 4],
      "distinct and ascending",
    ),
    ("text_config/num_hidden_layers", 1, "at most as many as the layers"),
    (
      "text_config/rope_parameters/mrope_section",
      [1, 1, 6],
      "every third frequency",
    ),
    (
      "text_config/rope_parameters/mrope_interleaved",
      False,
      "mrope_interleaved must be True",
    ),
    ("text_config", [1], "text_config must be an object"),
  )
  def test_configs_of_qwen3_vl(self, path, value, message):
    with self.assertRaisesRegex(UserError, message):
      _parse(_edit(cases.QWEN3_VL, path, value))

  @parameterized.parameters(
    ("hidden_size", 128),
    ("rope_theta", 1e5),
    ("rope_scaling", {"type": "mrope", "mrope_section": [4, 2, 2]}),
  )
  def test_two_places_that_disagree(self, name, value):
    fields = {**cases.QWEN2_5_VL, **_nest(cases.QWEN2_5_VL), name: value}
    with self.assertRaisesRegex(
      UserError, "top of config.json and in text_conf"
    ):
      _parse(fields)

  def test_a_text_config_of_another_family(self):
    fields = {**cases.QWEN3_VL, "model_type": "qwen2"}
    with self.assertRaisesRegex(UserError, "that of a language model"):
      families.parse_config(fields)


class TokensTest(parameterized.TestCase):
  @parameterized.parameters(
    ("image_token_id", None, "image_token_id .* must be given"),
    ("vision_end_token_id", 300, "an id of its own among 300"),
    ("video_token_id", 290, "an id of its own"),
    ("image_token_id", "290", "must be an integer"),
  )
  def test_ids_that_are_refused(self, name, value, message):
    fields = _edit(cases.QWEN3_VL, name, value)
    with self.assertRaisesRegex(UserError, message):
      vision_fields.read_tokens(fields, 300)


class PixelsTest(parameterized.TestCase):
  def _read(self, **changes):
    fields = cases.PREPROCESSOR | changes
    fields = {k: v for k, v in fields.items() if v is not None}
    return pixel_fields.read_pixels(
      fields, families.parse_vision(cases.QWEN3_VL)
    )

  def test_means_are_those_of_the_file(self):
    mean = [0.48145466, 0.4578275, 0.40821073]
    self.assertEqual(self._read(image_mean=mean).mean, tuple(mean))
    self.assertEqual(self._read().mean, (0.5, 0.5, 0.5))

  @parameterized.parameters(
    {"size": {"shortest_edge": 64, "longest_edge": 65536}},
    {"size": {"min_pixels": 64, "max_pixels": 65536}},
  )
  def test_bounds_have_several_names(self, size):
    expected = self._read()
    self.assertEqual(self._read(size=size), expected)
    self.assertEqual(
      self._read(size=size, min_pixels=None, max_pixels=None), expected
    )

  @parameterized.parameters(
    ({"image_mean": None}, "image_mean .* three numbers, got None"),
    ({"image_std": [0.5]}, "image_std .* three numbers"),
    ({"max_pixels": None}, "max_pixels .* got none, nor size.longest_edge"),
    ({"max_pixels": "many"}, "max_pixels .* one number of pixels"),
    (
      {"size": {"longest_edge": 9, "shortest_edge": 64}},
      "one number of pixels",
    ),
    ({"patch_size": 14}, "patch_size .* that of the tower, 4, got 14"),
    ({"merge_size": None}, "merge_size .* must be given"),
    ({"do_resize": False}, "do_resize .* must be True"),
    ({"resample": 2}, "resample .* must be 3"),
    ({"rescale_factor": 1}, "rescale_factor .* must be 1/255"),
  )
  def test_files_that_are_refused(self, changes, message):
    with self.assertRaisesRegex(UserError, message):
      self._read(**changes)

  def _make(self, files, tokenizer=None):
    config = families.parse_vision(cases.QWEN3_VL)
    return processor_files.make_vision_model(
      cases.QWEN3_VL, config, 300, tokenizer, files
    )

  def test_the_joint_file_counts_where_it_has_an_image_processor(self):
    files = processor_files.write_file(cases.PREPROCESSOR)
    other = b'{"image_processor": {"image_mean": [0, 0, 0]}}'
    with self.assertRaisesRegex(UserError, "patch_size"):
      self._make({**files, "processor_config.json": other})
    joint = {"processor_config.json": b'{"processor_class": "x"}'}
    self.assertEqual(self._make({**files, **joint}).pixels.mean, (0.5,) * 3)

  @parameterized.parameters({}, {"preprocessor_config.json": b"[]"})
  def test_a_model_without_the_file(self, **files):
    with self.assertRaisesRegex(UserError, "preprocessor_config.json"):
      self._make(files)

  def test_a_tokenizer_without_images(self):
    class Tokenizer:
      def get_added_vocab(self):
        return {"<|image_pad|>": 290, "<|vision_start|>": 292}

    files = processor_files.write_file(cases.PREPROCESSOR)
    with self.assertRaisesRegex(UserError, r"got none for \[293, 291\]"):
      self._make(files, Tokenizer())
