"""Writes one expert as a directory that other programs open.

    python -m experiments.export --experts=DIR/experts.json --rank=0 --out=DIR

Of a language model it has config, tokenizer and weights, and transformers and vLLM
load it. Of a published pipeline it is a pipeline that diffusers opens, with another
UNet; of the model of shapes its `unet` is a folder that diffusers opens.
"""

from absl import flags, logging

from experiments import launch
from experiments.launch import (
  measured_runs,
  picture_experts,
  saved_experts,
)
from thickets.errors import UserError
from thickets.models import hub
from thickets.runs import locations

FLAGS = launch.BinaryFlags(
  __doc__,
  "python -m experiments.export --experts=runs/countdown_tiny/experts.json"
  " --rank=0 --out=expert",
)
saved_experts.define_experts_flags(FLAGS)
_RANK = flags.DEFINE_integer(
  "rank", 0, "Which expert to write, 0 for the best.", flag_values=FLAGS.values
)
_OUT = flags.DEFINE_string(
  "out",
  None,
  "The directory to write, new or empty.",
  flag_values=FLAGS.values,
)


def main(_: list[str]) -> None:
  """Reads the flags and writes the directory."""
  if not _OUT.value:
    raise UserError("--out must name the directory to write, got none.")
  out = locations.locate_on_disk(
    _OUT.value, "--out", "Models are loaded from a disk."
  )
  measured_runs.refuse_file_name(out)
  if out.exists() and (not out.is_dir() or any(out.iterdir())):
    raise UserError(
      f"--out must be a new or empty directory, got {out}, which is not."
    )
  path, name = saved_experts.read_experts_flags(FLAGS)
  if picture_experts.are_of_pictures(path):
    member = picture_experts.export(path, _RANK.value, out, name=name)
  else:
    model, experts = saved_experts.load_named(FLAGS)
    hub.save(out, model, params=experts.rebuild(model.params, _RANK.value))
    member = experts.members[_RANK.value]
  logging.info(
    "wrote the expert of rank %d, %s, to %s", _RANK.value, member, out
  )
  print(
    f"{out}: the expert of rank {_RANK.value} of"
    f" {FLAGS.values['experts'].value}, {member}"
  )


if __name__ == "__main__":
  launch.run(main, FLAGS)
