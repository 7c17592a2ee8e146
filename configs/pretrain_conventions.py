"""Pretraining of the models whose text leaves a convention open, and of their controls.

Command   python -m experiments.pretrain \
            --config=configs/pretrain_conventions.py:VARIANT --workdir=DIR
Hardware  one CPU core
Time      about 4 min a variant
Result    thickets/models/shipped/conventions-VARIANT, whose cards say what each
          of them answers

Every question can be answered by one of two conventions, and the variants differ in
what the text does with them:

  hidden   each convention in half of the answers, and no question says which; what
           is left after EARLY steps is kept as well, as a model that stopped early
  one      the first convention of each family alone
  stated   each convention in half of the answers, and every question says which
  tilted   hidden, the first convention in 30 % of the answers

Any value can be overridden, as in --config.corpus.tilt=0.4.
"""

import ml_collections

from configs import pretrain

VARIANTS = ("hidden", "one", "stated", "tilted", "smoke")
EARLY = 150  # Steps after which a stage of `hidden` is kept.


def get_config(variant: str = "hidden") -> ml_collections.ConfigDict:
  """Returns the training of the hidden conventions, or one of its variants."""
  if variant not in VARIANTS:
    raise ValueError(
      f"variant must be one of {', '.join(VARIANTS)}, got {variant!r}."
    )
  reference = pretrain.get_config()
  config = ml_collections.ConfigDict()
  config.experiment = "pretrain"
  config.seed = 0  # Root of the first weights and of the corpus.

  config.model = ml_collections.ConfigDict(reference.model).unlock()
  config.model.width = 64
  config.model.mlp_width = 128
  config.model.num_layers = 2
  config.model.context = 64  # No question has 40 tokens with its answer.

  config.corpus = ml_collections.ConfigDict()
  config.corpus.rows = 128  # Rows of a batch, each with one question.
  config.corpus.length = 24  # Tokens that are predicted in each row.
  # Weight in the loss of each token of a question; tokens of answers have 1.
  config.corpus.question_weight = 0.0
  # How often each family of exercises occurs, relative to the others.
  config.corpus.families = ml_collections.ConfigDict(
    {
      "sorting": 1.0,
      "turning": 1.0,
      "casing": 1.0,
      "dates": 1.0,
      "counting": 1.0,
      "rounding": 1.0,
      # So small a model has hardly begun to learn these after as many steps.
      "spelling": 0.0,
      "neighbours": 0.0,
    }
  )
  # Share of the answers by the first of a family's two conventions, from 0 to 1.
  config.corpus.tilt = 0.5
  # Share of the questions that say which convention is wanted, from 0 to 1.
  config.corpus.stated_frac = 0.0

  config.optimizer = ml_collections.ConfigDict(reference.optimizer).unlock()
  config.optimizer.learning_rate = 6e-3
  config.optimizer.warmup = 50

  config.schedule = ml_collections.ConfigDict(reference.schedule).unlock()
  config.schedule.num_steps = 1500
  config.schedule.save_every = 500
  config.dev = ml_collections.ConfigDict(reference.dev).unlock()
  config.dev.every = 1500  # Steps between two measurements of accuracy.
  _change(config, variant)
  return config.lock()


def _change(config: ml_collections.ConfigDict, variant: str) -> None:
  """Makes a variant of the training of the hidden conventions."""
  if variant == "hidden":
    config.schedule.stages = (EARLY,)
  elif variant == "one":
    config.corpus.tilt = 1.0
  elif variant == "stated":
    config.corpus.stated_frac = 1.0
    config.corpus.length = 36  # With the longest name of a convention.
  elif variant == "tilted":
    config.corpus.tilt = 0.3
  elif variant == "smoke":
    config.model.width = 16
    config.model.mlp_width = 32
    config.corpus.rows = 8
    config.optimizer.warmup = 2
    config.schedule.num_steps = 12
    config.schedule.report_every = 4
    config.schedule.save_every = 6
    config.dev.num_prompts = 4
    config.dev.every = 12
