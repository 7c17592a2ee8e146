"""Tests of finding tensors by name: under no prefix, a wrapper's, or several."""

from absl.testing import parameterized

from thickets.errors import UserError
from thickets.models.stored_tensors import Stored, find_tensors

EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
NORM, MATRIX = "model.norm.weight", "model.layers.0.mlp.up_proj.weight"
KEYS = (EMBEDDING, NORM, MATRIX, HEAD)


def _store(*names):
  return {name: Stored("file", name, (2,), "F32") for name in names}


def _find(*names, keys=KEYS, stand_ins=None):
  found = find_tensors(keys, _store(*names), stand_ins=stand_ins or {})
  return {key: tensor.key for key, tensor in found.items()}


class FindTensorsTest(parameterized.TestCase):
  @parameterized.parameters(
    "",
    "module.",
    "_orig_mod.",
    "base_model.model.",
    "language_model.",
    "model.",
    "transformer.",
    "model.model.",
    "a.model.b.",
    "module._orig_mod.",
  )
  def test_a_prefix_of_all_is_taken_off(self, prefix):
    stored = {key: prefix + key for key in KEYS}
    self.assertEqual(_find(*stored.values(), "other.weight"), stored)

  @parameterized.parameters("", "module.", "model.language_model.", "llm.")
  def test_the_prefix_of_the_class_may_be_missing_below_it(self, prefix):
    stored = {key: prefix + key.removeprefix("model.") for key in KEYS}
    self.assertEqual(_find(*stored.values()), stored)

  @parameterized.parameters("", "model.", "model.language_")
  def test_the_head_may_lie_beside_the_body(self, parent):
    body = {
      key: "model.language_model." + key.removeprefix("model.")
      for key in KEYS[:3]
    }
    stored = body | {HEAD: parent.removesuffix("language_") + HEAD}
    self.assertEqual(_find(*stored.values()), stored)

  def test_each_tensor_by_itself_may_lack_the_prefix_of_the_class(self):
    stored = dict.fromkeys(KEYS) | {key: key for key in KEYS}
    stored[NORM] = "norm.weight"
    self.assertEqual(_find(*stored.values()), stored)

  @parameterized.parameters(
    "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"
  )
  def test_wrappers_within_names_are_taken_off(self, wrapper):
    name = f"model.layers.0.{wrapper}.mlp.{wrapper}.up_proj.weight"
    self.assertEqual(_find(EMBEDDING, NORM, name, HEAD)[MATRIX], name)
    with self.assertRaisesRegex(UserError, "stored once, got .*mlp.up_proj"):
      _find(*KEYS, name)

  def test_two_models_are_refused(self):
    names = [f"{prefix}.{key}" for prefix in ("ema", "raw") for key in KEYS]
    with self.assertRaisesRegex(UserError, r"each of \['ema.', 'raw.'\]"):
      _find(*names)

  def test_the_model_without_a_prefix_goes_before(self):
    found = _find(*KEYS, *(f"ema.{key}" for key in KEYS))
    self.assertEqual(found, {key: key for key in KEYS})

  def test_of_a_torn_model_those_under_its_prefix_are_found(self):
    found = _find(*(f"module.{key}" for key in KEYS if key != NORM))
    self.assertEqual(
      found, {key: f"module.{key}" for key in KEYS if key != NORM}
    )
    self.assertEqual(_find("a.weight", "b.weight"), {})
    self.assertEqual(_find(), {})

  @parameterized.parameters("", "module.")
  def test_what_stands_in_is_read_only_for_what_is_missing(self, prefix):
    keys, stand_ins = KEYS[:3], {EMBEDDING: HEAD}
    names = [prefix + key for key in KEYS]
    found = _find(*names, keys=keys, stand_ins=stand_ins)
    self.assertEqual(found[EMBEDDING], prefix + EMBEDDING)
    found = _find(*names[1:], keys=keys, stand_ins=stand_ins)
    self.assertEqual(found[EMBEDDING], prefix + HEAD)
