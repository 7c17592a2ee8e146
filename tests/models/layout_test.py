"""Tests of how layers lie in arrays."""

from absl.testing import parameterized

from thickets.models import families, transformer
from thickets.models.layout import Layout


class LayoutTest(parameterized.TestCase):
  @parameterized.parameters(
    # Compiling a few layers is cheap, and so is copying small ones.
    (8, 1000, "cpu", Layout.APART),
    (36, 1000, "cpu", Layout.STACKED),
    (9, 2**20 - 1, "cpu", Layout.STACKED),
    (30, 2**20, "cpu", Layout.APART),
    (8, 2**20, "gpu", Layout.APART),
    # Products on GPUs read no slices of stacks in place; those of TPUs do.
    (36, 1000, "gpu", Layout.APART),
    (30, 2**20, "gpu", Layout.APART),
    (30, 2**20, "cuda", Layout.APART),
    (30, 2**20, "tpu", Layout.STACKED),
    (8, 2**20, "tpu", Layout.APART),
  )
  def test_is_chosen_by_what_a_step_would_copy(
    self, num_layers, layer_weights, platform, layout
  ):
    got = Layout.for_layers(num_layers, layer_weights, platform)
    self.assertIs(got, layout)

  @parameterized.parameters(
    (30, 2**20, "cpu", 2999, Layout.STACKED),
    (30, 2**20, "cpu", 3000, Layout.APART),
    (36, 1000, "cpu", 3000, Layout.STACKED),
    (30, 2**20, "gpu", 1, Layout.STACKED),
    (8, 2**20, "gpu", 1, Layout.APART),
  )
  def test_few_responses_are_not_worth_a_long_compilation(
    self, num_layers, layer_weights, platform, num_responses, layout
  ):
    got = Layout.for_layers(num_layers, layer_weights, platform, num_responses)
    self.assertIs(got, layout)

  def test_smollm2_has_large_layers(self):
    config = families.parse_config(
      {
        "model_type": "llama",
        "vocab_size": 49152,
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "max_position_embeddings": 8192,
        "tie_word_embeddings": True,
      }
    )
    # Attention (queries, output, keys, values), MLP, and two norms.
    weights = (9 + 9 + 3 + 3) * 64 * 576 + 3 * 1536 * 576 + 2 * 576
    self.assertEqual(transformer.count_layer_params(config), weights)
    layout = Layout.for_layers(config.num_layers, weights, "cpu")
    self.assertIs(layout, Layout.APART)
