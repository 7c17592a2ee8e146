"""A population around one base, measured on several tasks.

Command   python -m experiments.measure --config=configs/measure.py --workdir=DIR
Hardware  two CPU cores
Variants  smoke: twelve members on two tasks, which takes about a minute
          smollm2: SmolLM2-135M-Instruct on the ten tasks of short questions, for
          which the model is fetched once, 98 MB
Time      22 min on a loaded machine; smollm2 is meant for a GPU
Result    docs/results/README.md

All members answer the prompts of `select` and of `dev` of every task, so that
density, diversity and votes of any size can be computed from the records later,
without a model. `judge` is not looked at.
"""

import ml_collections

from configs import randopt, smollm2

# Families of drills that the shipped model has learnt a part of.
SHIPPED = (
  "drills/countdown3",
  "drills/countdown4",
  "drills/modulo",
  "drills/sorting",
  "drills/maximum",
)


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """Returns the measurement of the shipped model, or one of the variants."""
  reference = randopt.get_config()
  config = ml_collections.ConfigDict()
  config.experiment = "measure"
  config.seed = 0  # Root of the population and of generated prompts.
  config.model = ml_collections.ConfigDict(reference.model)
  config.tasks = ml_collections.ConfigDict()
  config.tasks.names = SHIPPED  # As task.name of configs/randopt.py.
  config.tasks.rules = "standard"
  config.tasks.num_select = 100  # Prompts of each task that choose members, ...
  config.tasks.num_dev = 100  # ... and that judge what was chosen.
  config.tasks.use_chat_template = True
  config.tasks.chat_arguments = ml_collections.ConfigDict()
  config.tasks.chat_date = ""
  config.population = ml_collections.ConfigDict(reference.population).unlock()
  config.population.size = 384  # N, spread over the sigmas.
  config.population.sigmas = (2e-3, 6e-3, 1.2e-2)
  # Unit of the sigmas: "absolute" for the weights' own units, "relative" for the
  # root mean square of the perturbed weights.
  config.population.unit = "absolute"
  config.population.design = "balanced"
  # A grid of two-term members, spanned by two directions: its cells along a side,
  # an odd number, or 0 for no grid; and its reach in each direction, as a sigma.
  config.slice = ml_collections.ConfigDict()
  config.slice.resolution = 13
  config.slice.extent = 1.2e-2
  # Projects all members' noise on a random plane, for the paper's Fig. 2. Draws
  # every member's noise once more, in tens of seconds for small models.
  config.project = True
  # How often the base is sampled on each prompt to vote with itself; 0 for not at
  # all. Of several temperatures, the prompts of select choose one.
  config.consistency = ml_collections.ConfigDict(reference.consistency).unlock()
  config.consistency.samples = 0
  config.decoding = ml_collections.ConfigDict(reference.decoding)
  config.compute = ml_collections.ConfigDict(reference.compute)
  config.log_responses = False
  if variant == "smoke":
    config.tasks.names = SHIPPED[-2:]
    config.tasks.num_select = config.tasks.num_dev = 10
    config.population.size = 12
    config.population.sigmas = (6e-3,)
    config.slice.resolution = 3
    config.decoding.max_new_tokens = 24
  elif variant == "smollm2":
    config.model.name = smollm2.MODEL
    config.tasks.names = tuple(f"questions/{task}" for task in smollm2.TASKS)
    config.tasks.num_dev = 200
    config.population.size = 256
    config.population.sigmas = (1e-3, 2e-3, 4e-3, 8e-3)
    config.slice.resolution = 0
    config.project = False
    config.consistency.samples = 10
    config.consistency.temperatures = (0.1, 0.3, 0.5, 0.7)
    config.log_responses = True
  elif variant:
    raise ValueError(
      f"variant must be smoke, smollm2 or nothing, got {variant!r}."
    )
  return config.lock()
