"""Tests of the objectives of policy gradients, against loops and worked cases."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from thickets.training import policy_losses

RNG = np.random.default_rng(0)
LENGTHS = (5, 1, 3)
MASK = jnp.asarray(np.arange(5)[None] < np.array(LENGTHS)[:, None], jnp.float32)


def _draw(*shape):
  return jnp.asarray(RNG.normal(size=shape), jnp.float32)


def _loop_advantages(rewards, values, length, discount, trace):
  """GAE as it is written, for one response."""
  found, carry = [0.0] * len(rewards), 0.0
  for t in reversed(range(length)):
    after = values[t + 1] if t + 1 < length else 0.0
    delta = rewards[t] + discount * after - values[t]
    carry = delta + discount * trace * carry
    found[t] = carry
  return found


class GroupsTest(parameterized.TestCase):
  def test_a_worked_case(self):
    scores = np.array([[1.0, 0.0, 0.0, 1.0], [3.0, 1.0, 1.0, 1.0]])
    found = policy_losses.normalise_groups(scores)
    spread = math.sqrt(1 / 3) + 1e-6  # With G - 1 = 3 in place of 4.
    np.testing.assert_allclose(
      found[0], np.array([0.5, -0.5, -0.5, 0.5]) / spread, rtol=1e-6
    )
    np.testing.assert_allclose(found[1], [1.5, -0.5, -0.5, -0.5], rtol=1e-5)
    plain = policy_losses.normalise_groups(scores, is_scaled=False)
    np.testing.assert_allclose(plain[1], [1.5, -0.5, -0.5, -0.5], rtol=1e-6)

  def test_where_all_score_alike_there_is_nothing_to_learn(self):
    scores = np.array([[0.1] * 3, [0.1, 0.2, 0.1]])  # Whose mean is rounded.
    found = policy_losses.normalise_groups(scores)
    np.testing.assert_array_equal(found[0], np.zeros(3))
    self.assertTrue(found[1].all())
    np.testing.assert_array_equal(
      policy_losses.find_alike(scores), [True, False]
    )


class AdvantagesTest(parameterized.TestCase):
  @parameterized.parameters((1.0, 1.0), (0.9, 0.8), (0.5, 0.0), (1.0, 0.0))
  def test_equal_a_loop(self, discount, trace):
    rewards, values = _draw(3, 5), _draw(3, 5)
    found = policy_losses.estimate_advantages(
      rewards, values, MASK, discount=discount, trace=trace
    )
    expected = [
      _loop_advantages(r, v, n, discount, trace)
      for r, v, n in zip(rewards, values, LENGTHS, strict=True)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)

  def test_without_discount_it_is_what_is_still_earned_less_the_value(self):
    earned = jnp.array([1.0, 0.0, 0.5])
    last = jnp.array(LENGTHS) - 1
    rewards = jnp.zeros((3, 5)).at[jnp.arange(3), last].set(earned)
    values = _draw(3, 5)
    found = policy_losses.estimate_advantages(
      rewards, values, MASK, discount=1.0, trace=1.0
    )
    np.testing.assert_allclose(
      found, (earned[:, None] - values) * MASK, atol=1e-6
    )

  def test_whitened_values_have_mean_zero_and_variance_one(self):
    found = np.asarray(policy_losses.whiten(_draw(3, 5), MASK))
    kept = found[np.asarray(MASK) > 0]
    self.assertAlmostEqual(float(kept.mean()), 0, places=6)
    self.assertAlmostEqual(float(kept.var(ddof=1)), 1, places=5)
    self.assertFalse(found[np.asarray(MASK) == 0].any())

  def test_one_token_alone_is_whitened_to_zero(self):
    one = jnp.ones((1, 1))
    np.testing.assert_array_equal(policy_losses.whiten(one, one), [[0.0]])


class LossesTest(parameterized.TestCase):
  @parameterized.parameters(
    # (ratio, advantage) and the loss, with bounds 0.9 and 1.4.
    (1.2, 1.0, -1.2),
    (1.5, 1.0, -1.4),  # More would gain, and does not count.
    (1.5, -1.0, 1.5),  # What costs counts, however much.
    (0.5, 1.0, -0.5),
    (0.5, -1.0, 0.9),
  )
  def test_the_ratio_counts_within_its_bounds(self, ratio, advantage, loss):
    def losses(log_probs):
      return policy_losses.policy_losses(
        log_probs,
        jnp.zeros((1, 1)),
        jnp.full((1, 1), advantage),
        clip_low=0.1,
        clip_high=0.4,
      )[0, 0]

    log_probs = jnp.full((1, 1), math.log(ratio))
    found, slope = jax.value_and_grad(losses)(log_probs)
    self.assertAlmostEqual(float(found), loss, places=5)
    is_clipped = abs(loss) != ratio
    self.assertEqual(float(slope[0, 0]) == 0, is_clipped)

  def test_the_divergence_is_that_of_two_distributions(self):
    policy, reference = np.array([0.7, 0.2, 0.1]), np.array([0.3, 0.3, 0.4])
    each = policy_losses.divergences(
      jnp.log(policy)[None], jnp.log(reference)[None]
    )
    self.assertGreater(float(each.min()), 0)
    self.assertAlmostEqual(
      float((policy * each[0]).sum()),
      float((policy * np.log(policy / reference)).sum()),
      places=5,
    )

  @parameterized.parameters(
    # (value, old, return) and the loss, with a clip of 0.5.
    (1.0, 1.2, 2.0, 0.5),
    (3.0, 1.0, 2.0, 0.5),  # The error itself is the larger, or as large.
    (2.0, 1.0, 2.0, 0.125),  # The clipped value 1.5 is further off.
  )
  def test_values_count_near_the_old_ones(self, value, old, target, loss):
    found = policy_losses.value_losses(
      *(jnp.full((1, 1), x) for x in (value, old, target)), clip=0.5
    )
    self.assertAlmostEqual(float(found[0, 0]), loss, places=6)
