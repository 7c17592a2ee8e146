"""Pretraining of the language model that ships with the package, on drills.

Command   python -m experiments.pretrain --config=configs/pretrain.py \
            --workdir=runs/pretrain
Hardware  two CPU cores
Time      about 5 min on a loaded machine
Result    36.1 % of countdown3, 10.5 % of countdown4 and 79.7 % of maximum, each
          on 1000 held-out exercises for development, which are easier than
          those of the tasks. The model is thickets/models/shipped/drills;
          docs/pretraining.md says how it was chosen

Any value can be overridden, as in --config.schedule.num_steps=2000.
"""

import ml_collections


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """Returns the training of the shipped model, or its `smoke` variant."""
  config = ml_collections.ConfigDict()
  config.experiment = "pretrain"
  config.seed = 0  # Root of the first weights and of the corpus.

  config.model = ml_collections.ConfigDict()
  config.model.width = 96
  config.model.mlp_width = 256
  config.model.num_layers = 3
  config.model.num_heads = 4  # Heads of queries.
  config.model.num_kv_heads = 2  # Heads of keys and values.
  # Most tokens of a prompt and its response together. Training shows no more
  # than 128; the rest is room to try other tasks.
  config.model.context = 8192
  config.model.activation = "relu"  # Gradients take half of silu's time on CPU.

  config.corpus = ml_collections.ConfigDict()
  config.corpus.rows = 32  # Rows of a batch, which hold about 160 exercises.
  config.corpus.length = 128  # Tokens that are predicted in each row.
  # Weight in the loss of each token of a question; tokens of answers have 1.
  config.corpus.question_weight = 1.0
  # How often each family of exercises occurs, relative to the others.
  config.corpus.families = ml_collections.ConfigDict(
    {
      "countdown3": 4.0,
      "countdown4": 1.0,
      "addition": 0.7,
      "subtraction": 0.7,
      "multiplication": 0.7,
      "modulo": 0.7,
      "sorting": 0.5,
      "reversal": 0.5,
      "maximum": 0.5,
      "minimum": 0.0,
      "addition2": 0.0,  # Numbers of two digits, as in the next one.
      "subtraction2": 0.0,
    }
  )
  # Whether each family is answered in "several" manners, or in "one": the answer
  # and nothing else.
  config.corpus.manners = "several"
  # How often a countdown is answered in each of several manners, relative to the
  # others; other families use all of theirs equally often.
  config.corpus.countdown = ml_collections.ConfigDict(
    {
      "formula": 2.0,
      "equation": 1.0,
      "steps": 1.0,
      "backwards": 1.0,
      "detour": 0.5,
    }
  )

  config.optimizer = ml_collections.ConfigDict()  # AdamW, cosine decay.
  config.optimizer.learning_rate = 4e-3  # The largest; it ends at a tenth.
  config.optimizer.warmup = 100  # Steps until the peak.
  config.optimizer.weight_decay = 0.1

  config.schedule = ml_collections.ConfigDict()
  config.schedule.num_steps = 1000
  config.schedule.report_every = 50  # Steps between two points of the metrics.
  config.schedule.save_every = 250  # Steps between two checkpoints.
  # Steps after which the model is kept, in stages/; 0 is the untrained model.
  config.schedule.stages = ()

  config.dev = ml_collections.ConfigDict()
  config.dev.num_prompts = 100  # Held-out exercises of each family.
  config.dev.every = 500  # Steps between two measurements of accuracy.

  if variant == "smoke":
    config.model.width = 32
    config.model.mlp_width = 64
    config.model.num_layers = 2
    config.corpus.rows = 8
    config.optimizer.warmup = 10
    config.schedule.num_steps = 40
    config.schedule.report_every = 10
    config.schedule.save_every = 20
    config.dev.num_prompts = 8
    config.dev.every = 20
  elif variant:
    raise ValueError(f"variant must be smoke or nothing, got {variant!r}.")
  return config.lock()
