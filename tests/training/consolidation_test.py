"""Tests of one model out of a population, on weights made by hand."""

import jax
import numpy as np
from absl.testing import parameterized

from thickets.errors import UserError
from thickets.members import BASE, Member
from thickets.perturbation import perturb
from thickets.search import population
from thickets.training import consolidation
from thickets.training.evolution import EvolutionSpec

WEIGHTS = {"w": np.linspace(-1, 1, 4000, dtype=np.float32)}
MEMBERS = population.sample_members(0, 6, (0.1, 0.2))


class ConsolidationTest(parameterized.TestCase):
  def test_the_average_is_the_mean_of_the_members_weights(self):
    found = perturb(WEIGHTS, consolidation.average_members(MEMBERS))
    weights = [perturb(WEIGHTS, member)["w"] for member in MEMBERS]
    np.testing.assert_allclose(found["w"], np.mean(weights, axis=0), atol=1e-4)

  def test_mirror_images_average_to_the_base(self):
    pair = [MEMBERS[0], MEMBERS[0].antithetic]
    found = perturb(WEIGHTS, consolidation.average_members(pair))
    jax.tree.map(np.testing.assert_array_equal, found, WEIGHTS)

  @parameterized.parameters(0.5, 2.0)
  def test_the_weighted_step_is_as_long_as_asked(self, scale):
    scores = np.array([0.3, 0.9, 0.1, 0.5, 0.2, 0.4])
    found = consolidation.weigh_members(MEMBERS, scores, scale)
    moved = np.asarray(perturb(WEIGHTS, found)["w"]) - WEIGHTS["w"]
    sigmas = np.array([member.sigma for member in MEMBERS])
    expected = scale * np.sqrt((sigmas**2).mean())
    # 4000 weights: their spread is known to 1.1 % at one standard error.
    self.assertAlmostEqual(float(moved.std()) / expected, 1, delta=0.04)

  def test_it_points_along_a_step_of_evolution_strategies(self):
    spec = EvolutionSpec(6, 0.1, 0.2, 0)
    members = spec.draw_members(0)
    scores = np.array([0.3, 0.9, np.nan, 0.5, 0.2, 0.4])
    step = spec.make_update(members, scores)
    found = consolidation.weigh_members(members, scores, 1.0)
    ratios = [
      a / b for (_, a), (_, b) in zip(found.terms, step.terms, strict=True)
    ]
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-6)

  def test_a_sigma_that_lowers_all_scores_is_no_direction(self):
    sigmas = [member.sigma for member in MEMBERS]
    self.assertLen(set(sigmas), 2)
    found = consolidation.weigh_members(MEMBERS, -np.array(sigmas), 1.0)
    self.assertEqual(found, BASE)

  def test_members_of_several_terms_have_no_noise_of_their_own(self):
    with self.assertRaisesRegex(UserError, "must be of one term each"):
      consolidation.weigh_members([Member((1, 2), (0.1, 0.1))], np.ones(1), 1.0)
