"""Tests of what a measurement of log-odds refuses."""

from types import SimpleNamespace

import numpy as np
from absl.testing import parameterized

from configs import preferences as keys
from experiments.launch import preferring
from thickets.errors import UserError


def _config(variant="smoke", **overrides):
  config = keys.get_config(variant)
  with config.unlocked():
    config.update_from_flattened_dict(overrides)
  return config


class PreferringTest(parameterized.TestCase):
  @parameterized.parameters("sentiment", "parity", "smoke")
  def test_every_variant_can_begin(self, variant):
    spec = preferring.read_preferences(_config(variant))
    self.assertEqual(spec.population.design, "balanced")
    self.assertLen(spec.choice.answers, 2)

  @parameterized.parameters(
    ("task.answers", ("even",), "task.answers must be two different words"),
    ("task.num_prompts", 1, "task.num_prompts must be at least 2, got 1"),
    ("population.size", 7, "population.size must be at least 8, got 7"),
    ("population.sigmas", (0.0, 1e-3), "population.sigmas must be above 0"),
    ("population.sigmas", (), "population.sigmas must hold at least one"),
    ("model.dtype", "int8", "model.dtype must be one of"),
    ("task.chat_date", "May", "task.chat_date must be a day"),
  )
  def test_what_is_wrong_is_refused(self, key, value, message):
    with self.assertRaisesRegex(UserError, message):
      preferring.read_preferences(_config(**{key: value}))

  def test_members_that_failed_are_left_out_and_counted(self):
    scores = {-1: [1.0, 2.0], 0: [0.5, 1.0], 1: [np.nan, 1.0], 2: [1.5, 2.0]}
    run = SimpleNamespace(
      channels=lambda _, position: {"score": np.array(scores[position])}
    )
    members = [SimpleNamespace(sigma=0.1)] * 3
    found = preferring._list_log_odds(run, SimpleNamespace(members=members))
    self.assertEqual(found["members"], {"0.1": [[0.5, 1.0], [1.5, 2.0]]})
    self.assertEqual(found["num_failed"], {"0.1": 1})
    scores[2] = [np.inf, 1.0]
    with self.assertRaisesRegex(
      UserError, "got 1 of sigma 0.1, where 2 failed"
    ):
      preferring._list_log_odds(run, SimpleNamespace(members=members))

  def test_an_unknown_variant_is_refused(self):
    with self.assertRaisesRegex(ValueError, "variant must be one of sentiment"):
      keys.get_config("larger")
