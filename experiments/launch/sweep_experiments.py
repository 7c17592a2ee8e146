"""The experiments whose points a sweep can run."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ml_collections

from configs import sweeps
from experiments import launch
from experiments.launch import (
  randopt_run,
  signals_run,
  signals_specs,
  specs,
  sweep_summary,
)
from thickets.generation import subject
from thickets.runs.json_files import JsonObject

Spec = Any  # A `SignalsSpec` or a `RandOptSpec`, as the experiment reads it.


@dataclasses.dataclass(frozen=True)
class SweepExperiment:
  """An experiment whose points a sweep can run.

  Attributes:
    read: checks a config, and turns it into a spec.
    check: checks what a spec asks for, as far as that takes no device.
    run: runs a spec in a directory.
    summarise: writes what the points that are done say together, and returns it
      as a table.
  """

  read: Callable[[ml_collections.ConfigDict], Spec]
  check: Callable[[Spec], object]
  run: Callable[[Spec, str], JsonObject]
  summarise: Callable[
    [Sequence[sweeps.SweepPoint], Mapping[int, pathlib.Path], pathlib.Path], str
  ]


EXPERIMENTS = {
  "signals": SweepExperiment(
    signals_specs.read_signals,
    signals_run.check_patterns,
    signals_run.run,
    sweep_summary.summarise_sweep,
  ),
  "randopt": SweepExperiment(
    specs.read_randopt,
    lambda spec: subject.load_examples(spec.task),
    randopt_run.run,
    sweep_summary.pool_sweep,
  ),
}


def find_experiment(config: ml_collections.ConfigDict) -> SweepExperiment:
  """Returns the experiment that a config names.

  Raises:
    UserError: if a sweep cannot run it.
  """
  launch.refuse(launch.check_choices(config, {"experiment": EXPERIMENTS}))
  return EXPERIMENTS[config.experiment]
