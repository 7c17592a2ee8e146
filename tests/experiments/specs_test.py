"""Tests of the specs that binaries make: each refuses what it cannot mean."""

import json
import pathlib
import tempfile

from absl.testing import absltest, parameterized

from configs import countdown_tiny
from experiments import launch
from experiments.launch import signals_specs, specs
from thickets.errors import UserError

SIGNALS = {
  "family": "line",
  "context": 10,
  "horizon": 5,
  "num_select": 4,
  "num_judge": 4,
}


class SliceTest(parameterized.TestCase):
  @parameterized.parameters(
    (4, 1.0, r"slice\.resolution must be 0 .*got 4"),
    (1, 1.0, r"slice\.resolution must be 0 .*got 1"),
    (-3, 1.0, r"slice\.resolution must be 0 .*got -3"),
    (3, 0.0, r"slice\.extent must be above 0, got 0"),
    (3, float("nan"), r"slice\.extent must be above 0, got nan"),
  )
  def test_a_grid_without_a_middle_or_size_is_refused(self, size, extent, text):
    with self.assertRaisesRegex(UserError, text):
      specs.SliceSpec(size, extent)

  @parameterized.parameters((0, 0.0), (3, 0.5))
  def test_no_grid_and_the_smallest_pass(self, size, extent):
    specs.SliceSpec(size, extent)


class SignalsTaskTest(parameterized.TestCase):
  @parameterized.parameters("context", "horizon", "num_select", "num_judge")
  def test_a_number_below_one_is_refused_by_its_key(self, name):
    with self.assertRaisesRegex(
      UserError, rf"task\.{name} must be at least 1, got 0"
    ):
      signals_specs.SignalsTask(**{**SIGNALS, name: 0})

  def test_a_family_that_is_not_known_is_refused(self):
    with self.assertRaisesRegex(UserError, r"task\.family must be one of"):
      signals_specs.SignalsTask(**{**SIGNALS, "family": "lines"})


class StoredConfigTest(absltest.TestCase):
  """A run that was begun before these keys were there."""

  def setUp(self):
    super().setUp()
    self.config = countdown_tiny.get_config()
    self.stored = launch.to_json(self.config)
    del self.stored["compute"]["grade_limit_s"]
    del self.stored["compute"]["layers"]
    del self.stored["task"]["chat_arguments"]
    del self.stored["task"]["chat_date"]

  def test_layers_lie_as_the_config_says(self):
    with self.config.unlocked():
      self.config.compute.layers = "stacked"
    spec = specs.read_randopt(self.config)
    self.assertEqual(spec.answering.compute.layers, "stacked")
    with self.config.unlocked():
      self.config.compute.layers = "aprt"
    with self.assertRaisesRegex(UserError, "compute.layers must be .* 'aprt'"):
      specs.read_randopt(self.config)

  def test_a_newer_key_of_the_layout_has_its_default(self):
    spec = specs.read_stored_randopt(self.stored)
    self.assertEqual(spec.answering, specs.read_randopt(self.config).answering)
    self.assertEqual(spec.task, specs.read_randopt(self.config).task)
    self.assertEqual(spec.config.fields, self.stored)

  def test_the_run_can_be_continued_and_its_values_count(self):
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    path = pathlib.Path(folder.name) / "config.json"
    path.write_text(json.dumps({"config": self.stored}))
    specs.read_stored_randopt(self.stored).config.check(folder.name)
    specs.read_randopt(self.config).config.check(folder.name)
    with self.config.unlocked():
      self.config.seed = 1
    with self.assertRaisesRegex(UserError, "seed was 0, now 1"):
      specs.read_randopt(self.config).config.check(folder.name)
    with self.config.unlocked():
      self.config.seed = 0
      self.config.task.chat_arguments = {"enable_thinking": False}
    with self.assertRaisesRegex(
      UserError, "chat_arguments was 'absent', now {'enable_thinking': False}"
    ):
      specs.read_randopt(self.config).config.check(folder.name)

  def test_any_other_key_must_be_there(self):
    del self.stored["population"]["size"]
    with self.assertRaisesRegex(UserError, r"population\.size is missing"):
      specs.read_stored_randopt(self.stored)


if __name__ == "__main__":
  absltest.main()
