"""Tables of answers of any size, from members of known gains."""

import numpy as np

from thickets.analysis import synthetic
from thickets.analysis.measurement import Measurement, TaskScores
from thickets.members import Member
from thickets.search.answers import Answers

_WRONG = np.array(["", "12,5,81,7", "5,7,12,81", "94", "-17/3"])


def sample_tables(
  seed: int,
  *,
  num_members: int,
  num_prompts: int,
  num_tasks: int,
  num_sigmas: int,
) -> Measurement:
  """Draws members whose true gains differ, on tasks of unlike bases.

  Args:
    seed: the seed of the members' gains and answers.
    num_members: N, over all sigmas.
    num_prompts: prompts of each task; the first half of them choose members.
    num_tasks: number of tasks; the base's accuracy rises from 20 % to 80 %.
    num_sigmas: number of sigmas, over which the members are spread evenly.
  """
  rng = np.random.default_rng(seed)
  tasks = {}
  for number, accuracy in enumerate(np.linspace(0.2, 0.8, num_tasks)):
    population = synthetic.SyntheticPopulation(
      synthetic.NormalGains(0.0, 0.03), base_accuracy=float(accuracy)
    )
    sample = population.sample(rng, num_members, num_prompts)
    name = f"task {number}"
    tasks[name] = TaskScores(
      name,
      _make_answers(sample.base_scores[None], rng),
      _make_answers(sample.scores, rng),
      num_select=num_prompts // 2,
    )
  members = tuple(
    Member(seed, 0.01 * (1 + seed % num_sigmas)) for seed in range(num_members)
  )
  return Measurement("synthetic", {}, members, tasks)


def _make_answers(scores: np.ndarray, rng: np.random.Generator) -> Answers:
  """Wrong ones vote for one of a few answers, or for none."""
  right = scores > 0
  vote = _WRONG[rng.integers(len(_WRONG), size=scores.shape)]
  vote[right] = "7,5,12,81"
  in_form = right & (rng.random(scores.shape) < 0.9)
  return Answers(scores, in_form, right, vote != "", vote)
