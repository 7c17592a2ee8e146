"""The kinds of runs that a report can show, and what it does with each.

The config of a run says which binary made it. All that a report does in another
way for one kind than for another is a function or a text of its `RunKind`.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from thickets.analysis.neighbourhood import Settings
from thickets.errors import UserError
from thickets.report import (
  diffusion_table,
  results_tables,
  saved_analyses,
  tables,
)
from thickets.report.tables import TextTable
from thickets.runs.locations import Location

Results = Mapping[str, Any]  # The contents of a results.json.


@dataclasses.dataclass(frozen=True)
class RunKind:
  """How a report treats the runs of one binary.

  Attributes:
    name: name of the binary; the value of `experiment` in the run's config.
    scores: what the scores are, for messages. Runs can be compared only if they
      have the same scores.
    definitions: sentences of the page that define its words and units.
    result_keys: keys that are never absent from results.json.
    count_members: returns the size of the population, failed members included,
      from the contents of results.json.
    tabulate_results: returns the tables of results.json; the first one is joined
      where several runs are compared.
    complete: makes the analyses that are missing from a run's directory or of
      another version, and returns a note for each that cannot be made.
  """

  name: str
  scores: str
  definitions: tuple[str, ...]
  result_keys: tuple[str, ...]
  count_members: Callable[[Results], int]
  tabulate_results: Callable[[Results], list[TextTable]]
  complete: Callable[[Location, Settings], list[str]]


_MEMBERS = (
  "Members are random Gaussian perturbations of one pretrained model, the base."
  " Sigma is the standard deviation of their noise, in the weights' own units. A"
  " failed member has no score: it is counted, but it is not an expert."
)
_EXPERTS = (
  "A member's gain is its score minus the base's score on the same prompts. A"
  " member whose gain reaches the margin is an expert, and the density is the"
  " share of members that are experts. Scores and shares are in %, gains and"
  " margins in points."
)
_PICTURES = (
  "Members are chosen by scores of their pictures for a target that no prompt"
  " names. A hit is a picture that a judge takes for one of the target, and"
  " fidelity says whether it shows what the prompt asks for. An ensemble takes"
  " every step of a picture by the mean of its members' predictions."
)

_KINDS = (
  RunKind(
    name="measure",
    scores="shares of right answers",
    definitions=(_MEMBERS, _EXPERTS),
    result_keys=("num_members", "relative_norms", "tasks"),
    count_members=lambda results: results["num_members"],
    tabulate_results=results_tables.tabulate_measure,
    complete=saved_analyses.complete_measure,
  ),
  RunKind(
    name="randopt",
    scores="shares of right answers",
    definitions=(_MEMBERS, _EXPERTS),
    result_keys=(
      *("population", "table", "differences", "winners_curse"),
      "num_judge_groups",
    ),
    count_members=lambda results: results["population"]["size"],
    tabulate_results=results_tables.tabulate_randopt,
    complete=saved_analyses.complete_randopt,
  ),
  RunKind(
    name="signals",
    scores="squared errors",
    definitions=(_MEMBERS,),
    result_keys=("population", "table", "ensemble_by_n"),
    count_members=lambda results: results["population"]["size"],
    tabulate_results=results_tables.tabulate_signals,
    complete=saved_analyses.complete_signals,
  ),
  RunKind(
    name="diffusion",
    scores="scores of pictures",
    definitions=(_MEMBERS, _PICTURES),
    result_keys=("population", "table", "density", "settings"),
    count_members=lambda results: results["population"]["size"],
    tabulate_results=diffusion_table.tabulate_diffusion,
    complete=saved_analyses.complete_diffusion,
  ),
)
KINDS = {kind.name: kind for kind in _KINDS}


def find_kind(experiment: object, path: Location) -> RunKind:
  """Returns the kind of a run.

  Args:
    experiment: the value of `experiment` in the run's config, None without one.
    path: the config's file, for the message.

  Raises:
    UserError: if no report can show runs of this kind.
  """
  if not isinstance(experiment, str) or experiment not in KINDS:
    raise UserError(
      f"{path} must be the config of a run of experiments.measure, randopt,"
      f" signals or diffusion, got one of the experiment {experiment!r}. Check the path."
    )
  return KINDS[experiment]


def compare_results(
  runs: Mapping[str, tuple[RunKind, Results]],
) -> list[TextTable]:
  """Puts what several runs reached below each other, in a table for each kind.

  Args:
    runs: the kind of each run and the contents of its results.json, by the run's
      name.
  """
  compared = []
  for kind in KINDS.values():
    compared += tables.join_tables(
      {
        name: kind.tabulate_results(results)[:1]
        for name, (its_kind, results) in runs.items()
        if its_kind == kind
      }
    )
  return compared
