"""Tests of reports: what stands in a page, what cannot get out of it or into it."""

import base64
import hashlib
import html.parser
import json
import pathlib
import re
import shutil
import tempfile
from collections.abc import Sequence
from unittest import mock

import plotly.offline
import pytest
from absl.testing import parameterized
from report.small_runs import DENSITY_ROW, PIXEL, TASKS, analyse, make_run

from thickets.report import run_files
from thickets.report.figures import style
from thickets.report.figures.captions import Caption, Topic
from thickets.report.html import density_charts, page, report
from thickets.runs import json_files

HOSTILE = "</script><img src=x onerror=alert(1)>%{x}<b>  {{ 7 * 7 }}"


def render(*folders: pathlib.Path) -> str:
  """The page of these runs."""
  found = run_files.read_runs(folders)
  return report.render_report(found, commands=[["make it"]] * len(found))


def _chapters(folder: pathlib.Path) -> Sequence[page.Chapter]:
  """What the page of a run is rendered from."""
  with mock.patch.object(report, "render_page", return_value="") as spy:
    render(folder)
  return spy.call_args.args[0].chapters


class Seen(html.parser.HTMLParser):
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
    seen = Seen(render(folder))
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
      self.assertIn(words, seen.text)
    (image,) = seen.find("img")
    content = base64.b64encode(PIXEL).decode()
    self.assertEqual(image["src"], f"data:image/png;base64,{content}")
    self.assertEqual(image["alt"], "density")  # It carries no caption.
    tables = seen.find("table")
    self.assertLen(seen.find("caption"), len(tables))
    self.assertNotEmpty(tables)
    self.assertEqual({"col", "row"}, {th["scope"] for th in seen.find("th")})
    self.assertLen(seen.find("select"), 3)  # Density, slice, projection.
    self.assertLen(seen.find("details"), 2)

  def test_no_name_breaks_out(self):
    folder = analyse(make_run(self.folder() / "run", (HOSTILE, "b")))
    text = render(folder)
    self.assertNotIn("<img src=x", text)
    seen = Seen(text)
    self.assertLen(seen.find("script"), 3 + 2)
    self.assertFalse(any("onerror" in attrs for _, attrs in seen.elements))
    self.assertIn(HOSTILE.replace("  ", " "), seen.text)
    data = json.loads(seen.scripts[0])
    hover = data[0]["data"][0]["text"][0]
    self.assertStartsWith(hover, "<b>sigma 0.01</b><br>margin 0 points")
    (single, *_) = seen.find("option")
    self.assertEqual(single["value"], "0")

  def test_no_name_breaks_out_of_the_data_of_charts(self):
    density = {"densities": {"t": {"rows": [DENSITY_ROW], "level": 0.95}}}
    chart = density_charts.chart_compared_densities({HOSTILE: density})
    section = page.Section("s", charts=[chart])
    chapters = [page.Chapter("p", [section])]
    seen = Seen(page.render_page(page.Page("t", [], chapters)))
    self.assertLen(seen.find("script"), 1 + 2)
    self.assertEmpty(seen.find("img"))
    data = json.loads(seen.scripts[0])
    self.assertEqual(data[0]["data"][0]["meta"]["run"], HOSTILE)

  def test_loads_nothing(self):
    folder = analyse(make_run(self.folder() / "run"))
    text = render(folder)
    library = plotly.offline.get_plotlyjs()
    self.assertEqual(text.count(library), 1)
    seen, own = Seen(text), text.replace(library, "")
    for _, attrs in seen.elements:
      for name in ("src", "href", "action", "srcset", "data", "poster"):
        self.assertRegex(attrs.get(name, "#"), "^(#|data:)")
    self.assertEmpty(seen.find("link") + seen.find("iframe"))
    self.assertNotRegex(
      own, r"https?:|//cdn|@import|url\(|fetch\(|XMLHttpRequest|import\("
    )

  def test_policy_allows_its_own_scripts_alone(self):
    seen = Seen(render(analyse(make_run(self.folder() / "run"))))
    (policy,) = (
      meta["content"] for meta in seen.find("meta") if "http-equiv" in meta
    )
    self.assertStartsWith(policy, "default-src 'none'; script-src 'sha256-")
    self.assertNotIn("unsafe-inline", policy.split(";")[1])
    for script in seen.scripts[-2:]:
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
    seen = Seen(render(make_run(self.folder() / "run")))
    self.assertEmpty(seen.find("select"))
    self.assertLen(seen.find("img"), 1)  # Drawn once, and kept.

  def test_says_that_an_analysis_is_of_other_members(self):
    folder = analyse(make_run(self.folder() / "run"))
    self.assertNotIn("Delete density.json", render(folder))
    results = json.loads((folder / "results.json").read_text("utf-8"))
    json_files.write_json(folder / "results.json", results | {"num_members": 9})
    self.assertIn(
      "density.json holds 8 members, and results.json holds 9", render(folder)
    )

  @pytest.mark.slow  # Analyses two runs, and draws all that belongs to them.
  def test_comparison(self):
    shared = self.folder()
    one = analyse(make_run(shared / "small" / "000000"))
    two = analyse(make_run(shared / "large" / "000000", ("c", "drills/words")))
    seen = Seen(render(one, two))
    self.assertIn("Comparison of 2 runs", seen.text)
    self.assertIn("Run small/000000", seen.text)
    self.assertIn("Run large/000000", seen.text)
    self.assertIn(
      "The runs answered the same prompts of drills/words", seen.text
    )
    data = json.loads(seen.scripts[0])  # By task: sums, words, c.
    seen = [{t["meta"]["run"] for t in task["data"]} for task in data]
    both = {"small/000000", "large/000000"}
    self.assertEqual(seen, [{"small/000000"}, both, {"large/000000"}])


class PicturesTest(_Folder):
  def test_stand_where_their_captions_say(self):
    folder = analyse(make_run(self.folder() / "run"))
    fig, _ = style.make_panel(1.0, 1.0)
    for name, topic, text in (
      ("a", Topic.VOTES, "About votes."),
      ("b", Topic.SUMMARY, "<b>About all.</b>"),
    ):
      style.save_figure(
        fig, folder / "figures" / f"{name}.png", Caption(topic, text)
      )
    (chapter,) = _chapters(folder)
    shown = {
      section.title: [picture.caption for picture in section.pictures]
      for section in chapter.sections
      if section.pictures
    }
    self.assertEqual(
      shown,
      {
        "Summary": ["<b>About all.</b>", "density"],
        "Votes and regimes": ["About votes."],
      },
    )
    self.assertNotIn("<b>About", render(folder))

  def test_are_shown_where_their_data_are_gone(self):
    folder = make_run(self.folder() / "run")
    fig, _ = style.make_panel(1.0, 1.0)
    caption = Caption(Topic.LANDSCAPE, "A slice.")
    style.save_figure(fig, folder / "figures" / "slice.png", caption)
    (chapter,) = _chapters(folder)
    titles = [section.title for section in chapter.sections]
    self.assertEqual(titles[:2], ["Summary", "Landscape"])
