"""Pretraining of a vision-language model in miniature, on pictures of shapes.

Command   python -m experiments.pretrain --config=configs/pretrain_scenes.py \
            --workdir=DIR
Hardware  one CPU core
Time      about 20 min on a core of a machine that others used too
Result    thickets/models/shipped/scenes, whose card says what it answers

First the model learns to say what is in each cell of a picture, which is much to
learn of each picture, and then to answer questions. Some questions can be answered by
either of two conventions (two or 2, yes or true), and the text takes each of them half
of the time.

Any value can be overridden, as in --config.corpus.tilt=0.4.
"""

import ml_collections

from configs import pretrain


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """Returns the training of the shipped model, or its `smoke` variant."""
  reference = pretrain.get_config()
  config = ml_collections.ConfigDict()
  config.experiment = "pretrain"
  config.seed = 0  # Root of the first weights and of the pictures.

  config.model = ml_collections.ConfigDict()  # A Qwen2.5-VL in miniature.
  config.model.width = 96  # This and the next five make the text model.
  config.model.mlp_width = 256
  config.model.num_layers = 4
  config.model.num_heads = 4  # Heads of queries.
  config.model.num_kv_heads = 2  # Heads of keys and values.
  config.model.context = 256  # Tokens of a prompt and its response, at most.
  config.model.tower_width = 96
  config.model.tower_mlp_width = 192
  config.model.num_blocks = 4  # Every second one sees the whole picture.
  config.model.num_tower_heads = 4
  config.model.patch = 8  # Pixels; four patches are one token, which is a cell.
  config.model.init_std = 0.05

  config.corpus = ml_collections.ConfigDict()
  config.corpus.rows = 32  # Pictures of a batch.
  config.corpus.length = (
    100  # Tokens of a row: a picture and about 8 questions.
  )
  # Steps whose rows hold the content of every cell, and nothing else.
  config.corpus.scan_steps = 300
  config.corpus.scan_length = 44  # Tokens of these rows.
  config.corpus.scan_frac = 0.1  # Share of such rows in the steps behind these.
  # Share of the answers by the first of two conventions, from 0 to 1.
  config.corpus.tilt = 0.5
  # How often each kind of question occurs, relative to the others.
  config.corpus.kinds = ml_collections.ConfigDict(
    {
      # Two conventions: yes or true, and numbers in words or in digits.
      "verify": 1.0,
      "count": 1.0,
      "color": 1.0,
      "shape": 1.0,
      "choose": 1.0,
      "compare": 1.0,
      "logical": 1.0,
      # Not learnt in as many steps, when they were in the text: where things lie.
      "relation": 0.0,
      "row": 0.0,
      "column": 0.0,
      "side": 0.0,
    }
  )

  config.optimizer = ml_collections.ConfigDict(reference.optimizer).unlock()
  config.optimizer.learning_rate = 2e-3
  config.optimizer.warmup = 100
  config.optimizer.weight_decay = 0.05

  config.schedule = ml_collections.ConfigDict(reference.schedule).unlock()
  config.schedule.num_steps = 2000
  config.schedule.report_every = 50
  config.schedule.save_every = 200
  config.schedule.stages = ()
  config.dev = ml_collections.ConfigDict()
  config.dev.num_prompts = 100  # Held-out questions of each kind.
  config.dev.every = 400  # Steps between two measurements of accuracy.
  if variant == "smoke":
    _shrink(config)
  elif variant:
    raise ValueError(f"variant must be smoke or nothing, got {variant!r}.")
  return config.lock()


def _shrink(config: ml_collections.ConfigDict) -> None:
  """Makes a training that ends within a minute and learns nothing."""
  config.model.width = 32
  config.model.mlp_width = 48
  config.model.num_layers = 2
  config.model.tower_width = 32
  config.model.tower_mlp_width = 48
  config.model.num_blocks = 2
  config.corpus.rows = 4
  config.corpus.scan_steps = 12
  config.optimizer.warmup = 2
  config.schedule.num_steps = 20
  config.schedule.stages = ()
  config.schedule.report_every = 4
  config.schedule.save_every = 10
  config.dev.num_prompts = 4
  config.dev.every = 20
