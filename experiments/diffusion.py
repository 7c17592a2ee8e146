"""RandOpt on pictures, from the search to the grid of pictures.

    python -m experiments.diffusion --config=configs/diffusion.py --workdir=DIR

Perturbs the denoiser of a diffusion model, scores each member's pictures for a
target that no prompt names, and judges the best member and the mean prediction of
the best K on other prompts. The same command resumes a run that was stopped.
"""

from experiments import launch
from experiments.launch import diffusion_run, diffusion_specs, next_steps
from thickets.report import diffusion_table

FLAGS = launch.BinaryFlags(
  __doc__,
  "python -m experiments.diffusion --config=configs/diffusion.py"
  " --workdir=runs/diffusion",
)
FLAGS.define_config()
FLAGS.define_workdir()
FLAGS.define_cluster()
FLAGS.define_grace()


def main(_: list[str]) -> None:
  """Reads the flags, runs, and prints the table."""
  workdir = FLAGS.workdir
  spec = diffusion_specs.read_diffusion(FLAGS.config)
  launch.start_devices(FLAGS)
  results = diffusion_run.run(spec, workdir)
  print(diffusion_table.format_diffusion_results(results))
  first = " (grid.png first)" if spec.keeps_pictures else ""
  print(
    next_steps.format_ending(
      f"Figures{first}, results.json and experts.json are in {workdir}.",
      results["timing"],
      next_steps.after_signals(workdir),
    )
  )


if __name__ == "__main__":
  launch.run(main, FLAGS)
