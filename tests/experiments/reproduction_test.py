"""Tests of the commands that make a run again."""

import dataclasses
import pathlib
import shlex
import sys
from unittest import mock

import ml_collections
from absl import flags
from absl.testing import parameterized
from ml_collections import config_flags

from configs import measure, randopt, signals
from experiments import launch
from experiments.launch import estimator_flags, reproduction
from thickets.analysis.neighbourhood import Settings


class ReproductionTest(parameterized.TestCase):
  @parameterized.parameters(
    (measure, ""),
    (measure, "smoke"),
    (randopt, "qwen2_5_0_5b-gsm8k-small"),
    (signals, "smoke"),
  )
  def test_gives_the_very_config(self, module, variant):
    config = module.get_config(variant)
    with config.unlocked():
      config.population.exclude = ("a b", "it's")
    wanted = launch.to_json(config)
    words = shlex.split(reproduction.make_command(wanted).replace("\\\n", " "))
    self.assertEqual(words[:2], ["python", "-m"])
    self.assertEqual(words[2], f"experiments.{config.experiment}")
    found = flags.FlagValues()
    config_flags.DEFINE_config_file("config", None, "", flag_values=found)
    flags.DEFINE_string("workdir", None, "", flag_values=found)
    root = pathlib.Path(launch.__file__).parents[2]
    words = [w.replace("--config=", f"--config={root}/") for w in words[2:]]
    with mock.patch.object(
      sys, "argv", words
    ):  # Where overrides are looked up.
      found(words)
    self.assertIsInstance(found.config, ml_collections.ConfigDict)
    self.assertEqual(launch.to_json(found.config), wanted)
    self.assertEqual(found.workdir, "DIR")

  def test_says_the_flags_of_an_analysis_that_are_not_the_defaults(self):
    settings = dataclasses.asdict(Settings())
    plain = {
      k: list(v) if isinstance(v, tuple) else v for k, v in settings.items()
    }
    self.assertEqual(estimator_flags.format_settings(plain), "")
    changed = plain | {"margins": [0.0, 0.1], "score_range": [0.0, 1.1]}
    self.assertEqual(
      estimator_flags.format_settings(changed | {"num_resamples": 20}),
      " --margins=0,0.1 --score_range=0,1.1 --resamples=20",
    )

  def test_unknown_experiments(self):
    self.assertIn("'mine'", reproduction.make_command({"experiment": "mine"}))
