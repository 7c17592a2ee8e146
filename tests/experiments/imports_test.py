"""Tests that binaries and configs name only what the modules they import have."""

import ast
import importlib
import pathlib
import types

import pytest

_ROOT = pathlib.Path(__file__).parents[2]
_FILES = sorted(
  path.relative_to(_ROOT)
  for folder in ("experiments", "configs")
  for path in (_ROOT / folder).rglob("*.py")
)


def find_missing(source: str) -> list[str]:
  """Returns each `module.name` of a source that our module does not have."""
  tree = ast.parse(source)
  modules = {}
  for node in ast.walk(tree):
    if isinstance(node, ast.ImportFrom) and node.module:
      if node.module.split(".")[0] not in (
        "thickets",
        "experiments",
        "configs",
      ):
        continue
      for alias in node.names:
        found = _find(node.module, alias.name)
        if isinstance(found, types.ModuleType):
          modules[alias.asname or alias.name] = found
  stored = {
    node.id
    for node in ast.walk(tree)
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
  }
  return [
    f"{node.value.id}.{node.attr}"
    for node in ast.walk(tree)
    if isinstance(node, ast.Attribute)
    and isinstance(node.value, ast.Name)
    and node.value.id in modules.keys() - stored
    and not hasattr(modules[node.value.id], node.attr)
  ]


def _find(module: str, name: str) -> object:
  """What a module has under a name; None if it needs PyTorch, which is an extra."""
  found = getattr(importlib.import_module(module), name, None)
  if found is not None:
    return found
  try:
    return importlib.import_module(f"{module}.{name}")
  except ModuleNotFoundError as error:
    if error.name != "torch":
      raise
    return None


@pytest.mark.parametrize("path", _FILES, ids=str)
def test_what_is_used_of_a_module_is_there(path):
  assert find_missing((_ROOT / path).read_text(encoding="utf-8")) == []


def test_a_name_that_is_not_there_is_found():
  source = "from thickets.analysis import votes\nvotes.resample_budgets()"
  assert find_missing(source) == ["votes.resample_budgets"]
