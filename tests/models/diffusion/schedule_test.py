"""Schedules and the integrator: published numbers, and laws."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized
from golden import diffusion_cases as cases

from thickets.errors import UserError
from thickets.models.diffusion import sampling, schedule
from thickets.models.diffusion.schedule import Prediction, Sampler


def _make(num_steps, sampler=None, **fields):
  config = schedule.parse_config({**cases.SCHEDULER, **fields}, sampler=sampler)
  return schedule.make_schedule(config, num_steps)


class PublishedNumbersTest(parameterized.TestCase):
  """The numbers are those of diffusers' EulerDiscreteScheduler."""

  def test_noise_levels_of_sdxl(self):
    levels = schedule.noise_levels(schedule.parse_config(cases.SCHEDULER))
    places = [1, 100, 500, 958, 999]
    expected = [0.0413144, 0.343931, 1.618279, 11.476846, 14.614641]
    np.testing.assert_allclose(levels[places], expected, rtol=3e-6)

  def test_thirty_leading_steps(self):
    made = _make(30)
    np.testing.assert_array_equal(made.timesteps, np.arange(958, 0, -33))
    np.testing.assert_allclose(
      made.sigmas[[0, 1, 2, -4, -3, -2, -1]],
      [11.476846, 9.543583, 8.00431, 0.267652, 0.182166, 0.041314, 0],
      rtol=2e-5,
    )
    self.assertAlmostEqual(float(made.sigmas.sum()), 81.139850, delta=1e-4)

  def test_leading_steps_end_at_their_offset(self):
    for offset in (0, 1):
      made = _make(4, steps_offset=offset)
      expected = np.array([750, 500, 250, 0]) + offset
      np.testing.assert_array_equal(made.timesteps, expected)

  @parameterized.parameters((30, 11.520334), (20, 11.073581), (4, 4.236414))
  def test_first_noise_of_leading_steps(self, num_steps, expected):
    made = _make(num_steps)
    np.testing.assert_allclose(made.init_scale, expected, rtol=1e-6)

  def test_four_trailing_steps(self):
    made = _make(4, timestep_spacing="trailing")
    np.testing.assert_array_equal(made.timesteps, [999, 749, 499, 249])
    np.testing.assert_allclose(
      made.sigmas, [14.61465, 4.08173, 1.61289, 0.69321, 0], atol=1e-5
    )
    self.assertEqual(made.init_scale, made.sigmas[0])

  def test_evenly_spaced_steps_are_fractions(self):
    made = _make(30, timestep_spacing="linspace")
    np.testing.assert_allclose(
      made.timesteps[:3], [999, 964.55, 930.10], atol=6e-3
    )
    self.assertEqual(made.init_scale, made.sigmas[0])

  @parameterized.parameters(
    ("DDIMScheduler", "leading", Sampler.DDIM),
    ("PNDMScheduler", "leading", Sampler.EULER),
    ("EulerDiscreteScheduler", "linspace", Sampler.EULER),
    ("EulerAncestralDiscreteScheduler", "linspace", Sampler.EULER),
  )
  def test_options_that_a_file_leaves_out_are_those_of_its_class(
    self, name, spacing, sampler
  ):
    config = schedule.parse_config({"_class_name": name, "clip_sample": False})
    self.assertEqual((config.spacing, config.sampler), (spacing, sampler))
    self.assertEqual(config.num_timesteps, 1000)
    self.assertEqual((config.first_beta, config.last_beta), (1e-4, 0.02))
    self.assertFalse(config.is_rate_squared)
    self.assertEqual(config.prediction, Prediction.NOISE)
    self.assertEqual(config.offset, 0)

  def test_evenly_spaced_steps_of_ddim_are_whole(self):
    made = _make(30, Sampler.DDIM, timestep_spacing="linspace")
    np.testing.assert_array_equal(made.timesteps[:4], [999, 965, 930, 896])

  def test_even_rates_keep_the_product_of_what_they_leave(self):
    fields = {"num_train_timesteps": 3, "beta_start": 0.1, "beta_end": 0.5}
    config = schedule.parse_config({**fields, "beta_schedule": "linear"})
    kept = np.array([0.9, 0.9 * 0.7, 0.9 * 0.7 * 0.5])
    np.testing.assert_allclose(
      schedule.noise_levels(config), np.sqrt((1 - kept) / kept)
    )


class ScheduleLawsTest(parameterized.TestCase):
  @parameterized.product(
    num_steps=[1, 2, 7, 30, 333],
    spacing=["leading", "trailing", "linspace"],
    sampler=list(Sampler),
  )
  def test_sigmas_fall_to_zero_one_more_than_steps(
    self, num_steps, spacing, sampler
  ):
    made = _make(num_steps, sampler, timestep_spacing=spacing)
    self.assertEqual(made.sigmas.shape, (num_steps + 1,))
    self.assertEqual(made.num_steps, num_steps)
    self.assertEqual(made.sigmas[-1], 0)
    self.assertTrue(np.all(np.diff(made.sigmas) < 0))
    for array in (made.timesteps, made.sigmas, made.init_scale):
      self.assertEqual(array.dtype, np.float32)

  def test_euler_is_ddim_in_other_coordinates(self):
    made = _make(30, Sampler.DDIM)
    noise = np.random.default_rng(0).standard_normal((3, 8))

    def denoise(x, t):
      return jnp.tanh(x + t / 1000)

    got = sampling.integrate(made, denoise, jnp.asarray(noise, jnp.float32))
    levels = schedule.noise_levels(schedule.parse_config(cases.SCHEDULER))
    shares = 1 / (levels**2 + 1)
    x = noise
    steps = made.timesteps.astype(int)
    for i, t in enumerate(steps):
      before = shares[t]
      after = shares[steps[i + 1]] if i + 1 < len(steps) else 1.0
      predicted = np.tanh(x + t / 1000)
      clean = (x - np.sqrt(1 - before) * predicted) / np.sqrt(before)
      x = np.sqrt(after) * clean + np.sqrt(1 - after) * predicted
    np.testing.assert_allclose(got, x, atol=2e-5)

  def test_a_point_is_found_from_any_noise(self):
    # Where all pictures are one point, its noise is known exactly.
    point = jnp.array([[0.5, -2.0]])
    made = _make(10)

    def denoise(x, t):
      sigma = jnp.interp(t, made.timesteps[::-1], made.sigmas[-2::-1])
      return (x * jnp.sqrt(sigma**2 + 1) - point) / sigma

    noise = jnp.array([[1.0, -1.0]])
    got = sampling.integrate(made, denoise, noise)
    np.testing.assert_allclose(got, point, atol=1e-4)

  def test_many_steps_find_the_solution_of_a_linear_denoiser(self):
    # Pictures N(0, s²) have a known denoiser, whose flow scales each of them.
    spread, made = 0.7, _make(500)

    def denoise(x, t):
      sigma = jnp.interp(t, made.timesteps[::-1], made.sigmas[-2::-1])
      full = x * jnp.sqrt(sigma**2 + 1)
      return full * sigma / (sigma**2 + spread**2)

    noise = jnp.array([[1.0, -1.0]])
    first = made.sigmas[0]
    expected = made.init_scale * noise * spread / np.hypot(first, spread)
    got = sampling.integrate(made, denoise, noise)
    np.testing.assert_allclose(got, expected, rtol=1e-2)

  def test_noise_and_velocity_are_one_prediction(self):
    noise = np.random.default_rng(1).standard_normal((4, 6))
    noise = jnp.asarray(noise, jnp.float32)
    plain = _make(12)
    velocity = _make(12, prediction_type="v_prediction")

    def predict_noise(x, t):
      return jnp.sin(3 * x) + t / 999

    def predict_velocity(x, t):
      sigma = jnp.interp(t, plain.timesteps[::-1], plain.sigmas[-2::-1])
      full = x * jnp.sqrt(sigma**2 + 1)
      clean = full - sigma * predict_noise(x, t)
      return (predict_noise(x, t) - sigma * clean) / jnp.sqrt(sigma**2 + 1)

    np.testing.assert_allclose(
      sampling.integrate(velocity, predict_velocity, noise),
      sampling.integrate(plain, predict_noise, noise),
      atol=2e-4,
    )

  def test_the_last_step_of_half_precision_predictions_is_finite(self):
    made = _make(30)
    got = sampling.integrate(
      made,
      lambda x, t: (x + t / 1000).astype(jnp.bfloat16),
      jnp.ones((1, 4), jnp.bfloat16),
    )
    self.assertEqual(got.dtype, jnp.float32)
    self.assertTrue(np.all(np.isfinite(got)))

  def test_two_calls_give_the_same_bits(self):
    made = _make(5)
    noise = jnp.ones((2, 3))
    results = [sampling.integrate(made, lambda x, t: x, noise) for _ in "ab"]
    np.testing.assert_array_equal(*results)

  def test_a_schedule_goes_through_jit(self):
    made = _make(5)
    noise = jnp.ones((2, 3))
    compiled = jax.jit(
      lambda made, noise: sampling.integrate(made, lambda x, t: x, noise)
    )
    np.testing.assert_allclose(
      compiled(made, noise),
      sampling.integrate(made, lambda x, t: x, noise),
      rtol=1e-6,
    )


class GuidanceTest(parameterized.TestCase):
  @parameterized.parameters((0, False), (1, False), (1.01, True), (5, True))
  def test_only_more_than_one_guides(self, guidance, expected):
    self.assertEqual(sampling.is_guided(guidance), expected)

  def test_it_goes_beyond_the_prompt(self):
    negative, positive = jnp.array([1.0, 2.0]), jnp.array([3.0, 2.0])
    np.testing.assert_array_equal(
      sampling.guide(negative, positive, 5.0), [11, 2]
    )
    np.testing.assert_array_equal(
      sampling.guide(negative, positive, 1.0), positive
    )

  def test_half_precision_is_guided_in_float32(self):
    negative, positive = jnp.bfloat16([1.0, 2.0]), jnp.bfloat16([1.0078125, 3])
    guided = sampling.guide(negative, positive, 5.0)
    np.testing.assert_array_equal(guided, np.float32([1.0390625, 7]))
    self.assertEqual(guided.dtype, jnp.float32)


class RefusalsTest(parameterized.TestCase):
  @parameterized.parameters(
    ("_class_name", "HeunDiscreteScheduler", "must be one of"),
    ("beta_schedule", "squaredcos_cap_v2", "beta_schedule"),
    ("prediction_type", "sample", "prediction_type"),
    ("timestep_spacing", "even", "timestep_spacing"),
    ("use_karras_sigmas", True, "use_karras_sigmas"),
    ("rescale_betas_zero_snr", True, "rescale_betas_zero_snr"),
    ("final_sigmas_type", "sigma_min", "final_sigmas_type"),
    ("interpolation_type", "log_linear", "interpolation_type"),
    ("trained_betas", [0.1], "trained_betas"),
    ("steps_offset", -1, "steps_offset"),
    ("beta_start", 0.0, "beta_start must be above 0 and below 1, got 0.0"),
    ("beta_end", 1.0, "beta_end must be above 0 and below 1, got 1.0"),
    ("beta_end", 0.9, "beta_end must leave some of the picture .*got 0.9"),
  )
  def test_other_options(self, name, value, message):
    with self.assertRaisesRegex(UserError, message):
      _make(4, **{name: value})

  def test_rates_that_leave_nothing_are_refused_in_one_line(self):
    with (
      warnings.catch_warnings(),
      self.assertRaisesRegex(UserError, "got 0.999, of which it leaves 0. "),
    ):
      warnings.simplefilter("error")
      _make(4, beta_end=0.999, beta_schedule="linear")

  @parameterized.parameters(0, 1001)
  def test_numbers_of_steps(self, num_steps):
    with self.assertRaisesRegex(UserError, "num_steps must be from 1 to 1000"):
      _make(num_steps)

  def test_an_offset_beyond_the_last_timestep(self):
    with self.assertRaisesRegex(UserError, "must leave room for steps_offset"):
      _make(1000)

  def test_clipped_latents_of_ddim(self):
    with self.assertRaisesRegex(UserError, "clip_sample must be false"):
      _make(4, Sampler.DDIM, clip_sample=True)
    _make(4, Sampler.EULER, clip_sample=True)
    # The class of DDIM clips where its file says nothing.
    with self.assertRaisesRegex(UserError, "clip_sample must be false"):
      schedule.parse_config({"_class_name": "DDIMScheduler"})
    schedule.parse_config({}, sampler=Sampler.DDIM)

  def test_a_last_timestep_without_noise(self):
    with self.assertRaisesRegex(UserError, "num_steps must give falling"):
      _make(4, beta_start=1e-30, steps_offset=0)

  def test_files_of_other_samplers_are_read_as_euler(self):
    made = _make(30, _class_name="PNDMScheduler")
    np.testing.assert_array_equal(made.sigmas, _make(30).sigmas)
    self.assertEqual(made.prediction, Prediction.NOISE)
