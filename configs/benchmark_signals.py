"""How fast a population is scored on 1-D signals, and how much memory it takes.

Command   python -m experiments.benchmark --config=configs/benchmark_signals.py \
            --workdir=runs/benchmark_signals
Hardware  anything; two CPU cores in docs/benchmarks.md
Time      about 4 min on two cores, most of it for the memory at N=10000
Result    utilisation of 0.86 to 0.91 on two shared cores (docs/benchmarks.md)
"""

import ml_collections


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """Returns the paper's sizes, or a `smoke` variant that only shows it runs."""
  config = ml_collections.ConfigDict()
  config.subject = "signals"
  config.seed = 0

  config.model = ml_collections.ConfigDict()
  config.model.width = 128
  config.model.depth = 5
  config.model.init = "xavier"

  config.task = ml_collections.ConfigDict()
  config.task.family = "sinusoid"
  config.task.context = 10
  config.task.horizon = 60
  config.task.num_select = 1024

  config.population = ml_collections.ConfigDict()
  config.population.size = 1000  # Timed, after one chunk that is not.
  config.population.sigma = 0.002
  config.population.chunk = 0  # 0 finds it from memory.
  # Each in a process of its own, for its peak memory; () for none.
  config.population.memory_sizes = (1000, 10000)

  if variant == "smoke":
    config.task.num_select = 16
    config.population.size = 50
    config.population.memory_sizes = (50, 100)
  elif variant:
    raise ValueError(f"variant must be smoke or nothing, got {variant!r}.")
  return config.lock()
