"""The paper's three regimes on one line, over ten seeds (its Fig. 5).

Command   python -m experiments.sweep --config=configs/signals_approximation.py \
            --workdir=runs/approximation
Hardware  two CPU cores
Time      15 min for 30 runs while other jobs ran; --index=I runs one of them
Result    medians of the ensemble's error .178 (untrained), .0078 (mixed) and
          1e-4 (line) by the authors' code; ours are in docs/signals.md
"""

import ml_collections

from configs import signals, sweeps

_REGIMES = {
  "untrained": {"pretraining.num_steps": 0, "population.sigmas": (0.05,)},
  "mixed": {"pretraining.family": "mixed"},
  "line": {"pretraining.family": "line"},
}


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """Returns what all points share."""
  return signals.get_config(variant)


def get_sweep() -> list[sweeps.SweepPoint]:
  """Returns three regimes of ten seeds each."""
  return [
    sweeps.SweepPoint(group, overrides)
    for group, regime in _REGIMES.items()
    for overrides in sweeps.product([regime], sweeps.axis("seed", range(10)))
  ]
