"""Reports in a browser: opened from the disk, clicked through, without a network."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import pytest
from absl.testing import absltest
from playwright import sync_api
from report.small_runs import TASKS, make_run

ROOT = pathlib.Path(__file__).parents[2]
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
  *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
  *("--no-first-run", "--disable-background-networking"),
  *("--disable-component-update", "--disable-sync"),
)


def _find_browser() -> str | None:
  return next(filter(None, map(shutil.which, _NAMES)), None)


def _write_report(*workdirs: pathlib.Path) -> pathlib.Path:
  """As a user does; density, landscape and figures are made on the way."""
  command = [sys.executable, "-m", "experiments.report", *map(str, workdirs)]
  done = subprocess.run(
    [*command, "--resamples=20"],
    cwd=ROOT,
    env=os.environ | {"JAX_PLATFORMS": "cpu"},
    capture_output=True,
    text=True,
    timeout=600,
  )
  if done.returncode:
    raise AssertionError(done.stderr)
  (path,) = re.findall(r"The report is (.*) \(\d", done.stdout)
  return pathlib.Path(path)


@absltest.skipUnless(
  _find_browser(), f"No browser is installed under the names {_NAMES}."
)
class ReportBrowserTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.folder = folder / "runs"
    driver = self.enterContext(sync_api.sync_playwright())
    # A profile of its own, and nothing of the user's.
    browser = driver.chromium.launch_persistent_context(
      folder / "profile",
      executable_path=_find_browser(),
      args=[*_FLAGS],
      viewport={"width": 1280, "height": 900},
    )
    self.addCleanup(browser.close)
    self.page = browser.new_page()
    self.requests, self.problems = [], []
    self.page.on("request", lambda request: self.requests.append(request.url))
    self.page.on("pageerror", lambda error: self.problems.append(str(error)))
    self.page.on(
      "console",
      lambda message: self.problems.append(f"{message.type}: {message.text}"),
    )

  def open(self, path: pathlib.Path) -> None:
    self.page.goto(path.as_uri())
    self.page.wait_for_selector(".plot .main-svg")

  def chart(self, title: str):
    return self.page.locator(".chart").filter(has_text=title)

  def check_silence(self, path: pathlib.Path) -> None:
    """Nothing but the page itself was asked for, and nothing complained."""
    asked = [url for url in self.requests if not url.startswith("data:")]
    self.assertEqual(set(asked), {path.as_uri()})
    self.assertEqual(self.problems, [])

  def count_lines(self, chart) -> int:
    return chart.locator(".scatterlayer .trace").count()

  def hover(self, chart, selector: str) -> str:
    """Points at a marker; returns what is shown then."""
    mark = chart.locator(f".scatterlayer {selector}").first
    mark.scroll_into_view_if_needed()
    box = mark.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    self.page.mouse.move(x - 3, y)
    self.page.mouse.move(x, y, steps=3)
    label = chart.locator(".hoverlayer .hovertext")
    label.first.wait_for()
    return label.first.text_content() or ""

  @pytest.mark.slow
  def test_run(self):
    path = _write_report(make_run(self.folder / "one"))
    self.open(path)
    self.assertEqual(self.page.title(), "one: members around shipped/drills")

    with self.subTest("density"):
      chart = self.chart("Density against margin")
      self.assertEqual(self.count_lines(chart), 4)  # Two sigmas, two estimates.
      chart.get_by_label("null: no true gain").check()
      self.assertEqual(self.count_lines(chart), 6)
      chart.get_by_label("sigma 0.02").uncheck()
      self.assertEqual(self.count_lines(chart), 3)
      text = self.hover(chart, ".trace .point")
      for words in ("sigma 0.01", "margin 0 points", "n = 4 members", "["):
        self.assertIn(words, text)
      axes = chart.locator(".ytitle").text_content()
      self.assertIn("density, % of members", axes)

    with self.subTest("tasks"):
      select = chart.get_by_label("Task")
      before = chart.locator(".scatterlayer").inner_html()
      select.select_option(label=TASKS[1])
      self.assertNotEqual(chart.locator(".scatterlayer").inner_html(), before)
      self.assertEqual(self.count_lines(chart), 3)  # The boxes still count.

    with self.subTest("landscape"):
      chart = self.chart("Slice: members on a grid")
      text = self.hover(chart, ".trace:nth-child(2) .point")
      self.assertRegex(
        text,
        r"member \d+ *seed 3 × \S+, 4 × \S+ *sigma 0\.0\d+ *score \d+\.\d % *"
        r"gain [+-]\d+\.\d points, s\.e\. \d",
      )

    with self.subTest("keyboard"):
      summary = self.page.locator("summary").first
      listing = self.page.locator("details pre").first
      self.assertFalse(listing.is_visible())
      summary.focus()
      self.page.keyboard.press("Enter")
      self.assertTrue(listing.is_visible())
      self.assertIn('"experiment": "measure"', listing.inner_text())

    with self.subTest("narrow"):
      self.page.set_viewport_size({"width": 390, "height": 800})
      self.page.reload()  # As a phone opens it.
      self.page.wait_for_selector(".plot .main-svg")
      width = self.page.evaluate("document.documentElement.scrollWidth")
      self.assertEqual(width, 390)
      ends = self.page.evaluate(
        "() => [...document.querySelectorAll('caption, figcaption')].map("
        "c => c.getBoundingClientRect().right)"
      )
      self.assertLessEqual(max(ends), 390)
    self.check_silence(path)

    with self.subTest("the same bytes again"):
      before = path.read_bytes()
      _write_report(path.parent)
      self.assertEqual(path.read_bytes(), before)

  @pytest.mark.slow
  def test_comparison(self):
    first = make_run(self.folder / "first")
    second = make_run(self.folder / "second", TASKS[::-1])
    path = _write_report(first, second)
    self.assertEqual(path, self.folder / "report.html")
    self.open(path)
    chart = self.chart("Densities of all runs")
    self.assertEqual(self.count_lines(chart), 4)  # Two runs, two sigmas.
    chart.get_by_label("second", exact=True).uncheck()
    self.assertEqual(self.count_lines(chart), 2)
    self.assertIn("first, sigma 0.01", self.hover(chart, ".trace .point"))
    self.check_silence(path)


if __name__ == "__main__":
  absltest.main()
