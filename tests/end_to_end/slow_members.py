"""One process of a run whose members take their time, and compile nothing."""

import time

import numpy as np

from experiments import launch
from thickets.runs import directory
from thickets.runs.run_config import RunConfig
from thickets.search import engine, population, staged

FLAGS = launch.BinaryFlags(__doc__, "python tests/end_to_end/slow_members.py")
FLAGS.define_workdir()
FLAGS.define_cluster()
FLAGS.define_grace()
MEMBERS = population.sample_members(0, 2000, (0.1,))
_WIDTH, _CHUNK_S = 4, 0.03


def main(_: list[str]) -> None:
  """Scores all members, and saves their scores."""
  launch.start_devices(FLAGS)
  evaluator = staged.staged(_answer, _grade)
  with directory.open_run(FLAGS.workdir, RunConfig({})) as run:
    run.write_header({"task": "slow"})
    scores = engine.evaluate_members(
      run, evaluator, {}, MEMBERS, {}, split="select", width=_WIDTH
    )
    run.save_json("experts.json", {"scores": scores.tolist()})


def _answer(base, members, batch):
  del base, batch
  time.sleep(_CHUNK_S)
  return members.seeds


def _grade(seeds, batch):
  del batch
  return {"score": (seeds % 97).astype(np.float32)}


def score(member):
  """The score of a member, which its one prompt has too."""
  return float(member.terms[0][0] % 97)


if __name__ == "__main__":
  launch.run(main, FLAGS)
