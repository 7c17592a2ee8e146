"""Tests of the configs of runs with pictures."""

from absl.testing import parameterized

from configs import vision
from experiments.launch import specs
from thickets.tasks import registry

_GQA = [
  f"{model}-gqa{size}"
  for model in vision.MODELS
  for size in ("", "-small", "-short")
]


class VisionTest(parameterized.TestCase):
  @parameterized.parameters("", "smoke", "easy_vqa", *_GQA)
  def test_every_variant_passes_the_checks(self, variant):
    config = vision.get_config(variant)
    spec = specs.read_randopt(config)
    self.assertTrue(config.is_locked)
    self.assertIn(spec.task.name, registry.names())
    self.assertEqual(spec.population.kind.exclude, ("visual.*",))

  def test_the_settings_of_the_paper(self):
    config = vision.get_config("qwen2_5_vl_3b-gqa")
    self.assertEqual(config.model.name, "Qwen/Qwen2.5-VL-3B-Instruct")
    self.assertEqual(config.task.name, "gqa")
    self.assertEqual(
      (config.population.size, config.ensemble.top_k), (5000, 50)
    )
    short = vision.get_config("qwen3_vl_4b-gqa-short")
    self.assertEqual(short.task.name, "gqa/short")

  @parameterized.parameters("gqa", "qwen2_5_vl_3b-vqa", "tiny", "x-gqa-small")
  def test_other_variants_are_refused(self, variant):
    with self.assertRaisesRegex(ValueError, "variant must be"):
      vision.get_config(variant)
