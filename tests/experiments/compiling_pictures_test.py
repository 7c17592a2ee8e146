"""Tests of what is compiled of a pipeline for machines that are not here."""

import dataclasses
import types
from unittest import mock

import jax
import pytest
import unoptimised
from absl.testing import parameterized
from golden import diffusion_cases as cases
from golden import pipeline_files

from configs import compile_pictures
from experiments.launch import compiling_pictures
from thickets.errors import UserError
from thickets.generation.images import forecast
from thickets.models.diffusion import (
  clip_config,
  unet,
  unet_config,
  vae,
  weights,
)
from thickets.report import picture_forecast_table
from thickets.search import targets


class CompilingPicturesTest(parameterized.TestCase):
  def test_sdxl_is_the_published_model(self):
    case = compiling_pictures.read_case(compile_pictures.get_config("sdxl"))
    self.assertEqual(case.unet, unet_config.parse_config(cases.SDXL))
    self.assertEqual(case.vae, vae.parse_config(cases.VAE))
    scorer = clip_config.parse_scorer_config(cases.CLIP_L)
    self.assertEqual(case.scorer.vision, scorer.vision)
    self.assertEqual(
      weights.count_params(unet.describe(case.unet)), 2_567_463_684
    )

  @parameterized.parameters(
    # 480 predictions of 1.589 TFLOP, 8 pictures of 2.51 and .162.
    ("sdxl", 480, 784.1e12),
    ("sdxl_turbo", 32, 72.2e12),
  )
  def test_operations_of_a_member(self, variant, predictions, flops):
    case = compiling_pictures.read_case(compile_pictures.get_config(variant))
    self.assertEqual(case.num_predictions, predictions)
    self.assertAlmostEqual(case.flops() / flops, 1, delta=1e-3)

  @parameterized.parameters(
    ({"height": 500}, "height must be a multiple of 8 pixels, got 500"),
    ({"dtype": "int8"}, "dtype must be one of"),
    ({"subject": "language"}, "--config must be of configs/compile_pictures"),
  )
  def test_refusals(self, changes, message):
    config = compile_pictures.get_config("small")
    with config.unlocked():
      config.update(changes)
    with self.assertRaisesRegex(UserError, message):
      compiling_pictures.read_case(config)

  def test_latents_are_as_high_and_wide_as_their_pictures(self):
    case = compiling_pictures.read_case(compile_pictures.get_config("sdxl"))
    case = dataclasses.replace(case, size=(512, 768))
    self.assertEqual(case.latent_size, (64, 96))
    self.assertEqual(case.batch()["noise"].shape[1:], (64, 96, 4))

  @parameterized.parameters((3.0, 2.0, 3.0), (2.0, 5.0, 5.0))
  def test_a_member_takes_as_long_as_what_limits_it(
    self, computing, moving, expected
  ):
    target = targets.parse("h100:1")
    found = forecast.Forecast(
      compile_s=0.0,
      base_bytes=0,
      memory_bytes=0,
      temporary_bytes=0,
      moved_bytes=moving * target.chip.bytes_per_s,
      flops=computing * target.chip.flops_per_s,
    )
    self.assertAlmostEqual(found.least_s(target), expected)

  def test_memory_is_what_a_chunk_holds_and_moves_are_those_of_a_member(self):
    case = compiling_pictures.read_case(compile_pictures.get_config("small"))
    case = dataclasses.replace(case, num_members=2)
    program = mock.Mock()
    program.memory_analysis.return_value = types.SimpleNamespace(
      argument_size_in_bytes=1,
      output_size_in_bytes=10,
      temp_size_in_bytes=100,
    )
    compilation = types.SimpleNamespace(program=program, seconds=7.0)
    moves = [types.SimpleNamespace(num_bytes=n) for n in (30, 50)]
    with (
      mock.patch.object(forecast.Case, "make_evaluator"),
      mock.patch.object(forecast, "AbsentPrograms") as programs,
      mock.patch.object(forecast.program_text, "parse"),
      mock.patch.object(
        forecast.program_costs, "find_moves", return_value=moves
      ),
    ):
      programs.return_value.compilations = [compilation]
      found = forecast.make_forecast(case, targets.parse("h100:1"))
    self.assertEqual(found.memory_bytes, 111)
    self.assertEqual(found.temporary_bytes, 100)
    self.assertEqual(found.moved_bytes, 40)
    self.assertEqual(found.compile_s, 7)

  @pytest.mark.slow  # It compiles the whole program.
  def test_a_forecast_is_read_from_the_compiled_program(self):
    """On the devices that are here, in place of a compiler for others."""
    case = compiling_pictures.read_case(compile_pictures.get_config("small"))
    case = dataclasses.replace(
      case,
      unet=unet_config.parse_config(cases.SMALL_SD),
      vae=vae.parse_config(cases.TINY_VAE),
      scorer=clip_config.parse_scorer_config(pipeline_files.SCORER),
      num_members=2,
    )
    target = targets.parse("h100:1")
    # Noise of few tensors, since what draws it is compiled for each.
    kind = forecast.Gaussian(include=("unet.conv_in*",))
    with (
      mock.patch.object(
        targets.Target, "make_devices", lambda self: jax.devices("cpu")
      ),
      mock.patch.object(
        forecast, "_COMPILER_OPTIONS", {"cuda": unoptimised.OPTIONS}
      ),
      mock.patch.object(forecast, "_KIND", kind),
    ):
      found = forecast.make_forecast(case, target)
    base = case.base()
    size = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(base))
    self.assertEqual(found.base_bytes, size)
    self.assertGreater(found.memory_bytes, size + found.temporary_bytes)
    # Every step reads the weights of the denoiser.
    of_unet = sum(
      x.size * x.dtype.itemsize for x in jax.tree.leaves(base["unet"])
    )
    self.assertGreater(found.moved_bytes, 30 * of_unet)
    table = picture_forecast_table.write_markdown([(target, found)])
    self.assertLen(table.splitlines(), 3)
    self.assertIn("h100:1", table)
