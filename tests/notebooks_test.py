"""Tests of what all notebooks have in common, without running them."""

import ast
import pathlib
import re

import nbformat
from absl.testing import parameterized

ROOT = pathlib.Path(__file__).parents[1]
NAMES = ("two_thickets", "quickstart", "density_and_diversity", "scaling")
# Of a home, a scratch or an installation directory.
_MACHINE_PATH = re.compile(r"(?<![\w.])/(home|Users|root|tmp|work|content)/")
_MAGIC = re.compile(r"^(\s*)%.*$", re.MULTILINE)


def _read(name):
  path = ROOT / "notebooks" / f"{name}.ipynb"
  return nbformat.read(path, as_version=nbformat.NO_CONVERT)


def _sources(notebook, cell_type):
  return [c.source for c in notebook.cells if c.cell_type == cell_type]


class NotebooksTest(parameterized.TestCase):
  def test_these_are_all(self):
    found = {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}
    self.assertEqual(found, set(NAMES))

  @parameterized.parameters(*NAMES)
  def test_is_valid_and_stripped(self, name):
    notebook = _read(name)
    nbformat.validate(notebook)
    for cell in notebook.cells:
      self.assertEmpty(cell.metadata)
      if cell.cell_type == "code":
        self.assertEmpty(cell.outputs, cell.source)
        self.assertIsNone(cell.execution_count, cell.source)
    # Of no one's environment, and of no Python version in particular.
    self.assertEqual(notebook.metadata.kernelspec.name, "python3")
    self.assertEqual(dict(notebook.metadata.language_info), {"name": "python"})

  @parameterized.parameters(*NAMES)
  def test_first_cell_installs_the_package_only_where_it_is_missing(self, name):
    first = _sources(_read(name), "code")[0]
    tree = ast.parse(_MAGIC.sub(r"\1INSTALL", first))
    guards = [
      ast.unparse(node.test)
      for node in tree.body
      if isinstance(node, ast.If) and "INSTALL" in ast.unparse(node)
    ]
    self.assertEqual(
      guards, ["importlib.util.find_spec('thickets') is None"], first
    )
    self.assertIn("%pip install --quiet {REPOSITORY}", first)
    imported = {
      name
      for node in ast.walk(tree)
      if isinstance(node, ast.Import | ast.ImportFrom)
      for name in (getattr(node, "module", None), *(a.name for a in node.names))
    }
    self.assertNoCommonElements(imported, {"thickets", "experiments"})

  @parameterized.parameters(*NAMES)
  def test_installation_refuses_an_address_that_is_not_filled_in(self, name):
    first = _sources(_read(name), "code")[0]
    body = _MAGIC.sub(r"\1pass", first).replace(
      'find_spec("thickets")', 'find_spec("there_is_no_such_module")'
    )
    with self.assertRaisesRegex(ValueError, "REPOSITORY must say"):
      exec(body, {})  # Our own notebook.

  @parameterized.parameters(*NAMES)
  def test_begins_with_a_title_and_has_headings(self, name):
    notebook = _read(name)
    self.assertEqual(notebook.cells[0].cell_type, "markdown")
    headings = [
      line
      for source in _sources(notebook, "markdown")
      for line in source.splitlines()
      if line.startswith("#")
    ]
    self.assertRegex(headings[0], "^# ")
    self.assertGreater(len(headings), 5)
    for heading in headings[1:]:
      self.assertRegex(heading, "^## ")
      # A finding or a question, and no mere topic.
      self.assertGreaterEqual(len(heading.split()), 5, heading)

  @parameterized.parameters(*NAMES)
  def test_has_no_path_of_a_machine(self, name):
    for cell in _read(name).cells:
      self.assertNotRegex(cell.source, _MACHINE_PATH)

  @parameterized.parameters(*NAMES)
  def test_defines_nothing_that_another_defines(self, name):
    defined = {
      other: {
        node.name
        for source in _sources(_read(other), "code")
        for node in ast.walk(ast.parse(_MAGIC.sub(r"\1pass", source)))
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
      }
      for other in NAMES
    }
    for other in set(NAMES) - {name}:
      self.assertNoCommonElements(defined[name], defined[other])
