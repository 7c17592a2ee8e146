"""The commands of a comparison: which runs there are, and where they lie.

DIR/<method>/<seed>          the method's own run
DIR/<method>/tuning/<n>      one for each value that dev chooses among
DIR/votes/<method>/<seed>    its model, asked by experiments.test_time
DIR/votes/base/<seed>        the base, asked in the same way
"""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

from configs import test_time
from experiments.launch import (
  compare_specs,
  distil_specs,
  evolution_specs,
  policy_specs,
  specs,
)
from experiments.launch.children import Command
from experiments.launch.compare_specs import BASE, CompareSpec, MethodSpec
from experiments.launch.config_checks import refuse
from thickets.errors import UserError
from thickets.generation import ledger
from thickets.runs import json_files

# What reads the config of each experiment that has one.
_READERS: Mapping[str, Callable[[Any], Any]] = {
  "randopt": specs.read_randopt,
  "evolution": evolution_specs.read_evolution,
  "policy_gradient": policy_specs.read_policy,
  "distil": distil_specs.read_distil,
}


@dataclasses.dataclass(frozen=True)
class Plan:
  """Where the runs of a comparison lie, and the commands that make them.

  Attributes:
    spec: what is compared.
    folder: that of all runs, absolute.
  """

  spec: CompareSpec
  folder: pathlib.Path

  def locate(self, method: MethodSpec, seed: int) -> pathlib.Path:
    """The directory of a method's own run."""
    return self.folder / method.name / str(seed)

  def locate_votes(self, name: str, seed: int) -> pathlib.Path:
    """The directory in which the model of a method, or the base, is asked."""
    return self.folder / "votes" / name / str(seed)

  def has_model(self, method: MethodSpec, seed: int) -> bool:
    """Whether a run of one model left one; else it kept the base."""
    return (self.locate(method, seed) / "model" / "config.json").exists()

  def check(self) -> None:
    """Refuses methods whose experiment would refuse its config.

    Raises:
      UserError: with everything that is wrong, before anything runs.
    """
    refuse(
      [
        problem
        for method in self.spec.methods
        for value in method.values or (None,)
        for problem in self._find_problems(method, value)
      ]
    )

  def ask_base(self, seed: int) -> Command:
    """Asks the base."""
    return self._ask(BASE, seed, {})

  def ask_model(self, method: MethodSpec, seed: int) -> Command:
    """Asks the model that a method made."""
    model = str(self.locate(method, seed) / "model")
    # A directory has no revision.
    return self._ask(
      method.name, seed, {"model.name": model, "model.revision": ""}
    )

  def tune(self, method: MethodSpec) -> list[Command]:
    """Runs a method with each of the values that dev chooses among."""
    return [
      self._search(
        method,
        self.spec.tuning_seed,
        {method.key: value},
        f"{method.name}, {method.key}={value}",
        self._locate_tuning(method, number),
      )
      for number, value in enumerate(method.values)
    ]

  def choose(self, method: MethodSpec) -> Any:
    """The value of the highest score on dev, the first of those that tie."""
    scores = [row["score"] for row in self.read_tuning(method)]
    return method.values[scores.index(max(scores))]

  def read_tuning(self, method: MethodSpec) -> list[dict[str, Any]]:
    """What the weights after the last step reached on dev with each value.

    Returns:
      By value its `value` and `score`, and the `search` of its ledger.
    """
    rows = []
    for number, value in enumerate(method.values):
      results = read_results(self._locate_tuning(method, number))
      last = max(results["watched"], key=lambda row: row["step"])
      score = last["score"]
      rows.append(
        {
          "value": value,
          "score": float("-inf") if score is None else score,
          "search": results["ledger"][-1]["search"],
        }
      )
    return rows

  def search(self, method: MethodSpec, seed: int) -> Command:
    """The method's own run, with what dev has chosen."""
    where = self.locate(method, seed)
    name = f"{method.name}, seed {seed}"
    if method.source:
      return self._make_one_model(method, seed, name, where)
    chosen = {method.key: self.choose(method)} if method.key else {}
    return self._search(method, seed, chosen, name, where)

  def _search(
    self,
    method: MethodSpec,
    seed: int,
    chosen: Mapping[str, Any],
    name: str,
    where: pathlib.Path,
  ) -> Command:
    size = self.count_members(seed) if method.is_ensemble else None
    values = self._list_values(method, seed, chosen, size)
    config = compare_specs.flatten(method.load_config())
    return Command(
      name,
      method.binary,
      (f"--config={method.config_file}", *_override(values, config)),
      where,
    )

  def _list_values(
    self,
    method: MethodSpec,
    seed: int,
    chosen: Mapping[str, Any],
    size: int | None,
  ) -> dict[str, Any]:
    """The values that a method runs with, by dotted key.

    Args:
      method: the method.
      seed: the seed of the run.
      chosen: what dev has chosen.
      size: members of the population, where there is one.
    """
    values = dict(method.changes)
    if method.is_ensemble:
      values = self.spec.shared | values
      values["population.size"] = size
      values["ensemble.top_k"] = self.spec.num_votes
      # The base votes with itself in a run of its own.
      values["consistency.temperatures"] = ()
    elif not method.source:
      values = self.spec.shared | values
      values["budget.flops"] = self.spec.budget_flops
    return values | chosen | {"seed": seed}

  def _find_problems(self, method: MethodSpec, value: Any) -> list[str]:
    """What the experiment of a method says of its config with a value of its key."""
    config = method.load_config()
    if config is None:
      return []
    chosen = {method.key: value} if method.key else {}
    # The size is not known yet, but it will not be less than what votes.
    values = self._list_values(
      method, self.spec.tuning_seed, chosen, self.spec.num_votes
    )
    changes = _find_changes(values, compare_specs.flatten(config))
    try:
      config.update_from_flattened_dict(changes)
      _READERS[method.binary](config)
    except (UserError, TypeError) as error:
      return [f"methods.{method.name}: {error}"]
    return []

  def _make_one_model(
    self, method: MethodSpec, seed: int, name: str, where: pathlib.Path
  ) -> Command:
    (source,) = (m for m in self.spec.methods if m.name == method.source)
    run = f"--run={self.locate(source, seed)}"
    config = method.load_config()
    if config is None:
      return Command(name, method.binary, (run,), where)
    values = self._list_values(method, seed, {}, None)
    changes = _override(values, compare_specs.flatten(config))
    return Command(
      *(name, method.binary),
      (f"--config={method.config_file}", *changes, run),
      where,
    )

  def _ask(self, name: str, seed: int, model: Mapping[str, Any]) -> Command:
    count = self.spec.num_votes
    values = self.spec.shared | model
    values |= {
      "seed": seed,
      "votes.count": count,
      "votes.also": (),
      "consistency.temperatures": self.spec.temperatures,
    }
    config = compare_specs.flatten(test_time.get_config())
    return Command(
      f"{name} at test time, seed {seed}",
      "test_time",
      ("--config=configs/test_time.py", *_override(values, config)),
      self.locate_votes(name, seed),
    )

  def count_members(self, seed: int) -> int:
    """How many members the budget pays for, with responses as the base's.

    Raises:
      UserError: if it does not pay for as many as vote.
    """
    results = read_results(self.locate_votes(BASE, seed))
    flops = results["ledger"][0]["answer"]["flops"]
    num_prompts = self.spec.shared["task.num_select"]
    count = ledger.count_affordable(
      self.spec.budget_flops, num_prompts * flops, "a member"
    )
    if count < self.spec.num_votes:
      raise UserError(
        f"budget.flops must pay for the {self.spec.num_votes} members that vote, got"
        f" {self.spec.budget_flops:.4g}, which pays for {count}. Raise it, or lower"
        " votes.count."
      )
    return count

  def _locate_tuning(self, method: MethodSpec, number: int) -> pathlib.Path:
    return self.folder / method.name / "tuning" / str(number)


def read_results(workdir: pathlib.Path) -> dict[str, Any]:
  """The contents of results.json of a finished run."""
  return json_files.read_json(workdir / "results.json")


def _override(
  values: Mapping[str, Any], config: Mapping[str, Any]
) -> list[str]:
  """The flags that give a config other values than it has."""
  changes = _find_changes(values, config)
  return [f"--config.{key}={value}" for key, value in changes.items()]


def _find_changes(
  values: Mapping[str, Any], config: Mapping[str, Any]
) -> dict[str, Any]:
  """Those of the values that a config has otherwise."""
  return {
    key: value
    for key, value in values.items()
    if key in config and config[key] != value
  }
