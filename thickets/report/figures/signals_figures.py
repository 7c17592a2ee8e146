"""All figures of a run on 1-D signals, as its directory holds them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from thickets.analysis.signals_results import JudgedPredictions
from thickets.report.figures import signals_plots
from thickets.report.figures.signals_plots import RollOuts
from thickets.runs.locations import Location
from thickets.search import ensemble
from thickets.tasks import signals

_NUM_SIGNALS = 3  # Rows of the roll-out figure, where signals differ.


def draw_signals(
  folder: Location,
  results: Mapping[str, Any],
  judged: JudgedPredictions,
  *,
  context: Float[np.ndarray, "Q C"],
  sigmas: Float[np.ndarray, " P"],
  scores: Float[np.ndarray, " P"],
  setting: str,
  is_single: bool,
) -> None:
  """Draws roll-outs, bars, the histogram and the curves of a run.

  Args:
    folder: where the PNG files go, made if it is missing.
    results: the contents of results.json.
    judged: the answers on the prompts of judging.
    context: [Q, C] what the model is given of each signal of judging.
    sigmas: [P] the sigma of each member.
    scores: [P] the score of each member on the prompts of selection, which is
      the negative mean squared error; NaN marks a failure.
    setting: what the base was trained on and what it is asked, for titles, such
      as "mixed → one_line".
    is_single: whether all signals of the task are copies of one.
  """
  primary_k, size = results["primary_k"], len(scores)
  selecting = f"{results['num_select']} signals of selection"
  judging = f"{results['num_judge']} signals of judging"
  if is_single:
    selecting = judging = "a single signal"
  num_rows = min(1 if is_single else _NUM_SIGNALS, len(context))
  signals_plots.plot_roll_outs(
    folder / "roll_outs.png",
    _select_roll_outs(judged, context, primary_k, num_rows),
  )
  signals_plots.plot_bars(
    folder / "bars.png",
    results["table"],
    title=f"{setting}: {judging}, N={size}",
  )
  signals_plots.plot_score_histogram(
    folder / "histogram.png",
    {float(sigma): -scores[sigmas == sigma] for sigma in np.unique(sigmas)},
    -judged.base_select_score,
    title=f"{setting}: {selecting}",
  )
  signals_plots.plot_error_curves(
    folder / "curves.png",
    results["ensemble_by_k"],
    results["ensemble_by_n"],
    base=results["table"][0]["judge_mse"],
    population_size=size,
    primary_k=primary_k,
  )


def _select_roll_outs(
  judged: JudgedPredictions,
  context: Float[np.ndarray, "Q C"],
  primary_k: int,
  num_rows: int,
) -> RollOuts:
  """Returns the answers of base, members and ensemble on the first signals."""
  num_given, num_asked = context.shape[1], judged.target.shape[1]
  places = np.arange(num_given + num_asked)
  x = signals.GRID_START + signals.GRID_STEP * places
  chosen = judged.of(judged.plan.chosen[:primary_k])
  return RollOuts(
    x_context=x[:num_given],
    context=context[:num_rows],
    x_target=x[num_given:],
    target=judged.target[:num_rows],
    base=judged.base[:num_rows],
    random=judged.of(judged.plan.shown)[:, :num_rows],
    chosen=chosen[:, :num_rows],
    ensemble=ensemble.mean_ensemble(chosen)[:num_rows],
  )
