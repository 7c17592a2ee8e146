"""Evolution strategies: one model, moved step by step by its members' scores.

Command   python -m experiments.evolution --config=configs/evolution.py:VARIANT \
            --workdir=DIR
          VARIANT is laptop, smoke, or MODEL-TASK as in configs/randopt.py, such as
          qwen2_5_3b-gsm8k.
Hardware  laptop and smoke: two CPU cores; MODEL-TASK: accelerators, on which the
          weights are held in float32 beside those in bfloat16
Time      laptop: 51 s of processor time, half of it compilation (8 min 45 s beside
          much other work); smoke: under a minute; MODEL-TASK: not measured.
          167 steps generate 167 x 30 x 200 responses, as many as RandOpt of N=5000
Result    laptop: base 22.7 %, after 20 steps 79.6 % of 480 unseen questions: +56.9
          points [+52.2, +61.1] (docs/evolution.md)
          published for MODEL-TASK: accuracy in %, base → ES, and behind it the vote
          of 50 samples of that model (the paper, arXiv:2603.12228, Table 4):

                    countdown         gsm8k             math500           mbpp              olympiad.         rocst.            uspto50k
          Qwen 1.5B                   58.8→71.7; 80.4
          Qwen 3B   10.0→55.6; 61.9   79.8→85.8; 87.9   58.6→61.9; 67.7   69.5→77.2; 76.3   24.5→36.4; 39.7   54.7→64.5; 55.0   38.5→52.9; 39.8
          OLMo 7B   64.8→71.0         82.9→87.2

          No run of MODEL-TASK has been made yet. To compare with the published
          numbers, add --config.task.rules=paper. The authors' prompts and rewards
          of ES differ from those of RandOpt on countdown and gsm8k.

Without a variant this is the list of all keys.
"""

import ml_collections

from configs import randopt

NAMES = ("laptop", "smoke")


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """Returns `laptop`, `smoke` or `MODEL-TASK`; all keys for none."""
  config = _list_keys()
  if variant == "laptop":
    _set_laptop(config)
  elif variant == "smoke":
    _set_laptop(config)
    config.task.num_select, config.task.num_dev = 6, 6
    config.task.num_judge = 12
    config.compute.rows = 6
    config.population.size = 4
    config.evolution.num_steps = 2
  elif variant:
    _set_paper(config, variant)
  return config.lock()


def _list_keys() -> ml_collections.ConfigDict:
  reference = randopt.get_config()
  config = ml_collections.ConfigDict()
  config.experiment = "evolution"
  config.seed = 0  # Root of every random choice: members, generated prompts.
  config.model = ml_collections.ConfigDict(reference.model)
  # num_select prompts score the members of every step, and num_dev prompts watch.
  config.task = ml_collections.ConfigDict(reference.task)

  config.population = ml_collections.ConfigDict()
  config.population.size = 30  # P, members of a step.
  config.population.sigma = 1e-3  # In the weights' own units.
  # Every second member is the mirror image of the one before it.
  config.population.antithetic = False
  config.population.include = ("*",)  # Patterns of tensors to move, ...
  config.population.exclude = ()  # ... and of those to leave.
  config.population.chunk = 0  # Members to a chunk; 0 finds it from memory.

  config.evolution = ml_collections.ConfigDict()
  # How far a step goes, in the weights' own units: the standard deviation of what it
  # adds to a weight is alpha / sqrt(P).
  config.evolution.alpha = 5e-4
  config.evolution.num_steps = 167  # At most; 0 for as many as the budget pays.
  config.evolution.save_every = 10  # Steps between two checkpoints.
  config.evolution.watch_every = 5  # Steps between two looks at dev.

  # What all steps may cost together, in FLOPs of the model; 0 for no limit.
  config.budget = ml_collections.ConfigDict()
  config.budget.flops = 0.0

  config.decoding = ml_collections.ConfigDict(reference.decoding)
  config.compute = ml_collections.ConfigDict(reference.compute)
  config.log_responses = False  # Every member of every step gives them.
  return config


def _set_laptop(config) -> None:
  """A base that is undecided between two conventions, of which one is wanted."""
  config.model.name = "shipped/conventions-hidden"
  config.task.name = "conventions/turning/right"
  # Multiples of the rows at once, so that all batches share their programs.
  config.task.num_select, config.task.num_dev = 60, 120
  config.task.num_judge = 480
  config.population.sigma = 1.4e-2
  config.evolution.alpha = 7e-3
  config.evolution.num_steps = 20
  config.evolution.watch_every = 2
  config.compute.rows = 60


def _set_paper(config, variant: str) -> None:
  try:
    source = randopt.get_config(variant)
  except ValueError as error:
    raise ValueError(
      f"variant must be one of {', '.join(NAMES)}, or MODEL-TASK: {error}"
    ) from error
  if variant.count("-") > 1:
    raise ValueError(
      f"variant must be MODEL-TASK without a size, got {variant!r}."
    )
  config.model.name = source.model.name
  config.model.dtype = source.model.dtype
  config.task.name = source.task.name
  config.task.num_dev = source.task.num_dev
  config.compute.num_workers = source.compute.num_workers
