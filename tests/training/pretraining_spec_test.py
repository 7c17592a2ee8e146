"""Tests of the spec of a pretraining: what it is made of, what it refuses."""

from absl.testing import parameterized

from configs import ladder, pretrain
from experiments.launch import pretraining
from thickets.errors import UserError
from thickets.training.pretraining_spec import ModelShape, OptimizerSpec


def _make(**overrides):
  config = pretrain.get_config("smoke")
  with config.unlocked():
    config.update_from_flattened_dict(overrides)
  return pretraining.make_spec(config)


class SpecTest(parameterized.TestCase):
  def test_it_holds_what_the_config_says(self):
    spec = _make(seed=7, **{"schedule.stages": (0, 3)})
    self.assertEqual(spec.seed, 7)
    self.assertEqual((spec.model.width, spec.model.activation), (32, "relu"))
    self.assertEqual((spec.corpus.rows, spec.corpus.length), (8, 128))
    self.assertEqual(spec.optimizer, OptimizerSpec(4e-3, 10, 0.1))
    self.assertEqual(
      (spec.schedule.num_steps, spec.schedule.stages), (40, (0, 3))
    )
    self.assertEqual((spec.dev.num_prompts, spec.dev.every), (8, 20))

  @parameterized.parameters(*ladder.MODEL_SIZES)
  def test_every_size_of_the_ladder_is_a_model(self, name):
    width, mlp_width, num_layers, _ = ladder.MODEL_SIZES[name]
    ModelShape(width, mlp_width, num_layers, 4, 2, 8192, "relu")

  def test_manners_are_those_of_the_config(self):
    mixture = _make().corpus.mixture
    self.assertEqual(set(mixture.manners), {"countdown3", "countdown4"})
    self.assertEqual(mixture.manners["countdown3"]["detour"], 0.5)
    self.assertNotIn("minimum", mixture.shown)
    mixture = _make(**{"corpus.manners": "one"}).corpus.mixture
    self.assertEqual(mixture.manners["countdown3"], {"formula": 1})
    self.assertEqual(mixture.manners["maximum"], {"answer": 1})

  @parameterized.parameters(
    ("seed", 2**32, "seed must be at most 4294967295, got 4294967296"),
    ("model.width", 0, "model.width must be at least 1, got 0"),
    ("model.num_kv_heads", 3, "must be a multiple of num_key_value_heads"),
    ("model.activation", "rel", "model.activation must be one of .* relu"),
    ("corpus.rows", 0, "corpus.rows must be at least 1, got 0"),
    ("corpus.question_weight", -1.0, "question_weight must be at least 0"),
    ("corpus.manners", "all", "corpus.manners must be one of .*'several'"),
    ("corpus.families.modulo", -1.0, "families.modulo must be .*at least 0"),
    ("corpus.countdown.steps", -1.0, "countdown.steps must be at least 0"),
    ("optimizer.warmup", 40, "optimizer.warmup must be at most 39, got 40"),
    ("optimizer.learning_rate", float("nan"), "learning_rate must be finite"),
    ("schedule.num_steps", 0, "schedule.num_steps must be at least 1, got 0"),
    ("schedule.stages", (41,), "schedule.stages must be within .*=40, got 41"),
    ("dev.num_prompts", 1001, "dev.num_prompts must be at most 1000, got 1001"),
  )
  def test_what_is_out_of_range_is_refused(self, key, value, message):
    with self.assertRaisesRegex(UserError, message):
      _make(**{key: value})

  def test_all_problems_are_said_at_once(self):
    with self.assertRaises(UserError) as caught:
      _make(
        seed=-1,
        **{
          "model.num_heads": 0,
          "model.context": 0,
          "corpus.rows": 0,
          "corpus.manners": "all",
          "optimizer.warmup": -1,
          "schedule.save_every": 0,
          "dev.every": 0,
        },
      )
    message = str(caught.exception)
    self.assertIn("the config has 8 problems", message)
    for name in ("seed", "num_heads", "context", "rows", "manners", "warmup"):
      self.assertIn(name, message)
