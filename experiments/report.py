"""One self-contained page for a finished run, or for several side by side.

    python -m experiments.report WORKDIR [WORKDIR ...] [--out=DIR]

Writes report.html into the run's directory, or, of several runs, into the
directory that holds them all. What `experiments.density` and
`experiments.landscape` would have written is made first where it is missing. The
page opens without a network: docs/report.md.
"""

import importlib
import pathlib
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags, logging

from experiments import density, landscape, launch, measure
from experiments.launch import estimator_flags, measured_runs
from thickets.analysis import measurement, neighbourhood
from thickets.errors import UserError
from thickets.report import run_files
from thickets.runs import directory, json_files

try:
  from thickets.report.html import report
except ModuleNotFoundError as error:
  if error.name != "plotly":
    raise
  report = None

_PAGE = "report.html"
_CONFIGS = ("measure", "randopt", "signals")


def main(argv: Sequence[str]) -> None:
  """Reads the flags, and writes the page."""
  with launch.ending_plainly():
    workdirs = measured_runs.read_workdirs(argv)
    path = run(workdirs, _find_path(workdirs))
    size = path.stat().st_size / 2**20
    print(f"The report is {path} ({size:.1f} MiB). Open it in a browser.")


def run(workdirs: Sequence[pathlib.Path], path: pathlib.Path) -> pathlib.Path:
  """Makes what is missing and writes the page; returns its path."""
  if report is None:
    raise UserError(
      "A report needs plotly, which is not installed. In a clone, install it"
      " with: .venv/bin/pip install -e '.[report]'."
    )
  # Before anything is computed, so that runs that do not fit cost nothing.
  found = run_files.read_runs(workdirs)
  notes = [_complete(one) for one in found]
  found = run_files.read_runs(workdirs)  # With what was made just now.
  commands = [make_commands(one) for one in found]
  return report.write_report(path, found, commands=commands, notes=notes)


def make_commands(found) -> list[str]:
  """The commands that make a run and its figures again, in DIR."""
  commands = [make_command(found.config)]
  if found.kind != "signals":
    commands.append(f"python -m experiments.density DIR{_settings(found)}")
  if found.landscape is not None or _has_plane(found):
    commands.append("python -m experiments.landscape DIR")
  return [*commands, "python -m experiments.report DIR"]


def make_command(config: Mapping[str, Any]) -> str:
  """The command line that gives this very config.

  Args:
    config: as config.json holds it.

  Returns:
    One shell command, with an override for each value that is not its config
    file's own; where no file is known, a sentence that says so.
  """
  name = config.get("experiment")
  if name not in _CONFIGS:
    return f"# No config file is known of the experiment {name!r}: see above."
  reference = launch.to_json(
    importlib.import_module(f"configs.{name}").get_config()
  )
  overrides = [
    shlex.quote(f"--config.{key}={_spell(value)}")
    for key, value in _flatten(config)
    if dict(_flatten(reference)).get(key) != value
  ]
  words = [
    f"python -m experiments.{name}",
    f"--config=configs/{name}.py",
    "--workdir=DIR",
    *overrides,
  ]
  return " \\\n    ".join(words)


def _find_path(workdirs: Sequence[pathlib.Path]) -> pathlib.Path:
  if launch.OUT.value:
    return directory.make_workdir(launch.OUT.value) / _PAGE
  folders = [workdir.resolve() for workdir in workdirs]
  shared = folders[0]
  while not all(folder.is_relative_to(shared) for folder in folders):
    shared = shared.parent
  if len(folders) > 1 and shared in folders:
    raise UserError(
      f"--out must name a directory for this comparison, as {shared} is one of"
      " the runs and has a report of its own."
    )
  return directory.make_workdir(shared) / _PAGE


def _complete(found) -> list[str]:
  """Makes a run's density and landscape; returns what cannot be made, and why."""
  notes = []
  if found.kind == "signals":
    notes.append(
      "There is no density and no landscape here: they are measured on tasks"
      " whose scores lie between 0 and 1, and these are squared errors."
    )
    return notes
  figures = found.workdir / "figures"
  if found.density is None:
    logging.info("%s: density.json is missing, and is made.", found.workdir)
    figures.mkdir(exist_ok=True)
    made = neighbourhood.analyse(
      measurement.read_measurement(found.workdir),
      estimator_flags.read_settings(),
    )
    json_files.write_json(found.workdir / "density.json", made.to_json())
    density.draw(made, figures)
  if found.landscape is None:
    if _has_plane(found):
      logging.info("%s: landscape.json is missing, and is made.", found.workdir)
      figures.mkdir(exist_ok=True)
      landscape.run(found.workdir, found.workdir)
    else:
      notes.append(
        "There is no landscape here: the run has neither a slice nor a"
        " projection. experiments.measure makes them with --config.project=true"
        " and --config.slice.resolution=13."
      )
  return notes


def _has_plane(found) -> bool:
  return (found.workdir / measure.PROJECTION).exists() or (
    found.kind == "measure"
    and measurement.read_slice(found.workdir) is not None
  )


def _settings(found) -> str:
  """The flags of an analysis that was not made with their defaults."""
  if found.density is None:
    return ""
  made = found.density["settings"]
  values = {
    "margins": made["margins"],
    "ratios": made["ratios"],
    "top_share": made["top_share"],
    "resamples": made["num_resamples"],
    "resampling_seed": made["seed"],
  }
  return "".join(
    f" --{name}={_spell_flag(value)}"
    for name, value in values.items()
    if _spell_flag(value) != _spell_flag(_default(name))
  )


def _default(name: str) -> Any:
  value = flags.FLAGS[name].default
  return [*map(float, value)] if isinstance(value, list) else value


def _spell_flag(value: Any) -> str:
  values = value if isinstance(value, list) else [value]
  return ",".join(f"{number:g}" for number in values)


def _flatten(config: Mapping[str, Any], path: str = ""):
  for key, value in sorted(config.items()):
    if isinstance(value, Mapping):
      yield from _flatten(value, f"{path}{key}.")
    else:
      yield f"{path}{key}", value


def _spell(value: Any) -> str:
  """A value as a flag of `ml_collections` takes it."""
  if isinstance(value, list):
    return repr(tuple(value))
  return value if isinstance(value, str) else repr(value)


if __name__ == "__main__":
  launch.run(main)
