"""RandOpt on 1-D signals: pretrained on a mixture, specialised to one line.

Command   python -m experiments.signals --config=configs/signals.py \
            --workdir=runs/signals
Hardware  two CPU cores
Time      about 25 s; configs/signals.py:smoke takes 15 s, compilation mostly
Result    base 1.01, best member 0.122, ensemble of five 0.029 at seed 0; medians
          over ten seeds 0.76, 0.024 and 0.0090 (docs/signals.md)

Any value can be overridden, as in --config.population.size=5000.
"""

import ml_collections


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """Returns the paper's approximation setting, or its `smoke` variant."""
  config = ml_collections.ConfigDict()
  config.experiment = "signals"
  # Root of every random choice: weights, pretraining, prompts, population.
  config.seed = 0

  config.model = ml_collections.ConfigDict()
  config.model.width = 128
  config.model.depth = 5  # Linear layers.
  config.model.init = "xavier"  # xavier, kaiming or orthogonal.

  config.pretraining = ml_collections.ConfigDict()
  config.pretraining.family = "mixed"  # A signal family.
  config.pretraining.num_steps = 1000  # 0 leaves the network untrained.
  config.pretraining.batch_size = 256  # Fresh signals for each step.
  config.pretraining.learning_rate = 1e-3  # Of Adam.

  config.task = ml_collections.ConfigDict()
  config.task.family = "one_line"
  config.task.context = 10  # Values given, x in [-2.5, -1.6].
  config.task.horizon = 60  # Values to predict, x in [-1.5, 4.4].
  # Signals that choose members, and others that judge the choice. one_line is a
  # single signal: its copies keep the paper's setting and cost, and change no
  # mean. Other families draw every signal afresh.
  config.task.num_select = 1024
  config.task.num_judge = 256

  config.population = ml_collections.ConfigDict()
  config.population.size = 1000  # N. A finished run continues with a larger N.
  config.population.sigmas = (0.002,)  # In the weights' own units.
  config.population.design = "independent"  # Or "balanced": equal counts.
  config.population.include = ("*",)  # Patterns of tensors to perturb, ...
  config.population.exclude = ()  # ... and of those to leave.
  config.population.chunk = 0  # Members to a chunk; 0 finds it from memory.

  config.ensemble = ml_collections.ConfigDict()
  config.ensemble.top_k = 5  # The K that is reported, chosen beforehand.
  config.ensemble.also = (1, 2, 10, 20, 50)  # Others, for the curve.
  config.ensemble.populations = (10, 30, 100, 300)  # Smaller N, for the curve.

  if variant == "smoke":
    config.pretraining.num_steps = 200
    config.task.num_select = 32
    config.task.num_judge = 32
    config.population.size = 64
    config.ensemble.also = (1, 2, 10)
    config.ensemble.populations = (10, 30)
  elif variant:
    raise ValueError(f"variant must be smoke or nothing, got {variant!r}.")
  return config.lock()
