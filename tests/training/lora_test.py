"""Tests of low-rank adapters: their laws, and what `peft` will read."""

import functools
import json
import pathlib
import tempfile

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized
from golden import transformer_cases as cases

from thickets.errors import UserError
from thickets.models import hub, transformer
from thickets.training import lora, peft_export
from thickets.training.lora import LoraSpec

SPEC = LoraSpec(2, 3.0)


def _make_model(case="qwen3", dtype=jnp.float32):
  return hub.make_model(cases.CASES[case], jax.random.key(1), dtype)


def _train(adapters):
  """Adapters that add something, as if they had been trained."""
  rng = np.random.default_rng(0)
  return jax.tree.map(
    lambda leaf: leaf + rng.normal(size=leaf.shape).astype(np.float32), adapters
  )


def _take(tree, path):
  return functools.reduce(lambda part, key: part[key], path, tree)


class LoraTest(parameterized.TestCase):
  @parameterized.parameters("qwen3", "qwen3_moe", "gpt2")
  def test_new_adapters_leave_every_bit(self, case):
    params = _make_model(case, jnp.bfloat16).params
    names = transformer.tensor_names(params)
    merged = lora.merge(SPEC, params, lora.init(SPEC, params, names), names)
    jax.tree.map(np.testing.assert_array_equal, merged, params)

  @parameterized.parameters("qwen3", "qwen3_moe")
  def test_each_matrix_gets_its_own_product(self, case):
    params = _make_model(case).params
    names = transformer.tensor_names(params)
    spec = LoraSpec(2, 3.0, ("layers.[02].*.down_proj", "*.1.*.q_proj"))
    adapters = _train(lora.init(spec, params, names))
    merged = lora.merge(spec, params, adapters, names)
    down = params["layers"]["mlp"]
    path = ("layers", "mlp", "down_proj")
    if case == "qwen3_moe":
      down, path = down["experts"], ("layers", "mlp", "experts", "down_proj")
    factors = _take(adapters, path)
    shape = down["down_proj"].shape
    expected = np.array(down["down_proj"]).reshape(shape[0], -1, *shape[-2:])
    count = expected.shape[1]  # Experts of a layer; one without a mixture.
    adapted = [layer for layer in (0, 2) if layer < shape[0]]
    self.assertLen(factors["a"], len(adapted) * count)
    for row in range(len(adapted) * count):
      layer, expert = adapted[row // count], row % count
      product = np.float64(factors["b"][row]) @ np.float64(factors["a"][row])
      expected[layer, expert] += (1.5 * product).astype(np.float32)
    np.testing.assert_allclose(
      _take(merged, path), expected.reshape(shape), rtol=1e-5, atol=1e-6
    )
    query = merged["layers"]["self_attn"]["q_proj"]
    moved = np.any(
      query != params["layers"]["self_attn"]["q_proj"], axis=(1, 2)
    )
    self.assertEqual(moved.tolist(), [False, True, False][: len(moved)])

  def test_a_factor_depends_on_its_own_name_and_not_on_others(self):
    params = _make_model().params
    names = transformer.tensor_names(params)
    everywhere = lora.init(SPEC, params, names)["layers"]["self_attn"]
    only = LoraSpec(2, 3.0, ("layers.1.self_attn.q_proj",))
    one = lora.init(only, params, names)["layers"]["self_attn"]["q_proj"]
    np.testing.assert_array_equal(one["a"][0], everywhere["q_proj"]["a"][1])
    other = lora.init(LoraSpec(2, 3.0, seed=1), params, names)
    changed = other["layers"]["self_attn"]["q_proj"]["a"]
    self.assertTrue(np.all(changed != everywhere["q_proj"]["a"]))
    self.assertTrue(
      np.all(everywhere["q_proj"]["a"] != everywhere["k_proj"]["a"][:, :, :1])
    )

  def test_apart_from_a_stack_it_is_the_same(self):
    stack = {"layers": {"w_proj": jnp.ones((3, 4, 5))}}
    names = {"layers": {"w_proj": "layers.{}.w_proj"}}
    layer = {"layers": {"1": {"w_proj": jnp.ones((4, 5))}}}
    whole = lora.init(SPEC, stack, names)["layers"]["w_proj"]
    alone = lora.init(SPEC, layer)["layers"]["1"]["w_proj"]
    np.testing.assert_array_equal(whole["a"][1], alone["a"][0])

  @parameterized.parameters(
    (("*_prj",), (), "must match at least one tensor, got '\\*_prj'. Nearest"),
    (("embed_tokens",), (), "got 'embed_tokens'"),
    (("*norm*",), (), "must match at least one tensor"),
    (("*_proj",), ("layers.*",), "must leave at least one tensor"),
  )
  def test_patterns_that_match_nothing_are_refused(self, include, out, message):
    spec = LoraSpec(2, 3.0, include, out)
    params = _make_model().params
    with self.assertRaisesRegex(UserError, f"^lora.targets.*{message}"):
      lora.init(spec, params, transformer.tensor_names(params))

  @parameterized.parameters(
    ({"rank": 0}, "lora.rank must be at least 1, got 0"),
    ({"alpha": 0.0}, "lora.alpha must be above 0, got 0"),
    ({"targets": ()}, "lora.targets must hold at least one"),
    ({"seed": -1}, "lora.seed must be at least 0"),
  )
  def test_numbers_out_of_range_are_refused(self, change, message):
    with self.assertRaisesRegex(UserError, message):
      LoraSpec(**({"rank": 2, "alpha": 3.0} | change))


class PeftExportTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    folder = self.enter_context(tempfile.TemporaryDirectory())
    self.directory = pathlib.Path(folder) / "adapter"

  def save(self, spec, case):
    import safetensors.numpy

    model = _make_model(case)
    names = transformer.tensor_names(model.params)
    adapters = _train(lora.init(spec, model.params, names))
    peft_export.save(self.directory, spec, model, adapters)
    fields = json.loads((self.directory / "adapter_config.json").read_text())
    file = self.directory / "adapter_model.safetensors"
    merged = lora.merge(spec, model.params, adapters, names)
    return model, merged, fields, safetensors.numpy.load_file(file)

  @parameterized.parameters(
    ("qwen3", ("*_proj",)),
    ("qwen2", ("layers.1.*.q_proj", "layers.0.mlp.*")),
    ("olmo3", ("*.q_proj", "lm_head")),
    ("gpt2", ("*_proj",)),
    ("gpt2", ("*.v_proj", "*.q_proj", "*.down_proj")),
  )
  def test_published_matrices_move_by_the_products(self, case, targets):
    """What `peft` computes from the files is what is saved as merged weights."""
    import safetensors.numpy

    spec = LoraSpec(2, 3.0, targets)
    model, merged, fields, tensors = self.save(spec, case)
    folders = {}
    for name, params in {"base": model.params, "merged": merged}.items():
      folders[name] = self.directory.parent / name
      hub.save(folders[name], model, params=params)
    base, expected = (
      safetensors.numpy.load_file(folders[name] / "model.safetensors")
      for name in ("base", "merged")
    )
    modules = {name.rpartition(".lora_")[0] for name in tensors}
    for module in modules:
      key = module.removeprefix("base_model.model.")
      rank = fields["rank_pattern"].get(key, fields["r"])
      alpha = fields["alpha_pattern"].get(key, fields["lora_alpha"])
      first = tensors[f"{module}.lora_A.weight"]
      self.assertLen(first, rank)
      added = alpha / rank * tensors[f"{module}.lora_B.weight"] @ first
      base[f"{key}.weight"] += added.T if fields["fan_in_fan_out"] else added
    self.assertEqual(fields["fan_in_fan_out"], case == "gpt2")
    for key, tensor in expected.items():
      np.testing.assert_allclose(base[key], tensor, rtol=1e-4, atol=1e-5)

  def test_modules_are_named_by_their_last_word_only_where_all_are_meant(self):
    *_, fields, _ = self.save(LoraSpec(2, 3.0, ("*.q_proj",)), "qwen3")
    self.assertEqual(fields["target_modules"], ["q_proj"])
    *_, fields, _ = self.save(LoraSpec(2, 3.0, ("*.1.*.q_proj",)), "qwen3")
    name = "model.layers.1.self_attn.q_proj"
    self.assertEqual(fields["target_modules"], [name])
    # GPT-2 calls the outputs of attention and of the MLP by one name.
    *_, fields, _ = self.save(LoraSpec(2, 3.0, ("*.down_proj",)), "gpt2")
    self.assertIn("transformer.h.1.mlp.c_proj", fields["target_modules"])

  @parameterized.parameters("*.experts.*", "*.gate")
  def test_what_peft_cannot_adapt_is_refused(self, pattern):
    with self.assertRaisesRegex(UserError, "lora.targets must match matrices"):
      self.save(LoraSpec(2, 3.0, (pattern,)), "qwen3_moe")
    self.assertFalse(self.directory.exists())
