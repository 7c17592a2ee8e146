"""Candidates for one model out of a finished run of RandOpt, and their choice."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.launch import finished_randopt
from experiments.launch.specs import RandOptSpec
from thickets.analysis import measurement
from thickets.errors import UserError
from thickets.generation.ledger import Cost
from thickets.members import Member
from thickets.report import console
from thickets.report.tables import (
  DASH,
  format_interval,
  format_number,
  format_percent,
)
from thickets.runs.run_config import RunConfig
from thickets.training import consolidation


@dataclasses.dataclass(frozen=True)
class Candidate:
  """One way to make one model.

  Attributes:
    name: what it is.
    update: what it adds to the base.
  """

  name: str
  update: Member


@dataclasses.dataclass(frozen=True)
class Source:
  """What is needed of a finished run of RandOpt.

  Attributes:
    candidates: the candidates, in the order in which equals are preferred.
    search: what the run's search has cost.
  """

  candidates: tuple[Candidate, ...]
  search: Cost

  def make_config(self, spec: RandOptSpec) -> RunConfig:
    """What a run directory keeps; candidates by the hash of their terms."""
    hashes = {
      found.name: hashlib.sha256(
        json.dumps(found.update.terms).encode()
      ).hexdigest()
      for found in self.candidates
    }
    return RunConfig(
      {
        "experiment": "consolidate",
        "randopt": dict(spec.config.fields),
        "candidates": hashes,
      }
    )


def read_scales(words: Sequence[str]) -> list[float]:
  """Reads the lengths of the weighted step.

  Raises:
    UserError: if one is no number above 0, or stands there twice.
  """
  try:
    scales = [float(word) for word in words]
  except ValueError as error:
    raise UserError(f"--scales must be numbers, got {words}.") from error
  if not all(0 < scale < math.inf for scale in scales):
    raise UserError(f"--scales must be above 0 and finite, got {words}.")
  if len(set(scales)) < len(scales):
    raise UserError(f"--scales must differ, got {words}.")
  return scales


def read_source(
  spec: RandOptSpec, workdir: str, scales: Sequence[float]
) -> Source:
  """Reads the members and scores of a run, and makes the candidates.

  Args:
    spec: what the run was asked to do.
    workdir: its directory.
    scales: lengths of the weighted step.

  Raises:
    UserError: if the run is not finished or lacks records, ranks fewer members than
      it is asked to, or is of an earlier version.
  """
  results = finished_randopt.read_results(workdir, spec.population.size, "run")
  search = finished_randopt.read_search_cost(results, workdir)
  members = spec.population.sample()
  scores = _read_scores(workdir, len(members))
  sizes = sorted({spec.ensemble.top_k, *spec.ensemble.also})
  positions = finished_randopt.read_ranked(results, sizes[-1], workdir)
  ranked = [members[position] for position in positions]
  candidates = [
    Candidate(
      "best member" if k == 1 else f"mean of the best {k}",
      consolidation.average_members(ranked[:k]),
    )
    for k in sizes
  ] + [
    Candidate(
      f"weighted step × {scale:g}",
      consolidation.weigh_members(members, scores, scale),
    )
    for scale in scales
  ]
  return Source(tuple(candidates), search)


def _read_scores(workdir: str, size: int) -> np.ndarray:
  """Reads the scores [N] on `select`, NaN where a member failed; changes nothing."""
  _, found = measurement.read_records(workdir)
  records = found.get("select", {})
  if missing := [p for p in range(size) if p not in records]:
    raise UserError(
      f"--run must hold the records of all {size} members on select, got"
      f" {workdir}, which lacks {len(missing)}. Finish it with its own command"
      " first."
    )
  return np.array([records[position].score for position in range(size)])


def choose_candidate(watched: Sequence[Mapping[str, Any]]) -> int | None:
  """Returns which candidate scores best on `dev`, None where none beats the base.

  Args:
    watched: what `trained_results.describe_watched` found, the base first.
  """
  base, *others = [
    -math.inf if row["score"] is None else row["score"] for row in watched
  ]
  best = max(range(len(others)), key=others.__getitem__)
  return best if others[best] > base else None


def format_candidates(results: Mapping[str, Any]) -> str:
  """Lays out what each candidate reached on `dev`, and which one was chosen."""
  rows = [
    (
      row["name"],
      DASH if row["score"] is None else format_number(row["score"]),
      format_percent(row["right"]["mean"]),
      format_interval(row["right"]["low"], row["right"]["high"]),
      "*" if row["name"] == results["chosen"] else "",
    )
    for row in results["watched"]
  ]
  header = ("on dev", "score", "% right", "[95 %]", "chosen")
  return "\n".join(console.align_columns(header, rows)) + "\n"
