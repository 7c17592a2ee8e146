"""Bare shapes of Qwen2.5, to be compiled for machines that are not here.

Command   python -m experiments.compile --target=v5e:4x4 \
            --config=configs/compile.py:qwen2_5_7b
Variants  qwen2_5_0_5b, qwen2_5_1_5b, qwen2_5_3b, qwen2_5_7b, qwen2_5_14b and
          qwen2_5_32b; all: these on every machine of the table in the docs, for
          which --workdir=DIR --segments=last is meant; small: 0.2B weights in ten
          layers, to try a compiler
Hardware  any; needs the extra compile-tpu or compile-cuda, no weights and no data
Time      with --segments=last half a minute to two minutes for a model and a
          machine on two cores, about an hour for all
Result    docs/accelerators.md
"""

import ml_collections

from configs import benchmark_language

_LARGE = benchmark_language.get_config("qwen2_5_3b").model.to_dict() | {
  "vocab_size": 152064,
  "tie_word_embeddings": False,
}


def _grow(*sizes: int) -> dict[str, object]:
  """Qwen2.5 from 7B on: width, width of the MLP, layers, heads of two kinds."""
  names = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
  )
  return _LARGE | dict(zip(names, sizes, strict=True))


_SMALL = _grow(1024, 4096, 10, 8, 4) | {"vocab_size": 16384}
SHAPES = {
  **{
    name: benchmark_language.get_config(name).model.to_dict()
    for name in ("qwen2_5_0_5b", "qwen2_5_1_5b", "qwen2_5_3b")
  },
  "qwen2_5_7b": _grow(3584, 18944, 28, 28, 4),
  "qwen2_5_14b": _grow(5120, 13824, 48, 40, 8),
  "qwen2_5_32b": _grow(5120, 27648, 64, 40, 8),
}


TARGETS = (
  *("h100:1", "h100:8", "v5e:2x4", "v5e:4x4", "v5e:8x8", "v5p:2x2x2"),
  *("v6e:2x4", "a100:8", "h200:8", "b200:8"),
)


def get_config(variant: str = "qwen2_5_3b") -> ml_collections.ConfigDict:
  """Returns the config of one shape."""
  shapes = {"small": _SMALL, **SHAPES}
  variants = [*shapes, "all"]
  if variant not in variants:
    raise ValueError(f"variant must be one of {variants}, got {variant!r}.")
  is_small = variant == "small"
  config = ml_collections.ConfigDict()
  config.subject = "language"
  # Fields of a config.json, of any family that the README's table lists.
  if variant == "all":
    config.models = ml_collections.ConfigDict(SHAPES)
    config.targets = TARGETS
  else:
    config.model = ml_collections.ConfigDict(shapes[variant])
  config.dtype = "bfloat16"  # Weights, activations and memory have it.

  config.num_prompts = 64 if is_small else 200
  config.prompt_tokens = 128
  config.new_tokens = 64 if is_small else 256

  config.lanes = (
    1 if is_small else 0
  )  # Members at once on a group of devices; 0 finds it.
  config.rows = 0  # Prompts at once; 0 finds it from memory.
  # Compiled one by one (apart) or once and scanned (stacked); auto by platform.
  config.layers = "auto"
  # Devices that share one member's weights; 0 finds the fewest that suffice.
  config.model_devices = 0
  return config.lock()
