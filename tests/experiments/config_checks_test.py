"""Tests of the checks on configs: every problem, by name, at once."""

import ml_collections
from absl.testing import parameterized

from experiments import launch
from experiments.launch import Range
from thickets.errors import UserError


def _config():
  return ml_collections.ConfigDict(
    {
      "seed": 0,
      "name": "adam",
      "fast": True,
      "population": {"size": 64, "sigmas": (0.1, 0.2), "rate": 0.5},
      "also": (1, 2),
    }
  )


def _change(name, value):
  """The config with one value replaced, whatever its type."""
  config = _config().to_dict()
  *path, last = name.split(".")
  part = config
  for key in path:
    part = part[key]
  part[last] = value
  return ml_collections.ConfigDict(config)


class KeysTest(parameterized.TestCase):
  @parameterized.parameters(
    ("sead", 1, ["sead is not a config key. Nearest: seed."]),
    (
      "population.sise",
      1,
      ["population.sise is not a config key. Nearest: population.size."],
    ),
    ("seed", 1.0, ["seed must be an integer, got 1.0."]),
    ("seed", True, ["seed must be an integer, got True."]),
    ("fast", 1, ["fast must be true or false, got 1."]),
    ("name", 3, ["name must be text, got 3."]),
    ("also", 3, ["also must be a tuple, each item an integer, got 3."]),
    (
      "also",
      (1, 2.5),
      ["also must be a tuple, each item an integer, got (1, 2.5)."],
    ),
    (
      "population.sigmas",
      (0.1, "a"),
      [
        "population.sigmas must be a tuple, each item a number, got (0.1, 'a')."
      ],
    ),
    (
      "population.rate",
      "half",
      ["population.rate must be a number, got 'half'."],
    ),
    (
      "population",
      3,
      ["population must hold the keys ['rate', 'sigmas', 'size'], got 3."],
    ),
    # What may be written in more than one way.
    ("population.rate", 1, []),
    ("population.sigmas", [1, 0.2], []),
    ("also", (), []),
  )
  def test_a_change_and_its_message(self, name, value, expected):
    got = launch.check_keys(_change(name, value), _config())
    self.assertEqual(got, expected)

  def test_missing_keys_are_named_with_their_section(self):
    config = _config().to_dict()
    del config["seed"], config["population"]["size"]
    self.assertCountEqual(
      launch.check_keys(ml_collections.ConfigDict(config), _config()),
      [
        "seed is missing from the config.",
        "population.size is missing from the config.",
      ],
    )


class RangesTest(parameterized.TestCase):
  @parameterized.parameters(
    ("population.size", Range(65), ["must be at least 65, got 64."]),
    ("population.size", Range(1, 63), ["must be at most 63, got 64."]),
    ("population.size", Range(64, 64), []),  # Both limits are allowed.
    (
      "population.sigmas",
      Range(0.15, 0.18),
      ["must be at least 0.15, got 0.1.", "must be at most 0.18, got 0.2."],
    ),
    ("seed", Range(-5), []),
  )
  def test_limits(self, name, limits, expected):
    got = launch.check_ranges(_config(), {name: limits})
    self.assertEqual(got, [f"{name} {message}" for message in expected])

  @parameterized.parameters(float("nan"), float("inf"), -float("inf"))
  def test_only_finite_numbers(self, value):
    config = _change("population.sigmas", (0.1, value))
    self.assertEqual(
      launch.check_ranges(config, {"population.sigmas": Range(0)}),
      [f"population.sigmas must be finite, got {value}."],
    )

  def test_a_limit_says_what_sets_it(self):
    config = _change("also", (65,))
    limit = Range(1, 64, "population.size")
    self.assertEqual(
      launch.check_ranges(config, {"also": limit}),
      ["also must be at most 64 (population.size), got 65."],
    )


class ChoicesTest(parameterized.TestCase):
  def test_an_unknown_word_names_the_nearest(self):
    config = _change("name", "adm")
    self.assertEqual(
      launch.check_choices(config, {"name": ("sgd", "adam")}),
      ["name must be one of ['adam', 'sgd'], got 'adm'. Nearest: adam."],
    )

  def test_known_words_and_filled_tuples_pass(self):
    self.assertEmpty(launch.check_choices(_config(), {"name": ("adam",)}))
    self.assertEmpty(launch.check_not_empty(_config(), ("also",)))

  def test_an_empty_tuple_is_named(self):
    config = _change("population.sigmas", ())
    self.assertEqual(
      launch.check_not_empty(config, ("population.sigmas", "also")),
      ["population.sigmas must hold at least one item, got none."],
    )


class RefuseTest(parameterized.TestCase):
  def test_no_problem_is_no_error(self):
    launch.refuse([])

  def test_one_problem_is_one_line(self):
    with self.assertRaises(UserError) as caught:
      launch.refuse(["seed must be an integer, got x."])
    self.assertEqual(str(caught.exception), "seed must be an integer, got x.")

  def test_several_problems_are_listed_together(self):
    with self.assertRaises(UserError) as caught:
      launch.refuse(["seed is wrong.", "size is wrong."])
    self.assertEqual(
      str(caught.exception),
      "the config has 2 problems:\n  - seed is wrong.\n  - size is wrong.",
    )


class ToJsonTest(parameterized.TestCase):
  def test_sections_are_dicts_and_tuples_are_lists(self):
    self.assertEqual(
      launch.to_json(_config()),
      {
        "seed": 0,
        "name": "adam",
        "fast": True,
        "population": {"size": 64, "sigmas": [0.1, 0.2], "rate": 0.5},
        "also": [1, 2],
      },
    )
