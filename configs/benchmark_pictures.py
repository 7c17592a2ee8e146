"""What pictures cost a member, over the same text model at as many tokens.

Command   python -m experiments.benchmark \
            --config=configs/benchmark_pictures.py --workdir=DIR
Variants  smoke: a few prompts, shows that it runs
Hardware  anything; random weights, no download
Time      half a minute on two cores
Result    `over_text` 1.005, at most 1.1 is meant: features are computed once for all
          members. `shared_over_text` 0.52, where eight questions are about a picture,
          and `tower_each_over_text` 1.77, where each member moves the tower
"""

import ml_collections


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """Returns the config of 32 questions, or of a few (`smoke`)."""
  if variant not in ("", "smoke"):
    raise ValueError(f"variant must be smoke or empty, got {variant!r}.")
  is_smoke = variant == "smoke"
  config = ml_collections.ConfigDict()
  config.subject = "pictures"
  config.seed = 0
  config.dtype = "float32"  # Of weights, activations and memory.

  config.num_prompts = 4 if is_smoke else 32
  config.questions_per_picture = 2 if is_smoke else 8  # Where they are shared.
  config.side = 64 if is_smoke else 224  # Of a picture, in pixels.
  config.question_tokens = 8 if is_smoke else 32  # Behind the picture.
  config.new_tokens = 4 if is_smoke else 16  # All are generated.

  # The text model, and a tower of about a fifth of its weights, as Qwen2.5-VL-3B has.
  config.width = 64 if is_smoke else 256
  config.num_layers = 2 if is_smoke else 6
  config.sigma = 0.002
  config.repeats = 2 if is_smoke else 5  # The fastest counts.
  return config.lock()
