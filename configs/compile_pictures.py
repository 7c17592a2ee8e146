"""Bare shapes of pipelines, to be compiled for machines that are not here.

Command   python -m experiments.compile_pictures --target=h100:1 \
            --config=configs/compile_pictures.py:sdxl
Variants  sdxl, 8 pictures of 512 × 512 pixels by 30 guided steps; sdxl_turbo, 4 steps
          and no guidance; small: a tiny one, to try a compiler
Hardware  any; needs the extra compile-tpu or compile-cuda, no weights and no data
Time      2 min for sdxl and an H100, on one core; 14 min for a v5e
Result    sdxl holds 12.8 GiB of an H100, and a member takes at least 0.79 s at the
          published peaks; it holds 14.0 of a v5e's 15.8 GiB, and a member takes at least
          3.98 s. The table is in docs/accelerators.md.
"""

import ml_collections

_SDXL_UNET = {
  "_class_name": "UNet2DConditionModel",
  "block_out_channels": (320, 640, 1280),
  "down_block_types": ("DownBlock2D", *["CrossAttnDownBlock2D"] * 2),
  "up_block_types": (*["CrossAttnUpBlock2D"] * 2, "UpBlock2D"),
  "transformer_layers_per_block": (1, 2, 10),
  "attention_head_dim": (5, 10, 20),
  "cross_attention_dim": 2048,
  "use_linear_projection": True,
  "addition_embed_type": "text_time",
  "addition_time_embed_dim": 256,
  "projection_class_embeddings_input_dim": 2816,
}
_SMALL_UNET = _SDXL_UNET | {
  "block_out_channels": (32, 64, 128),
  "transformer_layers_per_block": (1, 2, 3),
  "attention_head_dim": (1, 2, 4),
}
_VAE = {
  "block_out_channels": (128, 256, 512, 512),
  "up_block_types": ("UpDecoderBlock2D",) * 4,
  "layers_per_block": 2,
  "scaling_factor": 0.13025,
}
_SMALL_VAE = _VAE | {"block_out_channels": (32, 32, 64, 64)}
# openai/clip-vit-large-patch14
_SCORER = {
  "model_type": "clip",
  "projection_dim": 768,
  "text_config": {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_attention_heads": 12,
  },
  "vision_config": {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "patch_size": 14,
  },
}
# As SDXL's file has it.
_SCHEDULER = {
  "beta_start": 0.00085,
  "beta_end": 0.012,
  "beta_schedule": "scaled_linear",
  "timestep_spacing": "leading",
  "steps_offset": 1,
}
VARIANTS = ("sdxl", "sdxl_turbo", "small")


def get_config(variant: str = "sdxl") -> ml_collections.ConfigDict:
  """Returns the config of one shape."""
  if variant not in VARIANTS:
    raise ValueError(f"variant must be one of {VARIANTS}, got {variant!r}.")
  is_small = variant == "small"
  config = ml_collections.ConfigDict()
  config.subject = "pictures"
  # Fields of the parts' config.json, of any model that docs/diffusion.md lists.
  config.unet = ml_collections.ConfigDict(
    _SMALL_UNET if is_small else _SDXL_UNET
  )
  config.vae = ml_collections.ConfigDict(_SMALL_VAE if is_small else _VAE)
  config.scorer = ml_collections.ConfigDict(_SCORER)
  config.scheduler = ml_collections.ConfigDict(_SCHEDULER)
  config.dtype = "bfloat16"  # The UNet has it; decoder and CLIP are float32.

  config.height = 64 if is_small else 512  # In pixels.
  config.width = 64 if is_small else 512
  config.num_pictures = 2 if is_small else 8  # That each member draws.
  # For how many of them the denoiser predicts at once; 0 for all. Fewer need less
  # memory, and weights are read more often.
  config.pictures_at_once = 0
  config.num_steps = 4 if variant == "sdxl_turbo" else 30  # Of each picture.
  config.guidance = 0.0 if variant == "sdxl_turbo" else 5.0
  config.num_members = 8  # To a chunk; one after the other on a device.
  return config.lock()
