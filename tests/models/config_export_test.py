"""Tests of the config.json that goes with weights: read alike by old and new."""

import numpy as np
from absl.testing import parameterized

from thickets.models import config_export, families

SIZES = {
  "vocab_size": 64,
  "hidden_size": 32,
  "intermediate_size": 48,
  "num_hidden_layers": 6,
  "num_attention_heads": 4,
  "num_key_value_heads": 2,
  "max_position_embeddings": 128,
}
PLAIN = {"rope_type": "default", "rope_theta": 1e6}
LLAMA3 = {
  "rope_type": "llama3",
  "rope_theta": 5e5,
  "factor": 8.0,
  "low_freq_factor": 1.0,
  "high_freq_factor": 4.0,
  "original_max_position_embeddings": 32,
}
YARN = {"rope_type": "yarn", "rope_theta": 5e5, "factor": 4.0}
LINEAR = {"rope_type": "linear", "rope_theta": 1e6, "factor": 8.0}
# As transformers 5 writes them.
NEWER = {
  "qwen3": {"rope_parameters": PLAIN},
  "qwen2": {"rope_parameters": YARN},
  "llama": {"rope_parameters": LLAMA3},
  "mistral": {"rope_parameters": LINEAR, "rope_scaling": None},
  "smollm3": {"rope_parameters": PLAIN, "pad_token_id": 0},
  # The length and the theta stand outside.
  "granite": {
    "rope_parameters": {"rope_type": "yarn", "factor": 4.0},
    "original_max_position_embeddings": 32,
    "rope_theta": 5e5,
  },
  "olmo2": {"rope_scaling": LINEAR},  # The theta stands within.
  "olmo3": {
    "rope_parameters": {
      "full_attention": YARN | {"attention_factor": 1.2},
      "sliding_attention": PLAIN | {"rope_theta": 5e5},
    }
  },
  "gemma3_text": {
    "rope_parameters": {"full_attention": LINEAR, "sliding_attention": PLAIN}
  },
}


def _export(family, **fields):
  given = SIZES | {"model_type": family} | fields
  return given, config_export.export_fields(given, np.dtype(np.float32))


class OlderSpellingTest(parameterized.TestCase):
  @parameterized.parameters(*NEWER)
  def test_older_readers_find_the_same_positions(self, family):
    given, exported = _export(family, **NEWER[family])
    expected = families.parse_config(given)
    self.assertEqual(families.parse_config(exported), expected)
    # What transformers 4 sees: it knows neither this name nor a theta within.
    older = {k: v for k, v in exported.items() if k != "rope_parameters"}
    scaling = dict(older.get("rope_scaling") or {})
    scaling.pop("rope_theta", None)
    older = older | {"rope_scaling": scaling or None}
    self.assertIn("rope_theta", older)
    self.assertEqual(families.parse_config(older), expected)

  def test_the_spelling_of_older_files_stays(self):
    for fields in (
      {},
      {"rope_theta": 1e6},
      {"rope_theta": 1e6, "rope_scaling": {"type": "linear", "factor": 2.0}},
    ):
      given, exported = _export("llama", **fields)
      del exported["architectures"], exported["dtype"]
      self.assertEqual(exported, given)

  @parameterized.parameters(
    ("olmo3", PLAIN),  # Another theta than that of full attention.
    ("gemma3_text", LINEAR),
  )
  def test_a_warning_says_what_older_readers_cannot_be_told(self, family, slid):
    parameters = {"full_attention": YARN, "sliding_attention": slid}
    with self.assertLogs("absl", "WARNING") as logged:
      given, exported = _export(family, rope_parameters=parameters)
    self.assertIn(
      f"sliding_attention layers in this {family} model", logged.output[0]
    )
    self.assertNotIn("rope_theta", exported)
    self.assertEqual(
      families.parse_config(exported), families.parse_config(given)
    )

  def test_positions_that_are_learned_have_no_theta(self):
    fields = {"n_embd": 32, "n_head": 4, "n_layer": 2, "vocab_size": 64}
    given = {"model_type": "gpt2", **fields}
    exported = config_export.export_fields(given, np.dtype(np.float32))
    self.assertNotIn("rope_theta", exported)
