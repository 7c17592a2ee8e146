"""Tiny diffusion models that exercise every feature of the published ones."""

import numpy as np

SDXL = {
  "_class_name": "UNet2DConditionModel",
  "block_out_channels": [320, 640, 1280],
  "down_block_types": ["DownBlock2D"] + ["CrossAttnDownBlock2D"] * 2,
  "up_block_types": ["CrossAttnUpBlock2D"] * 2 + ["UpBlock2D"],
  "transformer_layers_per_block": [1, 2, 10],
  "attention_head_dim": [5, 10, 20],
  "cross_attention_dim": 2048,
  "use_linear_projection": True,
  "upcast_attention": None,
  "addition_embed_type": "text_time",
  "addition_time_embed_dim": 256,
  "projection_class_embeddings_input_dim": 2816,
  "sample_size": 128,
}
SD15 = {
  "_class_name": "UNet2DConditionModel",
  "attention_head_dim": 8,
  "cross_attention_dim": 768,
  "sample_size": 64,
}
SD21 = {
  "_class_name": "UNet2DConditionModel",
  "attention_head_dim": [5, 10, 20, 20],
  "cross_attention_dim": 1024,
  "use_linear_projection": True,
  "upcast_attention": True,
  "sample_size": 96,
}
# The UNet of the small demonstration: it draws pictures, not latents.
SHAPES = {
  "_class_name": "UNet2DConditionModel",
  "in_channels": 3,
  "out_channels": 3,
  "block_out_channels": [24, 48],
  "norm_num_groups": 8,
  "layers_per_block": 1,
  "cross_attention_dim": 32,
  "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
  "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
  "attention_head_dim": [1, 3],
  "sample_size": 16,
}
TINY_XL = {
  **SDXL,
  "sample_size": 16,
  "block_out_channels": [8, 16, 32],
  "norm_num_groups": 4,
  "layers_per_block": 2,
  "cross_attention_dim": 24,
  "transformer_layers_per_block": [1, 2, 3],
  "attention_head_dim": [1, 2, 4],
  "addition_time_embed_dim": 6,
  "projection_class_embeddings_input_dim": 6 * 6 + 20,
}
TINY_SD15 = {
  **SD15,
  "sample_size": 16,
  "block_out_channels": [8, 16, 32, 32],
  "norm_num_groups": 4,
  "cross_attention_dim": 24,
  "attention_head_dim": 4,
}
TINY_SD21 = {
  **TINY_SD15,
  "attention_head_dim": [1, 2, 4, 4],
  "use_linear_projection": True,
  "upcast_attention": True,
}
# With fewer tensors, for tests of files.
SMALL_XL = {
  **TINY_XL,
  "block_out_channels": [8, 16],
  "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
  "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
  "layers_per_block": 1,
  "transformer_layers_per_block": [1, 3],
  "attention_head_dim": [1, 2],
}
SMALL_SD = {
  **TINY_SD15,
  "block_out_channels": [8, 16],
  "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
  "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
  "layers_per_block": 1,
  "cross_attention_dim": 12,
}
TINY_UNETS = {"xl": TINY_XL, "sd15": TINY_SD15, "sd21": TINY_SD21}

VAE = {
  "_class_name": "AutoencoderKL",
  "in_channels": 3,
  "out_channels": 3,
  "latent_channels": 4,
  "block_out_channels": [128, 256, 512, 512],
  "down_block_types": ["DownEncoderBlock2D"] * 4,
  "up_block_types": ["UpDecoderBlock2D"] * 4,
  "layers_per_block": 2,
  "norm_num_groups": 32,
  "scaling_factor": 0.13025,
  "force_upcast": True,
}
TINY_VAE = {
  **VAE,
  "block_out_channels": [8, 16, 16],
  "down_block_types": ["DownEncoderBlock2D"] * 3,
  "up_block_types": ["UpDecoderBlock2D"] * 3,
  "layers_per_block": 1,
  "norm_num_groups": 4,
}

CLIP_L_TEXT = {
  "hidden_size": 768,
  "intermediate_size": 3072,
  "num_hidden_layers": 12,
  "num_attention_heads": 12,
  "projection_dim": 768,
  "hidden_act": "quick_gelu",
  "eos_token_id": 2,
}
BIG_G_TEXT = {
  "hidden_size": 1280,
  "intermediate_size": 5120,
  "num_hidden_layers": 32,
  "num_attention_heads": 20,
  "projection_dim": 1280,
  "hidden_act": "gelu",
  "eos_token_id": 49407,
}
CLIP_L = {
  "model_type": "clip",
  "projection_dim": 768,
  "text_config": CLIP_L_TEXT,
  "vision_config": {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 224,
    "patch_size": 14,
  },
}

SCHEDULER = {
  "_class_name": "EulerDiscreteScheduler",
  "num_train_timesteps": 1000,
  "beta_start": 0.00085,
  "beta_end": 0.012,
  "beta_schedule": "scaled_linear",
  "prediction_type": "epsilon",
  "interpolation_type": "linear",
  "timestep_spacing": "leading",
  "steps_offset": 1,
  "use_karras_sigmas": False,
  "trained_betas": None,
  "clip_sample": False,
  "set_alpha_to_one": False,
  "skip_prk_steps": True,
}


def randomise(name: str, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
  """Weights that hide no mistake: no unit scales, no biases of zero.

  Args:
    name: the published key, on which the values depend.
    shape: the shape of the tensor.
    seed: other values for another seed.
  """
  random = np.random.default_rng([seed, *name.encode()])
  values = random.standard_normal(shape)
  if len(shape) > 1:
    fan_in = np.prod(shape[1:])
    return (values / np.sqrt(fan_in)).astype(np.float32)
  is_scale = name.endswith(".weight")
  return (0.2 * values + is_scale).astype(np.float32)
