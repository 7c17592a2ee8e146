"""Pretrains a small language model on exercises or pictures, and saves it for `hub.load`.

    python -m experiments.pretrain --config=configs/pretrain.py --workdir=DIR

The same command continues a training that was stopped, and ends with the same
weights. The directory then holds `model`, `results.json`, and in `metrics` what
TensorBoard shows.
"""

from experiments import launch
from experiments.launch import next_steps, pretraining
from thickets.training.convention_corpora import ConventionCorpus
from thickets.training.pretraining_spec import PretrainingSpec
from thickets.training.scene_corpora import SceneCorpus

FLAGS = launch.BinaryFlags(
  __doc__,
  "python -m experiments.pretrain --config=configs/pretrain.py"
  " --workdir=runs/pretrain",
)
FLAGS.define_config()
FLAGS.define_workdir(
  needs_disk="It keeps checkpoints and metrics of TensorBoard there, which need a disk."
)
FLAGS.define_cluster()


def main(_: list[str]) -> None:
  """Reads the flags, trains, and says what came of it."""
  workdir = FLAGS.workdir
  spec = pretraining.make_spec(FLAGS.config)
  launch.start_devices(FLAGS)
  results = pretraining.run_pretraining(
    spec, launch.to_json(FLAGS.config), workdir
  )
  for name, measured in results["dev"].items():
    low, high = measured["interval"]
    print(
      f"{name:30s} {measured['accuracy']:6.1%} [{low:.1%}, {high:.1%}] of"
      f" {measured['n']} held-out exercises"
    )
  print(
    next_steps.format_ending(
      f"The model is in {workdir}/model.",
      results["timing"],
      _list_next_steps(spec, workdir),
    )
  )


def _list_next_steps(spec: PretrainingSpec, workdir: str) -> dict[str, str]:
  if isinstance(spec.corpus, SceneCorpus):
    return next_steps.after_pretraining_scenes(workdir)
  if isinstance(spec.corpus, ConventionCorpus):
    column = "stated" if spec.corpus.stated_frac else "hidden"
    return next_steps.after_pretraining_conventions(workdir, column)
  return next_steps.after_pretraining(workdir)


if __name__ == "__main__":
  launch.run(main, FLAGS)
