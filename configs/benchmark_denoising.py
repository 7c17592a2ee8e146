"""How fast members of a small UNet denoise, beside diffusers with PyTorch.

Command   python -m experiments.benchmark --config=configs/benchmark_denoising.py \
            --workdir=runs/benchmark_denoising
Hardware  anything that JAX and PyTorch both run on
Time      35 s on two cores
Result    ours_over_diffusers: member-steps per second over those of diffusers; 1.86,
          1.90 and 2.31 in three runs on two quiet cores (JAX 0.10.2, torch 2.13)
"""

import ml_collections


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """Returns the UNet of 16×16 pictures, or a `smoke` variant without PyTorch."""
  config = ml_collections.ConfigDict()
  config.subject = "denoising"
  config.seed = 0
  config.compare = True  # With diffusers; needs the extra `torch`.
  config.num_members = 4
  config.num_rows = 16  # Pictures of a member.
  config.num_steps = 12
  config.num_tokens = 8  # Of a prompt.
  config.size = 16  # Pixels of a side.
  config.sigma = 0.02
  config.repeats = 3
  config.model = ml_collections.ConfigDict(  # A config.json of diffusers.
    {
      "in_channels": 3,
      "out_channels": 3,
      "block_out_channels": [24, 48],
      "norm_num_groups": 8,
      "layers_per_block": 1,
      "cross_attention_dim": 32,
      "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
      "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
      "attention_head_dim": [1, 3],
    },
    convert_dict=False,
  )
  config.scheduler = ml_collections.ConfigDict(
    {
      "_class_name": "EulerDiscreteScheduler",
      "beta_start": 0.00085,
      "beta_end": 0.012,
      "beta_schedule": "scaled_linear",
      "timestep_spacing": "leading",
      "steps_offset": 1,
    }
  )
  if variant == "smoke":
    config.compare = False
    config.num_members, config.num_rows, config.num_steps = 2, 2, 2
    config.size, config.repeats = 8, 1
  elif variant:
    raise ValueError(f"variant must be smoke or nothing, got {variant!r}.")
  return config.lock()
