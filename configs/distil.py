"""Distillation: one model out of the ensemble of a finished run of RandOpt.

Command   python -m experiments.distil --config=configs/distil.py:VARIANT \
            --run=RUN --workdir=DIR
          RUN is the directory of a finished run of experiments.randopt; model, task
          and prompts are those of the run. VARIANT is laptop or smoke, for runs of
          configs/randopt_conventions.py, or nothing
Hardware  laptop and smoke: two CPU cores
Time      laptop: 20 s, 9 s of it compilation, on one core
Result    laptop: base 22.7 %, vote of 15 members 41.2 %, distilled 96.5 % of 480 unseen
          questions in one pass: +73.8 points [+69.4, +77.5] over the base, and 398 %
          [330, 500] of the vote's gain; five seeds 96.0 to 99.2 %. Samples of the base
          teach as well as members do (docs/distillation.md)

The defaults are those of the paper where it says them (arXiv:2603.12228): 2 epochs,
eight candidates; and of the released code elsewhere. Without a variant this is the
list of all keys.
"""

import ml_collections

NAMES = ("laptop", "smoke")


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """Returns `laptop` or `smoke`; the paper's settings, and all keys, for none."""
  config = ml_collections.ConfigDict()
  config.experiment = "distil"
  # Decides the order of texts, samples, and where adapters begin.
  config.seed = 0

  config.teaching = ml_collections.ConfigDict()
  config.teaching.top_k = 0  # Members that teach; 0 for the K of the run.
  # Who teaches: the "members", or, as a control without perturbations, as many
  # "samples" of the base.
  config.teaching.teachers = "members"
  # Only prompts are taught whose majority is wrong or unsettled: that among the
  # "teachers", or among samples of the "base"; "none" teaches all.
  config.teaching.mining = "teachers"
  config.teaching.candidates = 8  # Responses that the majority is among.
  config.teaching.temperature = 1.0  # At which the base is sampled.
  config.teaching.most = 8  # Different right responses to a prompt, at most.
  # What is learnt: the "responses", or at each of their tokens the mean of the
  # members' "probabilities".
  config.teaching.targets = "responses"
  config.teaching.kept = 16  # Tokens of that mean which are kept.

  config.fitting = ml_collections.ConfigDict()
  config.fitting.batch_size = 40  # Texts of a step.
  config.fitting.epochs = 2.0  # How often each text is seen.
  config.fitting.learning_rate = 1e-5  # The largest, of AdamW.
  # Steps until it is reached; it then falls to a tenth.
  config.fitting.warmup = 0
  config.fitting.weight_decay = 0.0  # Of matrices.
  # Steps between two looks at dev, which chooses.
  config.fitting.watch_every = 10
  config.fitting.save_every = 10  # Steps between two checkpoints.

  # Low-rank adapters in place of whole weights.
  config.lora = ml_collections.ConfigDict()
  config.lora.rank = 0  # 0 trains whole weights.
  config.lora.alpha = 128.0  # What is added is alpha / rank times the product.
  config.lora.targets = ("*_proj",)  # Patterns of matrices to adapt, ...
  config.lora.exclude = ()  # ... and of those to leave.

  # What the responses that teach and all steps may cost together, in FLOPs of the
  # model; 0 for no limit.
  config.budget = ml_collections.ConfigDict()
  config.budget.flops = 0.0
  if variant in NAMES:
    _set_laptop(config)
    if variant == "smoke":
      config.fitting.epochs, config.fitting.batch_size = 8.0, 4
      config.teaching.mining = "none"  # Of so few prompts few are hard.
      config.fitting.watch_every, config.fitting.save_every = 2, 1
  elif variant:
    raise ValueError(
      f"variant must be one of {', '.join(NAMES)}, or nothing, got {variant!r}."
    )
  return config.lock()


def _set_laptop(config) -> None:
  config.fitting.learning_rate = 1e-3
  config.fitting.epochs = 20.0
  config.fitting.batch_size = 16
