"""Scores the members of a finished search of pictures for other targets.

    python -m experiments.rescore --workdir=DIR --targets="purple,oil painting"

Of a run of experiments.diffusion on a published pipeline. CLIP's vectors of all
pictures of selection are recorded, so that neither the pipeline nor a picture is
needed: texts are read by the CLIP that the run had. Says which member is best for
each target, how many beat the base, and whether the same ones do. Writes
rescored.json beside the run's own files and changes none of them.
"""

import dataclasses

from absl import flags

from experiments import launch
from experiments.launch import rescoring
from thickets.errors import UserError
from thickets.report import diffusion_table
from thickets.runs import directory

FLAGS = launch.BinaryFlags(
  __doc__,
  'python -m experiments.rescore --workdir=runs/sdxl --targets="purple,red"',
)
FLAGS.define_workdir()
_TARGETS = flags.DEFINE_list(
  "targets",
  None,
  "The texts that pictures are scored for, divided by commas.",
  flag_values=FLAGS.values,
)


def main(_: list[str]) -> None:
  """Reads the flags, scores, and prints the tables."""
  targets = tuple(target.strip() for target in _TARGETS.value or ())
  if not targets or not all(targets) or len(set(targets)) < len(targets):
    raise UserError(
      "--targets must be distinct texts, divided by commas, got"
      f" {_TARGETS.value}."
    )
  launch.configure_jax()
  spec = rescoring.read_spec(FLAGS.workdir)
  judge = rescoring.load_scorer(spec)
  texts = rescoring.embed(judge, targets)
  config = dataclasses.replace(spec.config, extendable=())
  with directory.open_run(FLAGS.workdir, config) as run:
    rescoring.check_scorer(spec, run, judge)
    results = rescoring.rescore(spec, run, targets, texts)
    path = run.save_json("rescored.json", results)
  print(diffusion_table.format_rescored(results))
  print(f"These figures are in {path}.")


if __name__ == "__main__":
  launch.run(main, FLAGS)
