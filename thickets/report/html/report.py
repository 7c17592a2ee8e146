"""One self-contained page for a run, or for the comparison of several.

The page has no dates, so that one run always gives the same page.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from thickets.report import analysis_tables, tables
from thickets.report.figures.captions import Topic, read_caption
from thickets.report.html import comparison, density_charts, facts, plane_charts
from thickets.report.html.page import (
  Chapter,
  Page,
  Picture,
  Section,
  render_page,
)
from thickets.report.run_files import RunFiles
from thickets.runs import json_files, locations
from thickets.runs.locations import Location, Place

_Pictures = dict[Topic, list[Picture]]


def write_report(
  path: Place,
  found: Sequence[RunFiles],
  *,
  commands: Sequence[Sequence[str]],
  notes: Sequence[Sequence[str]] = (),
) -> Location:
  """Writes the page of one run, or of the comparison of several.

  Args:
    path: the HTML file to write.
    found: the runs.
    commands: for each run, the commands that make it and its analyses again.
    notes: what the page of each run lacks, and why.

  Returns:
    The path of the page.
  """
  page = render_report(found, commands=commands, notes=notes)
  return json_files.write_text(locations.locate(path), page)


def render_report(
  found: Sequence[RunFiles],
  *,
  commands: Sequence[Sequence[str]],
  notes: Sequence[Sequence[str]] = (),
) -> str:
  """Returns the text of the page; the arguments are those of `write_report`."""
  notes = notes or [()] * len(found)
  chapters = [
    _describe_run(run, lines, lacking)
    for run, lines, lacking in zip(found, commands, notes, strict=True)
  ]
  model = found[0].config.get("model", {}).get("name", "a small network")
  title = f"{found[0].name}: members around {model}"
  if len(found) > 1:
    chapters.insert(0, comparison.compare_runs(found))
    title = f"Comparison of {len(found)} runs"
  return render_page(Page(title, found[0].kind.definitions, chapters))


def _describe_run(
  run: RunFiles, commands: Sequence[str], notes: Sequence[str]
) -> Chapter:
  pictures = _read_pictures(run.workdir / "figures")
  sections = [
    Section(
      Topic.SUMMARY,
      paragraphs=[run.results["note"]] if run.results.get("note") else [],
      tables=run.kind.tabulate_results(run.results),
      pictures=pictures.pop(Topic.SUMMARY, []),
    )
  ]
  if run.density is not None:
    sections += _describe_density(run.density, pictures)
  if run.landscape is not None:
    sections.append(_describe_landscape(run.landscape, pictures))
  # Pictures whose data are gone are shown all the same.
  sections += [
    Section(topic, pictures=rest) for topic, rest in pictures.items()
  ]
  sections += [_describe_config(run), _describe_reproduction(run, commands)]
  return Chapter(
    f"Run {run.name}", sections, facts.list_facts(run), [*notes, *_warn(run)]
  )


def _read_pictures(folder: Location) -> _Pictures:
  """Reads all figures of a directory, in the order of their names, by topic.

  A figure without a caption, as older versions drew them, is shown under the
  name of its file.
  """
  pictures: _Pictures = {}
  for path in sorted(folder.glob("*.png")):
    caption = read_caption(path)
    content = base64.b64encode(path.read_bytes()).decode("ascii")
    topic = Topic.SUMMARY if caption is None else caption.topic
    pictures.setdefault(topic, []).append(
      Picture(
        path.name,
        path.stem if caption is None else caption.text,
        f"data:image/png;base64,{content}",
      )
    )
  return pictures


def _describe_density(
  density: Mapping[str, Any], pictures: _Pictures
) -> list[Section]:
  found = [
    Section(
      Topic.DENSITY,
      [
        "Four estimates stand side by side, because each answers a different"
        " question:"
      ],
      terms=density_charts.list_estimates(),
      charts=[density_charts.chart_density(density)],
      tables=[analysis_tables.tabulate_density(density)],
      pictures=pictures.pop(Topic.DENSITY, []),
    )
  ]
  if votes := analysis_tables.tabulate_votes(density):
    found.append(
      Section(
        Topic.VOTES,
        [
          "A thicket is dense with experts, and its vote gains. A needle has few"
          " experts. So has a plateau, but there the base is good already."
        ],
        tables=votes,
        pictures=pictures.pop(Topic.VOTES, []),
      )
    )
  if diversity := analysis_tables.tabulate_diversity(density):
    found.append(
      Section(
        Topic.DIVERSITY,
        tables=diversity,
        pictures=pictures.pop(Topic.DIVERSITY, []),
      )
    )
  return found


def _describe_landscape(
  landscape: Mapping[str, Any], pictures: _Pictures
) -> Section:
  charts, best, paragraphs = [], [], []
  if slices := landscape["slices"]:
    charts.append(plane_charts.chart_plane(slices, is_slice=True))
    best.append(analysis_tables.tabulate_best(slices, "slice"))
  if planes := landscape["projections"]:
    charts.append(plane_charts.chart_plane(planes, is_slice=False))
    best.append(analysis_tables.tabulate_best(planes, "projection"))
    paragraphs += [
      _describe_explained(task, found["explained"])
      for task, found in planes.items()
    ]
  return Section(
    Topic.LANDSCAPE,
    paragraphs,
    charts=charts,
    tables=best,
    pictures=pictures.pop(Topic.LANDSCAPE, []),
  )


def _describe_explained(task: str, explained: Mapping[str, Any]) -> str:
  share = explained["share"]
  if share is None:
    return f"{task}: it is not known how much the projection explains."
  return (
    f"{task}: the plane of the projection explains"
    f" {tables.format_percent(share)} % of the variance of the scores of unseen"
    f" members; scores that are dealt out at random reach as much in"
    f" {tables.format_percent(explained['p_value'])} % of deals (n ="
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


def _describe_reproduction(run: RunFiles, commands: Sequence[str]) -> Section:
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
      "These commands make the run and all that is shown here; DIR is a new"
      " directory."
    ],
    terms=[
      ("Commit", commit + (" (with changes that are in no commit)" * changed)),
      ("Versions", versions or "not known"),
      ("Devices", _describe_devices(found)),
    ],
    commands=["\n".join(commands)],
  )


def _describe_devices(found: Mapping[str, Any]) -> str:
  if "num_devices" not in found:
    return "not known"
  count = found.get("num_processes", 1)
  processes = "1 process" if count == 1 else f"{count} processes"
  kind = f"{found.get('platform')}, {found.get('device_kind')}"
  return f"{found['num_devices']} ({kind}), in {processes}"


def _warn(run: RunFiles) -> list[str]:
  """Returns what a reader must know before believing the numbers."""
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
    f" results.json holds {run.num_members}: one of them is older than the last"
    " member, or the analysis is of several runs. Delete density.json to have it"
    " made anew."
  ]
