"""The recipes of docs/launch, and the commands that they start."""

import pathlib
import re
import shlex

import yaml

ROOT = pathlib.Path(__file__).parents[2]
FOLDER = ROOT / "docs/launch"
SCRIPTS = tuple(sorted(path.name for path in FOLDER.glob("*.sh")))
JOBSETS = tuple(sorted(path.name for path in FOLDER.glob("jobset_*.yaml")))
TASKS = tuple(sorted(path.name for path in FOLDER.glob("sky_*.yaml")))
# From the name of a binary to the end of its command, over joined lines.
_COMMAND = re.compile(r"-m (experiments\.\w+(?:\\\n|[^\n|;])*)")
_VARIABLE = re.compile(r"\$\((\w+)\)|\$\{\w+(?::-[^}]*)?\}|\$\w+")


def read_yaml(name):
  """The content of a manifest."""
  return yaml.safe_load((FOLDER / name).read_text("utf-8"))


def find_job(name):
  """The Kubernetes Job of a JobSet that has one kind of them."""
  (replicated,) = read_yaml(name)["spec"]["replicatedJobs"]
  return replicated["template"]["spec"]


def find_container(name):
  """The container of such a Job."""
  (container,) = find_job(name)["template"]["spec"]["containers"]
  return container


def find_shell(name):
  """The shell code of a recipe: a whole script, or the parts of a task."""
  if name in SCRIPTS:
    return (FOLDER / name).read_text("utf-8")
  task = read_yaml(name)
  return f"#!/bin/bash\n{task['setup']}\n{task['run']}"


def find_command(name):
  """The binary that a recipe starts, and its flags; variables are written 1."""
  if name in JOBSETS:
    words = find_container(name)["args"]
  else:
    (text,) = _COMMAND.findall(find_shell(name))
    text = text.replace("\\\n", " ").partition('"$@"')[0].strip()
    # A command that other machines get is quoted, and ends with its quote.
    words = shlex.split(text[:-1] if text.count('"') % 2 else text)
  return [_VARIABLE.sub("1", word) for word in words]
