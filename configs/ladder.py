"""A ladder of pretrained sizes and stages, each measured on seven tasks.

Command   python -m experiments.ladder --config=configs/ladder.py \
            --workdir=runs/ladder [--rung=w96]
          and, for the final models once more with four times the prompts at one
          sigma, the same with --config=configs/ladder.py:final
Hardware  two CPU cores; rungs may run side by side, each by its own process
Time      about two hours, `final` 30 min
Result    docs/results/README.md

A rung is one pretraining: a size, and whether each family of exercises is
answered in several manners or in one. Its stages are the models after so many
steps, the untrained one included; each is measured by experiments/measure.py.
"""

import ml_collections

from configs import measure, pretrain

# How often each family occurs in the text, relative to the others.
FREQUENCIES = {
  "countdown3": 2.0,
  "addition2": 1.0,
  "subtraction2": 1.0,
  "modulo": 1.0,
  "sorting": 1.0,
  "maximum": 1.0,
  "minimum": 1.0,
}
# Width, width of the MLP, layers, and largest learning rate, which falls roughly
# in proportion as the width grows. A head has a quarter of the model's width.
MODEL_SIZES = {
  "w16": (16, 40, 2, 1.2e-2),
  "w24": (24, 64, 2, 1e-2),
  "w40": (40, 104, 2, 8e-3),
  "w64": (64, 168, 3, 6e-3),
  "w96": (96, 256, 4, 4e-3),
  "w160": (160, 432, 4, 2.5e-3),
}


STAGES = (0, 10, 25, 50, 100)  # In percent of the steps of a training.


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """Returns the ladder, or its variant `final` or `smoke`."""
  config = ml_collections.ConfigDict()
  config.experiment = "ladder"
  # Folder of a rung that holds its measurements, one for each stage.
  config.folder = "measure"
  config.last_stage_only = False
  config.rungs = ml_collections.ConfigDict(
    {
      **{
        name: _make_rung(*size, "several") for name, size in MODEL_SIZES.items()
      },
      # The diversity of the text, at one size.
      "w96-one": _make_rung(*MODEL_SIZES["w96"], "one"),
      # A longer training.
      "w64-long": _make_rung(*MODEL_SIZES["w64"], "several", 3000),
    }
  )
  config.pretrain = _set_pretrain(
    ml_collections.ConfigDict(pretrain.get_config())
  )
  config.measure = _set_measure(ml_collections.ConfigDict(measure.get_config()))
  if variant == "final":
    config.folder, config.last_stage_only = "final", True
    config.measure.tasks.num_select, config.measure.tasks.num_dev = 100, 300
    config.measure.population.sigmas = (0.07,)
  elif variant == "smoke":
    _set_smoke(config)
  elif variant:
    raise ValueError(
      f"variant must be final, smoke or nothing, got {variant!r}."
    )
  return config.lock()


def _make_rung(
  width, mlp_width, num_layers, learning_rate, manners, num_steps=1000
):
  return {
    "width": width,
    "mlp_width": mlp_width,
    "num_layers": num_layers,
    "learning_rate": learning_rate,
    "manners": manners,
    "num_steps": num_steps,
    # Steps after which the model is kept and measured; 0 is the untrained one.
    "stages": tuple(num_steps * percent // 100 for percent in STAGES),
  }


def _set_pretrain(config):
  """The mixture that all rungs share: seven families."""
  with config.unlocked():
    for name in config.corpus.families:
      config.corpus.families[name] = FREQUENCIES.get(name, 0.0)
    # Half as long as with detours, so that members answer in half the time.
    config.corpus.countdown.detour = 0.0
    # Questions are random; learning them would take what small models have.
    config.corpus.question_weight = 0.1
    config.optimizer.warmup = 50
    config.dev.every = 1000
  return config


def _set_measure(config):
  with config.unlocked():
    config.tasks.names = tuple(f"drills/{name}" for name in FREQUENCIES)
    config.tasks.num_select = config.tasks.num_dev = 50
    config.population.unit = "relative"
    config.population.sigmas = (0.03, 0.07, 0.15)
    config.population.size = 96
    config.decoding.max_new_tokens = 32
    config.project = False
    config.slice.resolution = 0
  return config


def _set_smoke(config) -> None:
  config.rungs = ml_collections.ConfigDict(
    {"w24": _make_rung(*MODEL_SIZES["w24"], "several", 20)}
  )
  config.pretrain.corpus.rows = 4
  config.pretrain.optimizer.warmup = 2
  config.pretrain.dev.num_prompts = 4
  config.measure.tasks.names = config.measure.tasks.names[-2:]
  config.measure.tasks.num_select = config.measure.tasks.num_dev = 4
  config.measure.population.size = 8
