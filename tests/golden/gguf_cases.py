"""GGUF files of the small models, written by the package's own writer.

What llama.cpp's converter does to a model is done here anew, from its code.
"""

import gguf
import numpy as np
from golden import transformer_cases as cases

KINDS = gguf.GGMLQuantizationType
# Rows of 64 and of 96 values, which are whole blocks.
WIDE = {
  "hidden_size": 64,
  "intermediate_size": 96,
  "tie_word_embeddings": True,
}
TOKENS = ["<pad>", "<s>", "</s>", "<|user|>", "<think>"]
_ARCHITECTURES = {
  "gemma3_text": "gemma3",
  "mistral": "llama",
  "olmo3": "olmo2",
  "qwen3_moe": "qwen3moe",
}
_NAMES = {
  "embed_tokens": "token_embd",
  "embed_positions": "position_embd",
  "lm_head": "output",
  "norm": "output_norm",
  "input_layernorm": "attn_norm",
  "post_attention_layernorm": "ffn_norm",
  "q_proj": "attn_q",
  "k_proj": "attn_k",
  "v_proj": "attn_v",
  "o_proj": "attn_output",
  "q_norm": "attn_q_norm",
  "k_norm": "attn_k_norm",
  "gate_proj": "ffn_gate",
  "up_proj": "ffn_up",
  "down_proj": "ffn_down",
  "gate": "ffn_gate_inp",
}
_FOUR_NORMS = {
  "post_attention_layernorm": "post_attention_norm",
  "pre_feedforward_layernorm": "ffn_norm",
  "post_feedforward_layernorm": "post_ffw_norm",
}


def write(
  path,
  fields,
  kind=KINDS.F32,
  *,
  edit=None,
  metadata=(),
  fuse_gates=False,
  **tokenizer,
):
  """Writes a model with the weights of `cases.make_tensors`.

  Args:
    path: the file.
    fields: the contents of the config.json of the model.
    kind: how its matrices are stored.
    edit: is called with the writer before anything is written.
    metadata: replaces the architecture's values by key, with None by nothing.
    fuse_gates: whether the gates and ups of experts lie in one tensor.
    **tokenizer: replaces what `add_tokenizer` writes, by key.

  Returns:
    The logical tensors as they are stored, dequantised, by name.
  """
  family = fields["model_type"]
  writer = gguf.GGUFWriter(path, _ARCHITECTURES.get(family, family))
  _add_config(writer, fields, dict(metadata))
  add_tokenizer(writer, fields["vocab_size"], **tokenizer)
  stored, kept = {}, {}
  for name, tensor in cases.make_tensors(fields).items():
    used = kind if tensor.ndim == 2 else KINDS.F32
    blocks = gguf.quantize(_convert(fields, name, tensor), used)
    whole = gguf.dequantize(blocks, used).astype(np.float32)
    kept[name] = _convert_back(fields, name, whole.reshape(tensor.shape))
    stored[_place(family, name)] = (blocks, used)
  if family == "gpt2":
    stored = _fuse(stored)
  if family == "qwen3_moe":
    stored = _stack(stored, fields["num_experts"], fuse_gates)
  for key, (blocks, used) in stored.items():
    writer.add_tensor(key, blocks, raw_dtype=used)
  if edit:
    edit(writer)
  writer.write_header_to_file()
  writer.write_kv_data_to_file()
  writer.write_tensors_to_file()
  writer.close()
  return kept


def add_tokenizer(writer, vocab_size, **values):
  """A tokenizer of bytes, with the tokens of `TOKENS` and fillers behind."""
  alphabet = _alphabet()
  tokens = TOKENS + [alphabet[byte] for byte in b"abehlnot 0123456789,"]
  tokens += ["he", "ll", "hell", "Ġt"]
  merges = ["h e", "l l", "he ll", "Ġ t"]
  kinds = [3] * 4 + [4] + [1] * (len(tokens) - 5)
  fill = vocab_size - len(tokens)
  tokens += [f"[PAD{i}]" for i in range(fill)]
  given = {
    "model": "gpt2",
    "pre": "smollm",
    "tokens": tokens,
    "token_type": kinds + [5] * fill,
    "merges": merges,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "padding_token_id": 0,
    "add_bos_token": False,
    **values,
  }
  for key, value in given.items():
    _add(writer, f"tokenizer.ggml.{key}", value)


def _add(writer, key, value):
  if isinstance(value, bool):
    writer.add_bool(key, value)
  elif isinstance(value, int):
    writer.add_uint32(key, value)
  elif isinstance(value, float):
    writer.add_float32(key, value)
  elif isinstance(value, str):
    writer.add_string(key, value)
  elif value is not None:
    writer.add_array(key, value)


def _add_config(writer, fields, changes):
  if fields["model_type"] == "gpt2":
    values = {
      "context_length": fields["n_positions"],
      "embedding_length": fields["n_embd"],
      "block_count": fields["n_layer"],
      "attention.head_count": fields["n_head"],
      "feed_forward_length": fields["n_inner"],
      "attention.layer_norm_epsilon": 1e-5,
    }
  else:
    values = {
      "context_length": fields["max_position_embeddings"],
      "embedding_length": fields["hidden_size"],
      "block_count": fields["num_hidden_layers"],
      "attention.head_count": fields["num_attention_heads"],
      "attention.head_count_kv": fields["num_key_value_heads"],
      "attention.key_length": fields.get("head_dim"),
      "attention.value_length": fields.get("head_dim"),
      "feed_forward_length": fields["intermediate_size"],
      "attention.layer_norm_rms_epsilon": fields["rms_norm_eps"],
      "rope.freq_base": float(fields["rope_theta"]),
      "attention.sliding_window": fields.get("sliding_window"),
      "attention.sliding_window_pattern": fields.get("sliding_window_pattern"),
      "attention.scale": fields.get("attention_multiplier"),
      "embedding_scale": fields.get("embedding_multiplier"),
      "residual_scale": fields.get("residual_multiplier"),
      "logit_scale": fields.get("logits_scaling"),
      "final_logit_softcapping": fields.get("final_logit_softcapping"),
      "rope.freq_base_swa": fields.get("rope_local_base_freq"),
      "expert_count": fields.get("num_experts"),
      "expert_used_count": fields.get("num_experts_per_tok"),
      "expert_feed_forward_length": fields.get("moe_intermediate_size"),
      "expert_weights_norm": fields.get("norm_topk_prob"),
    }
    scaling = fields.get("rope_scaling") or {}
    kind = scaling.get("rope_type", scaling.get("type"))
    if kind in ("linear", "yarn"):
      values["rope.scaling.type"] = kind
      values["rope.scaling.factor"] = scaling["factor"]
      values["rope.scaling.original_context_length"] = scaling.get(
        "original_max_position_embeddings"
      )
      for name, key in (
        ("attention_factor", "attn_factor"),
        ("beta_fast", "beta_fast"),
        ("beta_slow", "beta_slow"),
      ):
        values[f"rope.scaling.yarn_{key}"] = scaling.get(name)
  for key, value in (values | changes).items():
    _add(writer, f"{writer.arch}.{key}", value)


def _place(family, name):
  stem, suffix = name, "weight"
  if name.endswith("_bias"):
    stem, suffix = name.removesuffix("_bias"), "bias"
  words = stem.split(".")
  prefix = f"blk.{words[1]}." if words[0] == "layers" else ""
  if "experts" in words:
    matrix = _NAMES[words[-1]]
    return f"{prefix}{matrix}_exps.{words[-2]}"  # `_stack` stacks them.
  names = _NAMES
  if family == "gemma3_text" or family.startswith("olmo"):
    names = _NAMES | _FOUR_NORMS
  return f"{prefix}{names[words[-1]]}.{suffix}"


def _convert(fields, name, tensor):
  """The values that llama.cpp stores."""
  if fields["model_type"] in ("llama", "mistral", "granite", "smollm3"):
    for end, heads in (
      ("q_proj", fields["num_attention_heads"]),
      ("k_proj", fields["num_key_value_heads"]),
    ):
      if name.removesuffix("_bias").endswith(end):
        parts = tensor.reshape(
          heads, 2, tensor.shape[0] // heads // 2, *tensor.shape[1:]
        )
        return parts.swapaxes(1, 2).reshape(tensor.shape)
  if fields["model_type"] == "gemma3_text" and name.endswith("norm"):
    return tensor + np.float32(1)
  return tensor


def _convert_back(fields, name, stored):
  """The inverse, found by where `_convert` puts each row."""
  rows = np.arange(stored.shape[0], dtype=np.float32)
  if fields["model_type"] == "gemma3_text" and name.endswith("norm"):
    return stored - np.float32(1)
  moved = _convert(fields, name, rows).astype(np.int64)
  back = np.empty_like(stored)
  back[moved] = stored
  return back


def _fuse(stored):
  """Queries, keys and values in one tensor, as GPT-2 has them."""
  fused = {}
  for key, (blocks, used) in stored.items():
    for part in ("attn_q.", "attn_k.", "attn_v."):
      if part in key:
        whole = key.replace(part, "attn_qkv.")
        others = [
          stored[key.replace(part, f"attn_{name}.")][0] for name in "qkv"
        ]
        fused[whole] = (np.concatenate(others), used)
        break
    else:
      fused[key] = (blocks, used)
  return fused


def _stack(stored, num_experts, fuse_gates):
  """The matrices of all experts of a layer in one tensor, or in one of two."""
  stacked = {}
  for key, (blocks, used) in stored.items():
    stem, _, expert = key.rpartition(".")
    if not stem.endswith("_exps"):
      stacked[key] = (blocks, used)
    elif expert == "0":
      every = [stored[f"{stem}.{i}"][0] for i in range(num_experts)]
      stacked[f"{stem}.weight"] = (np.stack(every), used)
  for key in [key for key in stacked if fuse_gates and "gate_exps" in key]:
    (gate, used), (up, _) = (
      stacked.pop(key.replace("gate", name)) for name in ("gate", "up")
    )
    whole = np.concatenate([gate, up], axis=1)
    stacked[key.replace("gate", "gate_up")] = (whole, used)
  return stacked


def _alphabet():
  """The characters by which GPT-2 writes bytes."""
  plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
  others = [byte for byte in range(256) if byte not in plain]
  return {byte: chr(byte) for byte in plain} | {
    byte: chr(256 + i) for i, byte in enumerate(others)
  }
