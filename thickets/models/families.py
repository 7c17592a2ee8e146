"""The families of models that load, and how the config.json of each is read.

References: Qwen2.5 (arXiv:2412.15115), Qwen3 (arXiv:2505.09388), Llama 3
(arXiv:2407.21783), OLMo 2 (arXiv:2501.00656), OLMo 3 (arXiv:2512.13961), GPT-2
(Radford et al., 2019).
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from thickets.errors import UserError
from thickets.models import rope
from thickets.models.config import LayerKind, TransformerConfig


def parse_config(fields: Mapping[str, Any]) -> TransformerConfig:
  """Reads the contents of a config.json.

  Args:
    fields: its fields, as any version of `transformers` writes them.

  Raises:
    UserError: if the architecture, or a feature that the config asks for, is
      not supported, or a field is missing.
  """
  family = fields.get("model_type")
  if family not in FAMILIES:
    raise UserError(
      f"model_type must be one of {sorted(FAMILIES)}, got {family!r}. Other"
      " architectures are not supported."
    )
  if "quantization_config" in fields:
    raise UserError(
      "A model must have plain weights, got a quantization_config. Load the"
      " model that it was quantised from."
    )
  try:
    return FAMILIES[family].parse(fields)
  except KeyError as error:
    raise UserError(
      f"config.json of a {family} model must have {error.args[0]!r}."
    ) from error


def _parse_rotary(
  fields: Mapping[str, Any], **features: Any
) -> TransformerConfig:
  """The parts that all families with rotary positions share."""
  num_heads = fields["num_attention_heads"]
  head_dim = fields.get("head_dim") or fields["hidden_size"] // num_heads
  kinds, layer_kinds = _layer_kinds(fields, head_dim)
  return TransformerConfig(
    family=fields["model_type"],
    vocab_size=fields["vocab_size"],
    width=fields["hidden_size"],
    mlp_width=fields["intermediate_size"],
    num_layers=fields["num_hidden_layers"],
    num_heads=num_heads,
    num_kv_heads=fields.get("num_key_value_heads") or num_heads,
    head_dim=head_dim,
    context=fields["max_position_embeddings"],
    norm_eps=fields["rms_norm_eps"],
    kinds=kinds,
    layer_kinds=layer_kinds,
    activation=fields.get("hidden_act", "silu"),
    is_tied=fields.get("tie_word_embeddings", False),
    init_std=fields.get("initializer_range", 0.02),
    **features,
  )


def _layer_kinds(
  fields: Mapping[str, Any], head_dim: int
) -> tuple[tuple[LayerKind, ...], tuple[int, ...]]:
  """The distinct kinds of layers, and which layer is of which."""
  types = _layer_types(fields)
  window = fields.get("sliding_window")
  by_type = {}
  for name in dict.fromkeys(types):
    if name not in ("full_attention", "sliding_attention"):
      raise UserError(
        "layer_types must be full_attention or sliding_attention, got"
        f" {name!r}."
      )
    if name == "sliding_attention" and not window:
      raise UserError("sliding_window must be set for sliding_attention.")
    by_type[name] = LayerKind(
      rope.parse_rope(fields, head_dim, layer_type=name),
      window if name == "sliding_attention" else None,
    )
  kinds = tuple(dict.fromkeys(by_type.values()))
  return kinds, tuple(kinds.index(by_type[name]) for name in types)


def _layer_types(fields: Mapping[str, Any]) -> Sequence[str]:
  """The type of each layer, as config.json or the published class says."""
  num_layers = fields["num_hidden_layers"]
  if fields.get("layer_types"):
    return fields["layer_types"]
  if fields["model_type"] == "olmo3":  # Every fourth layer sees everything.
    return [
      "full_attention" if layer % 4 == 3 else "sliding_attention"
      for layer in range(num_layers)
    ]
  first = num_layers
  if fields.get("use_sliding_window") and fields.get("sliding_window"):
    first = fields.get("max_window_layers", 28)  # As the published classes.
  return [
    "sliding_attention" if layer >= first else "full_attention"
    for layer in range(num_layers)
  ]


def _parse_llama(fields: Mapping[str, Any]) -> TransformerConfig:
  return _parse_rotary(
    fields,
    has_qkv_bias=fields.get("attention_bias", False),
    has_output_bias=fields.get("attention_bias", False),
    has_mlp_bias=fields.get("mlp_bias", False),
  )


def _parse_qwen2(fields: Mapping[str, Any]) -> TransformerConfig:
  return _parse_rotary(fields, has_qkv_bias=True)


def _parse_qwen3(fields: Mapping[str, Any]) -> TransformerConfig:
  # Its published class has a head_dim of its own, 128 unless the file says.
  fields = {"head_dim": 128, **fields}
  return _parse_rotary(
    fields,
    qk_norm="head",
    has_qkv_bias=fields.get("attention_bias", False),
    has_output_bias=fields.get("attention_bias", False),
  )


def _parse_olmo(fields: Mapping[str, Any]) -> TransformerConfig:
  return _parse_rotary(
    fields,
    qk_norm="all",
    has_post_norm=True,
    has_qkv_bias=fields.get("attention_bias", False),
    has_output_bias=fields.get("attention_bias", False),
  )


def _parse_gpt2(fields: Mapping[str, Any]) -> TransformerConfig:
  for name, plain in {
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "add_cross_attention": False,
  }.items():
    if fields.get(name, plain) != plain:
      raise UserError(f"{name} must be {plain} for gpt2, got {fields[name]}.")
  width, num_heads = fields["n_embd"], fields["n_head"]
  return TransformerConfig(
    family="gpt2",
    vocab_size=fields["vocab_size"],
    width=width,
    mlp_width=fields.get("n_inner") or 4 * width,
    num_layers=fields["n_layer"],
    num_heads=num_heads,
    num_kv_heads=num_heads,
    head_dim=width // num_heads,
    context=fields["n_positions"],
    norm_eps=fields.get("layer_norm_epsilon", 1e-5),
    kinds=(LayerKind(None),),
    layer_kinds=(0,) * fields["n_layer"],
    activation=fields.get("activation_function", "gelu_new"),
    is_tied=fields.get("tie_word_embeddings", True),
    has_layer_norm=True,
    has_gate=False,
    has_qkv_bias=True,
    has_output_bias=True,
    has_mlp_bias=True,
    has_position_table=True,
    init_std=fields.get("initializer_range", 0.02),
  )


@dataclasses.dataclass(frozen=True)
class Family:
  """Models of one `model_type`.

  Attributes:
    parse: reads their config.json.
    architecture: the class of `transformers` that they are published for.
  """

  parse: Callable[[Mapping[str, Any]], TransformerConfig]
  architecture: str


FAMILIES = {
  "gpt2": Family(_parse_gpt2, "GPT2LMHeadModel"),
  "llama": Family(_parse_llama, "LlamaForCausalLM"),
  "olmo2": Family(_parse_olmo, "Olmo2ForCausalLM"),
  "olmo3": Family(_parse_olmo, "Olmo3ForCausalLM"),
  "qwen2": Family(_parse_qwen2, "Qwen2ForCausalLM"),
  "qwen3": Family(_parse_qwen3, "Qwen3ForCausalLM"),
}
