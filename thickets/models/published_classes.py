"""What the configuration class of each family reads in a config.json.

One entry for each family, as the classes of transformers 5 have it: names,
types, and what a field is where config.json does not have it. A field that is not
listed does not change what the class computes, and is not read here either.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from thickets.models import layer_types
from thickets.models.layer_types import FULL, SLIDING, LayerRule

REQUIRED = object()  # The default of a field that config.json must have.


@dataclasses.dataclass(frozen=True)
class Field:
  """One field of a config.json.

  Attributes:
    kind: what its values are: "size" (an integer from 1 on), "count" (an integer
      from 0 on), "number", "flag", "text" or "list".
    default: its value where config.json does not have it.
    may_be_null: whether null is a value too.
  """

  kind: str
  default: Any = REQUIRED
  may_be_null: bool = False


def _nothing() -> Any:
  return dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class PublishedClass:
  """The configuration class that a family is published for.

  Attributes:
    fields: the fields that decide what is computed.
    aliases: other spellings of fields, by spelling.
    neutral: fields with the values that do not change what is computed; others
      are refused.
    thetas: `rope_theta` by type of layer where config.json does not say; one entry
      under "" where all layers turn alike, none without rotary positions.
    theta_fields: the field outside `rope_parameters` that gives a type's theta.
    divides_width: whether hidden_size must be a multiple of the heads even where
      head_dim is given.
    layer_rule: which layers slide where `layer_types` does not say.
    reads_layer_types: whether the class reads `layer_types`.
  """

  fields: Mapping[str, Field]
  aliases: Mapping[str, str] = _nothing()
  neutral: Mapping[str, tuple[Any, ...]] = _nothing()
  thetas: Mapping[str, float] = _nothing()
  theta_fields: Mapping[str, str] = _nothing()
  divides_width: bool = False
  layer_rule: LayerRule = layer_types.all_full
  reads_layer_types: bool = False


def _rotary(eps: float = 1e-6, context: int = 2048, **fields: Field):
  """The fields that all classes with rotary positions share, and others."""
  return {
    "vocab_size": Field("size"),
    "hidden_size": Field("size"),
    "intermediate_size": Field("size"),
    "num_hidden_layers": Field("size"),
    "num_attention_heads": Field("size"),
    "num_key_value_heads": Field("size", None, may_be_null=True),
    "head_dim": Field("size", None),
    "hidden_act": Field("text", "silu"),
    "max_position_embeddings": Field("size", context),
    "initializer_range": Field("number", 0.02),
    "rms_norm_eps": Field("number", eps),
    "tie_word_embeddings": Field("flag", False),
    **fields,
  }


_BIAS = Field("flag", False)
_WINDOW = Field("size", 4096, may_be_null=True)
_LAYER_TYPES = Field("list", None, may_be_null=True)
_HEAD_DIM_OR_NULL = Field("size", None, may_be_null=True)
_ONE_THETA = {"": 10_000.0}
_QWEN2 = _rotary(
  context=32768,
  num_key_value_heads=Field("size", 32, may_be_null=True),
  use_sliding_window=Field("flag", False),
  sliding_window=_WINDOW,
  max_window_layers=Field("count", 28),
  layer_types=_LAYER_TYPES,
)
_OLMO2 = _rotary(eps=1e-5, attention_bias=_BIAS)

_ONE = Field("number", 1.0)
_MOE = {
  "moe_intermediate_size": Field("size", 768),
  "num_experts": Field("count", 128),
  "num_experts_per_tok": Field("size", 8),
  "decoder_sparse_step": Field("size", 1),
  "norm_topk_prob": Field("flag", False),
  "mlp_only_layers": Field("list", None, may_be_null=True),
}

PUBLISHED = {
  "gemma3_text": PublishedClass(
    _rotary(
      context=131_072,
      num_key_value_heads=Field("size", 4),
      head_dim=Field("size", 256),
      hidden_activation=Field("text", "gelu_pytorch_tanh"),
      tie_word_embeddings=Field("flag", True),
      attention_bias=_BIAS,
      query_pre_attn_scalar=Field("size", 256),
      sliding_window=_WINDOW,
      sliding_window_pattern=Field("size", 6),
      layer_types=_LAYER_TYPES,
      final_logit_softcapping=Field("number", None, may_be_null=True),
    ),
    neutral={
      "use_bidirectional_attention": (False, None),
      # The class has it and does nothing with it.
      "attn_logit_softcapping": (None,),
    },
    thetas={FULL: 1_000_000.0, SLIDING: 10_000.0},
    theta_fields={FULL: "rope_theta", SLIDING: "rope_local_base_freq"},
    divides_width=True,
    layer_rule=layer_types.every_nth_full,
    reads_layer_types=True,
  ),
  "gpt2": PublishedClass(
    {
      "vocab_size": Field("size"),
      "n_embd": Field("size"),
      "n_layer": Field("size"),
      "n_head": Field("size"),
      "n_positions": Field("size"),
      "n_inner": Field("size", None, may_be_null=True),
      "activation_function": Field("text", "gelu_new"),
      "layer_norm_epsilon": Field("number", 1e-5),
      "initializer_range": Field("number", 0.02),
      "tie_word_embeddings": Field("flag", True),
    },
    aliases={
      "hidden_size": "n_embd",
      "num_hidden_layers": "n_layer",
      "num_attention_heads": "n_head",
      "max_position_embeddings": "n_positions",
    },
    neutral={
      "scale_attn_weights": (True,),
      "scale_attn_by_inverse_layer_idx": (False,),
      "add_cross_attention": (False,),
    },
    divides_width=True,
  ),
  "granite": PublishedClass(
    _rotary(
      attention_bias=_BIAS,
      mlp_bias=_BIAS,
      embedding_multiplier=_ONE,
      attention_multiplier=_ONE,
      residual_multiplier=_ONE,
      logits_scaling=_ONE,
    ),
    thetas=_ONE_THETA,
  ),
  "llama": PublishedClass(
    _rotary(head_dim=_HEAD_DIM_OR_NULL, attention_bias=_BIAS, mlp_bias=_BIAS),
    thetas=_ONE_THETA,
    divides_width=True,
  ),
  "mistral": PublishedClass(
    _rotary(
      context=131_072,
      num_key_value_heads=Field("size", 8),
      head_dim=_HEAD_DIM_OR_NULL,
      sliding_window=_WINDOW,
    ),
    thetas=_ONE_THETA,
    layer_rule=layer_types.all_sliding,
  ),
  "olmo2": PublishedClass(_OLMO2, thetas=_ONE_THETA),
  "olmo3": PublishedClass(
    {**_OLMO2, "sliding_window": _WINDOW, "layer_types": _LAYER_TYPES},
    thetas={FULL: 500_000.0, SLIDING: 500_000.0},
    # It reaches full attention alone: see `rope_fields`.
    theta_fields={FULL: "rope_theta"},
    layer_rule=layer_types.every_fourth_full,
    reads_layer_types=True,
  ),
  "qwen2": PublishedClass(
    _QWEN2,
    thetas=_ONE_THETA,
    layer_rule=layer_types.slide_from_a_layer_on,
    reads_layer_types=True,
  ),
  "qwen3": PublishedClass(
    {**_QWEN2, "head_dim": Field("size", 128), "attention_bias": _BIAS},
    thetas=_ONE_THETA,
    layer_rule=layer_types.slide_from_a_layer_on,
    reads_layer_types=True,
  ),
  "qwen3_moe": PublishedClass(
    {
      **_rotary(
        context=32768,
        num_key_value_heads=Field("size", 4),
        attention_bias=_BIAS,
        use_sliding_window=Field("flag", False),
        sliding_window=_WINDOW,
      ),
      **_MOE,
    },
    aliases={"num_local_experts": "num_experts"},
    thetas=_ONE_THETA,
    layer_rule=layer_types.all_sliding,
  ),
  "smollm3": PublishedClass(
    _rotary(
      context=32768,
      num_key_value_heads=Field("size", 4, may_be_null=True),
      attention_bias=_BIAS,
      mlp_bias=_BIAS,
      tie_word_embeddings=Field("flag", True),
      use_sliding_window=Field("flag", False),
      sliding_window=Field("size", None, may_be_null=True),
      no_rope_layers=Field("list", None, may_be_null=True),
      no_rope_layer_interval=Field("size", 4),
      layer_types=_LAYER_TYPES,
    ),
    thetas={"": 2_000_000.0},
    layer_rule=layer_types.slide_where_unturned,
    reads_layer_types=True,
  ),
}

# Whatever the class: these change what any of them computes.
NEUTRAL = {
  "is_causal": (True,),
  "per_layer_config": (None, {}),
}
