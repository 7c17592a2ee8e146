"""Tests that the documentation is true: its names, paths, flags and code."""

import ast
import importlib
import json
import os
import pathlib
import pkgutil
import re
import tempfile
import textwrap
from unittest import mock

import jax
import numpy as np
import pytest
from absl.testing import parameterized
from golden import transformer_cases as cases

from thickets.models import hub, transformer
from thickets.report import forecast_table

ROOT = pathlib.Path(__file__).parents[2]
PAGES = tuple(
  sorted(
    str(path.relative_to(ROOT))
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"))
  )
)
_NAME = re.compile(r"(?<![\w/])(?:thickets|experiments|configs)(?:\.[a-z]\w*)+")
_PATH = re.compile(
  r"(?<![\w/.])(?:[\w.-]+/)+[\w.-]+\.(?:py|ipynb|json|jsonl|md|svg|toml)(?!\w)"
)
_COMMAND = re.compile(r"\bexperiments\.(\w+)((?:\\\n|[^\n`|])*)")
_FLAG = re.compile(r"--(\w+)")
# Old names, and what a run or a reader writes.
_OLD = re.compile(r"^\| `[\w.]+` \|", re.MULTILINE)
_WRITTEN = re.compile("^(runs|records|bucket|DIR|tests/tasks/NAME_test)|NAME")
_TEMPLATE = (
  "{% for message in messages %}{{ message['content'] }}{% endfor %}"
  "{% if add_generation_prompt %} {% endif %}"
)


def _load(name, *, dtype, mesh):
  """Stands for the hub: the same arguments, a small random model."""
  assert name.startswith("Qwen/")
  tokenizer = cases.make_tokenizer()
  tokenizer.chat_template = _TEMPLATE
  model = cases.make_model("qwen2", np.dtype(dtype), tokenizer)
  shardings = transformer.shardings(model.config, mesh)
  params = jax.device_put(model.params, shardings)
  return type(model)(**{**vars(model), "params": params})


def _read(page):
  return _OLD.sub("|", (ROOT / page).read_text("utf-8"))


def _blocks(text):
  found = re.findall(r"^ *```python\n(.*?)^ *```", text, re.DOTALL | re.M)
  return [textwrap.dedent(block) for block in found]


def _exists(name):
  """Whether a dotted name is a module, or an attribute in one or its classes."""
  folder = ROOT / name.replace(".", "/")
  if folder.is_dir() or folder.with_suffix(".py").exists():
    return True
  try:
    pkgutil.resolve_name(name)
  except (ModuleNotFoundError, AttributeError):
    return False
  return True


def _used_names(block):
  """Names that a block imports from us, and attributes of what it imports."""
  origins = {}
  nodes = list(ast.walk(ast.parse(block)))
  for node in nodes:
    if isinstance(node, ast.ImportFrom) and _NAME.match(f"{node.module}.x"):
      for alias in node.names:
        origins[alias.asname or alias.name] = f"{node.module}.{alias.name}"
  return {*origins.values()} | {
    f"{origins[node.value.id]}.{node.attr}"
    for node in nodes
    if isinstance(node, ast.Attribute)
    and isinstance(node.value, ast.Name)
    and node.value.id in origins
  }


class NamesTest(parameterized.TestCase):
  @parameterized.parameters(
    ("thickets.generation", True),
    ("thickets.generation.decoding.Decoding", True),
    ("thickets.generation.decoding.Decoding.for_model", True),
    ("thickets.generation.decoding.Decoding.for_nothing", False),
    ("thickets.generation.decoding.Nothing", False),
    ("thickets.nothing.Decoding", False),
  )
  def test_exist_only_where_they_resolve(self, name, expected):
    self.assertEqual(_exists(name), expected)


class DocsTest(parameterized.TestCase):
  def test_the_table_of_machines_is_what_was_recorded(self):
    path = ROOT / "docs/results/machines/machines.json"
    rows = forecast_table.from_json(json.loads(path.read_text("utf-8")))
    page = (ROOT / "docs/accelerators.md").read_text("utf-8")
    self.assertIn(forecast_table.write_markdown(rows), page)

  @parameterized.parameters(*PAGES)
  def test_names_exist(self, page):
    text = _read(page)
    names = set(_NAME.findall(text))
    for block in _blocks(text):
      names |= _used_names(block)
    self.assertEmpty([name for name in sorted(names) if not _exists(name)])

  @parameterized.parameters(*PAGES)
  def test_paths_exist(self, page):
    folders = (ROOT, ROOT / "thickets", ROOT / "docs/results")
    folders += ((ROOT / page).parent,)
    missing = [
      path
      for path in sorted(set(_PATH.findall(_read(page))))
      if not _WRITTEN.search(path)
      and not any((folder / path).exists() for folder in folders)
    ]
    self.assertEmpty(missing)

  @parameterized.parameters(*PAGES)
  def test_flags_exist(self, page):
    for binary, words in _COMMAND.findall(_read(page)):
      flags = set(_FLAG.findall(words))
      if flags:
        name = "benchmark.__main__" if binary == "benchmark" else binary
        module = importlib.import_module(f"experiments.{name}")
        self.assertContainsSubset(flags, set(module.FLAGS.values), binary)

  @pytest.mark.slow
  def test_language_models(self):
    blocks = _blocks(_read("docs/language_models.md"))
    self.assertLen(blocks, 2)
    here = os.getcwd()
    self.addCleanup(os.chdir, here)
    os.chdir(self.enterContext(tempfile.TemporaryDirectory()))
    names = {}
    with mock.patch.object(hub, "load", _load):
      for block in blocks:
        exec(block, names)  # Our own documentation.
    self.assertLen(names["scores"], 16)
    found = hub.load("expert", dtype=None)
    jax.tree.map(np.testing.assert_array_equal, found.params, names["expert"])
