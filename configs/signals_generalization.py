"""Twenty pairs of pretraining and task: the paper's generalisation grid.

Command   python -m experiments.sweep --config=configs/signals_generalization.py \
            --workdir=runs/generalization
Hardware  two CPU cores
Time      13 min for 20 runs while other jobs ran; --index=I runs one of them
Result    docs/signals.md, beside the authors' numbers
"""

from collections.abc import Mapping
from typing import Any

import ml_collections

from configs import signals, sweeps

# Starts: untrained networks at a large sigma, pretrained ones at a small one.
# As in the authors' script, pretraining starts from orthogonal weights.
_STARTS = {
  **{
    init: {
      "model.init": init,
      "pretraining.num_steps": 0,
      "population.sigmas": (0.05,),
    }
    for init in ("xavier", "kaiming", "orthogonal")
  },
  **{
    family: {"model.init": "orthogonal", "pretraining.family": family}
    for family in ("mixed", "line", "sinusoid", "squarewave")
  },
}


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """Returns what all points share."""
  config = signals.get_config(variant)
  config.seed = 2
  config.ensemble.top_k = 10
  config.ensemble.also = (1, 2, 5) if variant else (1, 2, 5, 20, 50)
  return config


def get_sweep() -> list[sweeps.SweepPoint]:
  """Returns the twenty cells."""
  grid = sweeps.product(
    [_STARTS[s] for s in ("xavier", "kaiming", "orthogonal", "mixed", "line")],
    sweeps.axis("task.family", ("one_line", "one_squarewave", "one_sinusoid")),
  )
  pairs = sweeps.zipped(
    [_STARTS[s] for s in (*["mixed"] * 3, "sinusoid", "squarewave")],
    sweeps.axis("task.family", ("line", "sinusoid", *["squarewave"] * 3)),
  )
  return [
    sweeps.SweepPoint(f"{_name_start(cell)} → {cell['task.family']}", cell)
    for cell in (*grid, *pairs)
  ]


def _name_start(overrides: Mapping[str, Any]) -> str:
  """Returns the family of the pretraining, or the kind of untrained weights."""
  return overrides.get("pretraining.family", overrides["model.init"])
