"""The benchmark's subject `transformers`: what its `generate` takes, alone.

The shapes and prompts are those of the subject `language`. On an accelerator the
two libraries would share its memory if they ran in one process.
"""

import time
from typing import Any

import ml_collections

from experiments import launch
from experiments.benchmark import comparison, language
from thickets.models import families
from thickets.runs import process_memory


def validate(config: ml_collections.ConfigDict) -> None:
  """Raises one UserError with everything wrong, before any device work."""
  language.validate(config)
  comparison.check_installed("subject=transformers")


def check_fits(config: ml_collections.ConfigDict) -> None:
  """Does nothing: PyTorch says what does not fit."""
  del config


def measure(config: ml_collections.ConfigDict) -> dict[str, Any]:
  """Measures seconds for all prompts; the best of the repeats counts."""
  model = families.parse_config(launch.to_json(config.model))
  prompts = language.make_prompts(config, model)
  theirs = language.make_theirs(config, prompts)
  theirs.generate()
  taken = []
  for _ in range(config.repeats):
    start = time.perf_counter()
    theirs.generate()
    taken.append(time.perf_counter() - start)
  return {
    "transformers_s": min(taken),
    "transformers_tokens_per_s": config.num_prompts
    * config.new_tokens
    / min(taken),
    "peak_memory_bytes": {"process": process_memory.peak_memory_bytes()},
  }
