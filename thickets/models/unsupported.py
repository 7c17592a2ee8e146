"""What is missing for architectures that do not load, as far as it is known."""

import difflib
from collections.abc import Collection

from thickets.errors import UserError

# By model_type: the nearest family, and what its models have that it lacks.
_MISSING = {
  "cohere": (
    "llama",
    "attention and MLP side by side, and LayerNorm without biases",
  ),
  "deepseek_v2": ("qwen3_moe", "attention over compressed keys and values"),
  "deepseek_v3": ("qwen3_moe", "attention over compressed keys and values"),
  "falcon": ("gpt2", "attention and MLP side by side"),
  "gemma": ("gemma3_text", "layers without norms of queries and keys"),
  "gemma2": ("gemma3_text", "a cap of attention scores"),
  "gpt_neox": ("gpt2", "attention and MLP side by side, and partial rotation"),
  "gpt_oss": ("qwen3_moe", "attention sinks, and experts stored in MXFP4"),
  "gptj": ("gpt2", "attention and MLP side by side, and partial rotation"),
  "llama4_text": ("llama", "chunked attention, and a shared expert"),
  "mamba": (None, "state-space layers"),
  "mamba2": (None, "state-space layers"),
  "mixtral": ("qwen3_moe", "the names of its experts' tensors"),
  "olmo": ("olmo2", "LayerNorm without weights"),
  "olmoe": ("qwen3_moe", "norms of queries and keys over all heads"),
  "phi": ("gpt2", "attention and MLP side by side, and partial rotation"),
  "phi3": ("llama", "fused matrices of attention and MLP"),
  "qwen2_moe": ("qwen3_moe", "a shared expert with a gate, and biases"),
  "qwen3_5_text": ("qwen3", "layers with a recurrent state"),
  "qwen3_next": ("qwen3_moe", "layers with a recurrent state"),
  "stablelm": (
    "llama",
    "LayerNorm before rotary attention, and partial rotation",
  ),
  "starcoder2": ("gpt2", "rotary positions with LayerNorm"),
}


def explain(model_type: object, known: Collection[str]) -> UserError:
  """The error for a `model_type` that is not among the known families."""
  name = str(model_type)
  if name in _MISSING:
    nearest, missing = _MISSING[name]
    hint = f" It needs {missing}, which the package does not have"
    hint += f"; the nearest family is {nearest}." if nearest else "."
  else:
    near = difflib.get_close_matches(name, sorted(known), n=1)
    hint = f" The nearest name is {near[0]}." if near else ""
    hint += " Other architectures are not supported."
  return UserError(
    f"model_type must be one of {sorted(known)}, got {model_type!r}.{hint}"
  )
