"""RandOpt round after round, each around the model that the last one distilled.

Command   python -m experiments.iterate --config=configs/iterate.py:VARIANT \
            --workdir=DIR
          VARIANT is laptop, smoke or nothing
Hardware  laptop and smoke: two CPU cores
Time      laptop: 74 s of processor time (14 min beside much other work)
Result    laptop: base 22.7 %, members 86.9 % after two rounds that dev kept, samples
          86.9 % after one, of 480 unseen questions: a difference of +0.0 points [-4.0,
          +4.0] (docs/distillation.md). No run of the authors' settings has been made

Beside each row of rounds stands its control: the same rounds without perturbations,
in which samples of the model teach in place of members. The published gain of
iterative RandOpt was made by such rounds (docs/distillation.md).

Without a variant the search and the fitting are those of the authors' iterative runs
as far as they are known (30 members of sigma 0.001, of which 8 teach, 256 prompts,
adapters of rank 192, 2 epochs).
"""

import ml_collections

from configs import distil, randopt, randopt_conventions

NAMES = ("laptop", "smoke")


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """Returns `laptop` or `smoke`; the authors' settings, and all keys, for none."""
  config = ml_collections.ConfigDict()
  config.experiment = "iterate"
  config.rounds = 4  # At most; an arm ends with a round that dev refuses.
  # Who teaches in each row of rounds: "members", or their control, "samples".
  config.arms = ("members", "samples")
  # The search of each round, as in configs/randopt.py; its model is the first base.
  config.randopt = ml_collections.ConfigDict(randopt.get_config())
  # What is made of its ensemble, as in configs/distil.py; `arms` says who teaches.
  config.distil = ml_collections.ConfigDict(distil.get_config())
  if not variant:
    _set_authors(config)
  elif variant in NAMES:
    size = "smoke" if variant == "smoke" else ""
    config.rounds = 2 if size else 4
    config.randopt = ml_collections.ConfigDict(
      randopt_conventions.get_config(size)
    )
    config.randopt.unlock().consistency.temperatures = ()
    config.distil = ml_collections.ConfigDict(distil.get_config(variant))
    if not size:
      # Short rounds: twenty epochs leave nothing for a second.
      config.distil.unlock().fitting.epochs = 3.0
  else:
    raise ValueError(
      f"variant must be one of {', '.join(NAMES)}, or nothing, got {variant!r}."
    )
  return config.lock()


def _set_authors(config) -> None:
  config.randopt.unlock()
  config.randopt.task.num_select = 256
  config.randopt.population.size = 30
  config.randopt.population.sigmas = (1e-3,)
  config.randopt.ensemble.top_k, config.randopt.ensemble.also = 8, (1,)
  config.randopt.consistency.temperatures = ()
  config.distil.unlock()
  config.distil.teaching.mining = "none"
  config.distil.fitting.learning_rate = 1e-4
  config.distil.lora.rank, config.distil.lora.alpha = 192, 384.0
