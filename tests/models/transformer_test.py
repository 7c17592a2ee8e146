"""Tests of the transformer: laws, and the values that `transformers` computes."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import unoptimised
from absl.testing import parameterized
from golden import transformer_cases as cases
from jax.sharding import Mesh, PartitionSpec

from thickets.models import families, transformer

NAMES = tuple(cases.CASES)


@functools.cache
def _model(name):
  """(config, params, compiled apply) of a case."""
  fields = cases.CASES[name]
  config = families.parse_config(fields)
  params = jax.tree.map(jnp.asarray, cases.make_params(fields))
  return (
    config,
    params,
    jax.jit(
      functools.partial(transformer.apply, config),
      compiler_options=unoptimised.OPTIONS,
    ),
  )


class GoldenTest(parameterized.TestCase):
  """Renew the values with tests/golden/make_transformers_values.py."""

  @parameterized.parameters(*NAMES)
  def test_logits_and_greedy_tokens_are_those_of_transformers(self, name):
    config, params, apply = _model(name)
    values = cases.read_values()[name]
    prompt = cases.make_prompt(cases.CASES[name])
    greedy = np.array(values["greedy"], np.int32)
    self.assertLen(greedy, cases.NUM_STEPS)
    # Token by token and all at once are the same, by causality (below).
    text = np.concatenate([prompt, greedy[:-1]])[None]
    logits = np.asarray(apply(params, text))[0]
    self.assertEqual(logits.shape, (text.size, config.vocab_size))
    np.testing.assert_allclose(
      logits[len(prompt) - 2 : len(prompt)],
      values["logits"],
      atol=cases.TOLERANCE,
    )
    chosen = logits[len(prompt) - 1 :].argmax(-1)
    for step in np.flatnonzero(chosen != greedy):
      self.assertLess(values["gaps"][step], cases.TOLERANCE, f"step {step}")
    # Tokens that hardly vary would show little.
    self.assertGreater(len(set(values["greedy"])), 10)


class LawsTest(parameterized.TestCase):
  @parameterized.parameters("qwen2_window", "olmo3", "gpt2")
  def test_a_token_changes_nothing_before_it(self, name):
    config, params, apply = _model(name)
    rng = np.random.default_rng(1)
    text = rng.integers(0, config.vocab_size, (1, 75), dtype=np.int32)
    changed = text.copy()
    changed[0, 40] = (changed[0, 40] + 1) % config.vocab_size
    before, after = apply(params, text)[0], apply(params, changed)[0]
    np.testing.assert_array_equal(before[:40], after[:40])
    self.assertGreater(np.abs(before[40] - after[40]).max(), 1e-2)

  def test_a_window_forgets(self):
    # Two layers of a window of 4 look back 6 positions and no further.
    fields = cases.CASES["qwen2_window"] | {
      "num_hidden_layers": 2,
      "max_window_layers": 0,
      "sliding_window": 4,
    }
    config = families.parse_config(fields)
    params = jax.tree.map(jnp.asarray, cases.make_params(fields))
    text = np.arange(20, dtype=np.int32)[None]
    changed = text.copy()
    changed[0, 5] = 90
    apply = jax.jit(
      functools.partial(transformer.apply, config),
      compiler_options=unoptimised.OPTIONS,
    )
    before, after = apply(params, text)[0], apply(params, changed)[0]
    moved = np.abs(before - after).max(-1) > 0
    self.assertEqual(np.flatnonzero(moved).tolist(), list(range(5, 12)))

  @parameterized.parameters("qwen2_window", "olmo3", "gpt2")
  def test_scanned_and_unrolled_layers_agree(self, name):
    config, params, apply = _model(name)
    text = np.arange(75, dtype=np.int32)[None]
    unrolled = params | {
      "layers": tuple(
        jax.tree.map(lambda leaf, i=i: leaf[i], params["layers"])
        for i in range(config.num_layers)
      )
    }
    np.testing.assert_allclose(
      apply(params, text), apply(unrolled, text), atol=1e-5
    )

  def test_rows_are_texts_of_their_own(self):
    _, params, apply = _model("olmo3")
    rng = np.random.default_rng(1)
    texts = rng.integers(0, 97, (2, 75), dtype=np.int32)
    logits = apply(params, texts)
    np.testing.assert_allclose(
      logits[1], apply(params, texts[1:])[0], atol=1e-5
    )

  def test_bfloat16_stays_near(self):
    config, params, apply = _model("olmo3")
    text = np.arange(75, dtype=np.int32)[None]
    halved = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), params)
    logits = apply(halved, text)
    self.assertEqual(logits.dtype, jnp.float32)
    exact = np.asarray(apply(params, text))
    self.assertLess(np.std(logits - exact), 0.1 * np.std(exact))
    self.assertEqual(config.kinds[0].window, 6)

  def test_a_text_longer_than_the_context_is_refused(self):
    config, params, _ = _model("gpt2")
    with self.assertRaisesRegex(ValueError, "at most 128 tokens.*got 129"):
      transformer.apply(config, params, jnp.zeros((1, 129), jnp.int32))


class ParamsTest(parameterized.TestCase):
  @parameterized.parameters(*NAMES)
  def test_shapes_and_count_follow_from_the_config(self, name):
    config, params, _ = _model(name)
    shapes = jax.tree.map(jnp.shape, params)
    template = transformer.abstract_params(config, jnp.bfloat16)
    self.assertEqual(shapes, jax.tree.map(lambda leaf: leaf.shape, template))
    self.assertEqual(
      {leaf.dtype for leaf in jax.tree.leaves(template)},
      {np.dtype(jnp.bfloat16)},
    )
    self.assertEqual(
      transformer.count_params(config),
      sum(leaf.size for leaf in jax.tree.leaves(params)),
    )

  def test_count_of_a_published_model(self):
    # Qwen2.5-0.5B: 494,032,768 weights by its model card's files.
    fields = cases.CASES["qwen2"] | {
      "vocab_size": 151936,
      "hidden_size": 896,
      "intermediate_size": 4864,
      "num_hidden_layers": 24,
      "num_attention_heads": 14,
      "num_key_value_heads": 2,
    }
    config = families.parse_config(fields)
    self.assertEqual(transformer.count_params(config), 494_032_768)

  def test_initial_weights_have_their_spread_and_differ_by_layer(self):
    config = _model("qwen2")[0]
    params = jax.jit(
      transformer.init, static_argnums=0, compiler_options=unoptimised.OPTIONS
    )(config, jax.random.key(0))
    matrix = np.asarray(params["layers"]["mlp"]["up_proj"])
    error = 0.02 / math.sqrt(2 * matrix.size)
    self.assertLess(abs(matrix.std() - 0.02), 4 * error)
    self.assertFalse(np.any(matrix[0] == matrix[1]))
    np.testing.assert_array_equal(params["norm"], 1)
    np.testing.assert_array_equal(
      params["layers"]["self_attn"]["q_proj_bias"], 0
    )

  def test_partition_specs(self):
    mesh = Mesh(
      np.array(jax.devices()[:2]).reshape(1, 2), ("population", "model")
    )
    shardings = transformer.shardings(_model("llama")[0], mesh)
    specs = jax.tree.map(lambda sharding: sharding.spec, shardings)
    attention, mlp = specs["layers"]["self_attn"], specs["layers"]["mlp"]
    outputs = PartitionSpec(None, "model", None)
    inputs = PartitionSpec(None, None, "model")
    self.assertEqual(attention["q_proj"], outputs)
    self.assertEqual(attention["q_proj_bias"], PartitionSpec(None, "model"))
    self.assertEqual(attention["o_proj"], inputs)
    self.assertEqual(mlp["up_proj"], outputs)
    self.assertEqual(mlp["down_proj"], inputs)
    # 97 tokens cannot be halved.
    self.assertEqual(specs["embed_tokens"], PartitionSpec(None, None))
    self.assertEqual(specs["norm"], PartitionSpec(None))
    self.assertEqual(
      specs["layers"]["input_layernorm"], PartitionSpec(None, None)
    )

  def test_heads_are_never_cut(self):
    mesh = Mesh(
      np.array(jax.devices()[:4]).reshape(1, 4), ("population", "model")
    )
    # Four heads of queries, two of keys and values: these on two devices each.
    params = transformer.shardings(_model("qwen3")[0], mesh)
    specs = {
      name: params["layers"]["self_attn"][f"{name}_proj"].spec for name in "qkv"
    }
    both = ("model", "model_rest")
    self.assertEqual(specs["q"], PartitionSpec(None, both, None))
    self.assertEqual(specs["k"], PartitionSpec(None, "model", None))
    self.assertEqual(specs["v"], PartitionSpec(None, "model", None))
    self.assertEqual(
      params["layers"]["mlp"]["up_proj"].spec, PartitionSpec(None, both, None)
    )
    self.assertEqual(
      dict(params["norm"].mesh.shape),
      {"population": 1, "model": 2, "model_rest": 2},
    )

  @parameterized.parameters(
    # Heads, heads of keys and values, devices; devices that divide the latter.
    (40, 8, 8, 8),
    (10, 2, 4, 2),
    (6, 2, 8, 2),
    (4, 4, 4, 4),
    (8, 1, 4, 4),  # One head of keys stays whole, and queries are divided.
    (9, 3, 4, 4),  # None can be divided.
  )
  def test_as_many_devices_divide_heads_as_can(self, heads, kv_heads, size, on):
    fields = cases.CASES["qwen2"] | {
      "hidden_size": 16 * heads,
      "num_attention_heads": heads,
      "num_key_value_heads": kv_heads,
    }
    config = families.parse_config(fields)
    mesh = Mesh(
      np.array(jax.devices()[:size]).reshape(1, size), ("population", "model")
    )
    fitted = transformer.fit_mesh(config, mesh)
    self.assertEqual(fitted.shape["model"], on)
    self.assertEqual(transformer.count_model_devices(fitted), size)
    self.assertEqual(transformer.fit_mesh(config, fitted), fitted)
    self.assertEqual([*fitted.devices.flat], [*mesh.devices.flat])

  def test_the_other_axes_of_a_mesh_stay_where_they_are(self):
    mesh = Mesh(
      np.array(jax.devices()[:8]).reshape(4, 2), ("model", "population")
    )
    fitted = transformer.fit_mesh(_model("qwen3")[0], mesh)
    self.assertEqual(
      [*fitted.shape.items()],
      [("model", 2), ("model_rest", 2), ("population", 2)],
    )
    np.testing.assert_array_equal(fitted.devices.reshape(4, 2), mesh.devices)

  @parameterized.parameters("llama", "gpt2")
  def test_on_a_mesh_matrices_are_divided_and_logits_agree(self, name):
    config, params, apply = _model(name)
    devices = np.array(jax.devices()[:2]).reshape(1, 2)
    mesh = Mesh(devices, ("population", "model"))
    shardings = transformer.shardings(config, mesh)
    placed = jax.device_put(params, shardings)
    up = placed["layers"]["mlp"]["up_proj"]
    self.assertEqual(
      up.addressable_shards[0].data.shape,
      (config.num_layers, config.mlp_width // 2, config.width),
    )
    # 97 rows cannot be halved.
    self.assertTrue(placed["embed_tokens"].sharding.is_fully_replicated)
    text = np.arange(75, dtype=np.int32)[None]
    np.testing.assert_allclose(
      apply(params, text), apply(placed, text), atol=1e-4
    )
