"""Pools runs of RandOpt that differ in their seed alone.

    python -m experiments.repeats RUN RUN ... --out=DIR
    python -m experiments.repeats DIR/seeds.json

A run by itself says how its members do on other prompts, and not how others do. Here
each seed draws members, prompts and samples anew: how many seeds agree, and what they
give together, with intervals over populations and prompts. Writes seeds.json and a
figure; no model is needed. `experiments.sweep` makes such runs, and pools them too.
"""

from experiments import launch
from experiments.launch import measured_runs, pooling
from thickets.analysis import pooled_runs

FLAGS = launch.BinaryFlags(
  __doc__,
  "python -m experiments.repeats runs/seeds/000 runs/seeds/001 --out=runs/seeds",
  arguments="RUN",
)
measured_runs.define_out(FLAGS)


def main(argv: list[str]) -> None:
  """Reads the runs, pools, draws and prints them."""
  sources = measured_runs.read_sources(argv)
  pool = pooled_runs.read_pool(sources)
  out = measured_runs.find_out(FLAGS, [sources[0].parent])
  print(pooling.write_pool(pool, out, "seeds"))
  print(f"seeds.json and figures/seeds.png are in {out}.")


if __name__ == "__main__":
  launch.run(main, FLAGS)
