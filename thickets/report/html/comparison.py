"""The chapter of a report that compares several runs."""

from collections.abc import Sequence

from thickets.report import analysis_tables, run_kinds
from thickets.report.html import density_charts, facts
from thickets.report.html.page import Chapter, Section
from thickets.report.run_files import RunFiles
from thickets.report.tables import TextTable


def compare_runs(found: Sequence[RunFiles]) -> Chapter:
  """Puts runs side by side: facts, results and densities.

  Args:
    found: at least two runs that can be compared.
  """
  names = ("Model", "Base identity", "Weights", "Tasks", "Members", "Sigmas")
  rows = []
  for run in found:
    values = dict(facts.list_facts(run)) | {
      "Base identity": run.header["base"]["identity"][:12]
    }
    rows.append((run.name, run.kind.name, *(values[name] for name in names)))
  sections = [
    Section(
      "Side by side",
      [_compare_prompts(found)],
      tables=[
        TextTable(
          "The runs.", ("run", "binary", *map(str.lower, names)), tuple(rows)
        ),
        *run_kinds.compare_results(
          {run.name: (run.kind, run.results) for run in found}
        ),
      ],
    )
  ]
  densities = {r.name: r.density for r in found if r.density is not None}
  if densities:
    chart = density_charts.chart_compared_densities(densities)
    sections.append(
      Section(
        "Densities",
        ["Each line shows one of these estimates, for one run at one sigma:"],
        terms=density_charts.list_estimates(),
        charts=[chart] if chart else [],
        tables=analysis_tables.compare_densities(densities),
      )
    )
  return Chapter("Comparison", sections)


def _compare_prompts(found: Sequence[RunFiles]) -> str:
  """Says on which tasks the runs answered the same prompts."""
  same, other = [], []
  for task in dict.fromkeys(task for run in found for task in run.tasks):
    asked = [run.tasks[task] for run in found if task in run.tasks]
    if len(asked) > 1:
      key = "prompts" if "prompts" in asked[0] else "splits"
      alike = all(one.get(key) == asked[0].get(key) for one in asked)
      (same if alike else other).append(task)
  texts = []
  if same:
    texts.append(f"The runs answered the same prompts of {', '.join(same)}.")
  if other:
    texts.append(
      f"They answered different prompts of {', '.join(other)}: there, runs differ"
      " by the choice of prompts as well."
    )
  return " ".join(texts)
