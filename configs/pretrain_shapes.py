"""Pretraining of the small model of shapes that ships, and of its judge.

Command   python -m experiments.pretrain_shapes \
            --config=configs/pretrain_shapes.py --workdir=runs/pretrain_shapes
Hardware  two CPU cores
Time      24 to 30 min, three trainings at once beside other work on two cores; one by
          itself makes 4 steps/s on one core, which is 16 min
Result    64 pictures of the prompts of `dev`, which name no hue, 10 steps, guidance 2
          (--config.sampling.guidance=2.0), by the judge, seeds 0, 1, 2: the right shape 70, 95, 77 %, no coloured shape
          31, 5, 22 %, blue 14, 33, 33 %. Seed 1 ships, with the judge of seed 0, which
          tells right on 4000 fresh pictures: hue 99.9 %, shape 99.6 %, spoiled ones
          97.8 %.

Variants: `smoke`; `untrained`, the same network at its random beginning; `grey`,
which has never seen a colour. Any value can be overridden, as in --config.seed=1.
"""

import ml_collections


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """Returns the training of the shipped model, or the variant that is named."""
  config = ml_collections.ConfigDict()
  config.experiment = "pretrain_shapes"
  config.seed = 0  # Root of the first weights, and of all pictures and noise.

  config.pretraining = ml_collections.ConfigDict()
  config.pretraining.num_steps = 4000  # 0 leaves the model untrained.
  config.pretraining.batch_size = 32  # Fresh pictures for each step.
  config.pretraining.learning_rate = 2e-3  # Of Adam; it falls to 0 as a cosine.
  config.pretraining.warmup = 100  # Steps until the learning rate is reached.
  # Step at which it starts again from there, having fallen to 0; 0 for never.
  config.pretraining.restart = 2400
  config.pretraining.open_hue = 0.5  # Share of captions that name no hue.
  config.pretraining.empty = 0.1  # Share of captions that say nothing.
  config.pretraining.has_colours = True  # Without, all objects are grey.

  config.schedule = ml_collections.ConfigDict()
  config.schedule.report_every = 50  # Steps between two lines of the log.
  config.schedule.save_every = 250  # Steps between two checkpoints.

  # The judge is a classifier that does not take part in selection; 0 steps leave
  # it out.
  config.judge = ml_collections.ConfigDict()
  config.judge.num_steps = 1500
  config.judge.batch_size = 128
  config.judge.learning_rate = 3e-3

  # How the pictures are drawn that are measured at the end.
  config.sampling = ml_collections.ConfigDict()
  config.sampling.num_steps = 10
  config.sampling.guidance = 3.0
  config.sampling.num_samples = 32  # Pictures of each prompt of `dev`.

  if variant == "smoke":
    config.pretraining.num_steps = 4
    config.pretraining.batch_size = 4
    config.pretraining.warmup = 1
    config.pretraining.restart = 0
    config.schedule.report_every = 2
    config.schedule.save_every = 2
    config.judge.num_steps = 2
    config.judge.batch_size = 16
    config.sampling.num_steps = 2
    config.sampling.num_samples = 1
  elif variant == "untrained":
    config.pretraining.num_steps = 0
    config.pretraining.restart = 0
    config.judge.num_steps = 0
  elif variant == "grey":
    config.pretraining.has_colours = False
    config.judge.num_steps = 0
  elif variant:
    raise ValueError(
      f"variant must be smoke, untrained, grey or nothing, got {variant!r}."
    )
  return config.lock()
