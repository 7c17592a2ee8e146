"""One self-contained page for a run, or for the comparison of several.

It has no dates, so one run gives one page.
"""

import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from thickets.analysis.density import ESTIMANDS
from thickets.report import tables as tables_lib
from thickets.report.html import captions, density_charts, plane_charts
from thickets.report.html import page as page_lib
from thickets.report.html.captions import Figure
from thickets.report.html.page import Page, Part, Section
from thickets.report.run_files import RunFiles
from thickets.report.tables import Table


def write_report(
  path: str | os.PathLike[str],
  found: Sequence[RunFiles],
  *,
  commands: Sequence[Sequence[str]],
  notes: Sequence[Sequence[str]] = (),
) -> pathlib.Path:
  """Writes the page of one run, or of the comparison of several.

  Args:
    path: of the HTML file.
    found: the runs.
    commands: of each run, what makes it and its figures again.
    notes: of each run, what its page lacks and why.
  """
  page = render_report(found, commands=commands, notes=notes)
  path = pathlib.Path(path)
  temporary = path.with_name(f".{path.name}.{os.getpid()}")
  temporary.write_text(page, encoding="utf-8")
  temporary.replace(path)
  return path


def render_report(
  found: Sequence[RunFiles],
  *,
  commands: Sequence[Sequence[str]],
  notes: Sequence[Sequence[str]] = (),
) -> str:
  """The page's text; see `write_report`."""
  notes = notes or [()] * len(found)
  parts = [
    _describe_run(run, lines, said)
    for run, lines, said in zip(found, commands, notes, strict=True)
  ]
  model = found[0].config.get("model", {}).get("name", "a small network")
  title = f"{found[0].name}: members around {model}"
  if len(found) > 1:
    parts.insert(0, _compare(found))
    title = f"Comparison of {len(found)} runs"
  return page_lib.render_page(Page(title, _introduce(found), parts))


def _introduce(found: Sequence[RunFiles]) -> list[str]:
  """What the words of the page mean, and its units."""
  texts = [
    "Members are random Gaussian perturbations of one pretrained model, the base."
    " Sigma is the standard deviation of their noise, in the weights' own units."
    " A failed member has no score: it is counted, and is no expert."
  ]
  if found[0].kind != "signals":
    texts.append(
      "A member's gain is its score minus the base's on the same prompts; a"
      " member whose gain reaches the margin is an expert, and the density is the"
      " share of experts. Scores and shares are in %, gains and margins in"
      " points."
    )
  return texts


def _describe_run(run: RunFiles, commands, notes) -> Part:
  figures = captions.read_figures(run.workdir / "figures", [*run.tasks])
  by_section: dict[str, list[Figure]] = {}
  for figure in figures:
    by_section.setdefault(figure.section, []).append(figure)
  sections = [
    Section(
      "Summary",
      paragraphs=[run.results["note"]] if run.results.get("note") else [],
      tables=tables_lib.summarise_results(run.results, run.kind),
      figures=by_section.pop("Figures", []),
    )
  ]
  if run.density is not None:
    sections += _describe_density(run.density, by_section)
  if run.landscape is not None:
    sections.append(_describe_landscape(run.landscape, by_section))
  # Pictures whose data are gone are shown all the same.
  sections += [Section(name, figures=rest) for name, rest in by_section.items()]
  sections += [_describe_config(run), _describe_reproduction(run, commands)]
  return Part(
    f"Run {run.name}", sections, _list_facts(run), [*notes, *_warn(run)]
  )


def _describe_density(density, by_section) -> list[Section]:
  found = [
    Section(
      "Density",
      [
        "Four numbers stand side by side, because each answers another question:"
      ],
      terms=[*ESTIMANDS.items()],
      charts=[density_charts.chart_density(density)],
      tables=[tables_lib.tabulate_density(density)],
      figures=by_section.pop("Density", []),
    )
  ]
  if tables := tables_lib.tabulate_votes(density):
    figures = by_section.pop("Reasoning or format", [])
    found.append(
      Section(
        "Votes and regimes",
        [
          "A thicket is dense with experts and its vote gains; a needle has few"
          " experts, and so has a plateau, whose base is good already."
        ],
        tables=tables,
        figures=figures,
      )
    )
  if tables := tables_lib.tabulate_diversity(density):
    figures = by_section.pop("Diversity", [])
    found.append(Section("Diversity", tables=tables, figures=figures))
  return found


def _describe_landscape(landscape, by_section) -> Section:
  charts, tables, paragraphs = [], [], []
  if slices := landscape["slices"]:
    charts.append(plane_charts.chart_plane(slices, is_slice=True))
    tables.append(tables_lib.tabulate_best(slices, "slice"))
  if planes := landscape["projections"]:
    charts.append(plane_charts.chart_plane(planes, is_slice=False))
    tables.append(tables_lib.tabulate_best(planes, "projection"))
    paragraphs += [
      _describe_explained(task, found["explained"])
      for task, found in planes.items()
    ]
  return Section(
    "Landscape",
    paragraphs,
    charts=charts,
    tables=tables,
    figures=by_section.pop("Landscape", []),
  )


def _describe_explained(task: str, explained) -> str:
  share = explained["share"]
  if share is None:
    return f"{task}: how much the projection explains is not known."
  return (
    f"{task}: the plane of the projection explains"
    f" {tables_lib.percent(share)} % of the variance of the scores of unseen"
    f" members, where scores that are dealt out at random reach as much in"
    f" {tables_lib.percent(explained['p_value'])} % of deals (n ="
    f" {explained['num_members']}). At 0 % or less the plane says nothing about"
    " where good members are."
  )


def _describe_config(run: RunFiles) -> Section:
  text = json.dumps(run.config, indent=2, sort_keys=True, ensure_ascii=False)
  machine = json.dumps(
    run.environment, indent=2, sort_keys=True, ensure_ascii=False
  )
  return Section(
    "Configuration",
    listings=[("Configuration", text), ("Code and machine", machine)],
  )


def _describe_reproduction(run: RunFiles, commands) -> Section:
  found = run.environment
  commit = found.get("commit") or "not known"
  changed = commit.endswith("-dirty")
  versions = ", ".join(
    f"{name} {version}"
    for name, version in sorted(found.get("versions", {}).items())
  )
  return Section(
    "How to reproduce it",
    [
      "DIR is a new directory. The commands make the run, and what is shown here:"
    ],
    terms=[
      ("Commit", commit + (" (with changes that no commit has)" * changed)),
      ("Versions", versions or "not known"),
      ("Devices", _describe_devices(found)),
    ],
    commands=["\n".join(commands)],
  )


def _describe_devices(found: Mapping[str, Any]) -> str:
  if "num_devices" not in found:
    return "not known"
  processes = found.get("num_processes", 1)
  kind = f"{found.get('platform')}, {found.get('device_kind')}"
  return f"{found['num_devices']} ({kind}), in {processes} process(es)"


def _list_facts(run: RunFiles) -> list[tuple[str, str]]:
  return [
    ("Model", _describe_model(run)),
    ("Base identity", run.header["base"]["identity"]),
    ("Weights", f"{run.header['base']['num_weights']:,}"),
    ("Tasks", ", ".join(run.tasks)),
    ("Members", f"{run.num_members}, seed {run.config.get('seed', '?')}"),
    ("Sigmas", _list_sigmas(run)),
  ]


def _describe_model(run: RunFiles) -> str:
  return ", ".join(
    str(value) if name == "name" else f"{name} {value}"
    for name, value in sorted(
      run.config.get("model", {}).items(), key=lambda item: item[0] != "name"
    )
    if value != ""
  )


def _list_sigmas(run: RunFiles) -> str:
  settings = run.config.get("population", {})
  unit = settings.get("unit", "absolute")
  sigmas = ", ".join(f"{sigma:g}" for sigma in settings.get("sigmas", ()))
  return f"{sigmas} ({unit})" if unit != "absolute" else sigmas


def _warn(run: RunFiles) -> list[str]:
  """What a reader must know before believing the numbers."""
  if run.density is None:
    return []
  counts = {
    sum(level["num_members"] for level in one["by_sigma"])
    for one in run.density["densities"].values()
  }
  if counts == {run.num_members}:
    return []
  return [
    f"density.json holds {', '.join(map(str, sorted(counts)))} members, and"
    f" results.json {run.num_members}: one of them is older than the last member,"
    " or it is the analysis of several runs. Delete density.json to have it made"
    " anew."
  ]


def _compare(found: Sequence[RunFiles]) -> Part:
  facts = ("Model", "Base identity", "Weights", "Tasks", "Members", "Sigmas")
  rows = []
  for run in found:
    values = dict(_list_facts(run)) | {
      "Base identity": run.header["base"]["identity"][:12]
    }
    rows.append((run.name, run.kind, *(values[fact] for fact in facts)))
  sections = [
    Section(
      "Side by side",
      [_compare_prompts(found)],
      tables=[
        Table(
          "The runs.", ("run", "binary", *map(str.lower, facts)), tuple(rows)
        ),
        *tables_lib.compare_results(
          {run.name: (run.kind, run.results) for run in found}
        ),
      ],
    )
  ]
  densities = {r.name: r.density for r in found if r.density is not None}
  if densities:
    chart = density_charts.compare_densities(densities)
    sections.append(
      Section(
        "Densities",
        ["Each line is one of these, of one run at one sigma:"],
        terms=[*ESTIMANDS.items()],
        charts=[chart] if chart else [],
        tables=tables_lib.compare_densities(densities),
      )
    )
  return Part("Comparison", sections)


def _compare_prompts(found: Sequence[RunFiles]) -> str:
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
