"""Tests of sampling: a NumPy oracle by sorting, and the draws' distribution."""

import functools
from unittest import mock

import hypothesis
import hypothesis.extra.numpy
import jax
import jax.numpy as jnp
import numpy as np
import unoptimised
from absl.testing import parameterized
from hypothesis import strategies as st

from thickets.errors import UserError
from thickets.generation import sampling
from thickets.generation.sampling import RowSampling, Sampling

NUM_TOKENS = 12
LOGITS = hypothesis.extra.numpy.arrays(
  np.float32,
  (2, NUM_TOKENS),
  # Few values, so that many tie; anything else now and then.
  elements=st.one_of(
    st.sampled_from([-np.inf, -3.0, -1.0, -0.0, 0.0, 0.5, 2.0]),
    st.floats(-(2.0**99), 2.0**99, width=32, allow_subnormal=False),
  ),
)


@functools.partial(
  jax.jit,
  static_argnames=("how", "num_tokens", "missing_tokens"),
  # They run for milliseconds and compile for seconds.
  compiler_options=unoptimised.OPTIONS,
)
def _choose(
  logits, keys, step, *, how, num_tokens=NUM_TOKENS, missing_tokens=()
):
  temperatures = jnp.full(logits.shape[:1], how.temperature)
  return sampling.choose_tokens(
    logits,
    RowSampling(keys, temperatures),
    step,
    how,
    num_tokens=num_tokens,
    missing_tokens=missing_tokens,
  )


def _keys(seed, count):
  return jax.random.key_data(jax.random.split(jax.random.key(seed), count))


def _first(logits):
  return jnp.zeros(len(logits), jnp.int32)


@jax.jit
def _keep_count(logits, count):
  return sampling._keep_top(logits, lambda kept: jnp.sum(kept, axis=1) >= count)


_reduce_at_once = jax.jit(sampling._reduce_at_once)


@functools.partial(jax.jit, static_argnames="how")
def _warp(logits, how):
  temperatures = jnp.full(logits.shape[:1], how.temperature)
  return sampling._warp(logits, temperatures, how)


def _softmax(logits):
  """[B, V] shares in float64."""
  logits = np.asarray(logits, np.float64)
  shares = np.exp(logits - logits.max(axis=1, keepdims=True))
  return shares / shares.sum(axis=1, keepdims=True)


class SamplingTest(parameterized.TestCase):
  @parameterized.parameters(
    ({"temperature": -0.1}, r"temperature must be 0 \(greedy\) .* got -0.1"),
    ({"temperature": float("nan")}, "got nan"),
    ({"temperature": float("inf")}, "got inf"),
    # Read as zero, or as infinite, in float32.
    ({"temperature": 1e-38}, "within float32's 1.2e-38 to .* got 1e-38"),
    ({"temperature": 1e-46}, "got 1e-46"),
    ({"temperature": 1e39}, r"to 3.4e\+38, got 1e\+39"),
    ({"top_k": -1}, "top_k must be a count of tokens, or 0 for all, got -1"),
    ({"top_p": 0.0}, r"top_p must be within \(0, 1\], got 0.0"),
    ({"top_p": 1.5}, "got 1.5"),
    ({"top_p": float("nan")}, "got nan"),
  )
  def test_values_out_of_range_are_refused(self, values, message):
    with self.assertRaisesRegex(UserError, message):
      Sampling(**values)

  def test_temperature_0_is_greedy(self):
    self.assertTrue(Sampling(top_k=3).is_greedy)
    self.assertFalse(Sampling(temperature=0.1).is_greedy)

  @parameterized.product(
    place=(0, 5),
    reduce=(sampling._reduce_at_once, lambda x: (_first(x), x[:, 5])),
  )
  def test_a_row_with_nan_has_the_last_token_on_every_platform(
    self, place, reduce
  ):
    """Whatever a platform's reduction finds to be the best there."""
    logits = np.zeros((1, NUM_TOKENS), np.float32)
    logits[0, place] = logits[0, 5] = np.nan
    with mock.patch.object(
      sampling.lax, "platform_dependent", lambda x, **_: reduce(x)
    ):
      tokens, _ = sampling.choose_tokens(
        jnp.asarray(logits),
        RowSampling(_keys(0, 1), jnp.zeros(1)),
        jnp.int32(0),
        Sampling(),
        num_tokens=NUM_TOKENS,
      )
    self.assertEqual(tokens.tolist(), [NUM_TOKENS - 1])


class KeepTest(parameterized.TestCase):
  @hypothesis.given(LOGITS)
  def test_one_reduction_finds_the_first_best_and_the_sum(self, logits):
    best, log_sum = _reduce_at_once(logits)
    np.testing.assert_array_equal(best, np.argmax(logits, axis=1))
    wide = logits.astype(np.float64)
    largest = np.max(wide, axis=1, keepdims=True)
    shifted = wide - np.where(np.isneginf(largest), 0, largest)
    with np.errstate(divide="ignore"):  # The logarithm of no share at all.
      expected = np.log(np.sum(np.exp(shifted), axis=1))
    expected += np.where(np.isneginf(largest), 0, largest)[:, 0]
    np.testing.assert_allclose(log_sum, expected, rtol=1e-6, atol=1e-5)

  @hypothesis.given(LOGITS, st.integers(1, NUM_TOKENS))
  @hypothesis.example(np.float32([[1.0, 1 - 2**-24] + [0] * 10] * 2), 1)
  @hypothesis.example(np.float32([[0.0, -0.0] + [-1] * 10] * 2), 1)
  def test_top_k_is_what_sorting_finds_with_all_ties(self, logits, count):
    kth = np.sort(logits, axis=1)[:, -count, None]
    expected = np.where(logits >= kth, logits, -np.inf)
    np.testing.assert_array_equal(_keep_count(logits, count), expected)

  @hypothesis.given(LOGITS, st.sampled_from([0.05, 0.3, 0.5, 0.9, 0.999]))
  def test_top_p_is_the_smallest_set_that_reaches_p(self, logits, top_p):
    logits[:, 0] = 1.0  # Something is finite.
    warped = np.asarray(_warp(logits, Sampling(temperature=1.0, top_p=top_p)))
    shares = _softmax(logits)
    for row, kept in enumerate(warped > -np.inf):
      np.testing.assert_array_equal(warped[row][kept], logits[row][kept])
      least = logits[row][kept].min()
      possible = logits[row] > -np.inf
      np.testing.assert_array_equal(kept, possible & (logits[row] >= least))
      # Float32 sums of twelve shares are exact to 1e-6.
      self.assertGreater(shares[row][kept].sum(), top_p - 1e-6)
      above = logits[row] > least
      self.assertLess(shares[row][above].sum(), top_p + 1e-6)

  def test_top_p_counts_what_top_k_left(self):
    # Of three tokens left, 0.5, 0.3 and 0.2 of them by shares.
    logits = np.log(np.float32([[0.05, 0.25, 0.15, 0.1, 0.45]]))
    logits[0, 4] = np.log(0.05)
    how = Sampling(temperature=1.0, top_k=3, top_p=0.75)
    kept = np.asarray(_warp(logits, how)) > -np.inf
    self.assertEqual(kept.tolist(), [[False, True, True, False, False]])


class ChooseTest(parameterized.TestCase):
  def test_greedy_is_the_first_of_the_best(self):
    rng = np.random.default_rng(0)
    logits = rng.integers(0, 5, (200, NUM_TOKENS)).astype(np.float32)
    tokens, log_probs = _choose(logits, None, 0, how=sampling.GREEDY)
    np.testing.assert_array_equal(tokens, logits.argmax(axis=1))
    np.testing.assert_allclose(
      log_probs, np.log(_softmax(logits).max(axis=1)), atol=1e-6
    )

  def test_top_1_is_greedy(self):
    logits = np.random.default_rng(0).normal(size=(200, NUM_TOKENS))
    logits = logits.astype(np.float32)
    how = Sampling(temperature=2.0, top_k=1)
    tokens, _ = _choose(logits, _keys(0, 200), 0, how=how)
    np.testing.assert_array_equal(tokens, logits.argmax(axis=1))

  @parameterized.parameters(
    (Sampling(temperature=0.5), 6),
    (Sampling(temperature=2.0, top_k=4), 4),
    (Sampling(temperature=1.0, top_p=0.8), 3),
  )
  def test_draws_have_the_warped_shares(self, how, num_kept):
    num_draws = 20_000
    logits = np.float32([1.5, 1.0, 0.5, -0.5, -1.0, -1.5])
    logits_BV = np.broadcast_to(logits, (num_draws, 6))
    tokens, log_probs = _choose(
      logits_BV, _keys(7, num_draws), 3, how=how, num_tokens=6
    )
    counts = np.bincount(tokens, minlength=6)
    kept = np.argsort(-logits)[:num_kept]
    self.assertEqual(counts[kept].sum(), num_draws)
    shares = _softmax(logits[None, kept] / how.temperature)[0]
    expected = num_draws * shares
    statistic = np.sum((counts[kept] - expected) ** 2 / expected)
    # Five degrees of freedom at most exceed 20.5 once in a thousand times.
    self.assertLess(statistic, 20.5)
    # Whatever was removed, and whatever the temperature.
    plain = np.log(_softmax(logits[None])[0])
    np.testing.assert_allclose(log_probs, plain[tokens], atol=1e-6)

  @parameterized.parameters(
    # Logits over the temperature overflow; where they are small, they do not.
    (Sampling(1.2e-38), [30, 40, 40, 39.99999, -1000, 5], [0, 1, 1, 0, 0, 0]),
    (Sampling(1e-37, 4, 0.9), [-9, -9, -40, -41, -9, -50], [1, 1, 0, 0, 1, 0]),
    (
      Sampling(1e-30),
      [0, 1e-30, 0, 1e-30, -1e30, -1],
      [1, np.e, 1, np.e, 0, 0],
    ),
    (Sampling(3.4e38), [-30, 40, 0, 1, 2, 3], [1, 1, 1, 1, 1, 1]),
    # A share that float32 reads as zero.
    (Sampling(1.0, 0, 1e-45), [1, 2, 2, 1, 0, -1], [0, 1, 1, 0, 0, 0]),
    (Sampling(1.0, 0, 1e-300), [1, 3, 2, 1, 0, -1], [0, 1, 0, 0, 0, 0]),
    # More tokens than there are, and than an integer counts.
    (Sampling(1.0, 7), np.log([1, 2, 3, 1, 1, 2]), [1, 2, 3, 1, 1, 2]),
    (Sampling(1.0, 2**40), np.log([1, 2, 3, 1, 1, 2]), [1, 2, 3, 1, 1, 2]),
  )
  def test_extreme_values_have_the_shares_of_exact_arithmetic(
    self, how, logits, weights
  ):
    num_draws = 3000
    logits_BV = np.broadcast_to(np.float32(logits), (num_draws, 6))
    tokens, _ = _choose(
      logits_BV, _keys(5, num_draws), 1, how=how, num_tokens=6
    )
    counts = np.bincount(tokens, minlength=6)
    expected = num_draws * np.array(weights) / np.sum(weights)
    np.testing.assert_array_equal(counts[expected == 0], 0)
    kept = expected > 0
    statistic = np.sum((counts - expected)[kept] ** 2 / expected[kept])
    # Five degrees of freedom at most exceed 20.5 once in a thousand times.
    self.assertLess(statistic, 20.5)

  def test_a_draw_depends_on_logits_key_and_step_alone(self):
    how = Sampling(temperature=1.0, top_k=10, top_p=0.95)
    logits = np.random.default_rng(0).normal(size=(64, NUM_TOKENS))
    logits, keys = logits.astype(np.float32), np.asarray(_keys(0, 64))
    tokens = np.asarray(_choose(logits, keys, 2, how=how)[0])
    order = np.random.default_rng(1).permutation(64)
    others = _choose(logits[order], keys[order], 2, how=how)[0]
    np.testing.assert_array_equal(others, tokens[order])
    few = _choose(logits[5:8], keys[5:8], 2, how=how)[0]
    np.testing.assert_array_equal(few, tokens[5:8])
    for changed in (
      _choose(logits, np.asarray(_keys(1, 64)), 2, how=how)[0],
      _choose(logits, keys, 3, how=how)[0],
    ):
      self.assertBetween(np.mean(changed != tokens), 0.3, 1)

  @parameterized.parameters(sampling.GREEDY, Sampling(5.0, 8, 0.99))
  def test_gaps_are_never_chosen(self, how):
    logits = np.random.default_rng(0).normal(size=(500, NUM_TOKENS))
    logits = logits.astype(np.float32) + np.arange(NUM_TOKENS, dtype=np.float32)
    tokens, log_probs = _choose(
      logits, _keys(0, 500), 0, how=how, num_tokens=9, missing_tokens=(0, 6, 7)
    )
    kept = np.array([1, 2, 3, 4, 5, 8])
    self.assertContainsSubset(np.asarray(tokens).tolist(), kept)
    existing = np.log(_softmax(logits[:, kept]))
    np.testing.assert_allclose(
      log_probs,
      existing[np.arange(500), np.searchsorted(kept, tokens)],
      atol=1e-5,
    )

  @parameterized.parameters(sampling.GREEDY, Sampling(5.0, 8, 0.99))
  def test_tokens_that_do_not_exist_are_never_chosen(self, how):
    logits = np.random.default_rng(0).normal(size=(500, NUM_TOKENS))
    logits = logits.astype(np.float32) + np.arange(NUM_TOKENS, dtype=np.float32)
    tokens, log_probs = _choose(logits, _keys(0, 500), 0, how=how, num_tokens=4)
    self.assertEqual(set(np.asarray(tokens).tolist()) - {0, 1, 2, 3}, set())
    existing = np.log(_softmax(logits[:, :4]))
    np.testing.assert_allclose(
      log_probs, existing[np.arange(500), tokens], atol=1e-5
    )

  @parameterized.parameters(sampling.GREEDY, Sampling(1.0, 3, 0.9))
  def test_a_failed_model_still_gives_tokens_and_says_so(self, how):
    logits = np.full((3, NUM_TOKENS), np.nan, np.float32)
    tokens, log_probs = _choose(logits, _keys(0, 3), 0, how=how)
    self.assertTrue(np.all((tokens >= 0) & (tokens < NUM_TOKENS)))
    self.assertTrue(np.isnan(log_probs).all())
