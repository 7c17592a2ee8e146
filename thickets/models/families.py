"""The families of models that load, and how the config.json of each is read.

References: Qwen2.5 (arXiv:2412.15115), Qwen3 (arXiv:2505.09388), Llama 3
(arXiv:2407.21783), OLMo 2 (arXiv:2501.00656), OLMo 3 (arXiv:2512.13961), GPT-2
(Radford et al., 2019), Mistral (arXiv:2310.06825), Gemma 3 (arXiv:2503.19786),
SmolLM3 and Granite 3 (no papers; their classes in `transformers`), Qwen2.5-VL
(arXiv:2502.13923), Qwen3-VL (arXiv:2511.21631).
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from thickets.errors import UserError
from thickets.models import (
  config_fields,
  layer_types,
  rope,
  rope_fields,
  unsupported,
  weight_formats,
)
from thickets.models.config import LayerKind, Mixture, TransformerConfig
from thickets.models.vision import fields as vision_fields
from thickets.models.vision.config import VisionConfig


def parse_config(fields: Mapping[str, Any]) -> TransformerConfig:
  """Reads the contents of a config.json.

  Args:
    fields: its fields, as any version of `transformers` writes them; of a
      vision-language model, those of its text model are read.

  Raises:
    UserError: if the architecture, or a feature that the config asks for, is
      not supported, a field has another type, or two spellings disagree.
  """
  family = fields.get("model_type")
  if vision_fields.is_vision(fields):
    weight_formats.check_fields(fields)
    fields = vision_fields.read_text(fields)
  elif fields.get("text_config") is not None:
    raise UserError(
      "config.json must be that of a language model, got one of"
      f" {family!r} with a text_config. Save the language model that it holds on"
      " its own, and load that."
    )
  if not isinstance(family, str) or family not in FAMILIES:
    raise unsupported.explain(family, FAMILIES)
  weight_formats.check_fields(fields)
  return FAMILIES[family].parse(config_fields.read_fields(fields))


def read_text_fields(fields: Mapping[str, Any]) -> Mapping[str, Any]:
  """The fields of the text model, which a vision-language model may have inside."""
  is_vision = vision_fields.is_vision(fields)
  return vision_fields.read_text(fields) if is_vision else fields


def parse_vision(fields: Mapping[str, Any]) -> VisionConfig | None:
  """Reads the tower of a vision-language model from its config.json.

  Args:
    fields: its fields, as any version of `transformers` writes them.

  Returns:
    The tower, None where the model is a language model.

  Raises:
    UserError: if the model or its tower is not supported.
  """
  if not vision_fields.is_vision(fields):
    return None
  text = parse_config(fields)
  tower = vision_fields.read_tower(fields, text.width)
  if len(tower.deepstack_blocks) > text.num_layers:
    raise UserError(
      "deepstack_visual_indexes must be at most as many as the layers of the text"
      f" model, {text.num_layers}, got {len(tower.deepstack_blocks)}. Correct"
      " config.json."
    )
  return tower


def _parse_rotary(
  fields: Mapping[str, Any], **features: Any
) -> TransformerConfig:
  """The parts that all families with rotary positions share."""
  kinds, layer_kinds = _layer_kinds(fields)
  return TransformerConfig(
    family=fields["model_type"],
    vocab_size=fields["vocab_size"],
    width=fields["hidden_size"],
    mlp_width=fields["intermediate_size"],
    num_layers=fields["num_hidden_layers"],
    num_heads=fields["num_attention_heads"],
    num_kv_heads=fields["num_key_value_heads"],
    head_dim=fields["head_dim"],
    context=rope_fields.find_context(fields),
    norm_eps=fields["rms_norm_eps"],
    kinds=kinds,
    layer_kinds=layer_kinds,
    activation=fields["hidden_act"],
    is_tied=fields["tie_word_embeddings"],
    init_std=fields["initializer_range"],
    **features,
  )


def _layer_kinds(
  fields: Mapping[str, Any],
) -> tuple[tuple[LayerKind, ...], tuple[int, ...]]:
  """The distinct kinds of layers, and which layer is of which."""
  types = fields["layer_types"]
  by_type = {
    name: LayerKind(
      rope.make_rope(fields["rope_parameters"][name], fields["head_dim"]),
      fields["sliding_window"] if name == layer_types.SLIDING else None,
    )
    for name in dict.fromkeys(types)
  }
  kinds = tuple(dict.fromkeys(by_type.values()))
  return kinds, tuple(kinds.index(by_type[name]) for name in types)


def _parse_llama(fields: Mapping[str, Any]) -> TransformerConfig:
  return _parse_rotary(
    fields,
    has_qkv_bias=fields["attention_bias"],
    has_output_bias=fields["attention_bias"],
    has_mlp_bias=fields["mlp_bias"],
  )


def _parse_qwen2(fields: Mapping[str, Any]) -> TransformerConfig:
  return _parse_rotary(fields, has_qkv_bias=True)


def _parse_qwen3(fields: Mapping[str, Any]) -> TransformerConfig:
  return _parse_rotary(
    fields,
    qk_norm="head",
    has_qkv_bias=fields["attention_bias"],
    has_output_bias=fields["attention_bias"],
  )


def _turn_by_axes(
  config: TransformerConfig, fields: Mapping[str, Any]
) -> TransformerConfig:
  """The config whose frequencies turn by time, row or column (M-RoPE)."""
  axes = vision_fields.find_axes(
    config.family, fields["mrope_section"], config.head_dim
  )
  kinds = []
  for kind in config.kinds:
    if kind.rope is None or kind.window is not None:
      raise UserError(
        f"layer_types of a {config.family} model must be full_attention, got"
        f" {fields['layer_types']}. Layers that slide are not supported."
      )
    turned = dataclasses.replace(kind.rope, axes=axes)
    kinds.append(dataclasses.replace(kind, rope=turned))
  return dataclasses.replace(config, kinds=tuple(kinds))


def _parse_qwen2_5_vl(fields: Mapping[str, Any]) -> TransformerConfig:
  return _turn_by_axes(_parse_qwen2(fields), fields)


def _parse_qwen3_vl(fields: Mapping[str, Any]) -> TransformerConfig:
  return _turn_by_axes(_parse_qwen3(fields), fields)


def _parse_qwen3_moe(fields: Mapping[str, Any]) -> TransformerConfig:
  num_layers, step = fields["num_hidden_layers"], fields["decoder_sparse_step"]
  dense = set(fields["mlp_only_layers"] or ())
  sparse = [
    layer
    for layer in range(num_layers)
    if fields["num_experts"] and layer not in dense and (layer + 1) % step == 0
  ]
  if not sparse:
    return _parse_qwen3(fields)
  if len(sparse) < num_layers:
    raise UserError(
      "decoder_sparse_step and mlp_only_layers must give experts to all layers"
      f" of a qwen3_moe model or to none, got {len(sparse)} layers with experts"
      f" of {num_layers}. Layers that differ in their tensors are not supported."
    )
  mixture = Mixture(
    fields["num_experts"],
    fields["num_experts_per_tok"],
    is_normalised=fields["norm_topk_prob"],
  )
  width = fields["moe_intermediate_size"]
  config = _parse_qwen3({**fields, "intermediate_size": width})
  return dataclasses.replace(config, mixture=mixture)


def _parse_olmo(fields: Mapping[str, Any]) -> TransformerConfig:
  return _parse_rotary(
    fields,
    qk_norm="all",
    norm_places="after",
    has_qkv_bias=fields["attention_bias"],
    has_output_bias=fields["attention_bias"],
  )


def _parse_smollm3(fields: Mapping[str, Any]) -> TransformerConfig:
  config = _parse_llama(fields)
  is_turned = layer_types.read_turned(fields)
  layers = [
    config.kinds[kind] if turned else LayerKind(None, config.kinds[kind].window)
    for kind, turned in zip(config.layer_kinds, is_turned, strict=True)
  ]
  kinds = tuple(dict.fromkeys(layers))
  return dataclasses.replace(
    config, kinds=kinds, layer_kinds=tuple(map(kinds.index, layers))
  )


def _parse_granite(fields: Mapping[str, Any]) -> TransformerConfig:
  return dataclasses.replace(
    _parse_llama(fields),
    embedding_multiplier=fields["embedding_multiplier"],
    query_multiplier=fields["attention_multiplier"],
    residual_multiplier=fields["residual_multiplier"],
    logits_divisor=fields["logits_scaling"],
  )


def _parse_gemma3(fields: Mapping[str, Any]) -> TransformerConfig:
  return _parse_rotary(
    {**fields, "hidden_act": fields["hidden_activation"]},
    qk_norm="head",
    has_offset_norm=True,
    norm_places="both",
    has_qkv_bias=fields["attention_bias"],
    has_output_bias=fields["attention_bias"],
    embedding_multiplier=fields["hidden_size"] ** 0.5,
    is_multiplier_rounded=True,
    query_multiplier=fields["query_pre_attn_scalar"] ** -0.5,
    logits_cap=fields["final_logit_softcapping"],
  )


def _parse_gpt2(fields: Mapping[str, Any]) -> TransformerConfig:
  width, num_heads = fields["n_embd"], fields["n_head"]
  return TransformerConfig(
    family="gpt2",
    vocab_size=fields["vocab_size"],
    width=width,
    mlp_width=fields["n_inner"] or 4 * width,
    num_layers=fields["n_layer"],
    num_heads=num_heads,
    num_kv_heads=num_heads,
    head_dim=width // num_heads,
    context=fields["n_positions"],
    norm_eps=fields["layer_norm_epsilon"],
    kinds=(LayerKind(None),),
    layer_kinds=(0,) * fields["n_layer"],
    activation=fields["activation_function"],
    is_tied=fields["tie_word_embeddings"],
    has_layer_norm=True,
    has_gate=False,
    has_qkv_bias=True,
    has_output_bias=True,
    has_mlp_bias=True,
    has_position_table=True,
    init_std=fields["initializer_range"],
  )


@dataclasses.dataclass(frozen=True)
class Family:
  """Models of one `model_type`.

  Attributes:
    parse: reads the fields of their config.json, as `config_fields.read_fields`
      spells them.
    architecture: the class of `transformers` that they are published for.
  """

  parse: Callable[[Mapping[str, Any]], TransformerConfig]
  architecture: str


FAMILIES = {
  "gemma3_text": Family(_parse_gemma3, "Gemma3ForCausalLM"),
  "gpt2": Family(_parse_gpt2, "GPT2LMHeadModel"),
  "granite": Family(_parse_granite, "GraniteForCausalLM"),
  "llama": Family(_parse_llama, "LlamaForCausalLM"),
  "mistral": Family(_parse_rotary, "MistralForCausalLM"),
  "olmo2": Family(_parse_olmo, "Olmo2ForCausalLM"),
  "olmo3": Family(_parse_olmo, "Olmo3ForCausalLM"),
  "qwen2": Family(_parse_qwen2, "Qwen2ForCausalLM"),
  "qwen2_5_vl": Family(_parse_qwen2_5_vl, "Qwen2_5_VLForConditionalGeneration"),
  "qwen3": Family(_parse_qwen3, "Qwen3ForCausalLM"),
  "qwen3_moe": Family(_parse_qwen3_moe, "Qwen3MoeForCausalLM"),
  "qwen3_vl": Family(_parse_qwen3_vl, "Qwen3VLForConditionalGeneration"),
  "smollm3": Family(_parse_smollm3, "SmolLM3ForCausalLM"),
}
