"""The families of models that load, and how the config.json of each is read.

References: Qwen2.5 (arXiv:2412.15115), Qwen3 (arXiv:2505.09388), Llama 3
(arXiv:2407.21783), OLMo 2 (arXiv:2501.00656), OLMo 3 (arXiv:2512.13961), GPT-2
(Radford et al., 2019), Mistral (arXiv:2310.06825), Gemma 3 (arXiv:2503.19786),
SmolLM3 and Granite 3 (no papers; their classes in `transformers`).
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from thickets.errors import UserError
from thickets.models import rope, weight_formats
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
  weight_formats.check_fields(fields)
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
    norm_places="after",
    has_qkv_bias=fields.get("attention_bias", False),
    has_output_bias=fields.get("attention_bias", False),
  )


def _parse_mistral(fields: Mapping[str, Any]) -> TransformerConfig:
  fields = {"num_key_value_heads": 8, "sliding_window": 4096, **fields}
  window = fields["sliding_window"]
  # All layers are of one type, whatever layer_types says.
  name = "full_attention" if window is None else "sliding_attention"
  return _parse_rotary(
    fields | {"layer_types": [name] * fields["num_hidden_layers"]}
  )


def _parse_smollm3(fields: Mapping[str, Any]) -> TransformerConfig:
  fields = _fill(
    fields,
    rope_theta=2_000_000.0,
    tie_word_embeddings=True,
    no_rope_layer_interval=4,
  )
  num_layers = fields["num_hidden_layers"]
  is_turned = fields.get("no_rope_layers")  # Ones where they are turned.
  if is_turned is None:
    interval = fields["no_rope_layer_interval"]
    is_turned = [(layer + 1) % interval != 0 for layer in range(num_layers)]
  if len(is_turned) < num_layers:
    raise UserError(
      f"no_rope_layers must have num_hidden_layers={num_layers} entries, got"
      f" {len(is_turned)}."
    )
  if fields.get("layer_types") is None:
    has_window = fields.get("use_sliding_window") and fields["sliding_window"]
    fields["layer_types"] = [
      "sliding_attention" if has_window and not turned else "full_attention"
      for turned in is_turned[:num_layers]
    ]
  config = _parse_llama(fields)
  layers = [
    config.kinds[kind] if turned else LayerKind(None, config.kinds[kind].window)
    for kind, turned in zip(config.layer_kinds, is_turned, strict=False)
  ]
  kinds = tuple(dict.fromkeys(layers))
  return dataclasses.replace(
    config, kinds=kinds, layer_kinds=tuple(map(kinds.index, layers))
  )


def _parse_granite(fields: Mapping[str, Any]) -> TransformerConfig:
  return dataclasses.replace(
    _parse_llama(fields),
    embedding_multiplier=fields.get("embedding_multiplier", 1.0),
    query_multiplier=fields.get("attention_multiplier", 1.0),
    residual_multiplier=fields.get("residual_multiplier", 1.0),
    logits_divisor=fields.get("logits_scaling", 1.0),
  )


def _parse_gemma3(fields: Mapping[str, Any]) -> TransformerConfig:
  # Published configs lack what is as in the published class.
  fields = {
    "num_key_value_heads": 4,
    "head_dim": 256,
    "hidden_activation": "gelu_pytorch_tanh",
    "max_position_embeddings": 131_072,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": True,
    "query_pre_attn_scalar": 256,
    "sliding_window": 4096,
    "sliding_window_pattern": 6,
    **fields,
  }
  for name in ("use_bidirectional_attention", "attn_logit_softcapping"):
    # The second is in the published class, which does nothing with it.
    if fields.get(name):
      raise UserError(
        f"{name} must not be set for gemma3_text, got {fields[name]}. It is not"
        " supported."
      )
  if fields.get("layer_types") is None:
    fields["layer_types"] = [
      "sliding_attention"
      if (layer + 1) % fields["sliding_window_pattern"]
      else "full_attention"
      for layer in range(fields["num_hidden_layers"])
    ]
  fields["hidden_act"] = fields["hidden_activation"]
  fields["rope_parameters"] = _gemma3_rope_parameters(fields)
  return _parse_rotary(
    fields,
    qk_norm="head",
    has_offset_norm=True,
    norm_places="both",
    has_qkv_bias=fields.get("attention_bias", False),
    has_output_bias=fields.get("attention_bias", False),
    embedding_multiplier=fields["hidden_size"] ** 0.5,
    is_multiplier_rounded=True,
    query_multiplier=fields["query_pre_attn_scalar"] ** -0.5,
    logits_cap=fields.get("final_logit_softcapping"),
  )


def _gemma3_rope_parameters(
  fields: Mapping[str, Any],
) -> dict[str, dict[str, Any]]:
  """The rotary embedding of each type of layer, from either spelling."""
  given = fields.get("rope_parameters") or {}
  full = dict(given.get("full_attention") or {"rope_type": "default"})
  full |= fields.get("rope_scaling") or {}
  full.setdefault("rope_theta", fields.get("rope_theta", 1_000_000.0))
  sliding = dict(given.get("sliding_attention") or {"rope_type": "default"})
  sliding.setdefault("rope_theta", fields.get("rope_local_base_freq", 10_000.0))
  return {"full_attention": full, "sliding_attention": sliding}


def _fill(fields: Mapping[str, Any], **defaults: Any) -> dict[str, Any]:
  """Fields, with defaults for those that are missing or null."""
  given = {name: value for name, value in fields.items() if value is not None}
  return {**fields, **defaults, **given}


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
  "gemma3_text": Family(_parse_gemma3, "Gemma3ForCausalLM"),
  "gpt2": Family(_parse_gpt2, "GPT2LMHeadModel"),
  "granite": Family(_parse_granite, "GraniteForCausalLM"),
  "llama": Family(_parse_llama, "LlamaForCausalLM"),
  "mistral": Family(_parse_mistral, "MistralForCausalLM"),
  "olmo2": Family(_parse_olmo, "Olmo2ForCausalLM"),
  "olmo3": Family(_parse_olmo, "Olmo3ForCausalLM"),
  "qwen2": Family(_parse_qwen2, "Qwen2ForCausalLM"),
  "qwen3": Family(_parse_qwen3, "Qwen3ForCausalLM"),
  "smollm3": Family(_parse_smollm3, "SmolLM3ForCausalLM"),
}
