"""Tests of what each family's config.json means, by the published classes."""

import math

from absl.testing import parameterized
from golden import transformer_cases as cases

from thickets.errors import UserError
from thickets.models import families

MISTRAL = cases.CASES["mistral"]
SMOLLM3 = cases.CASES["smollm3"]
GRANITE = cases.CASES["granite"]
GEMMA3 = cases.CASES["gemma3"]


def _parse(fields, **changes):
  """A config; fields that are changed to `...` are left out."""
  fields = fields | changes
  return families.parse_config(
    {name: value for name, value in fields.items() if value is not ...}
  )


def _windows(config):
  return [config.kinds[kind].window for kind in config.layer_kinds]


def _is_turned(config):
  return [config.kinds[kind].rope is not None for kind in config.layer_kinds]


class MistralTest(parameterized.TestCase):
  @parameterized.parameters((5, 5), (None, None), (..., 4096))
  def test_all_layers_have_the_window_or_none(self, window, expected):
    config = _parse(MISTRAL, sliding_window=window)
    self.assertEqual(_windows(config), [expected] * 3)

  def test_layer_types_are_ignored_as_by_the_class(self):
    config = _parse(MISTRAL, layer_types=["full_attention"] * 3)
    self.assertEqual(_windows(config), [5] * 3)

  def test_heads_have_a_width_of_their_own(self):
    self.assertEqual(_parse(MISTRAL).head_dim, 12)
    self.assertEqual(_parse(MISTRAL, head_dim=None).head_dim, 8)


class SmolLM3Test(parameterized.TestCase):
  @parameterized.parameters(
    ({"no_rope_layers": [1, 0, 0, 1]}, [1, 0, 0, 1]),
    ({"no_rope_layers": ...}, [1, 1, 1, 0]),
    ({"no_rope_layers": None, "no_rope_layer_interval": 2}, [1, 0, 1, 0]),
  )
  def test_which_layers_turn_queries_and_keys(self, changes, expected):
    config = _parse(SMOLLM3, **changes)
    self.assertEqual(_is_turned(config), [bool(one) for one in expected])

  def test_layers_with_windows(self):
    config = _parse(SMOLLM3)
    self.assertEqual(_windows(config), [None, None, 6, 6])
    # Of each window one layer turns and one does not.
    self.assertEqual(config.layer_kinds, (0, 1, 2, 3))
    config = _parse(SMOLLM3, layer_types=None)
    self.assertEqual(_windows(config), [None, 6, None, 6])
    config = _parse(SMOLLM3, layer_types=..., use_sliding_window=False)
    self.assertEqual(_windows(config), [None] * 4)

  def test_defaults_of_the_class(self):
    config = _parse(SMOLLM3, tie_word_embeddings=..., rope_theta=...)
    self.assertTrue(config.is_tied)
    frequencies = config.kinds[0].rope.frequencies
    self.assertAlmostEqual(frequencies[1], 2e6**-0.25, places=6)

  def test_too_few_layers_are_refused(self):
    with self.assertRaisesRegex(UserError, "no_rope_layers .*=4 .* got 3"):
      _parse(SMOLLM3, no_rope_layers=[1, 1, 0])


class GraniteTest(parameterized.TestCase):
  def test_four_multipliers(self):
    def read(config):
      return (
        config.embedding_multiplier,
        config.query_multiplier,
        config.residual_multiplier,
        config.logits_divisor,
      )

    self.assertEqual(read(_parse(GRANITE)), (3.0, 0.2, 0.6, 2.5))
    plain = {
      name: ... for name in GRANITE if "multiplier" in name or "scal" in name
    }
    self.assertLen(plain, 4)
    self.assertEqual(read(_parse(GRANITE, **plain)), (1, 1, 1, 1))


class Gemma3Test(parameterized.TestCase):
  @parameterized.parameters(
    ({}, [6, 6, None]),
    ({"sliding_window_pattern": 2}, [6, None, 6]),
    ({"sliding_window_pattern": ...}, [6, 6, 6]),
    ({"layer_types": ["full_attention"] * 3}, [None] * 3),
    ({"sliding_window": ...}, [4096, 4096, None]),
  )
  def test_which_layers_have_windows(self, changes, expected):
    self.assertEqual(_windows(_parse(GEMMA3, **changes)), expected)

  def test_each_type_of_layer_has_its_positions(self):
    sliding, full = (kind.rope.frequencies for kind in _parse(GEMMA3).kinds)
    self.assertAlmostEqual(sliding[1], 5000 ** (-1 / 6), places=6)
    self.assertAlmostEqual(full[1], 500000 ** (-1 / 6) / 4, places=6)
    plain = {"rope_theta": ..., "rope_local_base_freq": ...}
    config = _parse(GEMMA3, rope_scaling=None, **plain)
    sliding, full = (kind.rope.frequencies for kind in config.kinds)
    self.assertAlmostEqual(sliding[1], 10_000 ** (-1 / 6), places=6)
    self.assertAlmostEqual(full[1], 1_000_000 ** (-1 / 6), places=6)

  def test_both_spellings_of_positions_mean_the_same(self):
    types = ["full_attention", *["sliding_attention"] * 2]
    config = _parse(GEMMA3, layer_types=types)
    again = _parse(cases.CASES["gemma3_parameters"])
    self.assertEqual(config.kinds, again.kinds)

  def test_defaults_of_the_class(self):
    config = _parse(
      GEMMA3,
      head_dim=...,
      num_key_value_heads=...,
      rms_norm_eps=...,
      tie_word_embeddings=...,
      query_pre_attn_scalar=...,
      hidden_activation=...,
    )
    self.assertEqual((config.head_dim, config.num_kv_heads), (256, 4))
    self.assertEqual(config.query_multiplier, 1 / 16)
    self.assertEqual(config.activation, "gelu_pytorch_tanh")
    self.assertTrue(config.is_tied)
    self.assertEqual(config.embedding_multiplier, math.sqrt(32))

  @parameterized.parameters(
    ("use_bidirectional_attention", True), ("attn_logit_softcapping", 50.0)
  )
  def test_what_is_not_supported_is_refused(self, name, value):
    with self.assertRaisesRegex(UserError, f"{name} must be"):
      _parse(GEMMA3, **{name: value})
    _parse(GEMMA3, **{name: None})
