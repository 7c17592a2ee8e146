"""Tests of what is said of architectures that do not load."""

from absl.testing import parameterized

from thickets.errors import UserError
from thickets.models import families, unsupported


class ExplainTest(parameterized.TestCase):
  @parameterized.parameters(
    ("gemma2", "needs a cap of attention scores.*family is gemma3_text"),
    ("qwen3_next", "needs layers with a recurrent state.*is qwen3_moe"),
    ("mamba", r"needs state-space layers, which the package does not have\.$"),
    ("qwen-2", "nearest name is qwen2"),
    ("bert", r"in both directions, which the package does not have\.$"),
    ("exaone4", "within each head, and layers without .* family is olmo3"),
    ("rwkv", "got 'rwkv'. Other architectures are not supported"),
    (None, "got None. Other architectures"),
  )
  def test_the_nearest_family_and_what_it_lacks(self, model_type, message):
    with self.assertRaisesRegex(UserError, message):
      families.parse_config({"model_type": model_type})

  def test_what_is_missing_is_missing_and_nearest_is_there(self):
    for model_type, (nearest, _) in unsupported._MISSING.items():
      self.assertNotIn(model_type, families.FAMILIES)
      self.assertIn(nearest, {None, *families.FAMILIES})
    for name in unsupported._GGUF_NAMES.values():
      self.assertIn(name, unsupported._MISSING)
