"""Tests of the configs of iterative RandOpt, and of the specs of its rounds."""

from absl.testing import parameterized

from configs import iterate
from experiments.launch import iterating
from thickets.errors import UserError


class ConfigsTest(parameterized.TestCase):
  @parameterized.parameters("", *iterate.NAMES)
  def test_every_variant_passes_the_checks(self, variant):
    config = iterate.get_config(variant)
    self.assertTrue(config.is_locked)
    iterating.check_config(config)

  def test_the_control_differs_in_its_teachers_and_its_members_alone(self):
    config = iterate.get_config("laptop")
    search, fitting = iterating.make_specs(config, "members", "m")
    control, samples = iterating.make_specs(config, "samples", "m")
    self.assertEqual(control.population.sigmas, (0.0,))
    self.assertEqual(control.population.size, search.ensemble.top_k)
    self.assertEqual((control.task, control.model), (search.task, search.model))
    self.assertEqual(control.model.name, "m")
    self.assertEqual(samples.fitting, fitting.fitting)
    self.assertEqual(fitting.teaching.teachers, "members")
    self.assertEqual(samples.teaching.teachers, "samples")
    # The config of all rounds is left as it is.
    self.assertEqual(config.randopt.model.name, "shipped/conventions-hidden")

  @parameterized.parameters(
    ({"rounds": 0}, "rounds must be at least 1"),
    ({"arms": ()}, "arms must"),
    ({"arms": ("members", "members")}, "arms must be of .* each once"),
    ({"arms": ("base",)}, "arms must be of"),
    ({"randopt.task.num_dev": 0}, "randopt.task.num_dev must be at least 1"),
    ({"distil.fitting.batch_size": 0}, "fitting.batch_size must be"),
    ({"randopt.population.size": 0}, "population.size must be"),
  )
  def test_what_cannot_run_is_refused_by_name(self, changes, message):
    config = iterate.get_config("smoke")
    config.update_from_flattened_dict(changes)
    with self.assertRaisesRegex(UserError, message):
      iterating.check_config(config)
