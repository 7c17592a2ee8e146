"""All tasks by name; a Python file of the user can be a task as well."""

import functools
import importlib
import importlib.util
import pathlib
import sys
import types
from collections.abc import Mapping

from thickets import errors
from thickets.errors import UserError
from thickets.tasks.base import GradeFn, Task

# Modules that define a task, as TASK or under the name behind the colon.
_MODULES = {
  "countdown": "thickets.tasks.countdown",
  "easy_vqa": "thickets.tasks.easy_vqa",
  "gqa": "thickets.tasks.gqa",
  "gqa/short": "thickets.tasks.gqa:SHORT_TASK",
  "gsm8k": "thickets.tasks.gsm8k",
  "math500": "thickets.tasks.math500",
  "mbpp": "thickets.tasks.mbpp",
  "olympiadbench": "thickets.tasks.olympiadbench",
  "rocstories": "thickets.tasks.rocstories",
  "uspto50k": "thickets.tasks.uspto50k",
}


def names() -> list[str]:
  """Returns the names of all tasks, in alphabetical order.

  Those of `conventions/...` have further forms, see `convention_tasks`.
  """
  return sorted(
    [*_MODULES, *_generated(), *_conventions().names(), *_scenes().names()]
  )


def load_task(name: str) -> Task:
  """Loads a task.

  Args:
    name: one of `names()`, or the path of a Python file that defines `TASK`.

  Raises:
    UserError: if there is no such task, or the file does not define one.
  """
  if name.endswith(".py"):
    return _load_file(pathlib.Path(name).expanduser())
  if name in _MODULES:
    module, _, attribute = _MODULES[name].partition(":")
    return getattr(importlib.import_module(module), attribute or "TASK")
  if name in (generated := _generated()):
    return generated[name]
  conventions = _conventions()
  if name.startswith(conventions.TASK_PREFIX):
    return conventions.load_task(name)
  scenes = _scenes()
  if name.startswith(scenes.TASK_PREFIX):
    return scenes.load_task(name)
  raise UserError(
    f"task.name must be a task or a Python file that defines TASK, got"
    f" {name!r}. Nearest: {errors.nearest(name, names())}. All:"
    f" {', '.join(names())}."
  )


@functools.lru_cache(maxsize=64)
def load_grader(name: str, rules: str) -> GradeFn:
  """Loads the grader of a task's rule set, once in each process."""
  return load_task(name).grader(rules)


def _generated() -> Mapping[str, Task]:
  # Late, so that only who asks for tasks pays for making them.
  from thickets.tasks.drills import family_tasks
  from thickets.tasks.questions import question_tasks

  return {**family_tasks.DRILL_TASKS, **question_tasks.QUESTION_TASKS}


def _conventions() -> types.ModuleType:
  from thickets.tasks.conventions import convention_tasks

  return convention_tasks


def _scenes() -> types.ModuleType:
  from thickets.tasks.scenes import scene_tasks

  return scene_tasks


def _load_file(path: pathlib.Path) -> Task:
  if not path.is_file():
    raise UserError(
      f"task.name must be a task or a Python file that defines TASK, got"
      f" {path}, which does not exist."
    )
  # Under a name that no module can have, whatever the file is called.
  spec = importlib.util.spec_from_file_location(f"task file {path}", path)
  assert spec is not None and spec.loader is not None  # As for any .py file.
  module = importlib.util.module_from_spec(spec)
  sys.modules[spec.name] = module  # Where dataclasses look for their own.
  try:
    spec.loader.exec_module(module)
  except BaseException as error:  # Whatever the user's file raises.
    if errors.is_interrupt(error):
      raise
    raise UserError(
      f"{path} must load as a Python file, got {errors.describe_error(error)}."
    ) from error
  task = getattr(module, "TASK", None)
  if not isinstance(task, Task):
    raise UserError(
      f"{path} must define TASK, a thickets.tasks.base.Task, got {task!r}."
    )
  return task
