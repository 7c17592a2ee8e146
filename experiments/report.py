"""One self-contained page for a finished run, or for several side by side.

    python -m experiments.report WORKDIR [WORKDIR ...] [--out=DIR]

Writes report.html into the run's directory, or, for several runs, into the
directory that holds them all. What `experiments.density` and
`experiments.landscape` would have written is made first where it is missing. The
page opens without a network: docs/report.md.
"""

from collections.abc import Sequence

from experiments import launch
from experiments.launch import estimator_flags, measured_runs, reproduction
from thickets.errors import UserError
from thickets.report import run_files
from thickets.runs.locations import Location

try:
  from thickets.report.html import report
except ModuleNotFoundError as error:
  if error.name != "plotly":
    raise
  report = None

_PAGE = "report.html"


FLAGS = launch.BinaryFlags(
  __doc__, "python -m experiments.report runs/shipped", arguments="RUN ..."
)
measured_runs.define_out(FLAGS)
estimator_flags.define_estimator_flags(FLAGS)


def main(argv: list[str]) -> None:
  """Reads the flags, makes what is missing, and writes the page."""
  workdirs = measured_runs.read_workdirs(argv)
  path = run(workdirs, _find_path(workdirs))
  size = len(path.read_bytes()) / 2**20
  print(f"The report is {path} ({size:.1f} MiB). Open it in a browser.")


def run(workdirs: Sequence[Location], path: Location) -> Location:
  """Makes what is missing and writes the page; returns its path."""
  if report is None:
    raise UserError(
      "A report needs plotly, which is not installed. In a clone, install it"
      " with: .venv/bin/pip install -e '.[report]'."
    )
  # Before anything is computed, so that runs that do not fit cost nothing.
  found = run_files.read_runs(workdirs)
  settings = estimator_flags.read_settings(FLAGS)
  notes = [one.kind.complete(one.workdir, settings) for one in found]
  found = run_files.read_runs(workdirs)  # With what was made just now.
  commands = [reproduction.list_commands(one) for one in found]
  return report.write_report(path, found, commands=commands, notes=notes)


def _find_path(workdirs: Sequence[Location]) -> Location:
  if FLAGS.values["out"].value:
    return measured_runs.make_out(FLAGS.values["out"].value) / _PAGE
  folders = [workdir.resolve() for workdir in workdirs]
  shared = folders[0]
  while not all(folder.is_relative_to(shared) for folder in folders):
    if shared == shared.parent:  # That of a bucket, or of a disk beside one.
      raise UserError(
        "--out must name a directory for this comparison, as no directory holds"
        f" all of its runs: {', '.join(map(str, folders))}."
      )
    shared = shared.parent
  if len(folders) > 1 and shared in folders:
    raise UserError(
      f"--out must name a directory for this comparison, as {shared} is one of"
      " the runs and has a report of its own."
    )
  return measured_runs.make_out(shared) / _PAGE


if __name__ == "__main__":
  launch.run(main, FLAGS)
