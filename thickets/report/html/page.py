"""How a report's page is put together: text, charts, tables and figures as HTML.

The page needs no network: pictures are data URIs, and the library that draws the
interactive charts stands in the page once. A policy in its head forbids the
browser to load anything else, or to run another script.
"""

import base64
import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import jinja2
import markupsafe
import plotly.offline

from thickets.report.html.chart import Chart
from thickets.report.tables import TextTable

_TEMPLATES = pathlib.Path(__file__).parent / "templates"


@dataclasses.dataclass(frozen=True)
class Picture:
  """A figure that the run has drawn.

  Attributes:
    name: the name of its file.
    caption: what it shows.
    uri: the picture itself, as a data URI.
  """

  name: str
  caption: str
  uri: str


@dataclasses.dataclass(frozen=True)
class Section:
  """A section of a chapter; what it has is shown in the order of the attributes.

  Attributes:
    title: the heading.
    paragraphs: plain text.
    terms: names with what they mean.
    charts: interactive charts.
    tables: tables of text.
    pictures: figures of the run.
    listings: long texts with their names, folded until they are opened.
    commands: commands to type in a shell.
  """

  title: str
  paragraphs: Sequence[str] = ()
  terms: Sequence[tuple[str, str]] = ()
  charts: Sequence[Chart] = ()
  tables: Sequence[TextTable] = ()
  pictures: Sequence[Picture] = ()
  listings: Sequence[tuple[str, str]] = ()
  commands: Sequence[str] = ()


@dataclasses.dataclass(frozen=True)
class Chapter:
  """A chapter of the page: a run, or the comparison of several.

  Attributes:
    title: the heading.
    sections: what follows below the facts and notes.
    terms: facts as names with their values, such as the model.
    notes: what a reader must know before believing the numbers.
  """

  title: str
  sections: Sequence[Section]
  terms: Sequence[tuple[str, str]] = ()
  notes: Sequence[str] = ()


@dataclasses.dataclass(frozen=True)
class Page:
  """A whole report.

  Attributes:
    title: the heading, and the title of the browser's window.
    paragraphs: an introduction.
    chapters: the chapters in their order.
  """

  title: str
  paragraphs: Sequence[str]
  chapters: Sequence[Chapter]


def render_page(page: Page) -> str:
  """Returns the page as HTML; text is escaped, whatever names it contains."""
  scripts = [_escape_script(plotly.offline.get_plotlyjs()), _asset("page.js")]
  environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_TEMPLATES),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  )
  environment.filters["data"] = _embed_data
  return environment.get_template("page.html").render(
    page=page,
    policy=_make_policy(scripts),
    style=_asset("page.css"),
    scripts=scripts,
  )


def _asset(name: str) -> str:
  return (_TEMPLATES / name).read_text(encoding="utf-8")


def _embed_data(value: Any) -> markupsafe.Markup:
  """JSON that cannot end the element it stands in, whatever the names are."""
  text = json.dumps(value, allow_nan=False, separators=(",", ":"))
  for sign in "<>&":
    text = text.replace(sign, f"\\u{ord(sign):04x}")
  return markupsafe.Markup(text)


def _escape_script(text: str) -> str:
  """A script that cannot end its element: in its strings, `<\\/` is `</`."""
  return text.replace("\r\n", "\n").replace("</script", "<\\/script")


def _make_policy(scripts: Sequence[str]) -> str:
  """Lets the browser run these scripts, load nothing, and send nothing."""
  hashes = " ".join(
    f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'"
    for s in scripts
  )
  return (
    f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline';"
    " img-src data: blob:; base-uri 'none'; form-action 'none'"
  )
