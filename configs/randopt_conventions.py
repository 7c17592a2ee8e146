"""RandOpt on a model that is undecided between two conventions, one of them wanted.

Command   python -m experiments.randopt --config=configs/randopt_conventions.py \
            --workdir=runs/randopt_conventions
Hardware  two CPU cores
Time      24 s, 11 s of it compilation, on one core
Result    base 22.7 %, vote of 15 members 41.2 % of 480 unseen questions: +18.5 points
          [+14.4, +22.5]; best member 51.0 %, 15 random members 13.1 %,
          self-consistency 23.5 % (docs/distillation.md)

`turn 52814?` wants the digits turned to the right, and the model turns them as often
to the left (docs/conventions.md). configs/distil.py makes one model of the members.
"""

import ml_collections

from configs import randopt


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """Returns the experiment, or its `smoke` variant."""
  config = ml_collections.ConfigDict(randopt.get_config())
  config.model.name = "shipped/conventions-hidden"
  config.task.name = "conventions/turning/right"
  # Multiples of the rows at once, so that all batches share their programs.
  config.task.num_select, config.task.num_dev = 60, 120
  config.task.num_judge = 480
  config.population.size = 96
  config.population.sigmas = (1.4e-2,)
  config.ensemble.top_k, config.ensemble.also = 15, (1, 5)
  config.consistency.temperatures = (0.3,)
  config.compute.rows = 60
  if variant == "smoke":
    config.task.num_select, config.task.num_dev = 12, 12
    config.task.num_judge = 24
    config.population.size = 8
    config.ensemble.top_k, config.ensemble.also = 3, (1,)
    config.compute.rows = 12
  elif variant:
    raise ValueError(f"variant must be smoke or nothing, got {variant!r}.")
  return config.lock()
