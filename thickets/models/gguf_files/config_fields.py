"""From the metadata of a GGUF file to the fields of a config.json.

A field has the name and the meaning that it has in the config.json of the model
from which the file was converted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from thickets.errors import UserError
from thickets.models import families
from thickets.models.gguf_files import architectures, rope_fields
from thickets.models.gguf_files.header import Header
from thickets.models.gguf_files.values import Values

_SOFTMAX = 1  # Of expert_gating_func.
_GEMMA_27B_LAYERS = 62  # The only Gemma 3 whose queries have another scale.


def read_fields(header: Header) -> dict[str, Any]:
  """The fields of the config.json that a file's model would have.

  Raises:
    UserError: if the architecture is not supported, or a value is missing, or
      asks for what is not supported.
  """
  name = _check_type(header)
  architecture = architectures.find_architecture(name, str(header.path))
  values = Values(header, name)
  family = architecture.family
  reader = _GPT2 if family == "gpt2" else _ROTARY
  fields = {
    "model_type": family,
    "vocab_size": _count_rows(header),
    "tie_word_embeddings": "output.weight" not in header.tensors,
    **{field: values.take(key, kind) for field, (key, kind) in reader.items()},
  }
  _check_sizes(
    values, header, {key: fields[f] for f, (key, _) in reader.items()}
  )
  if family != "gpt2":
    fields |= _read_heads(values, header, fields)
    fields |= rope_fields.read_rope(values, header, fields)
    fields |= _read_biases(header, family)
  if family in _OWN:
    fields |= _OWN[family](values, fields)
  if "num_experts" in fields:
    _check_sizes(values, header, {"expert_count": fields["num_experts"]})
  fields |= {
    "architectures": [families.FAMILIES[fields["model_type"]].architecture]
  }
  if not values.take("attention.causal", bool, True):
    raise values.refuse("attention.causal", "be true", False)
  values.check_all_taken(_UNUSED, _UNUSED_PARTS)
  return fields | _read_tokens(header)


def _check_type(header: Header) -> str:
  """The architecture of a file that holds a model."""
  name = header.metadata.get("general.architecture")
  # Such files need not say their type, or have another way to say it.
  by_name = {"clip": "mmproj", "controlvector": "control vector"}
  kind = by_name.get(str(name), header.metadata.get("general.type", "model"))
  if kind != "model":
    raise UserError(
      f"{header.path} must hold a model, got general.type {kind!r}"
      f"{_KINDS.get(str(kind), '')}: such a file is only a part or an addition."
      " Name the model's own file."
    )
  if not isinstance(name, str):
    raise UserError(
      f"{header.path} must say its general.architecture, got {name!r}. Convert"
      " the model again with a current llama.cpp."
    )
  return name


def _count_rows(header: Header) -> int:
  """Rows of the embedding."""
  embedding = header.tensors.get("token_embd.weight")
  if embedding is None or len(embedding.shape) != 2:
    raise UserError(
      f"{header.path} must have the matrix token_embd.weight, got"
      f" {'none' if embedding is None else list(embedding.shape)}. Name the"
      " file of a whole language model."
    )
  return embedding.shape[0]


def _check_sizes(
  values: Values, header: Header, sizes: Mapping[str, Any]
) -> None:
  """Refuses sizes that are not those of the tensors.

  All other shapes are compared when the weights are opened. These sizes are
  compared before, since lists of so many entries are made of them.
  """
  layers = {name.split(".")[1] for name in header.tensors if name[:4] == "blk."}
  found = {"block_count": len(layers)}
  for key, name, axis in (
    ("embedding_length", "token_embd.weight", 1),
    ("expert_count", "blk.0.ffn_gate_inp.weight", 0),
  ):
    if name in header.tensors:
      found[key] = header.tensors[name].shape[axis]
  for key, size in sizes.items():
    if found.get(key, size) != size:
      raise values.refuse(key, f"be {found[key]}, as its tensors are", size)


def _read_heads(
  values: Values, header: Header, fields: Mapping[str, Any]
) -> dict[str, Any]:
  """How many heads there are, and how wide they are."""
  num_heads = fields["num_attention_heads"]
  if num_heads < 1:
    raise values.refuse("attention.head_count", "be at least 1", num_heads)
  head_dim = values.take(
    "attention.key_length", int, fields["hidden_size"] // num_heads
  )
  for key in ("attention.value_length", "rope.dimension_count"):
    other = values.take(key, int, head_dim)
    if other != head_dim:
      raise values.refuse(key, f"be the {head_dim} of a head", other)
  queries = header.tensors.get("blk.0.attn_q.weight")
  if queries and queries.shape[0] != num_heads * head_dim:
    raise values.refuse(
      "attention.head_count",
      f"be so many that heads of {head_dim} have {queries.shape[0]} queries",
      num_heads,
    )
  return {
    "num_key_value_heads": values.take(
      "attention.head_count_kv", int, num_heads
    ),
    "head_dim": head_dim,
  }


def _read_biases(header: Header, family: str) -> dict[str, Any]:
  """Which biases a model has, as its tensors say."""
  fields = {}
  if family != "qwen2":  # Which always has the same ones.
    fields["attention_bias"] = "blk.0.attn_q.bias" in header.tensors
  if family in ("granite", "llama", "smollm3"):
    fields["mlp_bias"] = "blk.0.ffn_up.bias" in header.tensors
  return fields


def _read_gemma3(values: Values, fields: Mapping[str, Any]) -> dict[str, Any]:
  scale = fields["head_dim"]
  if fields["num_hidden_layers"] == _GEMMA_27B_LAYERS:
    scale = fields["hidden_size"] // fields["num_attention_heads"]
  found = {
    "hidden_activation": "gelu_pytorch_tanh",
    "query_pre_attn_scalar": scale,
    "rope_local_base_freq": values.take("rope.freq_base_swa", float, 10_000.0),
    **_read_windows(values, fields, 6),
  }
  if cap := values.take("final_logit_softcapping", float, 0.0):
    found["final_logit_softcapping"] = cap
  return found


def _read_granite(values: Values, fields: Mapping[str, Any]) -> dict[str, Any]:
  del fields
  return {
    name: values.take(key, float, 1.0)
    for name, key in {
      "attention_multiplier": "attention.scale",
      "embedding_multiplier": "embedding_scale",
      "logits_scaling": "logit_scale",
      "residual_multiplier": "residual_scale",
    }.items()
  }


def _read_mixture(values: Values, fields: Mapping[str, Any]) -> dict[str, Any]:
  """The experts; llama.cpp normalises their shares unless a file says no."""
  del fields
  for key, kind, usual in (
    ("expert_gating_func", int, _SOFTMAX),
    ("expert_weights_scale", float, 1.0),
  ):
    found = values.take(key, kind, 0) or usual
    if found != usual:
      raise values.refuse(key, f"be {usual}", found)
  return {
    "num_experts": values.take("expert_count", int),
    "num_experts_per_tok": values.take("expert_used_count", int),
    "moe_intermediate_size": values.take("expert_feed_forward_length", int),
    "norm_topk_prob": values.take("expert_weights_norm", bool, True),
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
  }


def _read_llama(values: Values, fields: Mapping[str, Any]) -> dict[str, Any]:
  """Mistral's models have the same architecture, with windows."""
  del fields
  window = values.take("attention.sliding_window", int, 0)
  if not window:
    return {}
  return {"model_type": "mistral", "sliding_window": window}


def _read_olmo(values: Values, fields: Mapping[str, Any]) -> dict[str, Any]:
  """OLMo-3 has the same architecture, with windows."""
  found = _read_windows(values, fields, 4)
  return {"model_type": "olmo3", **found} if found["sliding_window"] else {}


def _read_smollm3(values: Values, fields: Mapping[str, Any]) -> dict[str, Any]:
  """llama.cpp builds it with positions in three layers of four."""
  del values
  layers = range(1, fields["num_hidden_layers"] + 1)
  return {"no_rope_layers": [int(layer % 4 != 0) for layer in layers]}


def _read_windows(
  values: Values, fields: Mapping[str, Any], period: int
) -> dict[str, Any]:
  """Which layers have a window: all but one of a period, or those of a list."""
  slides = values.take("attention.sliding_window_pattern", object, period)
  layers = range(1, fields["num_hidden_layers"] + 1)
  if isinstance(slides, int):
    if slides < 1:
      raise values.refuse(
        "attention.sliding_window_pattern", "be at least 1", slides
      )
    slides = [layer % slides != 0 for layer in layers]
  if not isinstance(slides, list) or len(slides) != len(layers):
    raise values.refuse(
      "attention.sliding_window_pattern",
      "be a number, or a value for each layer",
      slides,
    )
  return {
    "sliding_window": values.take("attention.sliding_window", int, 0),
    "layer_types": [
      "sliding_attention" if slide else "full_attention" for slide in slides
    ],
  }


def _read_tokens(header: Header) -> dict[str, Any]:
  """The ids of the special tokens that a config.json has."""
  ids = {
    key: header.metadata[f"tokenizer.ggml.{name}_token_id"]
    for key, name in {
      "bos_token_id": "bos",
      "pad_token_id": "padding",
    }.items()
    if f"tokenizer.ggml.{name}_token_id" in header.metadata
  }
  stop = [
    header.metadata[f"tokenizer.ggml.{name}_token_id"]
    for name in ("eos", "eot", "eom")
    if f"tokenizer.ggml.{name}_token_id" in header.metadata
  ]
  for id in (*ids.values(), *stop):
    if type(id) is not int:
      raise UserError(
        f"Ids of special tokens must be numbers, got {id!r} ({header.path}). Take"
        " another conversion of the model."
      )
  stop = list(dict.fromkeys(stop))
  if stop:
    ids["eos_token_id"] = stop[0] if len(stop) == 1 else stop
  return ids


_KINDS = {
  "adapter": " (LoRA)",
  "imatrix": " (statistics for quantising)",
  "mmproj": " (an encoder of images or sounds)",
}
_SIZES = {
  "context": ("context_length", int),
  "width": ("embedding_length", int),
  "layers": ("block_count", int),
  "heads": ("attention.head_count", int),
  "mlp": ("feed_forward_length", int),
}
_ROTARY = {
  "max_position_embeddings": _SIZES["context"],
  "hidden_size": _SIZES["width"],
  "num_hidden_layers": _SIZES["layers"],
  "num_attention_heads": _SIZES["heads"],
  "intermediate_size": _SIZES["mlp"],
  "rms_norm_eps": ("attention.layer_norm_rms_epsilon", float),
}
_GPT2 = {
  "n_positions": _SIZES["context"],
  "n_embd": _SIZES["width"],
  "n_layer": _SIZES["layers"],
  "n_head": _SIZES["heads"],
  "n_inner": _SIZES["mlp"],
  "layer_norm_epsilon": ("attention.layer_norm_epsilon", float),
}
_OWN: dict[str, Callable[[Values, Mapping[str, Any]], dict[str, Any]]] = {
  "gemma3_text": _read_gemma3,
  "granite": _read_granite,
  "llama": _read_llama,
  "olmo2": _read_olmo,
  "qwen3_moe": _read_mixture,
  "smollm3": _read_smollm3,
}
# What says nothing about the computation of texts.
_UNUSED = ("vocab_size", "tensor_data_layout")
_UNUSED_PARTS = ("mm.", "vision.")  # Of models that also read images.
