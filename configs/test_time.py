"""One model at test time: one pass, the vote of its samples, and checked samples.

Command   python -m experiments.test_time --config=configs/test_time.py:VARIANT \
            --workdir=DIR
          VARIANT is laptop, smoke, or MODEL-TASK as in configs/randopt.py, such as
          qwen2_5_3b-gsm8k. --config.model.name=RUN/model asks what another
          experiment has trained.
Hardware  laptop and smoke: two CPU cores; MODEL-TASK: accelerators
Time      laptop: under two minutes; smoke: half a minute; MODEL-TASK: not measured
Result    docs/comparison.md, where every method's model is asked like this
          published for MODEL-TASK: accuracy in % of the vote of 50 samples (the
          paper, arXiv:2603.12228, calls it TT-MV, Table 4): Qwen 3B on countdown,
          trained by evolution strategies, 61.9, where one pass has 55.6

Without a variant this is the list of all keys.
"""

import ml_collections

from configs import evolution, randopt


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """Returns `laptop`, `smoke` or `MODEL-TASK`; all keys for none."""
  config = _list_keys()
  if variant:
    source = evolution.get_config(variant)
    for name in ("model", "task", "compute"):
      config[name] = ml_collections.ConfigDict(source[name])
  if variant == "smoke":
    config.votes.count, config.votes.also = 3, (1,)
    config.consistency.temperatures = (0.5,)
  return config.lock()


def _list_keys() -> ml_collections.ConfigDict:
  reference = randopt.get_config()
  config = ml_collections.ConfigDict()
  config.experiment = "test_time"
  config.seed = 0  # Root of every random choice: samples, generated prompts.
  config.model = ml_collections.ConfigDict(reference.model)
  # num_dev prompts choose the temperature; num_select prompts are asked of nobody,
  # and keep the prompts of the others those of an experiment that searched.
  config.task = ml_collections.ConfigDict(reference.task)

  config.votes = ml_collections.ConfigDict()
  config.votes.count = 50  # K, samples of each prompt of judge.
  config.votes.also = (1, 5, 10, 20)  # Smaller votes, for the table.

  config.consistency = ml_collections.ConfigDict(reference.consistency)
  config.decoding = ml_collections.ConfigDict(reference.decoding)
  config.compute = ml_collections.ConfigDict(reference.compute)
  config.log_responses = False
  return config
