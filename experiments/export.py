"""Writes one expert as a Hugging Face directory, to be served elsewhere.

    python -m experiments.export --experts=DIR/experts.json --rank=0 --out=DIR

The directory has config, tokenizer and weights; transformers and vLLM load it.
"""

import pathlib

from absl import flags, logging

from experiments import launch
from experiments.launch import saved_experts
from thickets.errors import UserError
from thickets.models import hub

_RANK = flags.DEFINE_integer("rank", 0, "Which expert, 0 for the best.")


def main(_) -> None:
  """Reads the flags and writes the directory."""
  with launch.ending_plainly():
    if not launch.OUT.value:
      raise UserError("--out must name the directory to write, got none.")
    out = pathlib.Path(launch.OUT.value)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
      raise UserError(
        f"--out must be a new or empty directory, got {out}, which is not."
      )
    saved_experts.start()
    model, experts = saved_experts.load_experts()
    hub.save(out, model, params=experts.rebuild(model.params, _RANK.value))
    logging.info(
      "wrote the expert of rank %d, %s, to %s",
      _RANK.value,
      experts.members[_RANK.value],
      out,
    )
    print(
      f"{out}: expert of rank {_RANK.value} of {saved_experts.EXPERTS.value}"
    )


if __name__ == "__main__":
  launch.run(main)
