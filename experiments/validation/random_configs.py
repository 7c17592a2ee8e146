"""Random config.json files of every family, in old, new and odd spellings.

Models are tiny, and texts of `NUM_TOKENS` reach beyond their windows and the
lengths that their rotary positions are stretched from. Most files are ones that
transformers reads; some contradict themselves, or hold a value of a wrong type.
"""

import random
from collections.abc import Callable
from typing import Any

from experiments.validation import random_rope
from thickets.models.published_classes import PUBLISHED

NUM_TOKENS = 48
_PADS_BEYOND = ("smollm3",)  # Its pad token lies beyond a small vocabulary.
Fields = dict[str, Any]
Rule = Callable[[random.Random, Fields], None]


def draw_fields(family: str, seed: int, number: int) -> Fields:
  """Draws the contents of a config.json.

  Args:
    family: a key of `RULES`.
    seed: decides what is drawn, with `number`; the same on every machine.
    number: which of the configs of the seed.
  """
  rng = random.Random(f"{family}/{seed}/{number}")
  fields: Fields = {"model_type": family, "vocab_size": 61}
  if rng.random() < (0.95 if family in _PADS_BEYOND else 0.3):
    fields["pad_token_id"] = None
  for rule in RULES[family]:
    rule(rng, fields)
  _draw_ignored(rng, fields)
  if rng.random() < 0.07:
    _spoil(rng, fields)
  items = list(fields.items())
  rng.shuffle(items)  # The order of fields must not matter.
  return dict(items)


def maybe(rng: random.Random, fields: Fields, name: str, *values: Any) -> None:
  """Sets a field to one of the values, or leaves it out as often as to one."""
  choice = rng.randrange(len(values) + 1)
  if choice < len(values):
    fields[name] = values[choice]


def _draw_sizes(rng: random.Random, fields: Fields) -> None:
  heads = rng.choice((2, 4))
  fields |= {
    "hidden_size": 8 * heads,
    "intermediate_size": 24,
    "num_hidden_layers": rng.choice((2, 3, 5)),
    "num_attention_heads": heads,
    "max_position_embeddings": rng.choice((NUM_TOKENS, 64, 128)),
  }
  if rng.random() < 0.04:
    fields["hidden_size"] += 2  # No multiple of the heads.


def _draw_rotary(rng: random.Random, fields: Fields) -> None:
  heads = fields["num_attention_heads"]
  maybe(rng, fields, "head_dim", 8, 16, *([None] * (rng.random() < 0.15)))
  kv_heads = [1, heads // 2, heads, None]
  fields["num_key_value_heads"] = rng.choice(kv_heads)
  if rng.random() < 0.05:
    del fields["num_key_value_heads"]
  maybe(rng, fields, "rms_norm_eps", 1e-5, 1e-6, 1e-2)
  maybe(rng, fields, "tie_word_embeddings", True, False)
  maybe(rng, fields, "hidden_act", *_ACTIVATIONS)
  maybe(rng, fields, "attention_bias", True, False)
  maybe(rng, fields, "mlp_bias", True, False)


_ACTIVATIONS = (
  *("silu", "swish", "relu", "gelu", "gelu_new", "gelu_pytorch_tanh") * 3,
  *("gelu_fast", "gelu_python", "gelu_accurate", "quick_gelu") * 2,
  "relu2",
)


def _draw_slopes(rng: random.Random, fields: Fields) -> None:
  """Windows as Qwen's classes have them."""
  maybe(rng, fields, "use_sliding_window", True, True, False)
  maybe(rng, fields, "sliding_window", 5, 9, None)
  maybe(rng, fields, "max_window_layers", 0, 1, 2, 99)


def _draw_window(rng: random.Random, fields: Fields) -> None:
  maybe(rng, fields, "sliding_window", 5, 9, 9, 5, None)


def _draw_layer_types(rng: random.Random, fields: Fields) -> None:
  if rng.random() < 0.4:
    fields["layer_types"] = [
      rng.choice(("full_attention", "sliding_attention"))
      for _ in range(fields["num_hidden_layers"])
    ]
    if rng.random() < 0.85:
      fields |= {"sliding_window": 5, "use_sliding_window": True}
    if rng.random() < 0.06:
      fields["layer_types"][0] = rng.choice(("attention", "conv", "other"))
    if rng.random() < 0.03:
      fields["layer_types"].pop()
  elif rng.random() < 0.1:
    fields["layer_types"] = rng.choice((None, None, []))


def _draw_gpt2(rng: random.Random, fields: Fields) -> None:
  """Sizes in GPT-2's own names and in those of other classes."""
  sizes = {
    "n_embd": ("hidden_size", rng.choice((16, 32))),
    "n_layer": ("num_hidden_layers", rng.choice((2, 3))),
    "n_head": ("num_attention_heads", rng.choice((2, 4))),
    "n_positions": ("max_position_embeddings", rng.choice((NUM_TOKENS, 64))),
  }
  for name, (alias, value) in sizes.items():
    which = rng.random()
    if which < 0.8:
      fields[name] = value
    if which > 0.6:
      fields[alias] = value
    if rng.random() < 0.02:
      fields[alias] = 2 * value
  maybe(rng, fields, "n_ctx", 64, 1024)
  maybe(rng, fields, "n_inner", None, 24)
  maybe(rng, fields, "activation_function", *_ACTIVATIONS)
  maybe(rng, fields, "layer_norm_epsilon", 1e-5, 1e-3)
  maybe(rng, fields, "tie_word_embeddings", True, True, False)
  maybe(rng, fields, "reorder_and_upcast_attn", True, False)
  if rng.random() < 0.1:
    fields[rng.choice(("scale_attn_weights", "hidden_act"))] = rng.choice(
      (True, False, "relu")
    )
  maybe(rng, fields, "scale_attn_by_inverse_layer_idx", *[False] * 18, True)


def _draw_ignored(rng: random.Random, fields: Fields) -> None:
  """Fields that no class computes with, and a few that would change it."""
  for name, values in _IGNORED.items():
    if rng.random() < 0.12:
      fields[name] = rng.choice(values)
  if rng.random() < 0.04:
    fields["is_causal"] = rng.choice((True, True, False, None))
  if rng.random() < 0.01:
    fields["per_layer_config"] = {"0": {"rms_norm_eps": 0.5}}


_IGNORED: dict[str, tuple[Any, ...]] = {
  "attention_dropout": (0.0, 0.1),
  "pretraining_tp": (1, 2),
  "torch_dtype": ("bfloat16", "float32", None),
  "dtype": ("float32", "float16"),
  "use_cache": (True, False),
  "rope_interleaved": (False, True),
  "max_sequence_length": (2048,),
  "logit_scale": (0.5,),
  "pad_token_id": (0, 7, -1, 60, 61),
  "eos_token_id": (2, [1, 2], 99, None),
  "bos_token_id": (1, None),
  "transformers_version": ("4.37.0", "5.0.0"),
  "auto_map": ({"AutoConfig": "configuration_x.XConfig"},),
  "_attn_implementation": ("eager",),
  "num_labels": (3,),
  "pruned_heads": ({},),
  "initializer_range": (0.01,),
}


def _spoil(rng: random.Random, fields: Fields) -> None:
  """Gives a field another type or an odd value, or leaves it out."""
  published = PUBLISHED[fields["model_type"]]
  known = {**published.fields, **published.aliases, **published.unread}
  name = rng.choice(sorted(known.keys() - _TOO_LARGE_WITHOUT))
  if rng.random() < 0.3:
    fields.pop(name, None)
    return
  name = rng.choice(sorted(known.keys() & fields.keys()))
  value = fields[name]
  odd = [str(value), None, [value], True, 0, -1, {}]
  if isinstance(value, int):
    odd += [float(value), value + 0.5, -value]
  elif isinstance(value, float):
    odd += [int(value), -value, 1e3]
  fields[name] = rng.choice(odd)


# Fields whose default makes a model that is too large for a test.
_TOO_LARGE_WITHOUT = {"hidden_size", "num_hidden_layers", "n_embd"}


def _draw_granite(rng: random.Random, fields: Fields) -> None:
  maybe(rng, fields, "embedding_multiplier", 1, 6.0, 12)
  # With the class's 1, attention is sharp and rounding grows to 3e-4.
  maybe(rng, fields, "attention_multiplier", 0.0625, 0.125, 0.25, 1)
  maybe(rng, fields, "residual_multiplier", 0.25, 1.0)
  maybe(rng, fields, "logits_scaling", 1, 2.0, 8, 0.5, 0.125)


def _draw_smollm3(rng: random.Random, fields: Fields) -> None:
  num_layers = fields["num_hidden_layers"]
  turned = [rng.randrange(2) for _ in range(num_layers)]
  maybe(rng, fields, "no_rope_layers", turned, turned, None)
  maybe(rng, fields, "no_rope_layer_interval", 2, 3)


def _draw_gemma3(rng: random.Random, fields: Fields) -> None:
  # Beyond the defaults of the class, which are too wide for a test.
  fields["head_dim"] = rng.choice((8, 16))
  fields["num_key_value_heads"] = rng.choice((1, fields["num_attention_heads"]))
  maybe(rng, fields, "hidden_activation", *_ACTIVATIONS)
  maybe(rng, fields, "query_pre_attn_scalar", 8, 20)
  maybe(rng, fields, "sliding_window_pattern", 2, 3)
  maybe(rng, fields, "rope_local_base_freq", 10_000.0, 5000)
  maybe(rng, fields, "final_logit_softcapping", None, None, 5.0)
  maybe(rng, fields, "attn_logit_softcapping", *[None] * 9, 30.0)


def _draw_moe(rng: random.Random, fields: Fields) -> None:
  experts = rng.choice((4, 8))
  fields[rng.choice(("num_experts", "num_local_experts"))] = experts
  fields["num_experts_per_tok"] = rng.choice((1, 2))
  fields["moe_intermediate_size"] = 24
  maybe(rng, fields, "norm_topk_prob", True, False)
  maybe(rng, fields, "mlp_only_layers", [], [], None, [0])
  maybe(rng, fields, "decoder_sparse_step", 1, 1, 2)


_ROTARY: tuple[Rule, ...] = (_draw_sizes, _draw_rotary)
RULES: dict[str, tuple[Rule, ...]] = {
  "gemma3_text": (
    *_ROTARY,
    _draw_window,
    _draw_layer_types,
    _draw_gemma3,
    random_rope.draw_by_type,
  ),
  "gpt2": (_draw_gpt2,),
  "granite": (*_ROTARY, _draw_granite, random_rope.draw_shared),
  "llama": (*_ROTARY, _draw_window, _draw_layer_types, random_rope.draw_shared),
  "mistral": (*_ROTARY, _draw_window, random_rope.draw_shared),
  "olmo2": (*_ROTARY, _draw_layer_types, random_rope.draw_shared),
  "olmo3": (
    *_ROTARY,
    _draw_window,
    _draw_layer_types,
    random_rope.draw_by_type,
  ),
  "qwen2": (*_ROTARY, _draw_slopes, _draw_layer_types, random_rope.draw_shared),
  "qwen3": (*_ROTARY, _draw_slopes, _draw_layer_types, random_rope.draw_shared),
  "qwen3_moe": (*_ROTARY, _draw_slopes, _draw_moe, random_rope.draw_shared),
  "smollm3": (
    *_ROTARY,
    _draw_slopes,
    _draw_smollm3,
    _draw_layer_types,
    random_rope.draw_shared,
  ),
}
