"""Tests of the configs of distillation, and of their checks."""

from absl.testing import parameterized

from configs import distil, randopt_conventions
from experiments.launch import distil_specs, specs
from thickets.errors import UserError


class ConfigsTest(parameterized.TestCase):
  @parameterized.parameters("", *distil.NAMES)
  def test_every_variant_passes_the_checks(self, variant):
    config = distil.get_config(variant)
    self.assertTrue(config.is_locked)
    spec = distil_specs.read_distil(config)
    self.assertIsNone(spec.lora)
    self.assertIsNone(spec.top_k)

  @parameterized.parameters("", "smoke")
  def test_the_run_that_it_is_for_passes_its_checks(self, variant):
    spec = specs.read_randopt(randopt_conventions.get_config(variant))
    self.assertEqual(spec.task.name, "conventions/turning/right")
    self.assertGreater(spec.task.sizes.dev, 0)

  def test_unknown_variants_are_refused(self):
    for file in (distil, randopt_conventions):
      with self.assertRaisesRegex(ValueError, "variant must be .*smoke"):
        file.get_config("tiny")

  @parameterized.parameters(
    ({"teaching.mining": "vote"}, "teaching.mining must be one of"),
    ({"teaching.top_k": -1}, "teaching.top_k must be at least 0"),
    ({"fitting.batch_size": 0}, "fitting.batch_size must be at least 1"),
    ({"fitting.watch_every": 0}, "fitting.watch_every must be at least 1"),
    ({"lora.rank": -1}, "lora.rank must be at least 0"),
    ({"lora.rank": 2, "lora.alpha": 0.0}, "lora.alpha must be above 0"),
    ({"budget.flops": -1.0}, "budget.flops must be at least 0"),
  )
  def test_what_cannot_run_is_refused_by_name(self, changes, message):
    config = distil.get_config("smoke")
    config.update_from_flattened_dict(changes)
    with self.assertRaisesRegex(UserError, message):
      distil_specs.read_distil(config)

  def test_adapters_are_read(self):
    config = distil.get_config("smoke")
    config.update_from_flattened_dict(
      {"lora.rank": 2, "lora.targets": ("*.q_proj",), "seed": 3}
    )
    spec = distil_specs.read_distil(config)
    assert spec.lora is not None
    self.assertEqual((spec.lora.rank, spec.lora.seed), (2, 3))
    self.assertEqual(spec.lora.targets, ("*.q_proj",))
