"""The door of `experiments.compare`: its config is checked, and becomes specs."""

import dataclasses
import importlib
from collections.abc import Mapping
from typing import Any

import ml_collections

from configs import compare as compare_keys
from experiments.launch import sections
from experiments.launch.config_checks import (
  Range,
  check_choices,
  check_keys,
  check_not_empty,
  check_ranges,
  refuse,
  to_json,
)
from thickets.errors import UserError, nearest
from thickets.runs.run_config import RunConfig

BASE = "base"
# Names of a row, and of folders beside those of methods.
_TAKEN = (BASE, "votes", "cache", "figures")
# The experiments that may be compared, and whether dev watches them, so that it can
# choose among settings.
BINARIES = {
  "randopt": False,
  "evolution": True,
  "policy_gradient": True,
  "distil": False,
  "consolidate": False,
}
_FROM_RUNS = ("distil", "consolidate")  # They make one model of a run.
SHARED = ("model", "task", "decoding", "compute")
# Keys whose values the comparison decides, beside the seed.
_DECIDED = {
  "randopt": ("population.size", "ensemble.top_k", "consistency.temperatures"),
  "evolution": ("budget.flops",),
  "policy_gradient": ("budget.flops",),
}
_FIELDS = {
  "binary": str,
  "variant": str,
  "set": ml_collections.ConfigDict,
  "key": str,
  "values": tuple,
  "source": str,
}


@dataclasses.dataclass(frozen=True)
class MethodSpec:
  """A method that is compared.

  Attributes:
    name: its name in tables.
    binary: the experiment, one of `BINARIES`.
    variant: that of its config; "" for the file's own values.
    changes: values of further keys, by their dotted names.
    key: the key whose value `dev` chooses; "" for none.
    values: what it chooses among.
    source: the method whose run it makes one model of; "" where it searches itself.
  """

  name: str
  binary: str
  variant: str
  changes: Mapping[str, Any]
  key: str
  values: tuple[Any, ...]
  source: str

  @property
  def config_file(self) -> str:
    """The config as flags name it."""
    variant = f":{self.variant}" if self.variant else ""
    return f"configs/{self.binary}.py{variant}"

  @property
  def is_ensemble(self) -> bool:
    """Whether its answer is the vote of members, in place of one model's."""
    return self.binary == "randopt"

  def load_config(self) -> ml_collections.ConfigDict | None:
    """The config of its experiment, as the file has it; None without one."""
    if self.binary == "consolidate":
      return None
    module = importlib.import_module(f"configs.{self.binary}")
    try:
      return module.get_config(self.variant)
    except ValueError as error:
      message = str(error).rstrip(".")
      raise UserError(f"methods.{self.name}.{message}.") from error


@dataclasses.dataclass(frozen=True)
class CompareSpec:
  """What is compared.

  Attributes:
    config: the configuration as the directory keeps it.
    shared: values of model, task, decoding and compute, by dotted key.
    seeds: those of the comparison.
    tuning_seed: that of the runs that choose among settings.
    budget_flops: what a search or a training may cost.
    num_votes: responses to each prompt that vote.
    temperatures: what dev chooses among for samples.
    parallel: runs at once.
    methods: the methods, in the order of tables.
  """

  config: RunConfig
  shared: Mapping[str, Any]
  seeds: tuple[int, ...]
  tuning_seed: int
  budget_flops: float
  num_votes: int
  temperatures: tuple[float, ...]
  parallel: int
  methods: tuple[MethodSpec, ...]


def read_compare(config: ml_collections.ConfigDict) -> CompareSpec:
  """Checks a config of `experiments.compare`, and turns it into specs.

  Raises:
    UserError: with everything that is wrong, before anything runs.
  """
  refuse(check_keys(config, compare_keys.get_config()))
  refuse(_find_problems(config))
  methods = [
    _read_method(name, config.methods[name]) for name in config.methods
  ]
  refuse([problem for method in methods for problem in _check(method, methods)])
  flat = flatten({section: config[section] for section in SHARED})
  return CompareSpec(
    config=RunConfig(
      to_json(config), extendable=("seeds", "parallel", *sections.LAYOUT)
    ),
    shared=flat,
    seeds=tuple(config.seeds),
    tuning_seed=config.tuning_seed,
    budget_flops=config.budget.flops,
    num_votes=config.votes.count,
    temperatures=tuple(config.votes.temperatures),
    parallel=config.parallel,
    # A config has no order: who votes first, and last what is made of others.
    methods=tuple(
      sorted(methods, key=lambda m: (not m.is_ensemble, bool(m.source), m.name))
    ),
  )


def flatten(values: Any, path: str = "") -> dict[str, Any]:
  """Nested sections as values by dotted key; an empty section is a value."""
  if not isinstance(values, (ml_collections.ConfigDict, dict)) or (
    path and not values
  ):
    return {path: to_json(values) if hasattr(values, "items") else values}
  found = {}
  for key, value in values.items():
    found |= flatten(value, f"{path}.{key}" if path else key)
  return found


def _read_method(name: str, found: ml_collections.ConfigDict) -> MethodSpec:
  return MethodSpec(
    name,
    found.binary,
    found.variant,
    flatten(found.set) if found.set else {},
    found.key,
    tuple(found["values"]),
    found.source,
  )


def _find_problems(config: ml_collections.ConfigDict) -> list[str]:
  problems = [
    *check_ranges(
      config,
      {
        "seeds": Range(0, 2**32 - 1),
        "tuning_seed": Range(0, 2**32 - 1),
        "task.num_select": Range(1),
        "task.num_dev": Range(1),  # It chooses settings and temperatures.
        "task.num_judge": Range(0),
        "votes.count": Range(1),
        "parallel": Range(1),
      },
    ),
    *check_not_empty(config, ("seeds", "votes.temperatures")),
  ]
  if not config.budget.flops > 0:
    problems.append(
      f"budget.flops must be above 0, got {config.budget.flops}: methods are"
      " compared at equal costs."
    )
  if (
    len({*config.seeds}) < len(config.seeds)
    or config.tuning_seed in config.seeds
  ):
    problems.append(
      f"seeds must differ, and none be tuning_seed={config.tuning_seed}, got"
      f" {tuple(config.seeds)}: what chooses settings must not judge them."
    )
  if not config.methods:
    problems.append("methods must hold at least one method, got none.")
  for name in config.methods:
    problems += _check_fields(name, config.methods[name])
  return problems


def _check_fields(name: str, found: Any) -> list[str]:
  where = f"methods.{name}"
  if name in _TAKEN or "/" in name or name.startswith("."):
    return [
      f"{where}: a method must have a name that can be a folder's, other than"
      f" {', '.join(_TAKEN)}, got {name}."
    ]
  if not isinstance(found, ml_collections.ConfigDict) or {*found} != {*_FIELDS}:
    keys = list(found) if hasattr(found, "keys") else found
    return [f"{where} must hold the keys {list(_FIELDS)}, got {keys}."]
  problems = [
    f"{where}.{key} must be a {kind.__name__}, got {found[key]!r}."
    for key, kind in _FIELDS.items()
    if not isinstance(found[key], kind)
  ]
  return problems or [
    problem.replace("binary", f"{where}.binary", 1)
    for problem in check_choices(found, {"binary": BINARIES})
  ]


def _check(method: MethodSpec, methods: list[MethodSpec]) -> list[str]:
  """What is wrong with a method by itself, and with its place among the others."""
  where, problems = f"methods.{method.name}", []
  config = method.load_config()
  keys = {} if config is None else flatten(config)
  asked = [*method.changes, *([method.key] if method.key else [])]
  problems += [
    f"{where} names the key {key}, which {method.binary} does not have."
    f" Nearest: {nearest(key, list(keys), count=1) if keys else 'none'}."
    for key in asked
    if key not in keys
  ]
  problems += [
    f"{where} must leave {key} to the comparison, which decides it, got a value."
    for key in ("seed", *_DECIDED.get(method.binary, ()))
    if key in asked
  ]
  if method.variant and config is None:
    problems.append(
      f"{where}.variant must be empty for {method.binary}, which has no config, got"
      f" {method.variant!r}."
    )
  if bool(method.key) != bool(method.values):
    problems.append(
      f"{where} must have both key and values, or neither, got"
      f" {method.key!r} and {method.values}."
    )
  elif method.key and not BINARIES[method.binary]:
    problems.append(
      f"{where}.key must be empty for {method.binary}, which dev does not watch, got"
      f" {method.key!r}."
    )
  sources = [m.name for m in methods if m.is_ensemble]
  if method.binary in _FROM_RUNS and method.source not in sources:
    problems.append(
      f"{where}.source must be a method of the binary randopt, one of {sources},"
      f" got {method.source!r}."
    )
  elif method.binary not in _FROM_RUNS and method.source:
    problems.append(
      f"{where}.source must be empty for {method.binary}, got {method.source!r}."
    )
  return problems
