"""The config.json of published models, as the classes of transformers read them.

`golden/published_configs.json` has 21 of them as they were published, or as a version
of transformers or a finetuning tool has written them anew. The other eight were
found only in part, and completed.
"""

import json
import pathlib
import tempfile

import pytest
from absl.testing import parameterized

from thickets.models import config_fields, families
from thickets.models.layer_types import FULL, SLIDING
from thickets.models.vision import fields as vision_fields

_PATH = pathlib.Path(__file__).parents[1] / "golden/published_configs.json"
CONFIGS = json.loads(_PATH.read_text(encoding="utf-8"))
_SAME_NAMES = (
  "vocab_size",
  "intermediate_size",
  "max_position_embeddings",
  "num_key_value_heads",
  "rms_norm_eps",
  "layer_norm_epsilon",
  "tie_word_embeddings",
  "hidden_act",
  "hidden_activation",
  "activation_function",
  "query_pre_attn_scalar",
  "embedding_multiplier",
  "attention_multiplier",
  "residual_multiplier",
  "logits_scaling",
  "num_experts",
  "num_experts_per_tok",
  "norm_topk_prob",
  "n_inner",
)


def _read_theirs(fields):
  import transformers

  with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / "config.json"
    path.write_text(json.dumps(fields), encoding="utf-8")
    return transformers.AutoConfig.from_pretrained(folder)


def _their_windows(theirs):
  """The window of each layer as their layers have it."""
  window = getattr(theirs, "sliding_window", None)
  if theirs.model_type in ("mistral", "qwen3_moe"):
    return [window] * theirs.num_hidden_layers
  types = getattr(theirs, "layer_types", None)
  if types is None:
    return [None] * theirs.num_hidden_layers
  return [window if name == SLIDING else None for name in types]


class PublishedConfigsTest(parameterized.TestCase):
  def test_every_family_is_there(self):
    found = {fields["model_type"] for fields in CONFIGS.values()}
    known = set(families.FAMILIES) - set(vision_fields.FAMILIES)
    self.assertEqual(found, known)

  @parameterized.named_parameters(
    (name, fields) for name, fields in CONFIGS.items()
  )
  @pytest.mark.slow
  def test_fields_are_read_as_by_transformers(self, fields):
    theirs = _read_theirs(fields)
    config = families.parse_config(fields)
    read = config_fields.read_fields(fields)
    for name in _SAME_NAMES:
      if name in read and hasattr(theirs, name):
        self.assertEqual(read[name], getattr(theirs, name), name)
    self.assertEqual(
      (config.width, config.num_layers, config.num_heads),
      (
        theirs.hidden_size,
        theirs.num_hidden_layers,
        theirs.num_attention_heads,
      ),
    )
    default = theirs.hidden_size // theirs.num_attention_heads
    head_dim = getattr(theirs, "head_dim", None) or default
    self.assertEqual(config.head_dim, head_dim)
    self.assertEqual(
      [config.kinds[kind].window for kind in config.layer_kinds],
      _their_windows(theirs),
    )
    for layer_type, ours in read.get("rope_parameters", {}).items():
      whole = theirs.rope_parameters
      self.assertIn(layer_type, (FULL, SLIDING))
      for name, value in ours.items():
        if value is not None and name != "truncate":
          self.assertEqual(whole.get(layer_type, whole)[name], value, name)
