"""Tests of the 1-D signals: their formulas, their ranges, their roll-outs."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats
from absl.testing import parameterized

from thickets.errors import UserError
from thickets.tasks import signals

LENGTH = 70
PI = math.pi
X = -2.5 + 0.1 * np.arange(LENGTH)

SINGLE = {
  "one_line": -0.25 * X,
  "one_sinusoid": 0.5 * np.sin(4 * X),
  "one_sinusoid2": 0.5 * np.sin(4 * X),
  "one_sinusoid_with_texture": 0.5 * np.sin(4 * X) + 0.2 * np.sin(5 * X),
  "one_squarewave": 0.3 * np.tanh(5 * np.sin(4 * X)),
}


def _square(t, hardness):
  return np.tanh(hardness * np.sin(t))


def _saw(t):
  return 0.55 * (np.sin(t) - 0.45 * np.sin(2 * t) + 0.25 * np.sin(3 * t))


def _composite(u, first, second, share):
  """Two waves with phases a sixth to a third of pi apart."""
  t = 4 * X + u(0, 2 * PI)
  wave = share * first(t) + (1 - share) * second(t + u(PI / 6, PI / 3))
  return u(0.7, 1.0) * wave + u(-0.3, 0.3)


def _triple(u):
  shares = [share + u(-0.08, 0.08) for share in (0.45, 0.30, 0.25)]
  t1 = 4 * X + u(0, 2 * PI)
  t2 = t1 + u(PI / 6, PI / 4)
  t3 = t2 + u(PI / 6, PI / 4)
  waves = np.sin(t1), _square(t2, u(3, 4.5)), _saw(t3)
  wave = sum(share * part for share, part in zip(shares, waves, strict=True))
  return u(0.6, 0.9) * wave / sum(shares) + u(-0.2, 0.2)


def _sine(u, low=0.8, high=1.2):
  return u(low, high) * np.sin(4 * X + u(0, 2 * PI)) + u(-0.5, 0.5)


def _sawtooth(u):
  t = 4 * X + u(0, 2 * PI)
  heights = (1, -0.5, 0.33, -0.25)
  wave = sum(h * np.sin(k * t) for k, h in enumerate(heights, start=1))
  return 0.5 * u(0.8, 1.2) * wave + u(-0.5, 0.5)


# The table of the authors' code, drawn by NumPy: u is rng.uniform, a column.
FORMULAS = {
  "sigmoid": lambda u: (
    u(0.5, 1.5) * np.tanh(0.1 * X + u(-PI, PI)) + u(-0.5, 0.5)
  ),
  "line": lambda u: u(-0.5, 0.5) * X + u(-1, 1),
  "harmonic": lambda u: (
    u(0.8, 1.2) * (0.5 * np.sin(4 * X + u(0, 2 * PI)) + 0.3 * np.sin(8 * X))
    + u(-0.5, 0.5)
  ),
  "sinusoid": _sine,
  "sinusoid2": lambda u: _sine(u, 1.2, 1.6),
  "sinusoid_with_texture": lambda u: (
    _sine(u) + u(0.1, 0.3) * np.sin(u(2, 8) * X + u(0, 2 * PI)) + u(-0.1, 0.1)
  ),
  "squarewave": lambda u: (
    u(0.2, 0.4) * _square(4 * X + u(0, 2 * PI), u(4, 6)) + u(-0.5, 0.5)
  ),
  "sawtooth": _sawtooth,
  "composite_sin_square": lambda u: _composite(
    u, np.sin, lambda t: _square(t, u(3, 4.5)), u(0.2, 0.3)
  ),
  "composite_sin_sawtooth": lambda u: _composite(u, np.sin, _saw, u(0.5, 0.6)),
  "composite_square_sawtooth": lambda u: _composite(
    u, lambda t: _square(t, u(3, 4.5)), _saw, u(0.45, 0.55)
  ),
  "composite_triple": _triple,
}

# What tells two distributions of signals apart.
STATISTICS = {
  "first": lambda y: y[:, 0],
  "last": lambda y: y[:, -1],
  "mean": lambda y: y.mean(axis=1),
  "largest": lambda y: y.max(axis=1),
  "spread": lambda y: y.std(axis=1),
  "roughness": lambda y: np.diff(y, n=2, axis=1).std(axis=1),
  **{
    f"harmonic {k}": functools.partial(
      lambda y, k: _amplitudes(y, 4.0 * k), k=k
    )
    for k in (1, 2, 3)
  },
}

# Largest absolute value: largest height times largest wave, and the offset.
BOUNDS = {
  "sigmoid": 1.5 + 0.5,
  "line": 0.5 * 4.4 + 1.0,
  "harmonic": 1.2 * 0.8 + 0.5,
  "sinusoid": 1.2 + 0.5,
  "sinusoid2": 1.6 + 0.5,
  "sinusoid_with_texture": 1.2 + 0.5 + 0.3 + 0.1,
  "squarewave": 0.4 + 0.5,
  "sawtooth": 0.6 * (1 + 0.5 + 0.33 + 0.25) + 0.5,
  "composite_sin_square": 1.0 + 0.3,
  "composite_sin_sawtooth": 1.0 + 0.3,
  "composite_square_sawtooth": 1.0 + 0.3,
  "composite_triple": 0.9 + 0.2,
}


def _key():
  """The one key of these tests, new each time for JAX's check of reuse."""
  return jax.random.key(0)


@functools.cache
def _sample_all(family):
  signals_QT = signals.sample_signals(_key(), family, 2000, LENGTH)
  return np.asarray(signals_QT, np.float64)


def _sample(family, num_signals=400, length=LENGTH):
  """The first signals of a family, compiled once; see `SamplingTest` for why."""
  return _sample_all(family)[:num_signals, :length]


def _amplitudes(signals_QT, frequency):
  """[Q] amplitude of one frequency, by least squares beside an offset."""
  phase = frequency * X[: signals_QT.shape[1]]
  design = np.stack([np.sin(phase), np.cos(phase), np.ones_like(phase)], axis=1)
  sine, cosine, _ = np.linalg.lstsq(design, signals_QT.T, rcond=None)[0]
  return np.hypot(sine, cosine)


def _is_line(signals_QT):
  return np.ptp(np.diff(signals_QT, axis=1), axis=1) < 1e-5


class FamiliesTest(parameterized.TestCase):
  @parameterized.parameters(*SINGLE)
  def test_single_signals_are_their_formula(self, family):
    got = _sample(family, 3)
    np.testing.assert_allclose(got, np.tile(SINGLE[family], (3, 1)), atol=2e-5)
    self.assertTrue(signals.is_single(family))

  @parameterized.parameters(*BOUNDS)
  def test_values_stay_within_bounds_and_come_near_them(self, family):
    largest = np.abs(_sample(family, 2000)).max()
    self.assertLessEqual(largest, BOUNDS[family] + 1e-5)
    self.assertGreater(largest, 0.75 * BOUNDS[family])
    self.assertFalse(signals.is_single(family))

  def test_every_family_is_tested(self):
    mixtures = {
      name for name in signals.SIGNAL_FAMILIES if name.startswith("mixed")
    }
    self.assertEqual(
      set(signals.SIGNAL_FAMILIES),
      {*SINGLE, *FORMULAS, *mixtures, "sinusoid_and_squarewave"},
    )

  def test_lines_have_constant_differences(self):
    self.assertTrue(_is_line(_sample("line")).all())

  @parameterized.parameters("sinusoid", "sinusoid2")
  def test_sinusoids_satisfy_their_recurrence(self, family):
    # y[t+1] + y[t-1] = 2 cos(0.4) y[t] for a sine; an offset adds a constant.
    y = _sample(family)
    rest = y[:, 2:] - 2 * np.cos(0.4) * y[:, 1:-1] + y[:, :-2]
    self.assertLess(np.ptp(rest, axis=1).max(), 3e-5)

  @parameterized.parameters(
    ("line", lambda y: np.diff(y)[:, 0] / 0.1, -0.5, 0.5),
    ("line", lambda y: y[:, 25], -1.0, 1.0),  # At x = 0.
    ("sinusoid", lambda y: _amplitudes(y, 4.0), 0.8, 1.2),
    ("sinusoid2", lambda y: _amplitudes(y, 4.0), 1.2, 1.6),
    # Over four whole periods, of which the offset is the mean.
    ("sinusoid", lambda y: y[:, :63].mean(axis=1), -0.5, 0.5),
    ("squarewave", lambda y: np.ptp(y, axis=1) / 2, 0.2, 0.4),
    ("sawtooth", lambda y: y[:, :63].mean(axis=1), -0.5, 0.5),
    ("squarewave", lambda y: y[:, :63].mean(axis=1), -0.5, 0.5),
  )
  def test_parameters_are_uniform_over_their_range(
    self, family, measure, low, high
  ):
    values = measure(_sample(family, 1000))
    slack = 0.02 * (high - low)
    self.assertBetween(values.min(), low - slack, low + slack)
    self.assertBetween(values.max(), high - slack, high + slack)
    uniform = scipy.stats.uniform(low, high - low)
    self.assertGreater(scipy.stats.kstest(values, uniform.cdf).pvalue, 1e-3)

  @parameterized.parameters("sinusoid", "squarewave", "sawtooth")
  def test_phases_are_uniform(self, family):
    y = _sample(family, 1000, 63)  # Four whole periods.
    phase = 4 * X[:63]
    angles = np.arctan2(y @ np.cos(phase), y @ np.sin(phase)) % (2 * PI)
    uniform = scipy.stats.uniform(0, 2 * PI)
    self.assertGreater(scipy.stats.kstest(angles, uniform.cdf).pvalue, 1e-3)

  @parameterized.parameters(*FORMULAS)
  def test_signals_are_distributed_as_the_authors(self, family):
    rng = np.random.default_rng(0)
    expected = FORMULAS[family](lambda *range_: rng.uniform(*range_, (2000, 1)))
    got = _sample(family, 2000)
    for name, measure in STATISTICS.items():
      # Rounded, so that zeros are equal.
      here, there = np.round(measure(got), 3), np.round(measure(expected), 3)
      pvalue = scipy.stats.ks_2samp(here, there).pvalue
      self.assertGreater(pvalue, 1e-3, msg=f"{family}: {name}")
      np.testing.assert_allclose(  # The test above hardly sees the ends.
        np.ptp(here), np.ptp(there), rtol=0.06, atol=0.01, err_msg=name
      )

  @parameterized.parameters(
    ("mixed", 6, 1),
    ("mixed_no_sinusoid", 4, 0),
    ("sinusoid_and_squarewave", 2, 0),
  )
  def test_mixtures_give_families_equal_chances(self, family, parts, lines):
    y = _sample(family, 1200)
    num_lines = int(_is_line(y).sum())
    # Square waves are low, and sines keep their recurrence: both can be told.
    rest = y[:, 2:] - 2 * np.cos(0.4) * y[:, 1:-1] + y[:, :-2]
    num_sines = int((np.ptp(rest, axis=1) < 3e-5).sum())
    is_wave = np.abs(_amplitudes(y, 4.0)) > 0.1  # All but lines and sigmoids.
    num_squares = int((is_wave & (np.ptp(y, axis=1) < 0.82)).sum())
    sines = 0 if family == "mixed_no_sinusoid" else 1
    expected = {num_lines: lines, num_sines: sines, num_squares: 1}
    for count, present in expected.items():
      if not present:
        self.assertEqual(count, 0)
      else:
        test = scipy.stats.binomtest(count, len(y), 1 / parts)
        self.assertGreater(test.pvalue, 1e-3, msg=f"{expected}")

  def test_an_unknown_family_names_the_nearest(self):
    with self.assertRaisesRegex(UserError, r"got 'sinsoid'. Nearest: sinusoid"):
      signals.check_family("sinsoid")
    with self.assertRaisesRegex(UserError, "task.family must be a signal"):
      signals.check_family("", "task.family")


class SamplingTest(parameterized.TestCase):
  @parameterized.parameters("sinusoid", "sinusoid_and_squarewave")
  def test_a_signal_depends_on_key_and_index_alone(self, family):
    many = _sample(family, 2000)
    few = signals.sample_signals(_key(), family, 5, LENGTH)
    np.testing.assert_array_equal(many[:5], few)
    short = signals.sample_signals(_key(), family, 5, 11)
    np.testing.assert_array_equal(short, few[:, :11])
    self.assertLen(np.unique(many, axis=0), 2000)

  def test_splits_share_no_signal_and_ignore_each_others_size(self):
    def sample(sizes):
      return signals.sample_splits(
        _key(), "sinusoid", sizes, context=10, horizon=4
      )

    splits = sample({"select": 50, "dev": 40, "judge": 30})
    rows = np.concatenate([b["context"] for b in splits.values()])
    self.assertLen(np.unique(rows, axis=0), 120)
    for batch, size in zip(splits.values(), (50, 40, 30), strict=True):
      self.assertEqual(batch["context"].shape, (size, 10))
      self.assertEqual(batch["target"].shape, (size, 4))
    alone = sample({"judge": 30})["judge"]
    jax.tree.map(np.testing.assert_array_equal, alone, splits["judge"])

  def test_the_target_follows_the_context(self):
    batch = signals.sample_splits(
      _key(), "one_line", {"dev": 1}, context=10, horizon=60
    )["dev"]
    both = np.concatenate([batch["context"], batch["target"]], axis=1)
    np.testing.assert_allclose(both[0], -0.25 * X, atol=1e-6)


def _continue_line(params, windows_QC):
  """x[t] = 2 x[t-1] - x[t-2], which continues any line."""
  return params * windows_QC[:, -1] - windows_QC[:, -2]


TWO = jnp.float32(2.0)


class RollOutTest(parameterized.TestCase):
  def test_a_recurrence_continues_its_signal(self):
    lines_QT = signals.sample_signals(_key(), "line", 20, LENGTH)
    got = signals.roll_out(_continue_line, TWO, lines_QT[:, :10], 60)
    np.testing.assert_allclose(got, lines_QT[:, 10:], atol=1e-3)

  def test_is_a_loop_that_feeds_predictions_back(self):
    rng = np.random.default_rng(0)
    weights = rng.normal(size=4).astype(np.float32)
    context_QC = rng.normal(size=(3, 4)).astype(np.float32)
    rows = context_QC.tolist()
    for row in rows:
      for _ in range(6):
        row.append(math.tanh(np.dot(weights, row[-4:])))
    got = signals.roll_out(
      lambda w, windows: jnp.tanh(windows @ w),
      weights,
      jnp.asarray(context_QC),
      6,
    )
    np.testing.assert_allclose(got, np.array(rows)[:, 4:], rtol=1e-5, atol=1e-6)

  @parameterized.parameters(
    # Measured on the authors' data: predicting zero, holding the last value.
    ("one_line", 0.3189, 0.7689),
    ("one_squarewave", 0.0790, 0.1074),
    ("one_sinusoid", 0.1278, 0.1324),
  )
  def test_scores_of_trivial_models(self, family, zero, hold):
    batch = signals.sample_splits(
      _key(), family, {"judge": 2}, context=10, horizon=60
    )["judge"]
    for apply_fn, expected in (
      (lambda params, windows: params * windows[:, -1], zero),
      (lambda params, windows: windows[:, -1] + params, hold),
    ):
      outputs = signals.score_roll_out(apply_fn, jnp.float32(0.0), batch)
      np.testing.assert_allclose(outputs["score"], -expected, atol=5e-5)

  def test_the_score_is_the_negative_error_of_the_prediction(self):
    batch = signals.sample_splits(
      _key(), "sinusoid", {"select": 9}, context=10, horizon=15
    )["select"]
    outputs = signals.score_roll_out(_continue_line, TWO, batch)
    self.assertEqual(outputs["prediction"].shape, (9, 15))
    error = np.asarray(outputs["prediction"], np.float64) - batch["target"]
    np.testing.assert_allclose(
      outputs["score"], -(error**2).mean(axis=1), rtol=1e-5
    )

  def test_the_loss_is_the_error_of_the_next_value(self):
    batch = {
      "context": jnp.array([[0.0, 1.0, 2.0], [1.0, 1.0, 1.0]]),
      "target": jnp.array([[5.0, 99.0], [1.0, 99.0]]),
    }
    # Predicts 3 and 1; only the first values of the target count.
    loss = signals.next_value_loss(_continue_line, TWO, batch)
    self.assertEqual(float(loss), ((3 - 5) ** 2 + 0) / 2)
