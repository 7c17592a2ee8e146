"""Measures speed and memory, against the machine's own ceilings.

    python -m experiments.benchmark --config=configs/benchmark_signals.py \
      --workdir=DIR
    python -m experiments.benchmark \
      --config=configs/benchmark_language.py:small --workdir=DIR

Prints the figures and writes them to benchmark.json. Needs no data, grading or
hub library.
"""

from experiments import launch
from experiments.benchmark import (
  chat,
  denoising,
  language,
  pictures,
  policy,
  signals,
  theirs,
)
from thickets.runs import directory, environment, json_files

_SUBJECTS = {
  "chat": chat,
  "denoising": denoising,
  "language": language,
  "pictures": pictures,
  "policy": policy,
  "signals": signals,
  "transformers": theirs,
}


FLAGS = launch.BinaryFlags(
  __doc__,
  "python -m experiments.benchmark --config=configs/benchmark_signals.py:smoke --workdir=runs/speed",
)
FLAGS.define_config()
FLAGS.define_workdir()


def main(_: list[str]) -> None:
  """Reads the flags, measures, prints."""
  workdir_name = FLAGS.workdir
  config = FLAGS.config
  if "subject" not in config:
    launch.refuse(["subject is missing from the config."])
  launch.refuse(launch.check_choices(config, {"subject": _SUBJECTS}))
  subject = _SUBJECTS[config.subject]
  subject.validate(config)
  launch.start_devices(FLAGS)
  subject.check_fits(config)
  workdir = directory.make_workdir(workdir_name)
  figures = subject.measure(config)
  figures["config"] = launch.to_json(config)
  figures["environment"] = environment.describe()
  json_files.write_json(workdir / "benchmark.json", figures)
  for name, value in figures.items():
    if not isinstance(value, dict):
      shown = "unknown" if value is None else f"{value:.4g}"
      print(f"{name:24} {shown}")
  for size, peak in figures["peak_memory_bytes"].items():
    sizes = ", ".join(f"{n} {b / 2**20:.0f} MiB" for n, b in peak.items())
    print(f"{'peak_memory':24} {size}: {sizes}")


if __name__ == "__main__":
  launch.run(main, FLAGS)
