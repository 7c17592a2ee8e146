"""The figures of RandOpt on 1-D signals, each drawn from plain numbers."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib import ticker
from matplotlib.axes import Axes

from thickets.report.figures.captions import Caption, Topic
from thickets.report.figures.style import (
  BASE,
  CHOSEN,
  ENSEMBLE,
  MEMBER,
  TRUTH,
  add_legend,
  make_panel,
  make_panels,
  save_figure,
)
from thickets.runs.locations import Location

_ROLE_COLOURS = {"base": "0.15", "top-1": "#c0392b"}  # Others: ensembles.


@dataclasses.dataclass(frozen=True)
class RollOuts:
  """Roll-outs on the same Q signals, each given C values and asked for T more.

  Attributes:
    x_context: [C] places of the values that the model is given.
    context: [Q, C] the values that the model is given.
    x_target: [T] places of the values that the model is asked for.
    target: [Q, T] the true values.
    base: [Q, T] the base's answers.
    random: [P, Q, T] the answers of members as they were drawn.
    chosen: [K, Q, T] the answers of the best members.
    ensemble: [Q, T] the mean of the best members' answers.
  """

  x_context: Float[np.ndarray, " C"]
  context: Float[np.ndarray, "Q C"]
  x_target: Float[np.ndarray, " T"]
  target: Float[np.ndarray, "Q T"]
  base: Float[np.ndarray, "Q T"]
  random: Float[np.ndarray, "P Q T"]
  chosen: Float[np.ndarray, "K Q T"]
  ensemble: Float[np.ndarray, "Q T"]


def plot_roll_outs(path: Location, roll_outs: RollOuts) -> None:
  """Draws roll-outs of the base, of random and of the best members, and the truth.

  There is a row for each of the signals, with random members on the left and the
  best ones with their mean on the right.

  Args:
    path: the PNG file to write.
    roll_outs: the answers to draw.
  """
  num_signals = len(roll_outs.target)
  fig, axes = make_panels(num_signals, 2, width=8.4, height=2.5 * num_signals)
  random = f"{len(roll_outs.random)} random members"
  chosen = f"best {len(roll_outs.chosen)} members"
  for row, (left, right) in enumerate(axes):
    _draw_members(left, roll_outs, row, roll_outs.random, MEMBER, random)
    _draw_truth(left, roll_outs, row)
    _draw_members(right, roll_outs, row, roll_outs.chosen, CHOSEN, chosen)
    right.plot(
      roll_outs.x_target,
      roll_outs.ensemble[row],
      **ENSEMBLE,
      label="their mean",
    )
    _draw_truth(right, roll_outs, row)
    left.set_ylabel("value")
    right.set_yticklabels([])
  for ax in axes[0]:
    add_legend(ax, loc="lower left", bbox_to_anchor=(0, 1), ncols=4)
  for ax in axes[-1]:
    ax.set_xlabel("x (grey: the context given to the model)")
  caption = (
    "Roll-outs of base, members and ensemble on signals that chose nothing."
  )
  save_figure(fig, path, Caption(Topic.SUMMARY, caption))


def _draw_members(
  ax: Axes,
  roll_outs: RollOuts,
  row: int,
  members_PQT: Float[np.ndarray, "P Q T"],
  style: Mapping[str, Any],
  label: str,
) -> None:
  """Draws what is given of a signal, and how members and the base go on."""
  ax.plot(
    roll_outs.x_context, roll_outs.context[row], color="0.45", linewidth=2.2
  )
  for index, member_T in enumerate(members_PQT[:, row]):
    ax.plot(
      roll_outs.x_target, member_T, **style, label=None if index else label
    )
  ax.plot(roll_outs.x_target, roll_outs.base[row], **BASE, label="base")


def _draw_truth(ax: Axes, roll_outs: RollOuts, row: int) -> None:
  """Draws how a signal really goes on, and where that begins."""
  x = roll_outs.x_target
  ax.plot(x, roll_outs.target[row], **TRUTH, label="truth")
  ax.axvline(x[0], color="0.8", linewidth=0.8, zorder=0)
  ax.set(ylim=(-2, 2), xlim=(roll_outs.x_context[0], x[-1]))


def plot_bars(
  path: Location, rows: Sequence[Mapping[str, Any]], *, title: str
) -> None:
  """Draws errors on the judging prompts as bars, with standard errors.

  Args:
    path: the PNG file to write.
    rows: with `role`, `name`, `judge_mse` (rows without are left out) and
      `judge_se` (None where undefined).
    title: says what is drawn, with counts.
  """
  rows = [row for row in rows if row.get("judge_mse") is not None]
  heights = np.array([row["judge_mse"] for row in rows], float)
  errors = _numbers(row["judge_se"] for row in rows)
  fig, ax = make_panel(1.6 + 0.75 * len(rows), 3.2)
  highest = np.max(heights + np.nan_to_num(errors), initial=0.0)
  bars = ax.bar(
    range(len(rows)),
    heights,
    yerr=None if np.isnan(errors).all() else np.nan_to_num(errors),
    color=[_ROLE_COLOURS.get(row["role"], "#d4a017") for row in rows],
    edgecolor="black",
    linewidth=0.6,
    capsize=3,
    width=0.7,
  )
  ax.bar_label(bars, [f"{height:.3g}" for height in heights], padding=3)
  ax.set_xticks(range(len(rows)), [_wrap(row["name"]) for row in rows])
  ax.set(
    ylabel=_error_label(errors),
    ylim=(0, max(0.65, 1.15 * highest)),
    title=title,
  )
  caption = (
    "Mean squared error of base, best member and ensemble; lower is better."
  )
  save_figure(fig, path, Caption(Topic.SUMMARY, caption))


def plot_score_histogram(
  path: Location,
  errors_by_sigma: Mapping[float, Float[np.ndarray, " P"]],
  base_error: float,
  *,
  title: str,
) -> None:
  """Draws the distribution of the members' errors with the base marked.

  Args:
    path: the PNG file to write.
    errors_by_sigma: errors of the members at each sigma; what a logarithmic axis
      cannot show (failures, zeros) is counted in the legend.
    base_error: the base's error on the same prompts.
    title: says what is drawn, with counts.
  """
  fig, ax = make_panel(5.2, 3.2)
  everything = np.append(
    np.concatenate([*errors_by_sigma.values()]), base_error
  )
  shown = everything[np.isfinite(everything) & (everything > 0)]
  low, high = (shown.min(), shown.max()) if shown.size else (0.1, 1.0)
  bins = np.geomspace(low * 0.95, high * 1.05, 50).tolist()
  hatches = ("", "//", "..", "xx")
  for index, (sigma, errors) in enumerate(sorted(errors_by_sigma.items())):
    fits = np.isfinite(errors) & (errors > 0)
    missing = f", {(~fits).sum()} not shown" if not fits.all() else ""
    ax.hist(
      errors[fits],
      bins=bins,
      color=matplotlib.colormaps["cividis"](0.75 - 0.5 * (index % 4) / 3),
      hatch=hatches[index % 4],
      edgecolor="white",
      linewidth=0.3,
      alpha=0.8,
      label=f"σ = {sigma:g} (n={len(errors)}{missing})",
    )
  if np.isfinite(base_error):
    ax.axvline(base_error, **BASE, label=f"base {base_error:.3g}")
  ax.set(xscale="log", xlabel="mean squared error of a member", title=title)
  ax.set_ylabel("members")
  add_legend(ax)
  caption = (
    "Errors of all members on the signals of selection; the dashed line is the"
    " base."
  )
  save_figure(fig, path, Caption(Topic.SUMMARY, caption))


def plot_error_curves(
  path: Location,
  by_k: Sequence[Mapping[str, Any]],
  by_n: Sequence[Mapping[str, Any]],
  *,
  base: float | None,
  population_size: int,
  primary_k: int,
) -> None:
  """Draws the ensemble's error against K and against N.

  Args:
    path: the PNG file to write.
    by_k: rows with `k`, `mse` and `se`, at the full population.
    by_n: rows with `n`, `median_mse`, `min_mse`, `max_mse` and `num_blocks`.
    base: the base's error on the same prompts, None if it failed.
    population_size: N of the left panel, the size of the whole population.
    primary_k: K of the right panel, the size of the reported ensemble.
  """
  fig, axes = make_panels(1, 2, width=8.4, height=3.2)
  left, right = axes[0]
  _draw_by_k(left, by_k, population_size, primary_k)
  _draw_by_n(right, by_n, primary_k)
  for ax in (left, right):
    ax.set(xscale="log", yscale="log")
    for axis in (ax.xaxis, ax.yaxis):
      # Plain numbers, and few of them, however short the axis is.
      axis.set_major_locator(ticker.LogLocator(subs=(1, 2, 3, 5)))
      axis.set_major_formatter(ticker.StrMethodFormatter("{x:g}"))
      axis.set_minor_formatter(ticker.NullFormatter())
    if base is not None:
      ax.axhline(base, **BASE, label=f"base {base:.3g}")
      add_legend(ax)
  caption = (
    "Mean squared error against the size of the ensemble and of the population;"
    " lower is better."
  )
  save_figure(fig, path, Caption(Topic.SUMMARY, caption))


def _draw_by_k(
  ax: Axes,
  rows: Sequence[Mapping[str, Any]],
  population_size: int,
  primary_k: int,
) -> None:
  k, mse, error = (
    _numbers(row[field] for row in rows) for field in ("k", "mse", "se")
  )
  half = np.nan_to_num(error)
  ax.fill_between(k, mse - half, mse + half, color="#d4a017", alpha=0.3)
  ax.plot(k, mse, color="#a87c00", marker="o", markersize=3)
  ax.axvline(primary_k, color="0.6", linewidth=0.8, linestyle=":")
  ax.set(
    title=f"the best K of {population_size} members",
    xlabel=f"K, members in the ensemble (N={population_size})",
    ylabel=_error_label(error),
  )


def _draw_by_n(
  ax: Axes, rows: Sequence[Mapping[str, Any]], primary_k: int
) -> None:
  n, median, low, high = (
    _numbers(row[field] for row in rows)
    for field in ("n", "median_mse", "min_mse", "max_mse")
  )
  ax.errorbar(
    n,
    median,
    yerr=(median - low, high - median),
    color="#a87c00",
    marker="o",
    markersize=4,
    capsize=3,
  )
  for row in rows:
    ax.annotate(
      f"{row['num_blocks']}×",
      (row["n"], row["median_mse"]),
      xytext=(5, 5),
      textcoords="offset points",
      fontsize="small",
    )
  ax.set(
    title=f"the best {primary_k} of N (m×: of m populations)",
    xlabel=f"N, members in the population (K={primary_k})",
    ylabel="mean squared error (median, range)",
  )


def plot_groups(
  path: Location,
  groups: Mapping[str, Mapping[str, Sequence[float]]],
  *,
  title: str,
) -> None:
  """Draws the errors of several runs of several settings, each run a dot.

  Args:
    path: the PNG file to write.
    groups: for each setting, for each quantity, one error per run.
    title: says what is drawn, with counts.
  """
  quantities = list(next(iter(groups.values())))
  fig, ax = make_panel(2.2 + 1.3 * len(groups), 3.6)
  markers = ("s", "^", "o", "D")
  for index, quantity in enumerate(quantities):
    shift = (index - (len(quantities) - 1) / 2) * 0.2
    colour = matplotlib.colormaps["cividis"](index / max(len(quantities), 2))
    for place, runs in enumerate(groups.values()):
      values = np.array(runs[quantity], float)
      spread = np.linspace(-0.06, 0.06, len(values))
      ax.plot(
        place + shift + spread,
        values,
        markers[index % 4],
        color=colour,
        markersize=3.5,
        alpha=0.8,
        label=quantity if place == 0 else None,
      )
      ax.hlines(
        np.median(values),
        place + shift - 0.09,
        place + shift + 0.09,
        color="black",
        linewidth=1.4,
      )
  ax.set_xticks(range(len(groups)), [_wrap(name) for name in groups])
  ax.set(yscale="log", ylabel="mean squared error (bar: median)", title=title)
  add_legend(ax, loc="upper left", bbox_to_anchor=(1, 1))
  caption = "Mean squared errors of several runs, one dot for each run."
  save_figure(fig, path, Caption(Topic.SUMMARY, caption))


def _numbers(values: Iterable[float | None]) -> np.ndarray:
  """Returns floats, NaN for None, which matplotlib leaves out."""
  return np.array(
    [np.nan if value is None else value for value in values], float
  )


def _error_label(errors: np.ndarray) -> str:
  with_errors = errors.size and not np.isnan(errors).all()
  return "mean squared error" + (" (± s.e.)" if with_errors else "")


def _wrap(name: str) -> str:
  return name.replace(" ", "\n")
