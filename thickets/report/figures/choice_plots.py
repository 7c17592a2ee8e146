"""The figure of answers that members turn, beside the prediction of first order."""

import pathlib
from collections.abc import Sequence

import numpy as np

from thickets.analysis.choice_predictions import Level
from thickets.report.figures.captions import Caption, Topic
from thickets.report.figures.style import (
  TRUTH,
  Style,
  add_legend,
  make_panels,
  save_figure,
)

_MEASURED: Style = {"color": "#c0392b", "marker": "o", "markersize": 5}
_COLOURS = ("#9dc3e6", "#4d8c57", "#d4a017", "#c0392b", "#6b4c9a", "#2c2c2c")


def plot_choices(
  path: pathlib.Path, levels: Sequence[Level], title: str
) -> None:
  """Draws the share of answers that members turn, and the shares by prompt.

  Args:
    path: the PNG file to write.
    levels: what `choice_predictions.compare_levels` returned.
    title: the model, its task and what it is asked.
  """
  fig, axes = make_panels(1, 2, width=8.6, height=4.2)
  turned, shares = axes[0]
  x = [level.sigma for level in levels]
  predicted = 100 * np.array([level.predicted_turned for level in levels])
  value, low, high = (
    100
    * np.array(
      [[e.value, e.low, e.high] for e in (level.turned for level in levels)]
    ).T
  )
  turned.plot(x, predicted, **TRUTH, label="predicted by first order")
  turned.errorbar(
    x,
    predicted + value,
    [value - low, high - value],
    linestyle="none",
    capsize=3,
    elinewidth=1.1,
    label="measured",
    **_MEASURED,
  )
  turned.set_xscale("log")
  turned.set_xticks(x, [f"{sigma:g}" for sigma in x])
  turned.minorticks_off()
  turned.set(
    xlabel="σ", ylabel="% of answers that members turn", ylim=(-3, 103)
  )
  shares.plot([0, 100], [0, 100], **TRUTH)
  for level, color in zip(levels, _COLOURS, strict=False):
    shares.scatter(
      100 * level.predicted,
      100 * level.measured,
      s=14,
      color=color,
      label=f"σ = {level.sigma:g}",
    )
  shares.set(
    xlabel="% of members, predicted",
    ylabel="% of members, measured",
    title="prefer the right word, by prompt",
  )
  add_legend(turned)
  add_legend(shares)
  fig.suptitle(title, fontsize="medium")
  caption = (
    "Left: the share of answers, by the larger of two words' probabilities, that"
    " members turn, mean over prompts. The line is the mean of"
    " Φ(−|log-odds| / (σ‖∇‖)), with log-odds and gradient at the base; bars are 95 %"
    " intervals of the difference, over members and prompts. Right: by prompt, the"
    " share of members that prefer the right word."
  )
  save_figure(fig, path, Caption(Topic.DENSITY, caption))
