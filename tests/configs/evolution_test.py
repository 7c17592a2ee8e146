"""Tests of the configs of evolution strategies, and of their checks."""

from absl.testing import parameterized

from configs import evolution, randopt
from experiments.launch import evolution_specs
from thickets.errors import UserError

VARIANTS = [
  "",
  *evolution.NAMES,
  *(
    f"{model}-{task}" for model in randopt.MODELS for task in randopt.DEV_SIZES
  ),
]


class ConfigsTest(parameterized.TestCase):
  @parameterized.parameters(*VARIANTS)
  def test_every_variant_passes_the_checks(self, variant):
    config = evolution.get_config(variant)
    self.assertTrue(config.is_locked)
    spec = evolution_specs.read_evolution(config)
    self.assertEqual(spec.evolution.alpha, spec.evolution.sigma / 2)

  def test_the_settings_of_the_paper(self):
    spec = evolution_specs.read_evolution(
      evolution.get_config("qwen2_5_3b-gsm8k")
    )
    self.assertEqual(spec.model.name, "Qwen/Qwen2.5-3B-Instruct")
    self.assertEqual((spec.task.name, spec.task.sizes.select), ("gsm8k", 200))
    found = spec.evolution
    self.assertEqual((found.size, found.sigma, found.alpha), (30, 1e-3, 5e-4))
    self.assertEqual((spec.num_steps, spec.budget_flops), (167, None))

  @parameterized.parameters("tiny", "qwen2_5_3b-gsm8k-small", "qwen-gsm8k")
  def test_wrong_words_are_refused(self, variant):
    with self.assertRaisesRegex(ValueError, "variant must be .*MODEL-TASK"):
      evolution.get_config(variant)

  @parameterized.parameters(
    ({"population.size": 1}, "population.size must be at least 2, got 1"),
    ({"population.sigma": 0.0}, "population.sigma must be at least"),
    ({"evolution.alpha": -1.0}, "evolution.alpha must be at least"),
    (
      {"population.size": 5, "population.antithetic": True},
      "population.size must be even",
    ),
    ({"evolution.save_every": 0}, "evolution.save_every must be at least 1"),
    ({"evolution.num_steps": 0}, "num_steps or budget.flops must be above 0"),
    ({"budget.flops": -1.0}, "budget.flops must be at least 0"),
    ({"task.num_select": 0}, "task.num_select must be at least 1"),
    ({"model.dtype": "float8"}, "model.dtype must be one of"),
  )
  def test_what_cannot_run_is_refused_by_name(self, changes, message):
    config = evolution.get_config("smoke")
    config.update_from_flattened_dict(changes)
    with self.assertRaisesRegex(UserError, message):
      evolution_specs.read_evolution(config)

  def test_a_budget_alone_can_end_a_run(self):
    config = evolution.get_config("smoke")
    config.update_from_flattened_dict(
      {"evolution.num_steps": 0, "budget.flops": 1e9}
    )
    spec = evolution_specs.read_evolution(config)
    self.assertEqual((spec.num_steps, spec.budget_flops), (None, 1e9))
