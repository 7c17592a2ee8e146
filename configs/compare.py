"""RandOpt beside what it is compared with, on one model, task and budget.

Command   python -m experiments.compare --config=configs/compare.py:VARIANT \
            --workdir=DIR
          VARIANT is laptop, smoke, or MODEL-TASK as in configs/randopt.py, such as
          qwen2_5_3b-countdown.
Hardware  laptop and smoke: two CPU cores; MODEL-TASK: accelerators
Time      laptop: 57 min beside much other work; smoke: a few minutes; MODEL-TASK: not measured
Result    laptop: docs/comparison.md
          published for MODEL-TASK: the paper, arXiv:2603.12228, Table 4, in the
          headers of configs/randopt.py, configs/evolution.py and
          configs/policy_gradient.py; its budgets are not equal (docs/evolution.md)

Every method is a run of an experiment of its own: `compare` says which commands it
runs, and each of them can be run by itself. Without a variant this is the list of all
keys.
"""

import ml_collections

from configs import evolution, randopt

NAMES = ("laptop", "smoke")


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """Returns `laptop`, `smoke` or `MODEL-TASK`; all keys for none."""
  config = _list_keys()
  if variant in NAMES:
    _set_laptop(config)
    if variant == "smoke":
      _set_smoke(config)
  elif variant:
    _set_paper(config, variant)
  return config.lock()


def _list_keys() -> ml_collections.ConfigDict:
  reference = randopt.get_config()
  config = ml_collections.ConfigDict()
  config.experiment = "compare"
  # Each seed draws prompts, members, responses and samples anew, for all methods.
  config.seeds = (0, 1, 2)
  config.tuning_seed = 100  # That of the runs that choose among settings.
  for section in ("model", "task", "decoding", "compute"):
    config[section] = ml_collections.ConfigDict(reference[section])
  config.budget = ml_collections.ConfigDict()
  config.budget.flops = 1e11  # What a search or a training may cost, in FLOPs.
  config.votes = ml_collections.ConfigDict()
  config.votes.count = 50  # Responses to each prompt that vote.
  config.votes.temperatures = (0.5, 1.0)  # dev chooses, for every model.
  config.parallel = 1  # Runs at once, which share the cores.
  # By name of the method: the `binary`, the `variant` of its config, `set` with the
  # values of further keys; a `key` and `values` among which dev chooses; and the
  # `source`, a method of whose run it makes one model.
  config.methods = ml_collections.ConfigDict()
  return config


def _add(config, name: str, binary: str, **settings) -> None:
  config.methods[name] = ml_collections.ConfigDict(
    {
      "binary": binary,
      "variant": "",
      "set": {},
      "key": "",
      "values": (),
      "source": "",
    }
    | settings
  )


def _set_laptop(config) -> None:
  """A base that is undecided between two conventions, of which one is wanted."""
  source = evolution.get_config("laptop")
  for section in ("model", "task", "compute"):
    config[section] = ml_collections.ConfigDict(source[section])
  config.task.num_select = 60
  config.task.num_judge = 240
  config.votes.count = 15
  config.votes.temperatures = (0.3, 1.0)
  config.parallel = 2
  _add(
    *(config, "RandOpt", "randopt"),
    # Its size is what the budget pays for, and votes.count members vote.
    set={
      "population": {"sigmas": (7e-3, 1.4e-2, 2e-2)},
      "ensemble": {"also": (1, 5)},
    },
  )
  _add(
    *(config, "ES", "evolution"),
    variant="laptop",
    set={"evolution": {"num_steps": 0}},
    key="evolution.alpha",
    values=(3.5e-3, 7e-3, 1.4e-2),
  )
  for method in ("grpo", "ppo"):
    _add(
      *(config, method.upper(), "policy_gradient"),
      variant=f"{method}-laptop",
      set={"policy": {"num_steps": 0}},
      key="policy.learning_rate",
      values=(1e-4, 3e-4, 1e-3),
    )
  _add(config, "distilled", "distil", variant="laptop", source="RandOpt")
  _add(config, "consolidated", "consolidate", source="RandOpt")


def _set_smoke(config) -> None:
  """Less of everything: shows nothing."""
  config.seeds = (0, 1)
  config.task.num_select, config.task.num_dev = 12, 6
  config.task.num_judge = 12
  config.compute.rows = 12
  config.budget.flops = 2e9
  config.votes.count, config.votes.temperatures = 3, (0.5,)
  config.methods.RandOpt.set.ensemble.also = (1,)
  config.methods.ES.set.population = {"size": 4}
  config.methods.ES["values"] = (7e-3, 1.4e-2)
  for name in ("GRPO", "PPO"):
    method = config.methods[name]
    method.set.rollout = {"num_prompts": 4, "group": 3}
    method.set.policy.minibatch = 2
    method.key, method["values"] = "", ()


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
  for section in ("model", "task", "compute"):
    config[section] = ml_collections.ConfigDict(source[section])
  # 5000 members of 3e9 weights on 200 prompts of 200 tokens each, by the formula.
  config.budget.flops = 1.2e18
  _add(config, "RandOpt", "randopt", variant=variant)
  _add(config, "ES", "evolution", variant=variant)
  _add(
    *(config, "GRPO", "policy_gradient"),
    variant=f"grpo-{variant}",
    # All methods have these prompts, and so a step can have no more of them.
    set={
      "rollout": {"num_prompts": config.task.num_select},
      "policy": {"minibatch": 50},
    },
  )
  _add(config, "PPO", "policy_gradient", variant=f"ppo-{variant}")
  _add(config, "distilled", "distil", source="RandOpt")
  _add(config, "consolidated", "consolidate", source="RandOpt")
