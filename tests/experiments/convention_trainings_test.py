"""Tests of studies of conventions: their trainings, their runs, what they refuse."""

import math
import pathlib

import jax
from absl.testing import parameterized

from configs import convention_study, pretrain_conventions
from experiments.launch import convention_trainings
from experiments.launch.config_checks import to_json
from thickets.errors import UserError
from thickets.models import byte_tokenizer, families, transformer


def _config(variant="smoke", **overrides):
  config = convention_study.get_config(variant)
  with config.unlocked():
    config.update_from_flattened_dict(overrides)
  return config


class ConventionTrainingsTest(parameterized.TestCase):
  @parameterized.parameters(*(set(convention_study.VARIANTS) - {"smoke"}))
  def test_every_study_can_begin(self, variant):
    config = _config(variant)
    trainings = convention_trainings.read_trainings(config)
    self.assertEqual({*trainings}, {*config.trainings})
    for name in trainings:
      training = config.trainings[name]
      chosen = None
      if training.target:
        last = {"step": training.stages[-1], "loss": 1.0, "log_odds": {}}
        chosen = {"chosen": last}
      runs = list(
        convention_trainings.list_runs(
          config, name, pathlib.Path("study"), chosen
        )
      )
      num_stages = len(training.measured) or 1
      self.assertLen(runs, num_stages + len(training.populations) - 1)
      for run in runs:
        population = run.measure.population
        self.assertEqual(run.measure.seed, run.population)
        self.assertEqual(
          population.size,
          config.measure.population.size * len(population.sigmas),
        )
        self.assertEqual(
          run.stated, run.measure.tasks[0].name.endswith("stated")
        )

  def test_a_repeated_training_differs_from_the_shipped_one_by_its_seed(self):
    config = _config("seeds")
    repeated = to_json(convention_trainings.make_pretrain(config, "hidden-1"))
    shipped = to_json(pretrain_conventions.get_config("hidden"))
    repeated["schedule"]["stages"] = shipped["schedule"]["stages"]
    self.assertEqual(repeated, shipped | {"seed": 1})
    for name, variant in (("one-1", "one"), ("stated-1", "stated")):
      repeated = to_json(convention_trainings.make_pretrain(config, name))
      shipped = to_json(pretrain_conventions.get_config(variant))
      self.assertEqual(repeated["corpus"], shipped["corpus"])

  @parameterized.parameters(
    ("trainings.tiny-0.tilt", 1.5, "corpus.tilt must be at most 1, got 1.5"),
    ("trainings.tiny-0.tilt", -0.1, "corpus.tilt must be at least 0, got -0.1"),
    (
      "trainings.tiny-0.stated_frac",
      2.0,
      "corpus.stated_frac must be at most 1",
    ),
    (
      "trainings.tiny-0.tillt",
      0.5,
      "trainings.tiny-0.tillt is not a config key",
    ),
    (
      "trainings.tiny-0.measured",
      (5,),
      "tiny-0.measured must be among .*got 5",
    ),
    ("trainings.tiny-0.measured", (), "tiny-0.measured must hold at least one"),
    ("trainings.tiny-0.populations", (), "populations must hold at least one"),
    ("trainings.tiny-0.sigmas", (), "tiny-0.sigmas must hold at least one"),
    ("families", ("dats",), "family must be one of .*'dats'. Nearest: dates"),
    ("families", (), "families must hold at least one item"),
    ("top_k", 9, "top_k must be at most 8"),
    ("resamples", 0, "resamples must be at least 1"),
  )
  def test_what_is_wrong_is_refused_before_anything_is_trained(
    self, key, value, message
  ):
    with self.assertRaisesRegex(UserError, message):
      convention_trainings.read_trainings(_config(**{key: value}))

  @parameterized.parameters(
    ((0.5, 0.1), (12,), "", "measured must be left empty, since .*target choo"),
    ((0.5, 0.1), (), "shipped/drills", "model must be left empty, since"),
    ((0.5,), (), "", r"target must be a loss and its tolerance, .* \(0.5,\)"),
    ((0.0, 0.0), (), "", "target.loss must be above 0, got 0"),
    ((0.5, 0.6), (), "", "target.tolerance must be at most 0.5, got 0.6"),
    ((0.5, -0.1), (), "", "target.tolerance must be at least 0, got -0.1"),
  )
  def test_a_target_is_a_loss_and_nothing_beside_it(
    self, target, measured, model, message
  ):
    overrides = {"target": target, "measured": measured, "model": model}
    with self.assertRaisesRegex(UserError, message):
      convention_trainings.read_trainings(
        _config(
          **{f"trainings.tiny-1.{key}": v for key, v in overrides.items()}
        )
      )

  def test_where_no_stage_was_chosen_nothing_is_measured(self):
    config = _config()
    runs = convention_trainings.list_runs(
      config, "tiny-1", pathlib.Path("study"), {"chosen": None}
    )
    self.assertEmpty(list(runs))

  def test_sizes_span_two_orders_and_keep_all_else_alike(self):
    config = _config("sizes")
    trainings = convention_trainings.read_trainings(config)
    specs = {name: spec for name, spec in trainings.items() if spec}
    self.assertLen({spec.model for spec in specs.values()}, 6)
    for seed in range(3):
      self.assertLen([s for s in specs.values() if s.seed == seed], 6)
    self.assertLen({spec.corpus.rows for spec in specs.values()}, 1)
    sizes = [
      sum(
        math.prod(leaf.shape)
        for leaf in jax.tree.leaves(
          transformer.abstract_params(
            families.parse_config(
              spec.model.to_fields(byte_tokenizer.make_tokenizer())
            ),
            "float32",
          )
        )
      )
      for spec in {spec.model: spec for spec in specs.values()}.values()
    ]
    self.assertLess(min(sizes), 10_000)
    self.assertGreater(max(sizes), 100 * min(sizes))
    for training in config.trainings.values():
      self.assertEqual(tuple(training.target), convention_study.TARGET)
      self.assertEqual(tuple(training.sigmas), (0.025, 0.05, 0.1))
    self.assertEqual(config.measure.population.unit, "relative")

  def test_an_unknown_study_is_refused(self):
    with self.assertRaisesRegex(ValueError, "variant must be one of seeds"):
      convention_study.get_config("seed")
