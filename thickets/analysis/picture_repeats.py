"""Runs of RandOpt on pictures around several trainings, with several populations each.

One run says how its members do on other pictures, and not how others would do around
another model. Here every training is searched with the same seeds, each of which
draws members and starting noise; intervals range over all three, as
`repeated_runs.estimate_repeated` has them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from thickets.analysis import repeated_runs
from thickets.errors import UserError
from thickets.runs import json_files
from thickets.runs.json_files import JsonObject
from thickets.runs.locations import Location

_NAMES = {
  "base": "base",
  "top-1": "best member",
  "primary": "mean of best {k}",
  "random": "mean of random {k}",
  "members": "random members",
}


def summarise_repeats(folders: Sequence[Location]) -> JsonObject:
  """Pools finished runs that differ in their model and their seed alone.

  Args:
    folders: run directories of `experiments.diffusion`: of each of at least two
      models one run for each of the same seeds.

  Returns:
    The target, the models, the seeds, and a row for each of those who drew: the
    share of their pictures that are of the target, and how much it is above the
    base's, with intervals over trainings, populations and pictures.

  Raises:
    UserError: if a run is not finished or has no rule of hits, runs differ in
      anything else, or a model lacks a seed.
  """
  runs = {}
  shared = None
  for folder in folders:
    config, results = _read_run(folder)
    place = config["model"].pop("name"), config.pop("seed")
    if place in runs:
      raise UserError(
        f"RUN must be runs of other models or seeds, got model {place[0]} with"
        f" seed {place[1]} twice, the second in {folder}."
      )
    runs[place] = results
    shared = config if shared is None else shared
    if config != shared:
      raise UserError(
        "RUN must be runs that differ in model.name and seed alone, got other"
        f" values in {folder} than in {folders[0]}."
      )
  models = list(dict.fromkeys(model for model, _ in runs))
  seeds = sorted({seed for _, seed in runs})
  _check_crossed(models, seeds, runs)
  first = next(iter(runs.values()))
  hits = {
    role: np.array(
      [
        [runs[model, seed]["hits_by_picture"][role] for seed in seeds]
        for model in models
      ]
    )
    for role in first["hits_by_picture"]
  }
  return {
    "target": first["target"],
    "num_targets": len(first["targets"]),
    "models": models,
    "seeds": seeds,
    "num_pictures": first["num_judge"],
    "table": [
      _describe(role, name.format(k=first["primary_k"]), hits)
      for role, name in _NAMES.items()
      if role in hits
    ],
  }


def _describe(
  role: str, name: str, hits: Mapping[str, Float[np.ndarray, "T S Q"]]
) -> dict[str, Any]:
  """One row: shares, differences from the base, and the shares of each run."""
  share = repeated_runs.estimate_repeated(hits[role])
  row = {
    "role": role,
    "name": name,
    "hits": share.to_json("mean") | {"low": max(share.low, 0.0)},
    "by_run": hits[role].mean(axis=2).tolist(),
  }
  if role != "base":
    gain = repeated_runs.estimate_repeated(hits[role] - hits["base"])
    row["hits_gain"] = gain.to_json("mean")
  return row


def _read_run(folder: Location) -> tuple[dict[str, Any], dict[str, Any]]:
  try:
    config = json_files.read_json(folder / "config.json")["config"]
    results = json_files.read_json(folder / "results.json")
    hits = results["hits_by_picture"]
    is_whole = results["population"]["size"] == config["population"]["size"]
  except (OSError, ValueError, KeyError, TypeError) as error:
    raise UserError(
      f"RUN must be a finished run of experiments.diffusion, got {folder}"
      f" ({error})."
    ) from error
  if not is_whole:
    raise UserError(
      f"RUN must be finished, got {folder}, which is being continued with a"
      " larger population. Run its command to the end."
    )
  if not hits:
    raise UserError(
      f"RUN must be a run whose pictures are judged as hits, got {folder}, where"
      " CLIP alone judges."
    )
  return config, results


def _check_crossed(
  models: Sequence[str], seeds: Sequence[int], runs: Mapping[tuple, Any]
) -> None:
  if len(models) < 2:
    raise UserError(
      f"RUN must be runs of at least two models, got those of {models}."
    )
  for model in models:
    for seed in seeds:
      if (model, seed) not in runs:
        raise UserError(
          f"RUN must have each seed for each model, got none of seed {seed} for"
          f" {model}."
        )
