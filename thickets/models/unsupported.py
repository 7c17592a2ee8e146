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
# The `model_type` of a `general.architecture` of GGUF files, where they differ.
_GGUF_NAMES = {
  "command-r": "cohere",
  "deepseek2": "deepseek_v3",
  "gpt-oss": "gpt_oss",
  "gptneox": "gpt_neox",
  "llama4": "llama4_text",
  "phi2": "phi",
  "qwen2moe": "qwen2_moe",
  "qwen35": "qwen3_5_text",
  "qwen3next": "qwen3_next",
}


def explain(model_type: object, known: Collection[str]) -> UserError:
  """The error for a `model_type` that is not among the known families."""
  return UserError(
    f"model_type must be one of {sorted(known)}, got {model_type!r}."
    f" {name_missing(str(model_type), known)}"
  )


def name_missing(name: str, known: Collection[str]) -> str:
  """A sentence on the nearest family, and on what it lacks.

  Args:
    name: a `model_type`, or the name that the same models have in GGUF files.
    known: the names that load.
  """
  name = _GGUF_NAMES.get(name, name)
  if name in _MISSING:
    nearest, missing = _MISSING[name]
    hint = f"It needs {missing}, which the package does not have"
    return hint + (f"; the nearest family is {nearest}." if nearest else ".")
  near = difflib.get_close_matches(name, sorted(known), n=1)
  hint = f"The nearest name is {near[0]}. " if near else ""
  return hint + "Other architectures are not supported."
