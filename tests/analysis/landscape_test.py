"""Tests of landscapes: grids of members, gains, and what is written of them."""

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from thickets.analysis.landscape import make_landscape, slice_members
from thickets.errors import UserError
from thickets.members import BASE, Member
from thickets.perturbation import perturb

NAN = float("nan")
MEMBERS = [Member(3, -0.01), Member((3, 4), (0.03, 0.04)), BASE, Member(5, 0.1)]
PLACES = np.array([[1.0, 2.0], [0.03, 0.04], [0, 0], [-1, 5]])
BASE_SCORES = np.array([1.0, 0.0, 1.0, 0.0, 0.0])
SCORES = np.array(
  [
    [1.0, 1.0, 1.0, 0.0, 0.0],
    [0.0, 0.0, 1.0, 0.0, 0.0],
    [1.0, 0.0, 1.0, 0.0, 0.0],
    [1.0, NAN, 1.0, 1.0, 1.0],
  ]
)


def make(**change):
  arguments = {
    "task": "toy",
    "members": MEMBERS,
    "coordinates": PLACES,
    "scores": SCORES,
    "base_scores": BASE_SCORES,
  }
  return make_landscape(**(arguments | change))


class SliceMembersTest(parameterized.TestCase):
  def test_a_grid_by_hand(self):
    members, coordinates = slice_members(7, 8, (0.2, 0.1), 3)
    self.assertEqual(
      coordinates.tolist(),
      [[x, y] for y in (-0.1, 0, 0.1) for x in (-0.2, 0, 0.2)],
    )
    self.assertEqual(members[0].terms, ((7, -0.2), (8, -0.1)))
    self.assertEqual(members[5].terms, ((7, 0.2), (8, 0.0)))

  @parameterized.parameters(5, 15, 41)
  def test_the_middle_is_the_base_and_the_grid_symmetrical(self, resolution):
    members, coordinates = slice_members(7, 8, 0.003, resolution)
    self.assertLen(members, resolution**2)
    middle = resolution**2 // 2
    self.assertEqual(members[middle].terms, ((7, 0.0), (8, 0.0)))
    np.testing.assert_array_equal(coordinates[::-1], -coordinates)
    self.assertEqual(np.abs(coordinates).max(), 0.003)
    # Both terms everywhere: members of one chunk cost the same.
    self.assertEqual({len(member.terms) for member in members}, {2})

  def test_the_middle_has_the_bits_of_the_base(self):
    members, _ = slice_members(7, 8, 0.1, 3)
    base = {"w": jnp.asarray([-0.0, 1.0, 3e-39, -2.5])}
    moved = perturb(base, members[4])["w"]
    self.assertEqual(
      np.asarray(moved).tobytes(), np.asarray(base["w"]).tobytes()
    )

  def test_a_ring_lies_as_far_out_as_a_member_of_its_sigma(self):
    base = {"w": jnp.zeros(50_000)}
    angle = np.linspace(0, 2 * np.pi, 7)
    shift = jax.jit(perturb)
    for x, y in 0.02 * np.stack([np.cos(angle), np.sin(angle)], axis=1):
      moved = shift(base, Member((7, 8), (float(x), float(y))))["w"]
      distance = np.linalg.norm(np.asarray(moved, np.float64))
      # 12 bits of a coefficient, and the spread of a chi distribution.
      error = 2e-4 + 4 / math.sqrt(2 * 50_000)
      self.assertLess(abs(distance / (0.02 * math.sqrt(50_000)) - 1), error)

  @parameterized.parameters(
    ((7, 7, 0.1, 5), "got 7 twice"),
    ((7, 8, 0.1, 4), "odd number of at least 3, .* got 4"),
    ((7, 8, 0.1, 1), "got 1"),
    ((7, 8, 0, 5), "extent must be positive and finite, got 0"),
    ((7, 8, (0.1, math.inf), 5), r"got \(0.1, inf\)"),
  )
  def test_refuses(self, arguments, message):
    with self.assertRaisesRegex(UserError, message):
      slice_members(*arguments)


class LandscapeTest(parameterized.TestCase):
  def test_gains_by_hand(self):
    made = make()
    np.testing.assert_allclose(made.scores, [0.6, 0.2, 0.4, NAN])
    self.assertEqual(made.base_score, 0.4)
    np.testing.assert_allclose(made.shown, [50, -50, 0, NAN], atol=1e-12)
    # One prompt of five differs: the standard error of its mean is 1/5.
    np.testing.assert_allclose(made.errors, [0.2, 0.2, 0, NAN])
    np.testing.assert_allclose(made.shown_errors, [50, 50, 0, NAN])
    self.assertEqual(
      made.unit, "gain over the base, % of its score (base 40.0 %)"
    )
    np.testing.assert_array_equal(made.failed, [False, False, False, True])
    np.testing.assert_allclose(made.sigmas, [0.01, 0.05, 0, 0.1])

  @parameterized.parameters(0.0, -0.5)
  def test_without_a_ratio_gains_are_points(self, base):
    made = make(base_scores=np.full(5, base))
    np.testing.assert_allclose(
      made.shown[:2], [60 - 100 * base, 20 - 100 * base]
    )
    self.assertIn("points", made.unit)
    self.assertFalse(made.is_relative)

  def test_a_single_prompt_has_no_error(self):
    made = make(scores=SCORES[:, :1], base_scores=BASE_SCORES[:1])
    self.assertTrue(np.isnan(made.errors).all())
    self.assertIsNone(made.describe()["median_standard_error"])

  def test_describe(self):
    described = make().describe()
    self.assertEqual(described["num_members"], 4)
    self.assertEqual(described["num_failed"], 1)
    self.assertEqual(described["frac_above_base"], 0.25)  # Failures count.
    self.assertAlmostEqual(described["best_score"], 0.6)
    all_failed = make(scores=np.full((4, 5), NAN)).describe()
    self.assertIsNone(all_failed["best_score"])

  def test_json_has_every_point(self):
    made = json.loads(json.dumps(make(norms=np.arange(4.0)).to_json()))
    first, second, third, failed = made["points"]
    self.assertEqual(first["terms"], [[3, -0.01]])
    self.assertEqual((first["x"], first["y"], first["seed"]), (1, 2, 3))
    self.assertAlmostEqual(first["gain"], 0.2)
    self.assertAlmostEqual(first["shown"], 50)
    self.assertAlmostEqual(second["sigma"], 0.05)
    self.assertIsNone(second["seed"])
    self.assertEqual(second["terms"], [[3, 0.03], [4, 0.04]])
    self.assertEqual((third["terms"], third["sigma"]), ([], 0))
    self.assertEqual(
      [failed[k] for k in ("score", "gain", "error")], [None] * 3
    )
    self.assertEqual(failed["norm"], 3)
    self.assertEqual((made["task"], made["num_prompts"]), ("toy", 5))
    self.assertIsNone(make().to_json()["points"][0]["norm"])

  @parameterized.parameters(
    ({"members": MEMBERS[:3]}, "equally many, got 3, 4 and 4"),
    ({"coordinates": PLACES[:2]}, "equally many, got 4, 2 and 4"),
    ({"base_scores": BASE_SCORES[:4]}, "same prompts, got 5 and 4"),
    ({"base_scores": np.full(5, NAN)}, "finite, got 5 of 5"),
    (
      {"scores": SCORES[:, :0], "base_scores": BASE_SCORES[:0]},
      r"a member and a prompt, got shape \(4, 0\)",
    ),
  )
  def test_refuses(self, change, message):
    with self.assertRaisesRegex(UserError, message):
      make(**change)
