"""Log-odds of two answers around a real model, and what first order says of them.

Command   python -m experiments.preferences \
            --config=configs/preferences.py[:TASK] --workdir=DIR
Hardware  two CPU cores
Variants  sentiment (the default), parity, and smoke, a minute with a shipped model
Time      not timed on a quiet machine; a member reads its prompts once
Result    docs/results/smollm2/preferences.json, read in docs/smollm2.md
"""

import ml_collections

from configs import randopt, smollm2

# What each task asks for, and what a response begins with.
_ASKED = {
  "sentiment": (("positive", "negative"), "The review is"),
  "parity": (("even", "odd"), "The number is"),
}


def get_config(variant: str = "sentiment") -> ml_collections.ConfigDict:
  """Returns the measurement on a task, or its `smoke` variant."""
  known = (*_ASKED, "smoke")
  if variant not in known:
    raise ValueError(
      f"variant must be one of {', '.join(known)}, got {variant!r}."
    )
  reference = randopt.get_config()
  task = "parity" if variant == "smoke" else variant
  config = ml_collections.ConfigDict()
  config.experiment = "preferences"
  config.seed = 0  # Root of the population and of generated prompts.
  config.model = ml_collections.ConfigDict(reference.model).unlock()
  config.model.name = smollm2.MODEL
  config.model.dtype = "float32"
  config.task = ml_collections.ConfigDict()
  config.task.name = f"questions/{task}"
  config.task.num_prompts = 24
  # The two words that the task asks for; the first token of each counts, ...
  config.task.answers, config.task.begin = _ASKED[task]
  # ... behind the beginning of a response.
  config.task.use_chat_template = True
  config.task.chat_arguments = ml_collections.ConfigDict()
  config.task.chat_date = ""
  config.population = ml_collections.ConfigDict(reference.population).unlock()
  config.population.size = 64  # N, as many at each sigma.
  config.population.sigmas = (1e-3, 2e-3, 4e-3, 8e-3)
  config.population.design = "balanced"
  config.population.chunk = 4  # Members after which a killed run continues.
  if variant == "smoke":
    config.model.name = "shipped/drills"
    # It reads bytes, and words behind a space all begin with that.
    config.task.begin, config.task.num_prompts = "", 6
    config.population.size = 8
  return config.lock()
