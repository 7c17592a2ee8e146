"""Tests of what each class reads where config.json is silent, null or odd."""

from absl.testing import parameterized

from thickets.errors import UserError
from thickets.models import config_fields, families
from thickets.models.layer_types import FULL, SLIDING
from thickets.models.published_classes import PUBLISHED
from thickets.models.vision import fields as vision_fields

HEADS = 32  # The default of most classes.
FIELDS = {
  "hidden_size": 64 * HEADS,
  "num_attention_heads": HEADS,
  "num_hidden_layers": 4,
  "pad_token_id": None,
}
# Those of vision-language models have no defaults that are read.
LANGUAGE = sorted(set(PUBLISHED) - set(vision_fields.FAMILIES))
ROTARY = sorted(name for name in LANGUAGE if name != "gpt2")


def _read(family, **changes):
  fields = FIELDS if family in ROTARY else {"pad_token_id": None}
  return config_fields.read_fields({"model_type": family} | fields | changes)


def _parse(family, **changes):
  return families.parse_config({"model_type": family} | FIELDS | changes)


class DefaultsTest(parameterized.TestCase):
  @parameterized.parameters(
    ("gemma3_text", 256, 4),
    ("granite", 64, HEADS),
    ("llama", 64, HEADS),
    ("mistral", 64, 8),
    ("olmo2", 64, HEADS),
    ("olmo3", 64, HEADS),
    ("qwen2", 64, 32),
    ("qwen3", 128, 32),
    ("qwen3_moe", 64, 4),
    ("smollm3", 64, 4),
  )
  def test_heads(self, family, head_dim, num_kv_heads):
    read = _read(family)
    self.assertEqual(read["head_dim"], head_dim)
    self.assertEqual(read["num_key_value_heads"], num_kv_heads)

  @parameterized.parameters(*ROTARY)
  def test_heads_that_are_null(self, family):
    for name, null_is_refused, expected in (
      (
        "head_dim",
        # Of these, the class or its layers cannot compute with null.
        family not in ("llama", "mistral"),
        64,
      ),
      (
        "num_key_value_heads",
        family in ("gemma3_text", "mistral", "qwen3_moe"),
        HEADS,
      ),
    ):
      if null_is_refused:
        with self.assertRaisesRegex(UserError, f"{name} of a {family} model"):
          _read(family, **{name: None})
      else:
        self.assertEqual(_read(family, **{name: None})[name], expected)

  @parameterized.parameters(
    ("gemma3_text", "hidden_activation", "gelu_pytorch_tanh", "hidden_act"),
    ("llama", "hidden_act", "silu", "hidden_activation"),
    ("qwen3", "hidden_act", "silu", "activation_function"),
    ("gpt2", "activation_function", "gelu_new", "hidden_act"),
    ("llama", "rms_norm_eps", 1e-6, "layer_norm_epsilon"),
    ("olmo2", "rms_norm_eps", 1e-5, "layer_norm_eps"),
    ("gpt2", "layer_norm_epsilon", 1e-5, "rms_norm_eps"),
    ("gpt2", "n_positions", 1024, "n_ctx"),
    ("llama", "max_position_embeddings", 2048, "max_sequence_length"),
  )
  def test_names_of_other_classes_are_not_read(
    self, family, name, default, other
  ):
    self.assertEqual(_read(family)[name], default)
    self.assertEqual(_read(family, **{other: "relu"})[name], default)

  def test_functions(self):
    read = _read("gemma3_text", hidden_activation="quick_gelu")
    self.assertEqual(read["hidden_activation"], "quick_gelu")

  @parameterized.parameters("qwen2", "qwen3", "smollm3")
  def test_windows_need_their_flag(self, family):
    window = {"sliding_window": 7, "max_window_layers": 2}
    off = _read(family, **window)
    self.assertEqual(off, _read(family, use_sliding_window=False, **window))
    self.assertEqual(
      (off["layer_types"], off["sliding_window"]), ([FULL] * 4, None)
    )
    on = _read(family, use_sliding_window=True, **window)
    expected = {"smollm3": [FULL] * 3 + [SLIDING]}
    self.assertEqual(
      on["layer_types"], expected.get(family, [FULL] * 2 + [SLIDING] * 2)
    )
    self.assertEqual(on["sliding_window"], 7)

  @parameterized.parameters(
    *({"rope_scaling": value} for value in (None, {}, {"type": "default"})),
    *({"rope_theta": theta} for theta in (10_000, 10_000.0)),
    {"rope_parameters": {"rope_type": "default", "rope_theta": 10_000}},
    {"rope_scaling": {"rope_type": "default"}, "rope_theta": 10_000},
  )
  def test_positions_that_are_not_stretched(self, **changes):
    self.assertEqual(_parse("llama", **changes), _parse("llama"))

  def test_weights_of_yarn_that_are_zero_are_absent(self):
    yarn = {"rope_type": "yarn", "factor": 4.0}
    for zero in ({"mscale": 0}, {"mscale": 1.0, "mscale_all_dim": 0.0}):
      self.assertEqual(
        _parse("qwen2", rope_scaling=yarn | zero),
        _parse("qwen2", rope_scaling=yarn),
      )


class UnreadFieldsTest(parameterized.TestCase):
  @parameterized.parameters(*LANGUAGE)
  def test_values_of_the_type_change_nothing(self, family):
    plain = _read(family)
    for changes in (
      {"pad_token_id": 0},
      {"pad_token_id": -1},  # As several published files have it.
      {"eos_token_id": [1, 2], "bos_token_id": 10**9},
      {"eos_token_id": 2, "use_cache": False, "torch_dtype": "float16"},
      {"dtype": None, "architectures": None, "transformers_version": "4.1"},
    ):
      read = _read(family, **changes)
      self.assertEqual(read, plain | changes)

  @parameterized.product(
    family=LANGUAGE,
    changes=(
      {"pad_token_id": "0"},
      {"eos_token_id": [1, "2"]},
      {"eos_token_id": 2.5},
      {"bos_token_id": True},
      {"use_cache": 1},
      {"architectures": "LlamaForCausalLM"},
      {"transformers_version": 5},
    ),
  )
  def test_other_types_are_refused(self, family, changes):
    (name,) = changes
    with self.assertRaisesRegex(UserError, f"{name} of a {family} model must"):
      _read(family, **changes)

  def test_a_pad_token_beyond_the_vocabulary_is_refused(self):
    with self.assertRaisesRegex(
      UserError, "of 100 tokens, got 100. Write null"
    ):
      _parse("llama", vocab_size=100, pad_token_id=100)
    with self.assertRaisesRegex(
      UserError, "got 128004, the default of its cla"
    ):
      families.parse_config({"model_type": "smollm3", "vocab_size": 100})

  @parameterized.parameters(
    ("llama", "rms_norm_eps", -1e-6, "a number from 0 on"),
    ("llama", "rms_norm_eps", float("nan"), "a number from 0 on"),
    ("llama", "initializer_range", 2.0, "a number from 0 to 1"),
    ("granite", "logits_scaling", 0, "a number other than 0"),
    ("granite", "embedding_multiplier", float("inf"), "a number"),
    ("gemma3_text", "final_logit_softcapping", 0.0, "a number other than 0"),
  )
  def test_numbers_without_a_meaning_are_refused(
    self, family, name, value, must_be
  ):
    with self.assertRaisesRegex(UserError, f"{name} .* must be {must_be}, got"):
      _parse(family, **{name: value})
