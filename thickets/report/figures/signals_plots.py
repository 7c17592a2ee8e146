"""Figures, in one visual style: legible in greyscale and for the colour-blind.

Every function draws one figure from plain numbers, writes it as a PNG file and
closes it.
"""

import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib import ticker

from thickets.report.figures.style import (
  BASE,
  CHOSEN,
  ENSEMBLE,
  MEMBER,
  TRUTH,
  add_legend,
  make_axes,
  save_figure,
)

_ROLE_COLOURS = {"base": "0.15", "top-1": "#c0392b"}  # Others: ensembles.


def plot_roll_outs(
  path: pathlib.Path,
  *,
  x_context: Float[np.ndarray, " C"],
  context_QC: Float[np.ndarray, "Q C"],
  x_target: Float[np.ndarray, " T"],
  target_QT: Float[np.ndarray, "Q T"],
  base_QT: Float[np.ndarray, "Q T"],
  random_PQT: Float[np.ndarray, "P Q T"],
  chosen_KQT: Float[np.ndarray, "K Q T"],
  ensemble_QT: Float[np.ndarray, "Q T"],
) -> None:
  """Draws roll-outs of base, random members, the best, their mean, and truth.

  One row for each of the Q signals, random members on the left and the chosen
  ones on the right.
  """
  num_signals = len(target_QT)
  fig, axes = make_axes(num_signals, 2, width=8.4, height=2.5 * num_signals)
  sides = (
    (f"{len(random_PQT)} random members", random_PQT, MEMBER),
    (f"best {len(chosen_KQT)} members", chosen_KQT, CHOSEN),
  )
  for row, ax_pair in zip(range(num_signals), axes, strict=True):
    for ax, (label, members_PQT, style) in zip(ax_pair, sides, strict=True):
      ax.plot(x_context, context_QC[row], color="0.45", linewidth=2.2)
      for index, member_T in enumerate(members_PQT[:, row]):
        ax.plot(x_target, member_T, **style, label=None if index else label)
      ax.plot(x_target, base_QT[row], **BASE, label="base")
      if style is CHOSEN:
        ax.plot(x_target, ensemble_QT[row], **ENSEMBLE, label="their mean")
      ax.plot(x_target, target_QT[row], **TRUTH, label="truth")
      ax.axvline(x_target[0], color="0.8", linewidth=0.8, zorder=0)
      ax.set(ylim=(-2, 2), xlim=(x_context[0], x_target[-1]))
      if row == 0:
        add_legend(ax, loc="lower left", bbox_to_anchor=(0, 1), ncols=4)
      if row == num_signals - 1:
        ax.set_xlabel("x (grey: the context given to the model)")
    ax_pair[0].set_ylabel("value")
    ax_pair[1].set_yticklabels([])
  save_figure(fig, path)


def plot_bars(
  path: pathlib.Path, rows: Sequence[Mapping[str, Any]], *, title: str
) -> None:
  """Draws errors on the judging prompts as bars, with standard errors.

  Args:
    path: of the PNG file.
    rows: with `role`, `name`, `judge_mse` (rows without are left out) and
      `judge_se` (None where undefined).
    title: says on what, with counts.
  """
  rows = [row for row in rows if row.get("judge_mse") is not None]
  heights = np.array([row["judge_mse"] for row in rows], float)
  errors = _numbers(row["judge_se"] for row in rows)
  fig, ax = make_axes(1, 1, width=1.6 + 0.75 * len(rows), height=3.2)
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
  save_figure(fig, path)


def plot_score_histogram(
  path: pathlib.Path,
  errors_by_sigma: Mapping[float, Float[np.ndarray, " P"]],
  base_error: float,
  *,
  title: str,
) -> None:
  """Draws the distribution of the members' errors with the base marked.

  Args:
    path: of the PNG file.
    errors_by_sigma: errors of the members at each sigma; what a logarithmic axis
      cannot show (failures, zeros) is counted in the legend.
    base_error: of the base, on the same prompts.
    title: says on what, with counts.
  """
  fig, ax = make_axes(1, 1, width=5.2, height=3.2)
  everything = np.append(
    np.concatenate([*errors_by_sigma.values()]), base_error
  )
  shown = everything[np.isfinite(everything) & (everything > 0)]
  low, high = (shown.min(), shown.max()) if shown.size else (0.1, 1.0)
  bins = np.geomspace(low * 0.95, high * 1.05, 50)
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
  save_figure(fig, path)


def plot_curves(
  path: pathlib.Path,
  by_k: Sequence[Mapping[str, Any]],
  by_n: Sequence[Mapping[str, Any]],
  *,
  base: float | None,
  population_size: int,
  primary_k: int,
) -> None:
  """Draws the ensemble's error against K and against N.

  Args:
    path: of the PNG file.
    by_k: rows with `k`, `mse` and `se`, at the full population.
    by_n: rows with `n`, `median_mse`, `min_mse`, `max_mse` and `num_blocks`.
    base: error of the base on the same prompts, None if it failed.
    population_size: N of the left panel.
    primary_k: K of the right panel.
  """
  fig, axes = make_axes(1, 2, width=8.4, height=3.2)
  left, right = axes[0]
  k, mse, error = (
    _numbers(row[field] for row in by_k) for field in ("k", "mse", "se")
  )
  half = np.nan_to_num(error)
  left.fill_between(k, mse - half, mse + half, color="#d4a017", alpha=0.3)
  left.plot(k, mse, color="#a87c00", marker="o", markersize=3)
  left.axvline(primary_k, color="0.6", linewidth=0.8, linestyle=":")
  left.set(
    xlabel=f"K, members in the ensemble (N={population_size})",
    ylabel=_error_label(error),
  )
  n, median, low, high = (
    _numbers(row[field] for row in by_n)
    for field in ("n", "median_mse", "min_mse", "max_mse")
  )
  right.errorbar(
    n,
    median,
    yerr=(median - low, high - median),
    color="#a87c00",
    marker="o",
    markersize=4,
    capsize=3,
  )
  for row in by_n:
    right.annotate(
      f"{row['num_blocks']}×",
      (row["n"], row["median_mse"]),
      xytext=(5, 5),
      textcoords="offset points",
      fontsize="small",
    )
  left.set_title(f"the best K of {population_size} members")
  right.set_title(f"the best {primary_k} of N (m×: of m populations)")
  right.set(
    xlabel=f"N, members in the population (K={primary_k})",
    ylabel="mean squared error (median, range)",
  )
  for ax in (left, right):
    ax.set(xscale="log", yscale="log")
    ax.xaxis.set_major_formatter(ticker.StrMethodFormatter("{x:g}"))
    if base is not None:
      ax.axhline(base, **BASE, label=f"base {base:.3g}")
      add_legend(ax)
  save_figure(fig, path)


def plot_groups(
  path: pathlib.Path,
  groups: Mapping[str, Mapping[str, Sequence[float]]],
  *,
  title: str,
) -> None:
  """Draws the errors of several runs of several settings, each run a dot.

  Args:
    path: of the PNG file.
    groups: for each setting, for each quantity, one error per run.
    title: says on what, with counts.
  """
  quantities = list(next(iter(groups.values())))
  fig, ax = make_axes(1, 1, width=2.2 + 1.3 * len(groups), height=3.6)
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
  save_figure(fig, path)


def _numbers(values: Iterable[float | None]) -> np.ndarray:
  """As floats, NaN for None, which matplotlib leaves out."""
  return np.array(
    [np.nan if value is None else value for value in values], float
  )


def _error_label(errors: np.ndarray) -> str:
  with_errors = errors.size and not np.isnan(errors).all()
  return "mean squared error" + (" (± s.e.)" if with_errors else "")


def _wrap(name: str) -> str:
  return name.replace(" ", "\n")
