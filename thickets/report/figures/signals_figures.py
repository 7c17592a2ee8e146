"""The figures of a signals run."""

import numpy as np

from thickets.report.figures import signals_plots
from thickets.search import ensemble
from thickets.tasks import signals

_NUM_SIGNALS = 3  # Rows of the roll-out figure, where signals differ.


def draw(config, batch, members, scores, judged, results, folder) -> None:
  """Draws roll-outs, bars, histogram and curves into the run's folder.

  Args:
    config: of the run.
    batch: the prompts of judging.
    members: [P] the population.
    scores: [P] on the prompts of selection.
    judged: a `signals_results.JudgedPredictions`.
    results: the contents of `results.json`.
    folder: the `directory.Run`.
  """
  task, primary_k = config.task, config.ensemble.top_k
  setting = f"{config.pretraining.family} → {task.family}"
  if not config.pretraining.num_steps:
    setting = f"untrained → {task.family}"
  selecting = f"{task.num_select} signals of selection"
  judging = f"{task.num_judge} signals of judging"
  if signals.is_single(task.family):
    selecting = judging = "a single signal"
  num_rows = 1 if signals.is_single(task.family) else _NUM_SIGNALS
  num_rows = min(num_rows, task.num_judge)
  x = signals.GRID_START + signals.GRID_STEP * np.arange(
    task.context + task.horizon
  )
  chosen = judged.of(judged.plan.chosen[:primary_k])
  signals_plots.plot_roll_outs(
    folder.workdir / "figures" / "roll_outs.png",
    x_context=x[: task.context],
    context_QC=np.asarray(batch["context"])[:num_rows],
    x_target=x[task.context :],
    target_QT=judged.target[:num_rows],
    base_QT=judged.base[:num_rows],
    random_PQT=judged.of(judged.plan.shown)[:, :num_rows],
    chosen_KQT=chosen[:, :num_rows],
    ensemble_QT=ensemble.mean_ensemble(chosen)[:num_rows],
  )
  signals_plots.plot_bars(
    folder.workdir / "figures" / "bars.png",
    results["table"],
    title=f"{setting}: {judging}, N={len(members)}",
  )
  errors = -scores
  sigmas = np.array([member.sigma for member in members])
  signals_plots.plot_score_histogram(
    folder.workdir / "figures" / "histogram.png",
    {float(sigma): errors[sigmas == sigma] for sigma in np.unique(sigmas)},
    -judged.base_select_score,
    title=f"{setting}: {selecting}",
  )
  signals_plots.plot_curves(
    folder.workdir / "figures" / "curves.png",
    results["ensemble_by_k"],
    results["ensemble_by_n"],
    base=results["table"][0]["judge_mse"],
    population_size=len(members),
    primary_k=primary_k,
  )
