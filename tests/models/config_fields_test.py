"""Tests of fields with two spellings, and of fields that a class ignores."""

from absl.testing import parameterized
from golden import transformer_cases as cases

from thickets.errors import UserError
from thickets.models import families
from thickets.models.published_classes import PUBLISHED

LLAMA = {
  name: value
  for name, value in cases.CASES["llama"].items()
  if not name.startswith("rope")
}
QWEN2 = LLAMA | {"model_type": "qwen2"}
OLMO3 = LLAMA | {
  "model_type": "olmo3",
  "num_hidden_layers": 4,
  "sliding_window": 6,
}
GPT2 = cases.CASES["gpt2"]
FULL, SLIDING = "full_attention", "sliding_attention"
LENGTH = "original_max_position_embeddings"
YARN = {"rope_type": "yarn", "factor": 4.0, LENGTH: 32}
PLAIN = {"rope_type": "default", "rope_theta": 10_000.0}


def _parse(fields, **changes):
  return families.parse_config(fields | changes)


def _without(fields, *names):
  return {name: value for name, value in fields.items() if name not in names}


def _windows(config):
  return [config.kinds[kind].window for kind in config.layer_kinds]


class _FieldsTest(parameterized.TestCase):
  def assert_same(self, fields, *all_changes):
    """All changes make one config, which is returned."""
    first, *others = (_parse(fields, **changes) for changes in all_changes)
    for other in others:
      self.assertEqual(other, first)
    return first

  def assert_refused(self, message, fields, **changes):
    with self.assertRaisesRegex(UserError, message):
      _parse(fields, **changes)


class RopeSpellingsTest(_FieldsTest):
  def test_one_scaling_in_all_spellings(self):
    yarn = {"factor": 4.0, LENGTH: 32}
    inside = {"rope_type": "yarn", "rope_theta": 500.0} | yarn
    stretched = self.assert_same(
      LLAMA,
      {"rope_parameters": inside},
      {"rope_parameters": inside, "rope_scaling": None},
      {"rope_parameters": inside, "rope_scaling": {}},
      {"rope_parameters": inside, "rope_scaling": inside},
      {"rope_parameters": inside, "rope_theta": 500},
      {"rope_scaling": inside, "rope_parameters": None},
      {"rope_scaling": {"type": "yarn"} | yarn, "rope_theta": 500.0},
      {"rope_scaling": {"type": "yarn"} | inside, "rope_theta": 500.0},
      # As it is written into files of transformers 5 that had none.
      {"rope_scaling": inside, "rope_parameters": {"rope_type": "default"}},
      {
        "rope_scaling": inside,
        "rope_parameters": PLAIN | {"rope_theta": 500.0},
      },
      {"rope_parameters": _without(inside, LENGTH), LENGTH: 32},
      {"rope_parameters": inside, LENGTH: 32},
    )
    self.assertNotEqual(stretched, _parse(LLAMA))
    self.assertNotEqual(stretched, _parse(LLAMA, rope_theta=500.0))

  def test_a_scaling_with_leftovers_of_another(self):
    leftovers = {LENGTH: 16, "factor": 8.0, "mrope_section": [1, 1, 2]}
    self.assert_same(
      LLAMA,
      {},
      {"rope_theta": 10_000},
      {"rope_scaling": leftovers},
      {"rope_scaling": PLAIN | leftovers},
      {LENGTH: 16},
    )

  def test_what_is_not_read_is_said(self):
    """As DeepSeek-R1-0528-Qwen3-8B, whose attn_factor only vLLM reads."""
    scaling = YARN | {"attn_factor": 0.878}
    with self.assertLogs("absl", "WARNING") as logged:
      found = _parse(LLAMA, rope_scaling=scaling)
    self.assertIn("attn_factor=0.878 beside rope_type 'yarn'", logged.output[0])
    with self.assertNoLogs("absl", "WARNING"):
      self.assertEqual(_parse(LLAMA, rope_scaling=YARN), found)

  def test_the_length_is_the_context_where_none_is_given(self):
    for scaling in (
      {"rope_type": "yarn", "factor": 4.0},
      cases.CASES["llama"]["rope_scaling"],
    ):
      self.assert_same(
        LLAMA,
        {"rope_scaling": scaling | {LENGTH: 128}},
        {"rope_scaling": _without(scaling, LENGTH)},
      )

  def test_the_factor_of_yarn_is_a_ratio_where_it_is_null(self):
    config = self.assert_same(
      LLAMA,
      {"rope_scaling": YARN},
      {"rope_scaling": YARN | {"factor": None}},
    )
    self.assertEqual(config.context, 128)

  def test_the_context_of_yarn_is_the_stretched_one(self):
    # Qwen2.5's files have the length before the stretch, others that after it.
    before = {"max_position_embeddings": 32}
    self.assertEqual(_parse(LLAMA, **before, rope_scaling=YARN).context, 128)
    self.assertEqual(
      _parse(
        LLAMA, **before, rope_scaling={"type": "yarn", "factor": 4.0}
      ).context,
      128,
    )
    self.assertEqual(_parse(LLAMA, rope_scaling=YARN).context, 128)
    self.assertEqual(_parse(LLAMA, **before).context, 32)

  @parameterized.parameters(
    (
      {"rope_scaling": YARN, "rope_parameters": PLAIN | YARN | {"factor": 2.0}},
      "rope_scaling and rope_parameters must agree.*factor 4.0 and 2.0",
    ),
    (  # rope_scaling alone is read, and has no theta.
      {"rope_scaling": YARN, "rope_parameters": PLAIN | {"rope_theta": 1e6}},
      "rope_parameters must agree.*rope_theta 10000.0 and 1000000.0",
    ),
    (
      {"rope_scaling": PLAIN, "rope_parameters": PLAIN | YARN},
      "rope_parameters must agree.*'default' and 'yarn'",
    ),
    (
      {"rope_scaling": YARN | {"type": "linear"}},
      "type and rope_type must agree, got 'linear' and 'yarn'",
    ),
    (
      {"rope_parameters": PLAIN, "rope_theta": 500.0},
      "rope_theta of rope_parameters and rope_theta must agree, got 10000.0",
    ),
    (
      {"rope_scaling": YARN, LENGTH: 64},
      f"{LENGTH} outside .* and {LENGTH} within them must agree, got 64 and 32",
    ),
    (
      {"rope_parameters": {FULL: PLAIN}},
      "rope_parameters of a llama model must be one set .*full_attention",
    ),
    ({"rope_theta": None}, "rope_theta must be a number above 1, got None"),
    ({"rope_theta": "1e4"}, "rope_theta must be a number above 1, got '1e4'"),
    ({"rope_scaling": "yarn"}, "rope_scaling must be an object.*'yarn'"),
    (
      {"rope_scaling": YARN | {"rope_type": None}},
      "rope_type must be one of.*got None",
    ),
    ({"rope_scaling": {"type": "yarn"}}, "factor must be a number.*got none"),
    (
      {"rope_scaling": {"type": "linear", "factor": None}},
      "factor must be a number above 0.*got None",
    ),
    ({"rope_scaling": YARN | {LENGTH: None}}, f"{LENGTH} must be .*got None"),
    ({"partial_rotary_factor": 0.5}, "partial_rotary_factor must be 1"),
  )
  def test_what_disagrees_or_is_no_number_is_refused(self, changes, message):
    self.assert_refused(message, LLAMA, **changes)


class RopeByLayerTypeTest(_FieldsTest):
  def test_scaling_stretches_full_attention_alone(self):
    inside = PLAIN | {"rope_theta": 500_000.0}
    config = self.assert_same(
      OLMO3,
      {"rope_scaling": YARN},
      {"rope_scaling": YARN, "rope_theta": 500_000},
      {"rope_parameters": {FULL: YARN}},
      {"rope_parameters": {FULL: YARN, SLIDING: None}},
      {"rope_parameters": {FULL: inside | YARN, SLIDING: inside}},
      {
        "rope_parameters": {FULL: inside, SLIDING: inside},
        "rope_scaling": YARN,
      },
    )
    by_window = {kind.window: kind.rope for kind in config.kinds}
    plain = {kind.window: kind.rope for kind in _parse(OLMO3).kinds}
    self.assertEqual(by_window[6], plain[6])
    self.assertNotEqual(by_window[None], plain[None])

  def test_each_type_has_its_theta(self):
    config = _parse(
      OLMO3, rope_parameters={FULL: {"rope_theta": 16.0}, SLIDING: PLAIN}
    )
    by_window = {kind.window: kind.rope.frequencies for kind in config.kinds}
    self.assertAlmostEqual(by_window[None][2], 16**-0.5, places=6)
    self.assertAlmostEqual(by_window[6][2], 10_000**-0.5, places=6)

  @parameterized.parameters(
    ({"rope_theta": 10_000.0}, "rope_theta .*must be 500000.0.*got 10000.0"),
    (
      {"rope_parameters": PLAIN},
      "rope_parameters of a olmo3 model must be by type.*'rope_type'",
    ),
    (
      {"rope_parameters": {SLIDING: PLAIN}, "rope_scaling": YARN},
      "rope_parameters must have full_attention where rope_scaling is given",
    ),
    (
      {"rope_parameters": {FULL: YARN | {"truncate": False}}},
      "truncate must be true",
    ),
    (
      {"rope_scaling": {"type": "yarn", "factor": 4.0}},
      "type and rope_type must agree, got 'yarn' and 'default'",
    ),
    (
      {"rope_parameters": {FULL: _without(YARN, LENGTH)}, LENGTH: 32},
      f"{LENGTH} outside .* and max_position_embeddings.*got 32 and 128",
    ),
  )
  def test_what_transformers_reads_otherwise_is_refused(self, changes, message):
    self.assert_refused(message, OLMO3, **changes)


class LayerTypesTest(_FieldsTest):
  def test_a_class_without_them_ignores_them(self):
    sliding = {"layer_types": [SLIDING] * 3}
    self.assert_same(
      LLAMA, {}, sliding, sliding | {"sliding_window": 4}, {"sliding_window": 4}
    )

  def test_they_decide_where_the_class_has_them(self):
    window = {"use_sliding_window": True, "sliding_window": 4}
    types = [SLIDING, FULL, SLIDING]
    self.assertEqual(
      _windows(_parse(QWEN2, **window, layer_types=types, max_window_layers=0)),
      [4, None, 4],
    )
    self.assertEqual(
      _windows(_parse(QWEN2, **window, layer_types=None, max_window_layers=1)),
      [None, 4, 4],
    )
    self.assert_same(QWEN2, {}, {"layer_types": ["attention"] * 3})

  def test_windows_have_the_defaults_of_the_class(self):
    self.assertEqual(
      _windows(_parse(QWEN2, use_sliding_window=True, max_window_layers=2)),
      [None, None, 4096],
    )
    self.assertEqual(
      _windows(_parse(QWEN2, use_sliding_window=True)), [None] * 3
    )
    self.assertEqual(
      _windows(_parse(_without(OLMO3, "sliding_window"))), [4096] * 3 + [None]
    )

  @parameterized.parameters(
    ({"layer_types": []}, "layer_types must have .*=3 entries, got 0"),
    ({"layer_types": "full_attention"}, "layer_types of a qwen2 .* a list"),
    (
      {"layer_types": [SLIDING] * 3, "sliding_window": 4},
      "use_sliding_window not be false",
    ),
    (
      {"use_sliding_window": True, "sliding_window": 0},
      "sliding_window of a qwen2 model must be an integer from 1 to 2147483647, got 0",
    ),
  )
  def test_what_has_no_meaning_is_refused(self, changes, message):
    self.assert_refused(message, QWEN2, **changes)


class FieldsTest(_FieldsTest):
  def test_every_family_has_a_class(self):
    self.assertLessEqual(set(families.FAMILIES), set(PUBLISHED))

  def test_the_two_names_of_fields_of_gpt2(self):
    renamed = {
      alias: GPT2[name] for alias, name in PUBLISHED["gpt2"].aliases.items()
    }
    self.assertLen(renamed, 4)
    old = _without(GPT2, *PUBLISHED["gpt2"].aliases.values())
    self.assertEqual(_parse(old | renamed), _parse(GPT2))
    self.assertEqual(_parse(GPT2 | renamed | {"n_ctx": 7}), _parse(GPT2))
    self.assert_refused(
      "n_embd and hidden_size must agree.*got 32 and 64", GPT2, hidden_size=64
    )

  def test_defaults_are_those_of_the_class(self):
    bare = _without(LLAMA, "rms_norm_eps", "max_position_embeddings")
    self.assertEqual(_parse(bare).norm_eps, 1e-6)
    self.assertEqual(_parse(bare).context, 2048)
    self.assertEqual(_parse(bare | {"model_type": "olmo2"}).norm_eps, 1e-5)
    heads = {"num_attention_heads": 64, "hidden_size": 128}
    bare = _without(QWEN2, "num_key_value_heads") | heads
    self.assertEqual(_parse(bare).num_kv_heads, 32)
    self.assertEqual(_parse(bare, num_key_value_heads=None).num_kv_heads, 64)

  def test_names_of_activations(self):
    for alias, name in {
      "swish": "silu",
      "gelu_python": "gelu",
      "gelu_fast": "gelu_new",
      "gelu_accurate": "gelu_new",
    }.items():
      self.assertEqual(_parse(LLAMA, hidden_act=alias).activation, name)
    self.assertEqual(
      _parse(GPT2, activation_function="swish").activation, "silu"
    )
    self.assert_refused(
      "activation_function must be one of", GPT2, activation_function="relu2"
    )
    self.assertEqual(_parse(GPT2, hidden_act="relu"), _parse(GPT2))

  def test_neutral_and_unknown_values_change_nothing(self):
    self.assert_same(
      LLAMA,
      {},
      {"is_causal": True, "per_layer_config": {}, "text_config": None},
      {"pretraining_tp": 2, "logit_scale": 0.5, "attention_dropout": 0.1},
    )

  @parameterized.parameters(
    (
      LLAMA,
      {"is_causal": False},
      "is_causal must be True for llama, got False",
    ),
    (GPT2, {"is_causal": None}, "is_causal must be True for gpt2, got None"),
    (LLAMA, {"per_layer_config": {"0": {}}}, "per_layer_config must be"),
    (
      {"model_type": "gemma3", "text_config": LLAMA},
      {},
      "'gemma3' with a text_config",
    ),
    (LLAMA, {"hidden_size": 34}, r"hidden_size \(34\) must be a multiple"),
    (GPT2, {"n_embd": 34}, r"n_embd \(34\) must be a multiple of n_head \(4\)"),
    (LLAMA, {"hidden_size": 32.0}, "hidden_size of a llama .*got 32.0"),
    (LLAMA, {"vocab_size": True}, "vocab_size .* an integer.*got True"),
    (LLAMA, {"tie_word_embeddings": "false"}, "true or false, got 'false'"),
    (LLAMA, {"rms_norm_eps": "1e-5"}, "rms_norm_eps .* a number .*got '1e-5'"),
    (LLAMA, {"num_key_value_heads": 0}, "num_key_value_heads .*got 0"),
    (QWEN2, {"head_dim": None}, "head_dim of a qwen2 .*got None"),
    (GPT2, {"n_inner": 0}, "n_inner of a gpt2 .*got 0"),
  )
  def test_what_changes_the_model_or_is_no_value_is_refused(
    self, fields, changes, message
  ):
    self.assert_refused(message, fields, **changes)


class HostileTest(parameterized.TestCase):
  @parameterized.parameters(
    ("llama", "model_type", ["llama"]),
    ("llama", "rope_parameters", {"rope_type": ["yarn"]}),
    ("llama", "layer_types", [["full_attention"], ["full_attention"]]),
    ("olmo3", "layer_types", [["full_attention"], ["full_attention"]]),
    ("qwen3_moe", "mlp_only_layers", [[0]]),
    ("olmo3", "rope_parameters", {"full_attention": [1]}),
    ("olmo3", "rope_parameters", {"full_attention": "x"}),
    ("llama", "rope_theta", 10**400),
    ("llama", "rms_norm_eps", 10**400),
    ("llama", "num_hidden_layers", 10**11),
    ("llama", "hidden_size", 2**70),
    (
      "llama",
      "rope_scaling",
      {
        "rope_type": "yarn",
        "factor": 1e300,
        "original_max_position_embeddings": 10**300,
      },
    ),
  )
  def test_no_value_of_a_field_ends_in_another_error(self, family, name, value):
    fields = {"model_type": family, "num_hidden_layers": 2, name: value}
    with self.assertRaisesRegex(UserError, "must"):
      families.parse_config(fields)
