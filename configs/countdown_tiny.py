"""RandOpt on the language model that ships with the package, on countdown.

Command   python -m experiments.randopt --config=configs/countdown_tiny.py \
            --workdir=runs/countdown_tiny
Hardware  two CPU cores
Time      1 min 52 s, 21 s of it compilation; configs/countdown_tiny.py:smoke takes
          under a minute
Result    base 27.1 %, vote of 20 members 38.8 % of 2000 unseen puzzles: +11.7 points
          [+10.0, +13.3]; 20 random members 37.0 %, self-consistency 38.2 %
          (docs/countdown_tiny.md)

`3 5 7=22?` asks for a formula of these numbers that makes 22.
"""

import ml_collections

from configs import randopt


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """Returns the main experiment, or its `smoke` variant."""
  config = ml_collections.ConfigDict(randopt.get_config())
  config.model.name = "shipped/drills"
  config.task.name = "drills/countdown3"
  config.task.num_select = 200
  config.task.num_dev = 500
  config.task.num_judge = 2000
  config.population.size = 256
  config.population.sigmas = (6e-3,)
  config.ensemble.top_k = 20
  config.ensemble.also = (1, 2, 5, 10)
  config.consistency.temperatures = (0.3, 0.5, 0.7)
  config.compute.rows = 250  # So that all splits share their programs.
  if variant == "smoke":
    config.task.num_dev, config.task.num_judge = 50, 100
    config.population.size = 16
    config.ensemble.top_k, config.ensemble.also = 4, (1, 2)
    config.consistency.temperatures = (0.7,)
  elif variant:
    raise ValueError(f"variant must be smoke or nothing, got {variant!r}.")
  return config.lock()
