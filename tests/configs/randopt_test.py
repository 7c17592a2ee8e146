"""Tests of the configs of RandOpt on language models, and of their checks."""

import datetime
import pathlib
import re

from absl.testing import parameterized

from configs import countdown_tiny, measure, randopt
from experiments import launch
from experiments.launch import specs
from thickets.errors import UserError
from thickets.generation.prompts import Chat
from thickets.tasks import registry

VARIANTS = [
  f"{model}-{task}{'-' if size else ''}{size}"
  for model in randopt.MODELS
  for task in randopt.DEV_SIZES
  for size in randopt.RUN_SIZES
]


def _check(config):
  specs.read_randopt(config)


class ConfigsTest(parameterized.TestCase):
  @parameterized.parameters("", *VARIANTS)
  def test_every_variant_passes_the_checks(self, variant):
    config = randopt.get_config(variant)
    _check(config)
    self.assertTrue(config.is_locked)
    self.assertIn(config.task.name, registry.names())

  @parameterized.parameters("", "smoke")
  def test_the_tiny_experiment_passes_them_too(self, variant):
    config = countdown_tiny.get_config(variant)
    _check(config)
    self.assertTrue(config.is_locked)
    self.assertEqual(config.task.name, "drills/countdown3")
    self.assertEqual(config.model.name, "shipped/drills")
    # What it builds on is left as it was.
    self.assertEqual(randopt.get_config().population.size, 5000)

  def test_the_settings_of_the_paper(self):
    config = randopt.get_config("qwen2_5_3b-gsm8k")
    self.assertEqual(config.model.name, "Qwen/Qwen2.5-3B-Instruct")
    self.assertEqual(config.model.dtype, "bfloat16")
    self.assertEqual(config.task.name, "gsm8k")
    self.assertEqual(config.task.num_select, 200)
    self.assertEqual(
      (config.population.size, config.ensemble.top_k), (5000, 50)
    )
    self.assertEqual(config.population.sigmas, (5e-4, 1e-3, 2e-3))
    small = randopt.get_config("qwen2_5_3b-gsm8k-small")
    self.assertEqual((small.population.size, small.ensemble.top_k), (100, 25))
    self.assertLess(max(small.ensemble.also), 25)
    self.assertEqual(small.model, config.model)

  def test_what_a_chat_template_is_told_is_a_dict_of_the_config(self):
    arguments = {"enable_thinking": False, "tools": [{"name": "a"}]}
    for module, read in (
      (randopt, lambda c: specs.read_randopt(c).task),
      (measure, lambda c: specs.read_measure(c).tasks[0]),
    ):
      config = module.get_config()
      section = "task" if module is randopt else "tasks"
      self.assertEqual(read(config).chat, Chat())
      config[section].chat_date = "2026-01-31"
      config[section].chat_arguments = arguments
      chat = Chat(True, arguments, datetime.date(2026, 1, 31))
      self.assertEqual(read(config).chat, chat)

  def test_a_smoke_run_is_small_and_needs_no_download_of_a_model(self):
    for variant in (v for v in VARIANTS if v.endswith("smoke")):
      config = randopt.get_config(variant)
      self.assertEqual(config.model.name, "shipped/drills")
      self.assertLessEqual(config.population.size, 4)
      self.assertGreater(config.task.num_judge, 0)

  @parameterized.parameters(
    ("qwen-gsm8k", "MODEL 'qwen' is none of qwen2_5_0_5b, .*olmo3_7b"),
    ("qwen2_5_3b-gsm", "TASK 'gsm' is none of countdown, gsm8k, .*uspto50k"),
    ("qwen2_5_3b-gsm8k-tiny", "size 'tiny' is none of small, smoke"),
    ("qwen2_5_3b-gsm8k-small-smoke", "size 'small-smoke' is none of small"),
    ("qwen2_5_3b", "TASK '' is none of countdown"),
    ("smoke", "MODEL 'smoke' is none of qwen2_5_0_5b"),
  )
  def test_wrong_words_are_refused_with_those_there_are(self, variant, message):
    with self.assertRaisesRegex(
      ValueError, rf"got '{variant}', whose {message}"
    ):
      randopt.get_config(variant)

  def test_the_tiny_experiment_has_one_variant(self):
    with self.assertRaisesRegex(ValueError, "smoke or nothing, got 'small'"):
      countdown_tiny.get_config("small")

  def test_every_key_is_written_down_in_one_place(self):
    """Each in the list of all keys, and others only change their values."""
    source = pathlib.Path(randopt.__file__).read_text(encoding="utf-8")
    listing = re.search(
      r"def _list_keys.*?return config\n", source, re.DOTALL
    ).group()
    keys = {
      f"{section}.{key}" if isinstance(value, dict) else section
      for section, value in randopt.get_config().to_dict().items()
      for key in (value if isinstance(value, dict) else [""])
    }
    for key in keys:
      self.assertLen(re.findall(rf"config\.{re.escape(key)} = ", listing), 1)
    for other in ("", "smoke"):
      found = countdown_tiny.get_config(other)
      self.assertEqual(
        launch.check_keys(found, randopt.get_config()), [], msg=other
      )


class CheckConfigTest(parameterized.TestCase):
  @parameterized.parameters(
    ({"ensemble.top_k": 17}, r"ensemble\.top_k must be at most 16 \(popul"),
    ({"ensemble.top_k": 0}, r"ensemble\.top_k must be at least 1, got 0"),
    ({"ensemble.also": (1, 17)}, r"ensemble\.also must be at most 16 .*got 17"),
    ({"population.size": 0}, r"population\.size must be at least 1, got 0"),
    ({"population.sigmas": (-1.0,)}, r"population\.sigmas must be at least 0"),
    ({"population.sigmas": ()}, r"population\.sigmas must hold at least one"),
    ({"population.sigmas": (float("nan"),)}, r"sigmas must be finite, got nan"),
    ({"population.include": ()}, r"population\.include must hold at least one"),
    ({"population.design": "balance"}, r"design must be .*Nearest: balanced"),
    ({"population.chunk": -1}, r"population\.chunk must be at least 0"),
    ({"model.dtype": "float8"}, r"model\.dtype must be one of .*bfloat16"),
    ({"task.num_select": 0}, r"task\.num_select must be at least 1, got 0"),
    ({"task.num_dev": -1}, r"task\.num_dev must be at least 0, got -1"),
    ({"task.num_judge": -1}, r"task\.num_judge must be at least 0, got -1"),
    ({"seed": -1}, r"seed must be at least 0, got -1"),
    ({"seed": 2**32}, r"seed must be at most 4294967295"),
    ({"decoding.max_new_tokens": -1}, r"max_new_tokens must be at least 0"),
    ({"consistency.temperatures": (0.0,)}, r"temperatures must be within"),
    ({"consistency.temperatures": (-0.5,)}, r"temperatures must be within"),
    ({"consistency.temperatures": (1e-39,)}, r"within float32's 1.2e-38"),
    ({"population.sigmas": (1e-39,)}, r"sigmas must be 0 or within float32's"),
    (
      {"consistency.top_p": 1.5},
      r"consistency\.top_p must be above 0 and at most 1",
    ),
    ({"consistency.top_p": 0.0}, r"consistency\.top_p must be above 0"),
    ({"consistency.top_k": -1}, r"consistency\.top_k must be at least 1, or 0"),
    ({"compute.devices_per_member": 0}, r"devices_per_member must be at least"),
    ({"compute.lanes": -1}, r"compute\.lanes must be at least 0, got -1"),
    ({"compute.rows": -1}, r"compute\.rows must be at least 0, got -1"),
    ({"compute.num_workers": -1}, r"compute\.num_workers must be at least 0"),
    (
      {"consistency.temperatures": (0.5, 1.0), "task.num_dev": 0},
      r"task\.num_dev must be at least 1 to choose among 2 .*temperatures",
    ),
    ({"task.chat_date": "31.1.2026"}, r"chat_date must be a day as 2026-01-31"),
    (
      {"task.chat_arguments.a": float("nan")},
      r"chat_arguments must be values of JSON, got \{'a': nan\}",
    ),
    (
      {"population.size": 0, "model.dtype": "float8", "seed": -1},
      r"(?s)config has 3 problems:.*seed.*population\.size.*model\.dtype",
    ),
  )
  def test_a_bad_value_is_refused_by_its_key(self, changes, message):
    config = countdown_tiny.get_config("smoke")
    with config.unlocked():
      config.update_from_flattened_dict(changes)
    with self.assertRaisesRegex(UserError, message):
      _check(config)

  @parameterized.parameters(
    ("population.size", "16", r"population\.size must be an integer"),
    ("log_responses", 1, r"log_responses must be true or false"),
    ("task.name", 3, r"task\.name must be text"),
    ("population.exclude", "norm", r"population\.exclude must be a tuple"),
    (
      "population.sise",
      3,
      r"sise is not a config key\. Nearest: population\.size",
    ),
    ("ensemble", 3, r"ensemble must hold the keys"),
    ("task.chat_arguments", "a", r"chat_arguments must hold keys of your own"),
  )
  def test_other_types_and_keys_are_refused(self, name, value, message):
    fields = countdown_tiny.get_config("smoke").to_dict()
    *path, last = name.split(".")
    part = fields
    for key in path:
      part = part[key]
    part[last] = value
    with self.assertRaisesRegex(UserError, message):
      _check(type(randopt.get_config())(fields))

  @parameterized.parameters(
    {"consistency.temperatures": (), "task.num_dev": 0},
    {"consistency.temperatures": (0.7,), "task.num_dev": 0},
    {"ensemble.also": (), "ensemble.top_k": 16},
    {"population.sigmas": (0.0,)},
  )
  def test_what_is_possible_passes(self, **changes):
    config = countdown_tiny.get_config("smoke")
    config.update_from_flattened_dict(changes)
    _check(config)
