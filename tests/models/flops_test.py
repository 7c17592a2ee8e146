"""Tests of FLOPs and bytes against counts by hand."""

import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized
from golden import transformer_cases as cases

from thickets.models import families, flops


def _config(**changes):
  """One layer: D=8, F=12, four heads of 2, two of keys, V=10."""
  fields = {
    "model_type": "qwen2",
    "vocab_size": 10,
    "hidden_size": 8,
    "intermediate_size": 12,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-6,
  }
  return families.parse_config(fields | changes)


# q and o: 8 x 8; k and v: 4 x 8; gate, up and down: 12 x 8.
_LAYER_WEIGHTS = 2 * 64 + 2 * 32 + 3 * 96


class FlopsTest(parameterized.TestCase):
  @parameterized.parameters(1, 3)
  def test_counts_matrices_of_layers(self, num_layers):
    config = _config(num_hidden_layers=num_layers)
    self.assertEqual(
      flops.count_matmul_weights(config), num_layers * _LAYER_WEIGHTS
    )

  def test_a_token_pays_for_weights_and_for_what_it_sees(self):
    # Scores and mixing: a multiply-add each for 8 channels and 5 tokens.
    self.assertEqual(
      flops.token_flops(_config(), 5), 2 * _LAYER_WEIGHTS + 2 * 2 * 8 * 5
    )

  def test_a_window_limits_what_is_seen(self):
    config = _config(
      num_hidden_layers=2,
      use_sliding_window=True,
      sliding_window=3,
      max_window_layers=1,
    )
    self.assertEqual(
      flops.token_flops(config, 5), 4 * _LAYER_WEIGHTS + 4 * 8 * (5 + 3)
    )

  def test_a_window_limits_what_a_step_reads(self):
    config = _config(
      num_hidden_layers=2,
      use_sliding_window=True,
      sliding_window=3,
      max_window_layers=1,
    )
    kv_cache = flops.step_bytes(config, jnp.float32, 1, 5) - flops.weight_bytes(
      config, jnp.float32, 1
    )
    self.assertEqual(kv_cache, 4 * 2 * 2 * 2 * (5 + 3))

  def test_prefill_and_decode_add_up_token_by_token(self):
    config = _config()
    seen = [flops.token_flops(config, n) for n in range(1, 12)]
    head = 2 * 10 * 8
    self.assertEqual(flops.head_flops(config), head)
    self.assertEqual(
      flops.prefill_flops(config, 3, 7), 3 * (sum(seen[:7]) + head)
    )
    # The first step feeds the eighth token.
    self.assertEqual(
      flops.decode_flops(config, 3, 7, 4), 3 * (sum(seen[7:]) + 4 * head)
    )

  @parameterized.parameters(
    {},
    {
      "num_hidden_layers": 3,
      "use_sliding_window": True,
      "sliding_window": 3,
      "max_window_layers": 1,
    },
  )
  def test_a_response_is_its_prompt_and_all_steps_but_one(self, **changes):
    config = _config(**changes)
    prompts = np.array([[1, 2], [7, 4]])
    responses = np.array([[1, 5], [3, 1]])
    expected = [
      flops.prefill_flops(config, 1, int(p))
      + flops.decode_flops(config, 1, int(p), int(n) - 1)
      for p, n in zip(prompts.flat, responses.flat, strict=True)
    ]
    found = flops.response_flops(config, prompts, responses)
    np.testing.assert_array_equal(found, np.reshape(expected, (2, 2)))
    # Token by token, in another way than by a closed form.
    by_token = sum(flops.token_flops(config, seen) for seen in range(1, 10))
    self.assertEqual(found[1, 0], by_token + 3 * flops.head_flops(config))

  @parameterized.parameters((jnp.bfloat16, 2), (jnp.float32, 4))
  def test_a_step_reads_weights_once_and_every_rows_kv_cache(self, dtype, size):
    config = _config()
    weights = size * (_LAYER_WEIGHTS + 10 * 8)
    self.assertEqual(flops.weight_bytes(config, dtype, 5), weights)
    # Keys and values of two heads of two channels.
    kv_cache = size * 2 * 2 * 2 * 6
    self.assertEqual(flops.kv_cache_bytes(config, dtype, 6), kv_cache)
    self.assertEqual(
      flops.step_bytes(config, dtype, 5, 6), weights + 5 * kv_cache
    )

  def test_of_a_mixture_what_is_chosen_counts(self):
    config = _config(
      model_type="qwen3_moe",
      head_dim=2,
      num_experts=6,
      num_experts_per_tok=2,
      moe_intermediate_size=5,
    )
    shared = 2 * 64 + 2 * 32 + 6 * 8  # Attention and the router.
    expert = 3 * 5 * 8
    self.assertEqual(flops.count_matmul_weights(config), shared + 2 * expert)

    def read(num_rows):
      return flops.weight_bytes(config, jnp.float32, num_rows) / 4 - 10 * 8

    self.assertAlmostEqual(read(1), shared + 2 * expert)
    # Each of two rows misses an expert in two of three cases.
    self.assertAlmostEqual(read(2), shared + 6 * (1 - 4 / 9) * expert)
    self.assertAlmostEqual(read(100), shared + 6 * expert)

  @parameterized.parameters(*cases.CASES)
  def test_every_family_has_finite_counts(self, name):
    config = families.parse_config(cases.CASES[name])
    self.assertGreater(flops.decode_flops(config, 2, 8, 8), 0)
    self.assertGreater(
      flops.prefill_bytes(config, jnp.bfloat16, 64, 8),
      64 * 2 * config.width,
    )
