"""Tests of the configs of runs on pictures, and of their door."""

import itertools
import json
import pathlib
import tempfile

from absl.testing import parameterized

from configs import diffusion, diffusion_pipelines, picture_prompts
from experiments.launch import diffusion_specs
from thickets.errors import UserError

_VARIANTS = [
  name + change
  for name in diffusion_pipelines.PIPELINES
  for change in ("", "-styles", "-dev", "-styles-dev")
]


def read(variant, **changes):
  """The specs of a variant, with values changed by `section__key`."""
  config = diffusion.get_config(variant).copy_and_resolve_references()
  for key, value in changes.items():
    section, _, name = key.partition("__")
    with config.unlocked():
      config[section][name] = value
  return diffusion_specs.read_diffusion(config)


class VariantsTest(parameterized.TestCase):
  @parameterized.parameters("", "shapes", "smoke", *_VARIANTS)
  def test_every_variant_passes_the_checks(self, variant):
    config = diffusion.get_config(variant)
    spec = diffusion_specs.read_diffusion(config)
    self.assertTrue(config.is_locked)
    is_published = variant.split("-")[0] in diffusion_pipelines.PIPELINES
    self.assertEqual(spec.published is not None, is_published)

  def test_the_settings_of_the_authors(self):
    spec = read("sdxl_base")
    drawing, asked = spec.published.drawing, spec.published.asked
    self.assertEqual((drawing.num_steps, drawing.guidance), (30, 5.0))
    self.assertEqual(drawing.size, (512, 512))
    self.assertEqual(drawing.negative, "low quality, blurry, distorted")
    self.assertEqual(spec.population.sigmas, (0.003,))
    self.assertEqual((spec.population.size, spec.ensemble.top_k), (128, 8))
    self.assertEqual(asked.target, "blue")
    self.assertEqual(
      (spec.dtype, spec.published.loading.variant), ("float16", "fp16")
    )

  def test_a_run_may_be_continued_with_fewer_pictures_at_once(self):
    folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    config = read("sdxl_base").config
    config.save(folder, {})
    fewer = read("sdxl_base", model__pictures_at_once=2).config
    self.assertEqual(fewer.find_differences(folder), [])
    # As runs have it that were begun before there was such a key.
    fields = json.loads((folder / "config.json").read_text())
    del fields["config"]["model"]["pictures_at_once"]
    (folder / "config.json").write_text(json.dumps(fields))
    for spec in (config, fewer):
      self.assertEqual(spec.find_differences(folder), [])
    longer = read("sdxl_base", model__num_steps=31).config
    self.assertLen(longer.find_differences(folder), 1)

  def test_turbo_has_trailing_steps_and_no_guidance(self):
    drawing = read("sdxl_turbo").published.drawing
    self.assertEqual((drawing.spacing, drawing.guidance), ("trailing", 0.0))
    self.assertEqual((drawing.num_steps, drawing.negative), (4, None))

  @parameterized.parameters("", "sdxl_base")
  def test_only_the_denoiser_can_be_perturbed(self, variant):
    """Prompts are read once, by the words of the base."""
    with self.assertRaisesRegex(UserError, r"begin with unet\., got 'words"):
      read(variant, population__include=("unet.*", "words.*"))

  def test_dev_and_styles(self):
    asked = read("sd15-styles-dev").published.asked
    self.assertEqual(asked.targets, picture_prompts.STYLES)
    self.assertIn(asked.target, asked.targets)
    self.assertEqual(asked.prompts["judge"], picture_prompts.DEV)

  @parameterized.parameters("sdxl", "sdxl_base-style", "sd15-", "shapes-dev")
  def test_other_variants_are_refused(self, variant):
    with self.assertRaisesRegex(ValueError, "variant must be"):
      diffusion.get_config(variant)


class PromptsTest(parameterized.TestCase):
  def test_splits_have_no_prompt_in_common_and_none_names_a_target(self):
    splits = (
      picture_prompts.SELECT,
      picture_prompts.DEV,
      picture_prompts.JUDGE,
    )
    for first, second in itertools.combinations(splits, 2):
      self.assertEmpty(set(first) & set(second))
    words = {"colour", "orange", "purple", "pink", "white", "black", "painting"}
    words |= set(picture_prompts.COLOURS) | set(picture_prompts.STYLES)
    for split in splits:
      self.assertGreaterEqual(len(split), 8)
      for prompt in split:
        self.assertEmpty({word for word in words if word in prompt}, prompt)


class DoorTest(parameterized.TestCase):
  @parameterized.parameters(
    ({"model__scorer_dtype": "int8"}, "model.scorer_dtype must be one of"),
    ({"model__spacing": "karras"}, "model.spacing must be one of"),
    ({"model__height": 0}, "model.height must be at least 1, got 0"),
    ({"model__negative": ("a", "b")}, "model.negative must hold one text"),
    (
      {"model__guidance": 1.0},
      r"model.negative must be \(\) where model.guidance is at most 1",
    ),
    ({"task__target": "blu"}, "task.target must be one of.*Nearest: blue"),
    ({"task__targets": ("blue", "blue")}, "task.targets must be distinct"),
    ({"task__targets": ()}, "task.targets must hold at least one item"),
    ({"task__judge_prompts": ("",) * 2}, "got an empty one"),
    (
      {"task__judge_prompts": (*picture_prompts.SELECT,)},
      "must not be among task.select_prompts, got 'a bowl",
    ),
    ({"task__select_prompts": ("a cup",)}, "at least two pictures"),
    ({"population__include": ("vae.*",)}, "must name tensors of the UNet"),
    ({"population__size": 4}, r"ensemble.top_k must be at most 4 \(population"),
    ({"model__weights": 1}, "model.weights is not a config key"),
  )
  def test_refusals(self, changes, message):
    with self.assertRaisesRegex(UserError, message):
      read("sdxl_base", **changes)

  def test_keys_of_pipelines_are_refused_for_the_model_of_shapes(self):
    with self.assertRaisesRegex(UserError, "model.height is not a config key"):
      read("shapes", model__height=512)
    with self.assertRaisesRegex(UserError, "task.targets is not a config key"):
      read("shapes", task__targets=("blue",))

  def test_several_starting_noises_make_one_prompt_enough(self):
    spec = read(
      "sdxl_base", task__select_prompts=("a cup",), task__num_select=2
    )
    self.assertEqual(spec.task.num_select, 2)

  def test_the_empty_text_is_not_no_text(self):
    self.assertEqual(
      read("sdxl_base", model__negative=("",)).published.drawing.negative, ""
    )
    spec = read("sdxl_base", model__negative=())
    self.assertIsNone(spec.published.drawing.negative)
