"""Tests of reports: what stands in a page, what cannot get out of it or into it."""

import base64
import functools
import hashlib
import html.parser
import json
import pathlib
import re
import shlex
import shutil
import sys
import tempfile
from unittest import mock

import ml_collections
import numpy as np
import plotly.offline
import pytest
from absl import flags
from absl.testing import parameterized
from language_summary_test import summarise
from ml_collections import config_flags

from configs import measure, randopt, signals
from experiments import launch
from experiments import report as binary
from thickets.analysis import landscape, measurement, neighbourhood
from thickets.errors import UserError
from thickets.members import BASE, Member
from thickets.report import run_files
from thickets.report import tables as tables_lib
from thickets.report.html import captions, density_charts, plane_charts, report
from thickets.report.html import page as page_lib
from thickets.report.tables import Table
from thickets.runs import directory, json_files, record_log
from thickets.runs.split_labels import Split

TASKS = ("drills/sums", "drills/words")
HOSTILE = "</script><img src=x onerror=alert(1)>%{x}<b>  {{ 7 * 7 }}"
MEMBERS = [Member(10 + p, (0.01, 0.02)[p % 2]) for p in range(8)]
GRID, COORDINATES = landscape.slice_members(3, 4, 0.02, 3)
_PIXEL = base64.b64decode(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAG7buVgAA"
  "AABJRU5ErkJggg=="
)
_ROW = {
  **{"sigma": 0.01, "margin": 0.02, "ratio": None, "num_members": 40},
  **{"num_failed": 3, "num_prompts": 50, "base_score": 0.5, "repeated": 0.5},
  **{"plain": 0.25, "plain_low": 0.125, "plain_high": 0.5},
  **{"confirmed": 0.1, "confirmed_low": 0.05, "confirmed_high": 0.3},
  **{"corrected": None, "corrected_low": 0.0, "corrected_high": 1.0},
  **{"null": 0.2, "null_low": 0.0, "null_high": 0.4},
}


def make_run(folder: pathlib.Path, tasks=TASKS, **overrides) -> pathlib.Path:
  """A finished measurement on few prompts: config, records, results, a figure.

  Args:
    folder: of the run.
    tasks: names.
    **overrides: of the header's fields of each task.
  """
  config = launch.to_json(measure.get_config("smoke"))
  config["tasks"]["names"] = list(tasks)
  environment = {"commit": "abc1234", "versions": {"jax": "0.10.0"}}
  environment |= {"num_devices": 2, "platform": "cpu", "device_kind": "cpu"}
  folder.mkdir(parents=True)
  json_files.write_json(
    folder / "config.json", {"config": config, "environment": environment}
  )
  _write_records(folder, tasks, overrides)
  levels = [
    {"sigma": s, "num_members": 4, "num_failed": 0, "mean": 0.5, "best": 0.7}
    for s in (0.01, 0.02)
  ]
  results = {"num_prompts": 10, "base": 0.4, "by_sigma": levels}
  content = {"num_members": 8, "relative_norms": {"0.01": 0.1, "0.02": 0.2}}
  content["tasks"] = dict.fromkeys(tasks, results)
  json_files.write_json(folder / "results.json", content)
  (folder / "figures").mkdir()
  (folder / "figures" / "density.png").write_bytes(_PIXEL)
  return folder


def _write_records(folder, tasks, overrides) -> None:
  """Ten prompts per task, six of them of select; one slice of nine members."""
  prompts = {s: {"size": 6, "sha256": "5"} for s in ("select", "dev")}
  described = {
    name: {
      **{"name": name, "version": 1, "rules": "standard", "group": 0},
      **{"prompts": prompts, **overrides},
      "rows": {
        "select": [6 * place, 6 * place + 6],
        "dev": [4 * place, 4 * place + 4],
      },
    }
    for place, name in enumerate(tasks)
  }
  base = {"identity": "f" * 64, "num_weights": 1234}
  header = {"base": base, "kind": {}, "noise": {}, "task": {"tasks": described}}
  log = record_log.open_log(folder / "records" / "process_0000.jsonl")
  log.write_header(header)
  rng = np.random.default_rng(0)
  for split, members, width in (
    ("select", [BASE, *MEMBERS], 6),
    ("dev", [BASE, *MEMBERS], 4),
    ("slice", GRID, 6),
  ):
    right = rng.random((len(members), width * len(tasks))) < 0.5
    channels = dict.fromkeys(("correct", "lenient", "format"), right)
    channels["score"] = right.astype(np.float32)
    channels["vote"] = np.where(right, "a", "b")
    first = 0 if split == "slice" else directory.BASE_POSITION
    positions = range(first, first + len(members))
    name = Split(split, 0).label
    log.append(name, positions, members, right.mean(axis=1), channels)
  log.close()


def analyse(folder: pathlib.Path) -> pathlib.Path:
  """Adds density.json and landscape.json, of few draws."""
  text = json.dumps(_analyse_once())
  # The numbers do not depend on the tasks' names.
  for old, new in zip(TASKS, run_files.read_run(folder).tasks, strict=True):
    text = text.replace(json.dumps(old), json.dumps(new))
  for name, content in json.loads(text).items():
    json_files.write_json(folder / name, content)
  return folder


@functools.cache
def _analyse_once():
  with tempfile.TemporaryDirectory() as parent:
    return _analyse(make_run(pathlib.Path(parent) / "run"))


def _analyse(folder: pathlib.Path):
  found = measurement.read_measurement(folder)
  settings = neighbourhood.Settings(num_resamples=20, num_splits=4)
  made = neighbourhood.analyse(found, settings).to_json()
  members, sliced = measurement.read_slice(folder)
  explained = {"share": -0.1, "p_value": 0.5, "num_members": 8}
  rng = np.random.default_rng(1)
  plane = rng.normal(size=(len(found.members), 2))
  content = {"slices": {}, "projections": {}}
  for name, task in found.tasks.items():
    seen = landscape.make_landscape(
      name, found.members, plane, task.scores, task.base_scores
    )
    content["projections"][name] = seen.to_json() | {"explained": explained}
    task = sliced[name]
    cut = landscape.make_landscape(
      name, members, COORDINATES, task.scores, task.base_scores
    )
    content["slices"][name] = cut.to_json()
  return {"density.json": made, "landscape.json": content}


def render(*folders: pathlib.Path) -> str:
  """The page of these runs."""
  found = run_files.read_runs(folders)
  return report.render_report(found, commands=[["make it"]] * len(found))


class Page(html.parser.HTMLParser):
  """What a browser would see: elements with their attributes, and scripts."""

  def __init__(self, text: str):
    super().__init__()
    self.elements: list[tuple[str, dict[str, str]]] = []
    self.scripts: list[str] = []
    self.words: list[str] = []
    self.feed(text)

  def handle_starttag(self, tag, attrs):
    """Keeps an element."""
    self.elements.append((tag, dict(attrs)))
    if tag == "script":
      self.scripts.append("")

  def handle_data(self, data):
    """Keeps text, apart from what scripts and styles hold."""
    inside = self.elements[-1][0] if self.elements else ""
    if inside == "script" and self.cdata_elem:
      self.scripts[-1] += data
    elif not self.cdata_elem:
      self.words.append(data)

  def find(self, tag: str) -> list[dict[str, str]]:
    """The attributes of all elements of a kind."""
    return [attrs for name, attrs in self.elements if name == tag]

  @property
  def text(self) -> str:
    """All words that are shown, with single blanks."""
    return re.sub(r"\s+", " ", " ".join(self.words))


class _Folder(parameterized.TestCase):
  def folder(self) -> pathlib.Path:
    return pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))


class PageTest(_Folder):
  def test_holds_what_a_reader_needs(self):
    folder = analyse(make_run(self.folder() / "some_run"))
    page = Page(render(folder))
    for words in (
      *("some_run: members around shipped/drills", "f" * 64, "1,234", *TASKS),
      *("make it", "abc1234", "jax 0.10.0", "2 (cpu, cpu)"),
      *("probability that a new member's expected gain over all prompts",),
      *(
        "undecided",
        '"max_new_tokens": 24',
        "drills/sums 0.01 0.1 4 0 10 40.0",
      ),
    ):
      self.assertIn(words, page.text)
    (image,) = page.find("img")
    content = base64.b64encode(_PIXEL).decode()
    self.assertEqual(image["src"], f"data:image/png;base64,{content}")
    self.assertStartsWith(image["alt"], "Solution density against the margin")
    tables = page.find("table")
    self.assertLen(page.find("caption"), len(tables))
    self.assertNotEmpty(tables)
    self.assertEqual({"col", "row"}, {th["scope"] for th in page.find("th")})
    self.assertLen(page.find("select"), 3)  # Density, slice, projection.
    self.assertLen(page.find("details"), 2)

  def test_no_name_breaks_out(self):
    folder = analyse(make_run(self.folder() / "run", (HOSTILE, "b")))
    text = render(folder)
    self.assertNotIn("<img src=x", text)
    page = Page(text)
    self.assertLen(page.find("script"), 3 + 2)
    self.assertFalse(any("onerror" in attrs for _, attrs in page.elements))
    self.assertIn(HOSTILE.replace("  ", " "), page.text)
    data = json.loads(page.scripts[0])
    hover = data[0]["data"][0]["text"][0]
    self.assertStartsWith(hover, "<b>sigma 0.01</b><br>margin 0 points")
    (single, *_) = page.find("option")
    self.assertEqual(single["value"], "0")

  def test_no_name_breaks_out_of_the_data_of_charts(self):
    density = {"densities": {"t": {"rows": [_ROW], "level": 0.95}}}
    chart = density_charts.compare_densities({HOSTILE: density})
    section = page_lib.Section("s", charts=[chart])
    parts = [page_lib.Part("p", [section])]
    page = Page(page_lib.render_page(page_lib.Page("t", [], parts)))
    self.assertLen(page.find("script"), 1 + 2)
    self.assertEmpty(page.find("img"))
    data = json.loads(page.scripts[0])
    self.assertEqual(data[0]["data"][0]["meta"]["run"], HOSTILE)

  def test_names_of_runs_are_escaped_in_charts(self):
    density = {"rows": [_ROW], "level": 0.95}
    chart = density_charts.compare_densities(
      {"<a href='x'>": {"densities": {"t": density}}}
    )
    (plain, *_) = chart.figures["t"]["data"]
    self.assertEqual(
      plain["name"], "&lt;a href=&#x27;x&#x27;&gt;, sigma 0.01, plain"
    )
    self.assertNotIn("<a", plain["text"][0])
    self.assertEqual(plain["meta"]["run"], "<a href='x'>")

  def test_loads_nothing(self):
    folder = analyse(make_run(self.folder() / "run"))
    text = render(folder)
    library = plotly.offline.get_plotlyjs()
    self.assertEqual(text.count(library), 1)
    page, own = Page(text), text.replace(library, "")
    for _, attrs in page.elements:
      for name in ("src", "href", "action", "srcset", "data", "poster"):
        self.assertRegex(attrs.get(name, "#"), "^(#|data:)")
    self.assertEmpty(page.find("link") + page.find("iframe"))
    self.assertNotRegex(
      own, r"https?:|//cdn|@import|url\(|fetch\(|XMLHttpRequest|import\("
    )

  def test_policy_allows_its_own_scripts_alone(self):
    page = Page(render(analyse(make_run(self.folder() / "run"))))
    (policy,) = (
      meta["content"] for meta in page.find("meta") if "http-equiv" in meta
    )
    self.assertStartsWith(policy, "default-src 'none'; script-src 'sha256-")
    self.assertNotIn("unsafe-inline", policy.split(";")[1])
    for script in page.scripts[-2:]:
      found = hashlib.sha256(script.encode()).digest()
      self.assertIn(base64.b64encode(found).decode(), policy)

  def test_same_run_gives_the_same_bytes_wherever_it_lies(self):
    first = analyse(make_run(self.folder() / "run"))
    second = self.folder() / "run"
    shutil.copytree(first, second)
    text = render(first)
    self.assertEqual(text, render(second))
    self.assertNotIn(str(first.parent), text)

  def test_without_density_and_landscape(self):
    page = Page(render(make_run(self.folder() / "run")))
    self.assertEmpty(page.find("select"))
    self.assertLen(page.find("img"), 1)  # Drawn once, and kept.

  def test_says_that_an_analysis_is_of_other_members(self):
    folder = analyse(make_run(self.folder() / "run"))
    self.assertNotIn("Delete density.json", render(folder))
    results = json.loads((folder / "results.json").read_text("utf-8"))
    json_files.write_json(folder / "results.json", results | {"num_members": 9})
    self.assertIn(
      "density.json holds 8 members, and results.json 9", render(folder)
    )

  @pytest.mark.slow  # Analyses two runs, and draws all that belongs to them.
  def test_comparison(self):
    shared = self.folder()
    one = analyse(make_run(shared / "small" / "000000"))
    two = analyse(make_run(shared / "large" / "000000", ("c", "drills/words")))
    page = Page(render(one, two))
    self.assertIn("Comparison of 2 runs", page.text)
    self.assertIn("Run small/000000", page.text)
    self.assertIn("Run large/000000", page.text)
    self.assertIn(
      "The runs answered the same prompts of drills/words", page.text
    )
    data = json.loads(page.scripts[0])  # By task: sums, words, c.
    seen = [{t["meta"]["run"] for t in task["data"]} for task in data]
    both = {"small/000000", "large/000000"}
    self.assertEqual(seen, [{"small/000000"}, both, {"large/000000"}])

  def test_comparison_puts_a_task_side_by_side(self):
    level = {"sigma": 0.1, "num_members": 4, "num_failed": 0, "mean": 0.5}
    task = {"num_prompts": 9, "base": 0.4, "by_sigma": [level | {"best": 0.7}]}
    results = {"relative_norms": {}, "tasks": {"s": task, "w": task}}
    (table,) = tables_lib.compare_results(
      dict.fromkeys(("one", "two"), ("measure", results))
    )
    self.assertEqual(table.header[:2], ("task", "run"))
    self.assertEqual(
      [row[:2] for row in table.rows],
      [("s", "one"), ("s", "two"), ("w", "one"), ("w", "two")],
    )


class ChartsTest(parameterized.TestCase):
  def test_density(self):
    rows = [_ROW | {"margin": 0.05, "plain": 0.2}, _ROW]
    chart = density_charts.chart_density(
      {"densities": {"t": {"rows": rows, "level": 0.9}}}
    )
    lines = {t["meta"]["estimate"]: t for t in chart.figures["t"]["data"]}
    plain = lines["plain"]
    self.assertEqual(plain["x"], [2.0, 5.0])  # Points, ascending.
    self.assertEqual(plain["y"], [25.0, 20.0])
    self.assertEqual(plain["error_y"]["array"], [25.0, 30.0])
    self.assertEqual(plain["error_y"]["arrayminus"], [12.5, 7.5])
    self.assertEqual(lines["corrected"]["y"], [])  # Not known, so not drawn.
    for words in (
      *("sigma 0.01", "margin 2 points", "plain density 25.0 % [12.5, 50.0]"),
      *("n = 40 members (3 failed), 50 prompts", "base 50.0 %"),
      "density on these prompts",
    ):
      self.assertIn(words, plain["text"][0].replace("<br>", " "))
    layout = chart.figures["t"]["layout"]
    self.assertIn("90% intervals", layout["yaxis"]["title"]["text"])
    checked = [c.value for c in chart.choices if c.checked]
    self.assertEqual(checked, ["plain", "corrected"])
    dashes = {line["line"]["dash"] for line in lines.values()}
    self.assertLen(dashes, 4)

  def test_relative_margins_say_their_ratio(self):
    self.assertEqual(
      tables_lib.margin_text(_ROW | {"ratio": 1.05}), "2 (× 1.05)"
    )

  @parameterized.parameters(True, False)
  def test_plane(self, is_slice):
    scores = np.repeat([[0.2], [0.6], [0.4], [np.nan]], 5, axis=1)
    coordinates = np.array([[0.0, 0], [1, 0], [0, 2], [1, 2]])
    members = [Member((7, 8), (0.3, 0.4)), *MEMBERS[:3]]
    found = landscape.make_landscape(
      "t", members, coordinates, scores, np.full(5, 0.4)
    ).to_json()
    chart = plane_charts.chart_plane({"t": found}, is_slice=is_slice)
    traces = chart.figures["t"]["data"]
    shown = {}
    for trace in traces:
      if trace.get("meta"):
        (member,) = trace["customdata"]
        shown[trace["meta"]["gain"]] = (trace["x"], trace["y"], *member)
    self.assertEqual(
      {sign: values[2:] for sign, values in shown.items()},
      {
        "worse": (0, "7 × 0.3, 8 × 0.4", "0.5", "20.0", "-20.0", "0.0"),
        "better": (1, "10", "0.01", "60.0", "+20.0", "0.0"),
        "as good": (2, "11", "0.02", "40.0", "+0.0", "0.0"),
        "failed": (3, "12", "0.01", "–", "–", "–"),
      },
    )
    self.assertEqual(shown["as good"][:2], ([0.0], [2.0]))
    maps = [trace for trace in traces if trace["type"] == "heatmap"]
    self.assertLen(maps, is_slice)
    if is_slice:  # Rows are y; percent of the base.
      self.assertEqual(maps[0]["z"], [[-50.0, 50.0], [0.0, None]])
    axis = chart.figures["t"]["layout"]["coloraxis"]
    self.assertEqual((axis["cmin"], axis["cmax"]), (-axis["cmax"], 50.0))
    self.assertIn("base 40.0 %", axis["colorbar"]["title"]["text"])

  def test_best_members(self):
    points = [
      {"score": s, "gain": 0, "error": 0, "sigma": 0.1, "terms": [[n, 0.1]]}
      for n, s in enumerate([0.1, None, 0.9, 0.9])
    ]
    table = tables_lib.tabulate_best({"t": {"points": points}}, "slice")
    self.assertEqual([row[1] for row in table.rows], ["2", "3", "0"])


class TablesTest(parameterized.TestCase):
  def test_randopt(self):
    results = summarise()
    tables = tables_lib.summarise_results(results, "randopt")
    (row,) = (r for r in tables[0].rows if "primary" in r[0] and "vote" in r[0])
    (judged,) = (r for r in results["table"] if r["role"] == "vote-primary")
    self.assertEqual(row[4], f"{100 * judged['judge']['mean']:.1f}")
    low, high = judged["gain"]["low"], judged["gain"]["high"]
    self.assertEqual(row[7], f"[{100 * low:+.1f}, {100 * high:+.1f}]")
    self.assertLen(tables[0].rows, len(results["table"]))

  def test_zero_has_no_sign_of_its_own(self):
    self.assertEqual(tables_lib.percent(-0.0001, sign=True), "+0.0")
    self.assertEqual(tables_lib.percent(None), "–")

  def test_columns_of_words(self):
    table = Table("c", ("a", "b", "c"), (("x", "1", "–"), ("y", "2", "why")))
    self.assertEqual(table.is_text, [True, False, True])


class FiguresTest(parameterized.TestCase):
  @parameterized.parameters(
    ("density_by_sigma", "Density", "against sigma"),
    (
      "parts_drills_sums_sigma_0.006",
      "Reasoning or format",
      "of drills/sums at sigma 0.006",
    ),
    ("rank_lines_sigma_1e-05", "Diversity", "at sigma 1e-05"),
    ("slice_drills_sums", "Landscape", "space of drills/sums:"),
    ("projection_other", "Landscape", "plane of other,"),
    ("vote", "Figures", "number of votes K"),
    ("vote_new", "Figures", "vote_new, as the run has drawn it"),
  )
  def test_captions(self, name, section, words):
    found, caption = captions.caption_figure(name, TASKS)
    self.assertEqual(found, section)
    self.assertIn(words, caption)


class FilesTest(_Folder):
  def assert_refused(self, words, *folders):
    with self.assertRaisesRegex(UserError, words):
      run_files.read_runs(folders)

  @parameterized.parameters(
    ("config.json", r"run/config\.json must be the config of a run"),
    ("results.json", r"/run must hold a finished run, got no results\.json"),
    ("records", r"/run must hold records .* got 0 logs"),
  )
  def test_missing_files(self, name, words):
    folder = make_run(self.folder() / "run")
    path = folder / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    self.assert_refused(words, folder)

  def test_other_binaries(self):
    folder = make_run(self.folder() / "run")
    json_files.write_json(folder / "results.json", {"losses": []})
    self.assert_refused("/run must hold a run of .*the keys losses", folder)

  def test_damaged_analysis(self):
    folder = make_run(self.folder() / "run")
    (folder / "density.json").write_text('{"densities"', encoding="utf-8")
    self.assert_refused(r"run/density\.json must be JSON", folder)

  def test_twice(self):
    folder = make_run(self.folder() / "run")
    self.assert_refused("/run twice", folder, folder / "figures" / "..")

  def test_no_task_in_common(self):
    shared = self.folder()
    one, two = make_run(shared / "a"), make_run(shared / "b", ("other",))
    self.assert_refused(r"must share a task, got \['other'\] in .*/b", one, two)

  def test_tasks_that_are_scored_in_other_ways(self):
    shared = self.folder()
    one = make_run(shared / "a")
    two = make_run(shared / "b", rules="paper")
    self.assert_refused("score a task alike.*rules.*/a and .*/b", one, two)

  def test_scores_and_errors(self):
    shared = self.folder()
    one, two = make_run(shared / "a"), make_run(shared / "b")
    results = {"ensemble_by_n": [], "population": {"size": 8}}
    json_files.write_json(two / "results.json", results)
    self.assert_refused("measure .*/a. and signals .*/b", one, two)


class CommandTest(parameterized.TestCase):
  @parameterized.parameters(
    (measure, ""),
    (measure, "smoke"),
    (randopt, "qwen2_5_0_5b-gsm8k-small"),
    (signals, "smoke"),
  )
  def test_gives_the_very_config(self, module, variant):
    config = module.get_config(variant)
    with config.unlocked():
      config.population.exclude = ("a b", "it's")
    wanted = launch.to_json(config)
    words = shlex.split(binary.make_command(wanted).replace("\\\n", " "))
    self.assertEqual(words[:2], ["python", "-m"])
    self.assertEqual(words[2], f"experiments.{config.experiment}")
    found = flags.FlagValues()
    config_flags.DEFINE_config_file("config", None, "", flag_values=found)
    flags.DEFINE_string("workdir", None, "", flag_values=found)
    root = pathlib.Path(binary.__file__).parents[1]
    words = [w.replace("--config=", f"--config={root}/") for w in words[2:]]
    with mock.patch.object(
      sys, "argv", words
    ):  # Where overrides are looked up.
      found(words)
    self.assertIsInstance(found.config, ml_collections.ConfigDict)
    self.assertEqual(launch.to_json(found.config), wanted)
    self.assertEqual(found.workdir, "DIR")

  def test_unknown_experiments(self):
    self.assertIn("'mine'", binary.make_command({"experiment": "mine"}))
