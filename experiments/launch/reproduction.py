"""The command lines that make a run and its analyses again."""

import importlib
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from experiments import launch
from experiments.launch import estimator_flags
from thickets.report import run_kinds
from thickets.report.run_files import RunFiles


def list_commands(found: RunFiles) -> list[str]:
  """Returns the commands that make a run, its analyses and its report in DIR."""
  commands = [make_command(found.config)]
  if found.density is not None:
    made_with = estimator_flags.format_settings(found.density["settings"])
    commands.append(f"python -m experiments.density DIR{made_with}")
  if found.landscape is not None:
    commands.append("python -m experiments.landscape DIR")
  return [*commands, "python -m experiments.report DIR"]


def make_command(config: Mapping[str, Any]) -> str:
  """Returns the command line that gives this very config.

  Args:
    config: the configuration of a run, as config.json holds it.

  Returns:
    One shell command, with an override for each value that differs from that of
    the config file; where no file is known, a comment that says so.
  """
  name = config.get("experiment")
  if name not in run_kinds.KINDS:
    return f"# No config file is known of the experiment {name!r}: see above."
  module = importlib.import_module(f"configs.{name}")
  reference = dict(_flatten(launch.to_json(module.get_config())))
  overrides = [
    shlex.quote(f"--config.{key}={_format_value(value)}")
    for key, value in _flatten(config)
    if reference.get(key) != value
  ]
  words = [
    f"python -m experiments.{name}",
    f"--config=configs/{name}.py",
    "--workdir=DIR",
    *overrides,
  ]
  return " \\\n    ".join(words)


def _flatten(
  config: Mapping[str, Any], path: str = ""
) -> Iterator[tuple[str, Any]]:
  """Yields each value with its dotted key, in the order of the keys."""
  for key, value in sorted(config.items()):
    if isinstance(value, Mapping):
      yield from _flatten(value, f"{path}{key}.")
    else:
      yield f"{path}{key}", value


def _format_value(value: Any) -> str:
  """Writes a value as a flag of `ml_collections` takes it."""
  if isinstance(value, list):
    return repr(tuple(value))
  return value if isinstance(value, str) else repr(value)
