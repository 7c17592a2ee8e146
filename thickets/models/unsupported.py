"""What is missing for architectures that do not load, as far as it is known."""

import difflib
from collections.abc import Collection

from thickets.errors import UserError

# The nearest family of each model_type, and what its models have that it lacks.
_RECURRENT = "layers with a recurrent state"
_BOTH_WAYS = "attention in both directions"
_IMAGES = (
  "an encoder of images; the language model in it must be saved on its own"
)
_FUSED = "fused matrices of attention and MLP"
_MISSING: dict[str, tuple[str | None, str]] = {
  "apertus": ("qwen3", "the activation xIELU"),
  "arcee": ("llama", "squared ReLU without a gate"),
  "baichuan": ("llama", _FUSED),
  "bert": (None, _BOTH_WAYS),
  "bloom": ("gpt2", "attention that is biased by distance (ALiBi)"),
  "cohere": (
    "llama",
    "attention and MLP side by side, and LayerNorm without biases",
  ),
  "cohere2": (
    "llama",
    "attention and MLP side by side, and LayerNorm without biases",
  ),
  "deepseek_v2": ("qwen3_moe", "attention over compressed keys and values"),
  "deepseek_v3": ("qwen3_moe", "attention over compressed keys and values"),
  "ernie4_5": ("llama", "rotation of neighbouring numbers"),
  "exaone4": (
    "olmo3",
    "norms of queries and keys within each head, and layers without rotation",
  ),
  "falcon": ("gpt2", "attention and MLP side by side"),
  "falcon_h1": ("llama", "state-space layers"),
  "gemma": ("gemma3_text", "layers without norms of queries and keys"),
  "gemma2": ("gemma3_text", "a cap of attention scores"),
  "gemma3n_text": ("gemma3_text", "embeddings of each layer"),
  "glm4": ("llama", "partial rotation, and a fused MLP"),
  "glm4_moe": ("qwen3_moe", "partial rotation, and a shared expert"),
  "gpt_neox": ("gpt2", "attention and MLP side by side, and partial rotation"),
  "gpt_oss": ("qwen3_moe", "attention sinks, and experts stored in MXFP4"),
  "gptj": ("gpt2", "attention and MLP side by side, and partial rotation"),
  "granitemoe": ("granite", "mixtures of experts"),
  "granitemoehybrid": ("granite", "state-space layers, or a fused MLP"),
  "hunyuan_v1_dense": (
    "qwen3",
    "norms of queries and keys behind their rotation",
  ),
  "internlm2": ("llama", _FUSED),
  "lfm2": ("qwen3", "layers of convolutions"),
  "llama4_text": ("llama", "chunked attention, and a shared expert"),
  "mamba": (None, "state-space layers"),
  "mamba2": (None, "state-space layers"),
  "minimax": ("qwen3_moe", _RECURRENT),
  "ministral3": ("mistral", "a scale of queries that grows with positions"),
  "mixtral": ("qwen3_moe", "the names of its experts' tensors"),
  "mllama": ("llama", _IMAGES),
  "mpt": ("gpt2", "attention that is biased by distance (ALiBi)"),
  "nemotron": ("llama", "LayerNorm, partial rotation and squared ReLU"),
  "nemotron_h": ("llama", "state-space layers"),
  "olmo": ("olmo2", "LayerNorm without weights"),
  "olmoe": ("qwen3_moe", "norms of queries and keys over all heads"),
  "opt": ("gpt2", "positions that begin at 2"),
  "phi": ("gpt2", "attention and MLP side by side, and partial rotation"),
  "phi3": ("llama", _FUSED),
  "phimoe": ("qwen3_moe", "LayerNorm, and another choice of experts"),
  "qwen2_moe": ("qwen3_moe", "a shared expert with a gate, and biases"),
  "qwen2_vl": ("qwen2", _IMAGES),
  "qwen3_5": ("qwen3", _RECURRENT),
  "qwen3_5_moe": ("qwen3_moe", _RECURRENT),
  "qwen3_5_text": ("qwen3", _RECURRENT),
  "qwen3_next": ("qwen3_moe", _RECURRENT),
  "roberta": (None, _BOTH_WAYS),
  "seed_oss": ("qwen2", "a width of heads of its own"),
  "stablelm": (
    "llama",
    "LayerNorm before rotary attention, and partial rotation",
  ),
  "starcoder2": ("gpt2", "rotary positions with LayerNorm"),
  "t5": (None, "an encoder beside its decoder"),
}
# The `model_type` of a `general.architecture` of GGUF files, where they differ.
_GGUF_NAMES = {
  "command-r": "cohere",
  "deepseek2": "deepseek_v3",
  "falcon-h1": "falcon_h1",
  "gemma3n": "gemma3n_text",
  "glm4moe": "glm4_moe",
  "gpt-oss": "gpt_oss",
  "gptneox": "gpt_neox",
  "granitehybrid": "granitemoehybrid",
  "hunyuan-dense": "hunyuan_v1_dense",
  "llama4": "llama4_text",
  "mistral3": "ministral3",
  "modern-bert": "bert",
  "nomic-bert": "bert",
  "phi2": "phi",
  "qwen2moe": "qwen2_moe",
  "qwen2vl": "qwen2_vl",
  "qwen35": "qwen3_5_text",
  "qwen35moe": "qwen3_5_moe",
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
