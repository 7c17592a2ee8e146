"""One process of a search whose members lie on the devices of several processes.

    python tests/end_to_end/spanning_member.py --model=DIR --workdir=DIR \\
      --devices_per_member=4 --distributed ...

It loads a model, has members answer, grades them by a checksum, and saves the
best. The weights of the first member are compared, bit by bit, with what `perturb`
makes of the whole base on one device. Without --distributed one device does it all.
"""

import functools

import jax
import numpy as np
from absl import flags

from experiments import launch
from thickets import perturbation, placement
from thickets.generation import grading, grading_workers, language_evaluator
from thickets.generation.decoding import Decoding
from thickets.generation.generator import Generator
from thickets.generation.language_evaluator import LanguageEvaluator
from thickets.generation.member_weights import Rebuilder
from thickets.members import stack_members
from thickets.models import hub, transformer
from thickets.runs import directory
from thickets.runs.run_config import RunConfig
from thickets.search import meshes, randopt, selection
from thickets.search.population import PopulationSpec
from thickets.search.randopt import Base, Evaluation

FLAGS = launch.BinaryFlags(
  __doc__, "python tests/end_to_end/spanning_member.py"
)
FLAGS.define_workdir()
FLAGS.define_cluster()
FLAGS.define_grace()
_MODEL = flags.DEFINE_string("model", "", "", flag_values=FLAGS.values)
_COUNT = flags.DEFINE_integer(
  "devices_per_member", 1, "", flag_values=FLAGS.values
)
_POPULATION = PopulationSpec(size=7, sigmas=(0.2,), seed=0, chunk=2)
_NUM_PROMPTS = 5


def main(_: list[str]) -> None:
  """Searches, and says what was compared."""
  launch.start_devices(FLAGS)
  devices = None if FLAGS.cluster else jax.devices()[:1]
  mesh = meshes.make_mesh(devices, model=_COUNT.value)
  model = hub.load(_MODEL.value, mesh=mesh)
  generator = Generator(model.config, Decoding(4), mesh=mesh)
  _compare_bits(generator, model)
  graded = grading_workers.Grading(grading.Grader(_detokenize, _grade))
  names = transformer.tensor_names(model.params)
  evaluation = Evaluation(
    "select",
    LanguageEvaluator(generator, graded),
    language_evaluator.make_batch(_make_prompts(model.config.vocab_size)),
  )
  with directory.open_run(FLAGS.workdir, RunConfig({})) as run:
    search = randopt.start_search(
      run,
      Base(model.params, {}, names, model.identity),
      _POPULATION,
      first=evaluation,
      task={"name": "checksum"},
    )
    scores = randopt.score_members(search, evaluation)
    chosen = selection.select_top_k(scores, 3)
    randopt.save_experts(search, chosen, scores, primary_k=2)


def _compare_bits(generator: Generator, model: hub.Model) -> None:
  """Rebuilds members as a run does, and one of them on one device."""
  base = generator.place(model.params)
  kind = perturbation.Gaussian()
  member = _POPULATION.sample()[3]
  count = generator.programs.num_slots
  rebuilt = Rebuilder(
    generator.config,
    kind,
    generator.mesh,
    generator.programs.compiled,
    generator.layout,
  ).rebuild_many(base, stack_members([member] * count))
  is_spanning = not rebuilt["norm"].is_fully_addressable
  whole, base = placement.fetch((rebuilt, base))
  names = transformer.tensor_names(base)
  perturb = functools.partial(perturbation.perturb, kind=kind, names=names)
  expected = jax.jit(perturb)(base, member)
  pairs = list(
    zip(jax.tree.leaves(whole), jax.tree.leaves(expected), strict=True)
  )
  for (
    got,
    wanted,
  ) in pairs:  # One layer has no axis of layers where these are apart.
    np.testing.assert_array_equal(
      np.squeeze(np.asarray(got)[0]), np.squeeze(np.asarray(wanted))
    )
  print(f"compared {len(pairs)} leaves, spanning: {is_spanning}", flush=True)


def _make_prompts(vocab_size: int) -> list[list[int]]:
  rng = np.random.default_rng(0)
  return [
    rng.integers(0, vocab_size, 3 + n).tolist() for n in range(_NUM_PROMPTS)
  ]


def _detokenize(ids) -> str:
  return " ".join(map(str, ids))


def _grade(index: int, text: str) -> dict[str, float]:
  """A score of whole numbers, whose sums have no rounding."""
  return {"score": float(sum(map(int, text.split())) % 7 + index % 2)}


if __name__ == "__main__":
  launch.run(main, FLAGS)
