"""Drops the bad records of a damaged run, and nothing else.

    python -m experiments.repair WORKDIR [--dry_run]

For a run that is refused because its log is corrupt. Lines that are no JSON, fail
their checksum, end in the middle, or are there twice are dropped; a copy of the
log as it was stays beside it. Of a run in an object store, objects that are not
what was uploaded are dropped in the same way. The run's own command then evaluates
again what was lost.
"""

from absl import flags

from experiments import launch
from experiments.launch import measured_runs
from thickets.runs import log_repair

FLAGS = launch.BinaryFlags(
  __doc__,
  "python -m experiments.repair runs/countdown_tiny --dry_run",
  arguments="RUN",
)
_DRY_RUN = flags.DEFINE_bool(
  "dry_run",
  False,
  "Whether to change nothing, and only say what would be dropped.",
  flag_values=FLAGS.values,
)

_MAX_SHOWN = 20  # Dropped lines of each log.


def main(argv: list[str]) -> None:
  """Reads the flags, repairs, and says what was dropped from which file."""
  workdir = measured_runs.read_workdir(argv, what="run")
  verb = "would be dropped" if _DRY_RUN.value else "dropped"
  num_dropped = 0
  for repair in log_repair.repair_logs(workdir, dry_run=_DRY_RUN.value):
    num_dropped += len(repair.dropped)
    print(
      f"{repair.path}: {repair.num_records} records kept,"
      f" {len(repair.dropped)} lines {verb}"
    )
    for line in repair.dropped[:_MAX_SHOWN]:
      print(f"  line {line.number}, {line.num_bytes} bytes: {line.reason}")
    if len(repair.dropped) > _MAX_SHOWN:
      print(f"  and {len(repair.dropped) - _MAX_SHOWN} more lines")
    if repair.backup is not None:
      print(f"  The log as it was is {repair.backup}.")
  if not num_dropped:
    print("Nothing had to be dropped.")
  elif not _DRY_RUN.value:
    print("The run's own command evaluates again what was dropped.")


if __name__ == "__main__":
  launch.run(main, FLAGS)
