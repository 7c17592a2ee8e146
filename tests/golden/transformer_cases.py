"""Small configs that exercise every feature of the transformer, and weights.

`transformers_values.json` holds what `transformers` computes for them.
"""

import json
import pathlib
import zlib

import jax
import jax.numpy as jnp
import numpy as np

from thickets import naming
from thickets.models import checkpoint, families, hub, transformer

PATH = pathlib.Path(__file__).parent / "transformers_values.json"
NUM_STEPS = 64
TOLERANCE = 1e-4  # Of logits.

_ROTARY = {
  "vocab_size": 97,
  "hidden_size": 32,
  "intermediate_size": 48,
  "num_hidden_layers": 3,
  "num_attention_heads": 4,
  "num_key_value_heads": 2,
  "max_position_embeddings": 128,
  "rms_norm_eps": 1e-5,
  "rope_theta": 10000.0,
  "hidden_act": "silu",
  "tie_word_embeddings": False,
  "bos_token_id": None,
  "eos_token_id": None,
  "pad_token_id": None,
}
_LLAMA3 = {
  "rope_type": "llama3",
  "factor": 8.0,
  "low_freq_factor": 1.0,
  "high_freq_factor": 4.0,
  "original_max_position_embeddings": 16,
}
_YARN = {
  "rope_type": "yarn",
  "factor": 8.0,
  "original_max_position_embeddings": 16,
  "attention_factor": 1.2079,
  "beta_fast": 32.0,
  "beta_slow": 1.0,
}
_OLMO3 = _ROTARY | {
  "model_type": "olmo3",
  "num_hidden_layers": 4,
  "sliding_window": 6,
  "head_dim": 8,
}

_GEMMA3 = {
  name: value
  for name, value in _ROTARY.items()
  if name not in ("hidden_act", "rope_theta", "tie_word_embeddings")
} | {
  "model_type": "gemma3_text",
  "hidden_activation": "gelu_pytorch_tanh",
  "head_dim": 12,
  "query_pre_attn_scalar": 20,
  "sliding_window": 6,
  "sliding_window_pattern": 3,
}

CASES = {
  "qwen2": _ROTARY | {"model_type": "qwen2", "tie_word_embeddings": True},
  "qwen2_window": _ROTARY
  | {
    "model_type": "qwen2",
    "num_hidden_layers": 4,
    "use_sliding_window": True,
    "sliding_window": 5,
    "max_window_layers": 2,
  },
  "qwen2_yarn": _ROTARY
  | {
    "model_type": "qwen2",
    "rope_scaling": {
      "type": "yarn",
      "factor": 4.0,
      "original_max_position_embeddings": 32,
    },
  },
  "qwen3": _ROTARY
  | {
    "model_type": "qwen3",
    "head_dim": 16,
    "rope_theta": 1e6,
    "tie_word_embeddings": True,
  },
  "llama": _ROTARY
  | {
    "model_type": "llama",
    "rope_theta": 500000.0,
    "rope_scaling": _LLAMA3,
    "attention_bias": True,
    "mlp_bias": True,
  },
  "llama_linear": _ROTARY
  | {
    "model_type": "llama",
    "num_key_value_heads": 4,
    "rope_scaling": {"type": "linear", "factor": 4.0},
  },
  "qwen3_moe": _ROTARY
  | {
    "model_type": "qwen3_moe",
    "head_dim": 12,
    "num_hidden_layers": 2,
    "num_experts": 8,
    "num_experts_per_tok": 3,
    "moe_intermediate_size": 20,
    "norm_topk_prob": True,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
  },
  "olmo2": _ROTARY | {"model_type": "olmo2", "rms_norm_eps": 1e-6},
  "olmo3": _OLMO3 | {"rope_theta": 500000.0, "rope_scaling": _YARN},
  "olmo3_parameters": {
    name: value for name, value in _OLMO3.items() if name != "rope_theta"
  }
  | {
    "layer_types": ["full_attention", "sliding_attention"] * 2,
    "rope_parameters": {
      "full_attention": _YARN | {"rope_theta": 500000.0},
      "sliding_attention": {"rope_type": "default", "rope_theta": 500000.0},
    },
  },
  "mistral": _ROTARY
  | {
    "model_type": "mistral",
    "head_dim": 12,
    "sliding_window": 5,
  },
  "smollm3": _ROTARY
  | {
    "model_type": "smollm3",
    "num_hidden_layers": 4,
    "no_rope_layers": [1, 0, 1, 0],
    "use_sliding_window": True,
    "sliding_window": 6,
    "layer_types": ["full_attention"] * 2 + ["sliding_attention"] * 2,
    "attention_bias": True,
    "tie_word_embeddings": True,
  },
  "granite": _ROTARY
  | {
    "model_type": "granite",
    "embedding_multiplier": 3.0,
    "attention_multiplier": 0.2,
    "residual_multiplier": 0.6,
    "logits_scaling": 2.5,
    "attention_bias": True,
    "mlp_bias": True,
  },
  "gemma3": _GEMMA3
  | {
    "rope_theta": 500000.0,
    "rope_local_base_freq": 5000.0,
    "rope_scaling": {"rope_type": "linear", "factor": 4.0},
    "final_logit_softcapping": 7.0,
    "tie_word_embeddings": False,
  },
  "gemma3_parameters": _GEMMA3
  | {
    "intermediate_size": 64,  # With which its greedy tokens vary.
    "layer_types": ["full_attention"] + ["sliding_attention"] * 2,
    "rope_parameters": {
      "full_attention": {
        "rope_type": "linear",
        "factor": 4.0,
        "rope_theta": 500000.0,
      },
      "sliding_attention": {"rope_type": "default", "rope_theta": 5000.0},
    },
  },
  "gpt2": {
    "model_type": "gpt2",
    "vocab_size": 97,
    "n_embd": 32,
    "n_layer": 3,
    "n_head": 4,
    "n_inner": 48,
    "n_positions": 128,
    "activation_function": "gelu_new",
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
  },
}


def read_values():
  """What `transformers` computed, by case."""
  return json.loads(PATH.read_text(encoding="utf-8"))["cases"]


def make_tensor(name, shape):
  """Random weights of a tensor, the same wherever they are made."""
  rng = np.random.default_rng(zlib.crc32(name.encode()))
  values = 0.3 * rng.normal(size=shape)
  if "norm" in name and not name.endswith("_bias"):
    values = 1 + values
  return values.astype(np.float32)


def make_tensors(fields):
  """All logical tensors of a model, by name."""
  shapes = checkpoint.logical_shapes(families.parse_config(fields))
  return {name: make_tensor(name, shape) for name, shape in shapes.items()}


def make_params(fields):
  """The tensors as a tree, layers stacked."""
  config = families.parse_config(fields)
  tensors = make_tensors(fields)
  template = transformer.abstract_params(config, np.float32)

  def stack(pattern, leaf):
    names = naming.slice_names(pattern, leaf).reshape(-1)
    return np.stack([tensors[name] for name in names]).reshape(leaf.shape)

  return jax.tree.map(stack, transformer.tensor_names(template), template)


def make_prompt(fields):
  """[12] token ids."""
  rng = np.random.default_rng(0)
  return rng.integers(0, fields["vocab_size"], 12, dtype=np.int32)


def make_model(name="qwen2", dtype=np.float32, tokenizer=None, **changes):
  """The model of a case, with the weights of its golden values."""
  fields = CASES[name] | changes
  params = jax.tree.map(lambda leaf: leaf.astype(dtype), make_params(fields))
  return hub.Model(
    config=families.parse_config(fields),
    params=jax.tree.map(jnp.asarray, params),
    tokenizer=tokenizer,
    # Of arrays on the host, which need no programs to be sliced.
    identity=naming.identify(params, transformer.tensor_names(params)),
    revision=None,
    source="test",
    dtype=np.dtype(dtype),
    fields=fields,
    generation=None,
    stop_tokens=(),
  )


def make_tokenizer(num_tokens=20, **options):
  """A tokenizer of words w0, w1, …"""
  import tokenizers
  import transformers

  vocabulary = {f"w{i}": i for i in range(num_tokens)}
  tokenizer = tokenizers.Tokenizer(
    tokenizers.models.WordLevel(vocabulary, unk_token="w0")
  )
  tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
  return transformers.PreTrainedTokenizerFast(
    tokenizer_object=tokenizer, eos_token="w1", **options
  )
