"""Tests of who draws the prompts of judging."""

import types

import numpy as np
from absl.testing import absltest

from experiments.launch import diffusion_run
from thickets.search import population
from thickets.search.selection import EnsembleSpec


class PlanTest(absltest.TestCase):
  def test_random_members_are_those_drawn_first_whoever_is_chosen(self):
    """Without the chosen ones they would be worse than members are."""
    scores = np.array([0.1, 0.9, np.nan, 0.8, 0.2, 0.3])
    spec = types.SimpleNamespace(ensemble=EnsembleSpec(2, (3,)), num_random=3)
    search = types.SimpleNamespace(
      members=population.sample_members(0, 6, (0.1,))
    )
    plan = diffusion_run._plan_judging(spec, search, scores)
    self.assertEqual(plan.chosen.tolist(), [1, 3, 5])
    self.assertEqual(list(plan.random), [0, 1, 3])
    self.assertEqual(
      plan.random_ensembles[2].terms,
      (*search.members[0].terms, *search.members[1].terms),
    )


if __name__ == "__main__":
  absltest.main()
