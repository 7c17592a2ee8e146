"""Tiny vision-language models with weights by formula, and what they compute.

Weights and pixels are sines of squares, so that any program can make them. The
values were computed by a plain NumPy model in float64, and by `transformers`
5.24 in float32, which agree to 5e-6.
"""

import jax
import jax.numpy as jnp
import numpy as np

from thickets import naming
from thickets.models import families, hub, published_names, transformer
from thickets.models.vision import processor_files, tower
from thickets.models.vision.pixels import Prepared

IDS = {
  "image_token_id": 290,
  "video_token_id": 291,
  "vision_start_token_id": 292,
  "vision_end_token_id": 293,
}
_TEXT = {
  "vocab_size": 300,
  "hidden_size": 64,
  "intermediate_size": 96,
  "num_attention_heads": 4,
  "num_key_value_heads": 2,
  "max_position_embeddings": 512,
  "rms_norm_eps": 1e-6,
  "hidden_act": "silu",
  "tie_word_embeddings": True,
}
_TOWER = {
  "hidden_size": 32,
  "intermediate_size": 48,
  "num_heads": 2,
  "out_hidden_size": 64,
  "patch_size": 4,
  "spatial_merge_size": 2,
  "temporal_patch_size": 2,
  "in_channels": 3,
}
# The flat layout of transformers 4.41, and the nested one of 4.52 and newer.
QWEN2_5_VL = {
  "model_type": "qwen2_5_vl",
  **_TEXT,
  **IDS,
  "num_hidden_layers": 2,
  "rope_theta": 1e6,
  "rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]},
  "vision_config": {
    **_TOWER,
    "hidden_act": "silu",
    "depth": 3,
    "window_size": 16,
    "fullatt_block_indexes": [1],
  },
}
QWEN3_VL = {
  "model_type": "qwen3_vl",
  **IDS,
  "tie_word_embeddings": True,
  "text_config": {
    **_TEXT,
    "model_type": "qwen3_vl_text",
    "num_hidden_layers": 4,
    "head_dim": 16,
    "rope_parameters": {
      "rope_type": "default",
      "rope_theta": 5e6,
      "mrope_section": [3, 3, 2],
      "mrope_interleaved": True,
    },
  },
  "vision_config": {
    **_TOWER,
    "model_type": "qwen3_vl",
    "hidden_act": "gelu_pytorch_tanh",
    "depth": 4,
    "num_position_embeddings": 36,
    "deepstack_visual_indexes": [1, 2],
  },
}
FIELDS = {"qwen2_5_vl": QWEN2_5_VL, "qwen3_vl": QWEN3_VL}
PREPROCESSOR = {
  "patch_size": 4,
  "merge_size": 2,
  "temporal_patch_size": 2,
  "min_pixels": 64,
  "max_pixels": 64 * 1024,
  "image_mean": [0.5, 0.5, 0.5],
  "image_std": [0.5, 0.5, 0.5],
}
GRIDS = ((10, 6), (4, 12))
# Text, an image of 15 tokens, text, one of 12, text.
TOKENS = (
  *(5, 6, 7, 292),
  *[290] * 15,
  *(293, 8, 9, 292),
  *[290] * 12,
  *(293, 10, 11, 12),
)


def make_params(fields):
  """The weights of a model, entry i of tensor k being 0.2·sin(0.37·(i+1)² + k).

  Tensors count in the order of their published names; norms are one more.
  """
  config = families.parse_config(fields)
  vision = families.parse_vision(fields)
  template = transformer.abstract_params(config, jnp.float32)
  template["visual"] = tower.abstract_params(vision, jnp.float32)
  names = transformer.tensor_names(template)
  shapes = {}
  for pattern, leaf in naming.named_leaves(template, names):
    for name in naming.slice_names(pattern, leaf).reshape(-1):
      key = published_names.find_place(config.family, str(name)).key
      shapes[key] = leaf.shape[pattern.count("{}") :]
  tensors = {}
  for k, key in enumerate(sorted(shapes)):
    size = int(np.prod(shapes[key]))
    values = 0.2 * np.sin(0.37 * (np.arange(size) + 1.0) ** 2 + k)
    is_norm = key.endswith(".weight") and ("norm" in key or "ln_q" in key)
    values = (values + is_norm).astype(np.float32)
    tensors[key] = values.reshape(shapes[key])

  def fill(pattern, leaf):
    slices = naming.slice_names(pattern, leaf)
    array = np.zeros(leaf.shape, np.float32)
    for at in np.ndindex(slices.shape):
      key = published_names.find_place(config.family, str(slices[at])).key
      array[at] = tensors[key]
    return jnp.asarray(array)

  return jax.tree.map(fill, names, template)


def make_model(fields, dtype=jnp.float32, preprocessor=PREPROCESSOR):
  """The model of a config, with weights by formula and no tokenizer."""
  params = jax.tree.map(lambda leaf: leaf.astype(dtype), make_params(fields))
  config = families.parse_config(fields)
  return hub.Model(
    config=config,
    params=params,
    tokenizer=None,
    identity=naming.identify(params, transformer.tensor_names(params)),
    revision=None,
    source="weights by formula",
    dtype=np.dtype(dtype),
    fields=fields,
    generation=None,
    stop_tokens=(),
    vision=processor_files.make_vision_model(
      fields,
      families.parse_vision(fields),
      config.vocab_size,
      None,
      processor_files.write_file(preprocessor),
    ),
  )


def make_images():
  """Two images of odd sizes."""
  count = sum(rows * columns for rows, columns in GRIDS)
  values = np.cos(0.11 * (np.arange(count * 96) + 1.0) ** 2)
  patches = values.astype(np.float32).reshape(count, 96)
  cut = GRIDS[0][0] * GRIDS[0][1]
  return [
    Prepared(part, grid, 2)
    for part, grid in zip((patches[:cut], patches[cut:]), GRIDS, strict=True)
  ]
