"""How fast a policy is updated, beside matrix products of the same machine.

Command   python -m experiments.benchmark \
            --config=configs/benchmark_policy.py:medium --workdir=DIR
Variants  small, medium: 0.85M and 5M weights, for CPUs; qwen2_5_0_5b and others of
          configs/benchmark_language.py: for accelerators, in bfloat16
          smoke: shows that it runs
Hardware  anything that holds the weights, in float32 with two moments and the
          gradient, and the activations of micro_rows texts; no data, no download
Time      half a minute on two cores
Result    docs/policy_gradient.md
"""

import ml_collections

from configs import benchmark_language


def get_config(variant: str = "medium") -> ml_collections.ConfigDict:
  """Returns the config of one shape of configs/benchmark_language.py."""
  source = benchmark_language.get_config(variant)
  is_smoke = variant == "smoke"
  config = ml_collections.ConfigDict()
  config.subject = "policy"
  config.seed = 0
  config.model = ml_collections.ConfigDict(source.model)
  config.dtype = source.dtype  # In which the model computes.
  config.num_rows = 4 if is_smoke else 32  # Roll-outs of an update.
  # Of which gradients are computed at once; 0 is all. On CPUs a few at a time are
  # faster, since what is kept for the backward pass stays in the cache.
  config.micro_rows = 0 if config.dtype == "bfloat16" or is_smoke else 8
  config.prompt_tokens = source.prompt_tokens
  config.new_tokens = source.new_tokens  # Of every response: none is padded.
  config.repeats = 2 if is_smoke else 8  # The fastest counts.
  config.model_devices = 1  # Devices that share the weights.
  return config.lock()
