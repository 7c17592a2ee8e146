"""What the configuration class of each family reads in a config.json.

One entry for each family, as the classes of transformers 5 have it: names,
types, and what a field is where config.json does not have it. A field that is not
listed does not change what the class computes, and is not read here either; of
those in `unread` the type is checked, as the class does.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from thickets.models import layer_types
from thickets.models.layer_types import FULL, SLIDING, LayerRule


@dataclasses.dataclass(frozen=True)
class Field:
  """One field of a config.json.

  Attributes:
    kind: what its values are, a key of `config_fields.KINDS`.
    default: its value where config.json does not have it.
    may_be_null: whether null is a value too.
    is_required: whether config.json must have it, since the default of the class
      is that of another model.
  """

  kind: str
  default: Any = None
  may_be_null: bool = False
  is_required: bool = False


def _nothing() -> Any:
  return dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class PublishedClass:
  """The configuration class that a family is published for.

  Attributes:
    fields: the fields that decide what is computed.
    unread: fields that do not change what is computed, but whose type the class
      checks.
    aliases: other spellings of fields, by spelling.
    neutral: fields with the values that do not change what is computed; others
      are refused.
    thetas: `rope_theta` by type of layer where config.json does not say, None where
      it must; one entry under "" where all layers turn alike, none without rotary
      positions.
    theta_fields: the field outside `rope_parameters` that gives a type's theta.
    divides_width: whether hidden_size must be a multiple of the heads even where
      head_dim is given.
    layer_rule: which layers slide where `layer_types` does not say.
    reads_layer_types: whether the class reads `layer_types`.
  """

  fields: Mapping[str, Field]
  unread: Mapping[str, Field]
  aliases: Mapping[str, str] = _nothing()
  neutral: Mapping[str, tuple[Any, ...]] = _nothing()
  thetas: Mapping[str, float | None] = _nothing()
  theta_fields: Mapping[str, str] = _nothing()
  divides_width: bool = False
  layer_rule: LayerRule = layer_types.all_full
  reads_layer_types: bool = False


def _rotary(
  vocab_size: int = 32000,
  hidden_size: int = 4096,
  intermediate_size: int = 11008,
  num_hidden_layers: int = 32,
  num_attention_heads: int = 32,
  context: int = 2048,
  **fields: Field,
) -> dict[str, Field]:
  """The fields that all classes with rotary positions share, and others."""
  return {
    "vocab_size": Field("size", vocab_size),
    "hidden_size": Field("size", hidden_size),
    "intermediate_size": Field("size", intermediate_size),
    "num_hidden_layers": Field("depth", num_hidden_layers),
    "num_attention_heads": Field("size", num_attention_heads),
    "num_key_value_heads": Field("size", None, may_be_null=True),
    "head_dim": Field("size", None),
    "hidden_act": Field("text", "silu"),
    "max_position_embeddings": Field("size", context),
    "initializer_range": Field("number", 0.02),
    "rms_norm_eps": Field("amount", 1e-6),
    "tie_word_embeddings": Field("flag", False),
    **fields,
  }


def _unread(pad: int | None = None, **fields: Field) -> dict[str, Field]:
  """What all classes have but do not compute with, and what some have."""
  return {
    "pad_token_id": Field("integer", pad, may_be_null=True),
    "bos_token_id": Field("integer", None, may_be_null=True),
    "eos_token_id": Field("ids", None, may_be_null=True),
    "use_cache": Field("flag", True),
    "output_hidden_states": Field("flag", False, may_be_null=True),
    "return_dict": Field("flag", True, may_be_null=True),
    "is_encoder_decoder": Field("flag", False),
    "chunk_size_feed_forward": Field("integer", 0),
    "architectures": Field("list", None, may_be_null=True),
    "transformers_version": Field("text", None, may_be_null=True),
    **fields,
  }


_BIAS = Field("flag", False)
_WINDOW = Field("size", 4096, may_be_null=True)
_LAYER_TYPES = Field("list", None, may_be_null=True)
_HEAD_DIM_OR_NULL = Field("size", None, may_be_null=True)
_ONE_THETA = {"": 10_000.0}
_ROTARY_UNREAD = _unread(attention_dropout=Field("number", 0.0))
_DROPOUT_OR_NULL = Field("number", 0.0, may_be_null=True)
_QWEN2 = _rotary(
  151_936,
  intermediate_size=22016,
  context=32768,
  num_key_value_heads=Field("size", 32, may_be_null=True),
  use_sliding_window=Field("flag", False),
  sliding_window=_WINDOW,
  max_window_layers=Field("count", 28),
  layer_types=_LAYER_TYPES,
)
_OLMO2 = _rotary(
  50304, rms_norm_eps=Field("amount", 1e-5), attention_bias=_BIAS
)
_OLMO_UNREAD = _unread(1, attention_dropout=Field("number", 0.0))

_ONE = Field("number", 1.0)
_MOE = {
  "moe_intermediate_size": Field("size", 768),
  "num_experts": Field("count", 128),
  "num_experts_per_tok": Field("size", 8),
  "decoder_sparse_step": Field("size", 1),
  "norm_topk_prob": Field("flag", False),
  "mlp_only_layers": Field("integers", None, may_be_null=True),
}

_GEMMA3 = _rotary(
  262_208,
  2304,
  9216,
  26,
  8,
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
  final_logit_softcapping=Field("divisor", None, may_be_null=True),
)
del _GEMMA3["hidden_act"]  # Its class has another name for it.

_SIZES = (  # Whose defaults in the classes of vision-language models are another's.
  "vocab_size",
  "hidden_size",
  "intermediate_size",
  "num_hidden_layers",
  "num_attention_heads",
  "num_key_value_heads",
  "max_position_embeddings",
  "rms_norm_eps",
  "tie_word_embeddings",
)
_VISION = {
  name: dataclasses.replace(
    field, is_required=name in _SIZES, may_be_null=False
  )
  for name, field in _rotary().items()
} | {"mrope_section": Field("integers", None, may_be_null=True)}
_ONE_WINDOW = {"use_sliding_window": (False, None)}

PUBLISHED = {
  "gemma3_text": PublishedClass(
    _GEMMA3,
    _unread(0, attention_dropout=_DROPOUT_OR_NULL),
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
      "vocab_size": Field("size", 50257),
      "n_embd": Field("size", 768),
      "n_layer": Field("depth", 12),
      "n_head": Field("size", 12),
      "n_positions": Field("size", 1024),
      "n_inner": Field("size", None, may_be_null=True),
      "activation_function": Field("text", "gelu_new"),
      "layer_norm_epsilon": Field("amount", 1e-5),
      "initializer_range": Field("number", 0.02),
      "tie_word_embeddings": Field("flag", True),
    },
    _unread(
      resid_pdrop=Field("number", 0.1),
      embd_pdrop=Field("number", 0.1),
      attn_pdrop=Field("number", 0.1),
      reorder_and_upcast_attn=Field("flag", False),
    ),
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
      logits_scaling=Field("divisor", 1.0),
    ),
    _ROTARY_UNREAD,
    thetas=_ONE_THETA,
  ),
  "llama": PublishedClass(
    _rotary(
      head_dim=_HEAD_DIM_OR_NULL,
      attention_bias=_BIAS,
      mlp_bias=_BIAS,
      initializer_range=Field("share", 0.02),
    ),
    _unread(
      attention_dropout=_DROPOUT_OR_NULL,
      pretraining_tp=Field("integer", 1, may_be_null=True),
    ),
    thetas=_ONE_THETA,
    divides_width=True,
  ),
  "mistral": PublishedClass(
    _rotary(
      intermediate_size=14336,
      context=131_072,
      num_key_value_heads=Field("size", 8),
      head_dim=_HEAD_DIM_OR_NULL,
      sliding_window=_WINDOW,
    ),
    _ROTARY_UNREAD,
    thetas=_ONE_THETA,
    layer_rule=layer_types.all_sliding,
  ),
  "olmo2": PublishedClass(_OLMO2, _OLMO_UNREAD, thetas=_ONE_THETA),
  "olmo3": PublishedClass(
    {**_OLMO2, "sliding_window": _WINDOW, "layer_types": _LAYER_TYPES},
    _OLMO_UNREAD,
    thetas={FULL: 500_000.0, SLIDING: 500_000.0},
    # It reaches full attention alone: see `rope_fields`.
    theta_fields={FULL: "rope_theta"},
    layer_rule=layer_types.every_fourth_full,
    reads_layer_types=True,
  ),
  "qwen2": PublishedClass(
    _QWEN2,
    _ROTARY_UNREAD,
    thetas=_ONE_THETA,
    layer_rule=layer_types.slide_from_a_layer_on,
    reads_layer_types=True,
  ),
  "qwen2_5_vl": PublishedClass(
    {
      **_VISION,
      "head_dim": _HEAD_DIM_OR_NULL,
      "sliding_window": _WINDOW,
      "layer_types": _LAYER_TYPES,
    },
    _ROTARY_UNREAD,
    neutral=_ONE_WINDOW,
    thetas={"": None},
    divides_width=True,
    reads_layer_types=True,
  ),
  "qwen3": PublishedClass(
    {**_QWEN2, "head_dim": Field("size", 128), "attention_bias": _BIAS},
    _ROTARY_UNREAD,
    thetas=_ONE_THETA,
    layer_rule=layer_types.slide_from_a_layer_on,
    reads_layer_types=True,
  ),
  "qwen3_moe": PublishedClass(
    {
      **_rotary(
        151_936,
        2048,
        6144,
        24,
        context=32768,
        num_key_value_heads=Field("size", 4),
        attention_bias=_BIAS,
        use_sliding_window=Field("flag", False),
        sliding_window=_WINDOW,
      ),
      **_MOE,
    },
    _unread(
      attention_dropout=Field("number", 0.0),
      output_router_logits=Field("flag", False),
      router_aux_loss_coef=Field("number", 0.001),
    ),
    aliases={"num_local_experts": "num_experts"},
    thetas=_ONE_THETA,
    layer_rule=layer_types.all_sliding,
  ),
  "qwen3_vl": PublishedClass(
    {
      **_VISION,
      "head_dim": Field("size", is_required=True),
      "attention_bias": _BIAS,
    },
    _ROTARY_UNREAD,
    neutral=_ONE_WINDOW,
    thetas={"": None},
  ),
  "smollm3": PublishedClass(
    _rotary(
      128_256,
      2048,
      num_hidden_layers=36,
      num_attention_heads=16,
      context=32768,
      num_key_value_heads=Field("size", 4, may_be_null=True),
      attention_bias=_BIAS,
      mlp_bias=_BIAS,
      tie_word_embeddings=Field("flag", True),
      use_sliding_window=Field("flag", False),
      sliding_window=Field("size", None, may_be_null=True),
      no_rope_layers=Field("integers", None, may_be_null=True),
      no_rope_layer_interval=Field("size", 4),
      layer_types=_LAYER_TYPES,
    ),
    _unread(128_004, attention_dropout=Field("number", 0.0)),
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
