"""Tests of reading config.json: families, kinds of layers, rope, refusals."""

import math

import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized
from golden import transformer_cases as cases

from thickets.errors import UserError
from thickets.models import families, rope
from thickets.models.vision import fields as vision_fields

LLAMA = cases.CASES["llama"]
QWEN2 = cases.CASES["qwen2"]
OLMO3 = cases.CASES["olmo3"]
GPT2 = cases.CASES["gpt2"]


def _without(fields, *names):
  return {name: value for name, value in fields.items() if name not in names}


def _parse(fields, **changes):
  return families.parse_config(fields | changes)


class ParseConfigTest(parameterized.TestCase):
  def test_every_family_has_a_case(self):
    covered = {fields["model_type"] for fields in cases.CASES.values()}
    known = set(families.FAMILIES) - set(vision_fields.FAMILIES)
    self.assertEqual(covered, known)

  def test_biases(self):
    def biases(fields, **changes):
      config = _parse(fields, **changes)
      return (
        config.has_qkv_bias,
        config.has_output_bias,
        config.has_mlp_bias,
      )

    self.assertEqual(biases(QWEN2), (True, False, False))
    self.assertEqual(biases(LLAMA), (True, True, True))
    self.assertEqual(biases(LLAMA, mlp_bias=False), (True, True, False))
    self.assertEqual(biases(GPT2), (True, True, True))
    self.assertEqual(biases(OLMO3), (False, False, False))

  def test_defaults_of_the_published_classes(self):
    self.assertEqual(_parse(_without(GPT2, "n_inner")).mlp_width, 4 * 32)
    self.assertTrue(_parse(GPT2).is_tied)
    self.assertFalse(_parse(_without(QWEN2, "tie_word_embeddings")).is_tied)
    self.assertEqual(
      _parse(_without(LLAMA, "num_key_value_heads")).num_kv_heads, 4
    )
    self.assertEqual(
      _parse(_without(cases.CASES["qwen3"], "head_dim")).head_dim, 128
    )
    self.assertEqual(_parse(LLAMA, head_dim=None).head_dim, 8)

  def test_every_fourth_layer_of_olmo3_sees_everything(self):
    config = _parse(OLMO3, num_hidden_layers=8)
    windows = [config.kinds[kind].window for kind in config.layer_kinds]
    self.assertEqual(windows, [6, 6, 6, None] * 2)

  def test_windows_of_qwen2_begin_at_a_layer_and_only_if_asked_for(self):
    fields = cases.CASES["qwen2_window"]
    config = _parse(fields)
    windows = [config.kinds[kind].window for kind in config.layer_kinds]
    self.assertEqual(windows, [None, None, 5, 5])
    config = _parse(fields, use_sliding_window=False)
    self.assertEqual(config.layer_kinds, (0, 0, 0, 0))
    self.assertLen(config.kinds, 1)

  def test_layer_types_win(self):
    config = _parse(
      OLMO3, layer_types=["full_attention", *["sliding_attention"] * 3]
    )
    windows = [config.kinds[kind].window for kind in config.layer_kinds]
    self.assertEqual(windows, [None, 6, 6, 6])

  def test_both_spellings_of_olmo3_mean_the_same(self):
    by_type = {kind.window: kind.rope for kind in _parse(OLMO3).kinds}
    new = _parse(cases.CASES["olmo3_parameters"])
    self.assertEqual({kind.window: kind.rope for kind in new.kinds}, by_type)
    self.assertNotEqual(by_type[None], by_type[6])

  @parameterized.parameters(
    (LLAMA, {"model_type": "mamba"}, "one of .*'qwen3'.*got 'mamba'"),
    (LLAMA, {"model_type": None}, "model_type must be one of .*got None"),
    (LLAMA, {"quantization_config": {}}, "plain weights"),
    (LLAMA, {"num_key_value_heads": 3}, r"\(4\) must be a multiple .*\(3\)"),
    (LLAMA, {"head_dim": 7}, "head_dim must be even .*got 7"),
    (LLAMA, {"hidden_act": "mish"}, "hidden_act must be .*got 'mish'"),
    (LLAMA, {"layer_types": ["full_attention"]}, "=3 entries, got 1"),
    (LLAMA, {"layer_types": ["linear"] * 3}, "layer_types must .*'linear'"),
    (
      QWEN2,
      {"layer_types": ["sliding_attention"] * 3},
      "sliding_window must be set",
    ),
    (GPT2, {"scale_attn_weights": False}, "scale_attn_weights must be True"),
    (
      GPT2,
      {"scale_attn_by_inverse_layer_idx": True},
      "scale_attn_by_inverse_layer_idx must be False",
    ),
    (GPT2, {"add_cross_attention": True}, "add_cross_attention must be"),
    (
      LLAMA,
      {"rope_scaling": {"rope_type": "dynamic"}},
      "rope_type must be one of .*got 'dynamic'",
    ),
    (
      QWEN2,
      {"rope_parameters": {"partial_rotary_factor": 0.5}},
      "partial_rotary_factor must be 1, got 0.5",
    ),
    (LLAMA, {"rope_scaling": {"type": "linear"}}, "factor must be a number"),
  )
  def test_what_is_not_supported_is_refused(self, fields, changes, message):
    with self.assertRaisesRegex(UserError, message):
      _parse(fields, **changes)

  def test_a_missing_size_is_that_of_the_class(self):
    # As in the text_config of Gemma 3's larger models, saved on its own.
    config = families.parse_config(
      {
        "model_type": "gemma3_text",
        "hidden_size": 2560,
        "intermediate_size": 10240,
        "num_hidden_layers": 34,
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
        "sliding_window": 1024,
      }
    )
    self.assertEqual(config.vocab_size, 262_208)
    self.assertEqual((config.num_heads, config.num_kv_heads), (8, 4))
    self.assertEqual((config.head_dim, config.width), (256, 2560))
    self.assertEqual(config.layer_kinds.count(config.layer_kinds[5]), 5)
    llama = families.parse_config({"model_type": "llama"})
    self.assertEqual((llama.width, llama.num_layers), (4096, 32))
    self.assertEqual(families.parse_config({"model_type": "gpt2"}).width, 768)


class RopeTest(parameterized.TestCase):
  def _parse(self, **changes):
    fields = _without(LLAMA, "rope_scaling", "rope_theta") | changes
    (kind,) = families.parse_config(fields).kinds
    return kind.rope

  def test_plain_frequencies(self):
    for spelling in (
      {"rope_theta": 10_000.0},
      {"rope_parameters": {"rope_theta": 10_000.0, "rope_type": "default"}},
      {},
    ):
      found = self._parse(**spelling)
      np.testing.assert_allclose(
        found.frequencies, [1, 0.1, 0.01, 0.001], rtol=1e-6
      )
      self.assertEqual(found.scale, 1.0)

  def test_linear_scaling_divides(self):
    found = self._parse(rope_scaling={"type": "linear", "factor": 4.0})
    np.testing.assert_allclose(
      found.frequencies, [0.25, 0.025, 0.0025, 0.00025], rtol=1e-6
    )

  def test_llama3_keeps_fast_slows_slow_and_blends_between(self):
    # Wavelengths 2π, 20π, 200π and 2000π; from 100 / 4 on they are blended, and
    # from 100 / 0.1 on slowed.
    found = self._parse(
      rope_scaling={
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 0.1,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 100,
      }
    )
    share, rare = (
      (100 / wavelength - 0.1) / 3.9
      for wavelength in (20 * math.pi, 200 * math.pi)
    )
    np.testing.assert_allclose(
      found.frequencies,
      [
        1,
        0.1 * (share + (1 - share) / 8),
        0.01 * (rare + (1 - rare) / 8),
        0.001 / 8,
      ],
      rtol=1e-6,
    )
    self.assertEqual(found.scale, 1.0)

  def test_yarn_by_hand(self):
    # A frequency of 1 turn in 64 positions is number
    # 4 ln(64 / 2π) / ln(10000) = 1.008; one of 32 turns lies before the first.
    found = self._parse(
      rope_scaling={
        "type": "yarn",
        "factor": 4.0,
        "original_max_position_embeddings": 64,
      }
    )
    # From 0 to ceil(1.008) = 2: kept, halfway, slowed, slowed.
    np.testing.assert_allclose(
      found.frequencies,
      [1, 0.1 * (0.5 + 0.5 / 4), 0.01 / 4, 0.001 / 4],
      rtol=1e-6,
    )
    self.assertAlmostEqual(found.scale, 0.1 * math.log(4) + 1)

  @parameterized.parameters(
    ({"attention_factor": 1.5}, 1.5),
    (
      {"mscale": 1.0, "mscale_all_dim": 0.5},
      (0.1 * math.log(4) + 1) / (0.05 * math.log(4) + 1),
    ),
    ({"mscale": 1.0}, 0.1 * math.log(4) + 1),
    ({"factor": 1.0}, 1.0),
  )
  def test_scale_of_yarn(self, changes, expected):
    scaling = {
      "rope_type": "yarn",
      "factor": 4.0,
      "original_max_position_embeddings": 64,
    }
    found = self._parse(rope_scaling=scaling | changes)
    self.assertAlmostEqual(found.scale, expected)

  def test_turning_keeps_lengths_and_depends_on_distance(self):
    turn = rope.Rope((1.0, 0.3))
    rng = np.random.default_rng(0)
    query, key = jnp.asarray(rng.normal(size=(2, 1, 1, 1, 4)), jnp.float32)

    def product(at, to):
      def turned(heads, position):
        angles = turn.angles(jnp.full((1, 1), position), 16)
        return np.asarray(rope.rotate(heads, *angles))

      return np.sum(turned(query, at) * turned(key, to))

    self.assertAlmostEqual(product(5, 3), product(12, 10), places=4)
    self.assertAlmostEqual(product(7, 7), np.sum(query * key), places=4)
    self.assertGreater(abs(product(5, 3) - product(5, 4)), 1e-2)
