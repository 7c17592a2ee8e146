"""Pretrains the small model that draws shapes, and the judge of its pictures.

    python -m experiments.pretrain_shapes --config=configs/pretrain_shapes.py \
      --workdir=DIR

The same command continues a training that was stopped, and ends with the same
weights. The directory then holds `model`, for --config.model.name of
experiments.diffusion, and `results.json`.
"""

from experiments import launch
from experiments.launch import next_steps, shapes_pretraining
from thickets.report import console, tables

FLAGS = launch.BinaryFlags(
  __doc__,
  "python -m experiments.pretrain_shapes --config=configs/pretrain_shapes.py"
  " --workdir=runs/pretrain_shapes",
)
FLAGS.define_config()
FLAGS.define_workdir(
  needs_disk="It keeps checkpoints there, which need a disk."
)
FLAGS.define_cluster()


def main(_: list[str]) -> None:
  """Reads the flags, trains, and says what came of it."""
  workdir = FLAGS.workdir
  spec = shapes_pretraining.read_training(FLAGS.config)
  launch.start_devices(FLAGS)
  results = shapes_pretraining.run_training(spec, workdir)
  rows = [
    (
      name,
      tables.format_percent(found["frac"]),
      tables.format_interval(found["low"], found["high"]),
    )
    for name, found in results["dev"].items()
  ]
  print(
    "\n".join(
      console.align_columns(
        ("% of pictures, by the judge that ships", "", "[95 %]"), rows
      )
    )
  )
  if "judge" in results:
    shares = ", ".join(
      f"{name} {tables.format_percent(share)}"
      for name, share in results["judge"].items()
    )
    print(
      f"The new judge is right about so many % of fresh pictures: {shares}."
      " Searches keep to the one that ships."
    )
  print(
    next_steps.format_ending(
      f"The model is in {workdir}/model.",
      results["timing"],
      next_steps.after_pretraining_shapes(workdir),
    )
  )


if __name__ == "__main__":
  launch.run(main, FLAGS)
