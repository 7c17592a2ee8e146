"""How fast members of a language model are rebuilt and answer prompts.

Command   python -m experiments.benchmark \
            --config=configs/benchmark_language.py:tiny --workdir=DIR
Variants  tiny, small, medium: 0.36M, 0.85M and 5M weights, for CPUs
          qwen2_5_0_5b, qwen2_5_1_5b, qwen2_5_3b: for accelerators, in bfloat16
          smoke: shows that it runs
          with --config.compare=transformers also the same prompts through
          transformers' generate (needs the extra `torch`)
Hardware  anything that holds the weights twice; no data, no download
Time      half a minute to two minutes on two cores, with the comparison
Result    docs/benchmarks.md
"""

import ml_collections

_TINY = {
  "model_type": "qwen2",
  "vocab_size": 256,
  "hidden_size": 96,
  "intermediate_size": 256,
  "num_hidden_layers": 3,
  "num_attention_heads": 4,
  "num_key_value_heads": 4,
  "max_position_embeddings": 512,
  "rms_norm_eps": 1e-6,
  "rope_theta": 1e4,
  "tie_word_embeddings": True,
}
_SMALL = _TINY | {
  "vocab_size": 384,
  "hidden_size": 128,
  "intermediate_size": 352,
  "num_hidden_layers": 4,
}
_MEDIUM = _TINY | {
  "vocab_size": 512,
  "hidden_size": 256,
  "intermediate_size": 704,
  "num_hidden_layers": 6,
  "num_attention_heads": 8,
  "num_key_value_heads": 8,
}
# The published shapes of Qwen2.5.
_QWEN_0_5B = _TINY | {
  "vocab_size": 151936,
  "hidden_size": 896,
  "intermediate_size": 4864,
  "num_hidden_layers": 24,
  "num_attention_heads": 14,
  "num_key_value_heads": 2,
  "max_position_embeddings": 32768,
  "rope_theta": 1e6,
}
_QWEN_1_5B = _QWEN_0_5B | {
  "hidden_size": 1536,
  "intermediate_size": 8960,
  "num_hidden_layers": 28,
  "num_attention_heads": 12,
}
_QWEN_3B = _QWEN_0_5B | {
  "hidden_size": 2048,
  "intermediate_size": 11008,
  "num_hidden_layers": 36,
  "num_attention_heads": 16,
}

# Shape, prompt tokens, new tokens, dtype.
SHAPES = {
  "tiny": (_TINY, 32, 20, "float32"),
  "small": (_SMALL, 64, 64, "float32"),
  "medium": (_MEDIUM, 96, 64, "float32"),
  "qwen2_5_0_5b": (_QWEN_0_5B, 128, 256, "bfloat16"),
  "qwen2_5_1_5b": (_QWEN_1_5B, 128, 256, "bfloat16"),
  "qwen2_5_3b": (_QWEN_3B, 128, 256, "bfloat16"),
  "smoke": (_TINY, 8, 4, "float32"),
}


def get_config(variant: str = "tiny") -> ml_collections.ConfigDict:
  """Returns the config of one shape."""
  if variant not in SHAPES:
    raise ValueError(
      f"variant must be one of {sorted(SHAPES)}, got {variant!r}."
    )
  shape, prompt_tokens, new_tokens, dtype = SHAPES[variant]
  config = ml_collections.ConfigDict()
  config.subject = "language"
  config.seed = 0
  # Fields of a config.json, of any family that the README's table lists.
  config.model = ml_collections.ConfigDict(shape)
  config.dtype = dtype  # Weights, activations and memory have it.

  config.num_prompts = 8 if variant == "smoke" else 200
  config.prompt_tokens = prompt_tokens
  config.new_tokens = new_tokens
  config.sigma = 0.002

  config.repeats = 2 if variant == "smoke" else 5  # The fastest counts.
  config.lanes = 0  # Members at once on a group of devices; 0 finds it.
  config.rows = 0  # Prompts at once; 0 finds it from memory.
  # Compiled one by one (apart) or once and scanned (stacked); auto by depth.
  config.layers = "auto"
  config.model_devices = 1  # Devices that share one member's weights.
  config.compare = ""  # "transformers" times its generate in the same run.
  return config.lock()
