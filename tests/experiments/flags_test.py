"""Tests of command lines: a binary reads its own flags and refuses all others."""

import contextlib
import importlib
import io
import pathlib
import pkgutil
import tempfile

from absl.testing import parameterized

import experiments
from experiments import launch
from experiments.launch import flags as flags_lib
from experiments.launch.cluster_flags import Cluster
from thickets.errors import UserError

CONFIG = """
import ml_collections

def get_config():
  return ml_collections.ConfigDict({
    "seed": 0,
    "population": {"size": 64, "sigmas": (0.1, 0.2)},
    "options": {},
  })
"""
BINARIES = [
  *sorted(
    f"experiments.{found.name}"
    for found in pkgutil.iter_modules(experiments.__path__)
    if found.name not in ("launch", "validation", "benchmark")
  ),
  "experiments.benchmark.__main__",
]


def _make(arguments=None):
  binary = launch.BinaryFlags(
    "Does nothing.", "python -m experiments.none --config=c.py", arguments
  )
  binary.define_config()
  binary.define_workdir()
  binary.define_cluster()
  return binary


def _parse(binary, *argv):
  """Positional arguments, or the message that ends the process."""
  try:
    return binary.parse(["none", *argv])[1:]
  except SystemExit as end:
    return end.code


class ParseTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.config = self.write("c.py", CONFIG)

  def write(self, name, text):
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    path = pathlib.Path(folder.name) / name
    path.write_text(text)
    return path

  def test_config_and_overrides(self):
    binary = _make()
    self.assertEqual(
      _parse(
        binary,
        f"--config={self.config}",
        "--config.population.size=8",
        "--config.population.sigmas=(0.5,)",
        "--workdir=runs/x",
      ),
      [],
    )
    self.assertEqual(binary.config.population.size, 8)
    self.assertEqual(binary.config.population.sigmas, (0.5,))
    self.assertEqual(binary.workdir, "runs/x")

  def test_of_several_overrides_the_last_counts(self):
    binary = _make()
    _parse(
      binary,
      f"--config={self.config}",
      "--config.population.sigmas=(0.5,)",
      "--config.population.sigmas=(0.7,)",
    )
    self.assertEqual(binary.config.population.sigmas, (0.7,))

  @parameterized.parameters(("--config={}",), ("--config", "{}"))
  def test_of_several_configs_the_last_counts(self, *again):
    other = self.write("other.py", CONFIG.replace("64", "65"))
    binary = _make()
    rest = _parse(
      binary,
      f"--config={self.config}",
      "--config.seed=3",
      *(word.format(other) for word in again),
    )
    self.assertEqual(rest, [])
    self.assertEqual(binary.config.population.size, 65)
    self.assertEqual(binary.config.seed, 3)

  @parameterized.parameters(
    ("--wrkdir=x", "has no flag --wrkdir. Nearest: --workdir."),
    ("--num-processes=2", "Nearest: --num_processes."),
    ("--config.sead=1", "--config has no key 'sead'. Nearest: --config.seed."),
    (
      "--config.population.sise=1",
      "no key 'population.sise'. Nearest: --config.population.size.",
    ),
    ("--config.seed.x=1", "--config has no key 'seed.x'."),
    (
      "--config.options.think=False",
      "no key 'options.think'. Write --config.options=\"{'think': VALUE}\".",
    ),
    ("--config.options=[1]", "--config.options must be a dict, as in --config"),
    ("--config.options=think", "'enable_thinking': False}\", got 'think'."),
    ("runs/x", "takes flags only, got the argument 'runs/x'."),
    ("--num_processes=2", "--num_processes must be given with --distributed"),
    ("--process_id=0", "--process_id must be given with --distributed"),
    ("--coordinator=a:1", "--coordinator must be given with --distributed"),
  )
  def test_what_is_refused_says_what_is_near(self, argument, message):
    got = _parse(_make(), f"--config={self.config}", argument)
    self.assertIn(message, got)
    self.assertStartsWith(got, "error: ")

  @parameterized.parameters(
    "{'think': False, 'n': [1, None]}", '{"think": false, "n": [1, null]}'
  )
  def test_a_section_is_a_dict_of_python_or_of_json(self, text):
    binary = _make()
    flag = f"--config.options={text}"
    self.assertEqual(_parse(binary, f"--config={self.config}", flag), [])
    self.assertEqual(
      binary.config.options.to_dict(), {"think": False, "n": [1, None]}
    )

  def test_positional_arguments_where_they_mean_something(self):
    got = _parse(_make("RUN"), "runs/a", "runs/b", "--workdir=x")
    self.assertEqual(got, ["runs/a", "runs/b"])

  def test_what_is_behind_two_dashes_is_an_argument(self):
    got = _parse(_make("RUN"), "--workdir=x", "--", "--help", "-odd")
    self.assertEqual(got, ["--help", "-odd"])

  def test_a_cluster_is_joined_only_if_asked_to(self):
    binary = _make()
    _parse(binary)
    self.assertIsNone(binary.cluster)
    _parse(binary, "--distributed", "--num_processes=2", "--process_id=1")
    self.assertEqual(binary.cluster, Cluster(None, 2, 1, lost_after_s=60.0))

  def test_a_missing_config_or_workdir_is_named(self):
    binary = _make()
    _parse(binary)
    with self.assertRaisesRegex(UserError, "--config must name a config file"):
      _ = binary.config
    with self.assertRaisesRegex(UserError, "--workdir must name the directory"):
      _ = binary.workdir

  @parameterized.parameters(
    ("# Words, 2nd line\n1st of all, no Python.\n", "SyntaxError"),
    ("1 / 0\n", "division by zero"),
    ("x = 1\n", "has no attribute 'get_config'"),
    ("def get_config():\n  return 3\n", "a value of type int"),
    ("def get_config():\n  pass\n", "a value of type NoneType"),
    ("def get_config(a, b):\n  pass\n", "missing 2 required"),
    (
      "def get_config():\n  raise ValueError('one\\ntwo')\n",
      "ValueError: one two",
    ),
    ("import sys\nsys.exit(0)\n", "it ends the process, with '0'"),
    ("def get_config():\n  raise KeyError('k')\n", "KeyError: 'k'"),
  )
  def test_a_config_that_fails_says_why_in_one_line(self, text, reason):
    path = self.write("bad.py", text)
    got = _parse(_make(), f"--config={path}")
    self.assertRegex(got, "^error: --config must name a Python file .*bad.py'")
    self.assertIn(reason, got)
    self.assertEndsWith(got, "such as configs/signals.py.")
    self.assertNotIn("\n", got)

  def test_a_config_that_is_no_file_says_so(self):
    folder = self.config.parent
    for path, reason in ((folder / "no.py", "No such"), (folder, "Is a dir")):
      self.assertIn(f"{path}': {reason}", _parse(_make(), f"--config={path}"))
    self.assertIn("No such file", _parse(_make(), "--config="))

  @parameterized.parameters("--config.a.b=1", "-config.a.b=(1,)")
  def test_only_the_last_override_of_a_key_is_kept(self, again):
    argv = ["x", "--config.a.b=2", "--config=c.py", "--config.a.c=2", again]
    self.assertEqual(
      flags_lib.keep_last(argv),
      ["x", "--config=c.py", "--config.a.c=2", again],
    )

  def test_other_arguments_may_be_alike(self):
    argv = [
      "x",
      "--config.a=1",
      "--config.b=1",
      "--v",
      "--v",
      "--config.a",
      "2",
    ]
    self.assertEqual(flags_lib.keep_last(argv), argv)


class BinariesTest(parameterized.TestCase):
  @parameterized.parameters(BINARIES)
  def test_help_lists_the_flags_with_an_example(self, name):
    binary = importlib.import_module(name)
    shown = io.StringIO()
    with self.assertRaises(SystemExit), contextlib.redirect_stdout(shown):
      binary.FLAGS.parse([name, "--help"])
    self.assertIn(
      f"python -m {name.removesuffix('.__main__')}", shown.getvalue()
    )
    for flag in binary.FLAGS.values:
      self.assertIn(f"--{flag}: ", shown.getvalue())

  @parameterized.parameters(BINARIES)
  def test_the_example_is_read_and_another_flag_refused(self, name):
    binary = importlib.import_module(name)
    words = binary.FLAGS.example.split()[3:]
    self.assertIsInstance(_parse(binary.FLAGS, *words), list)
    self.assertIn("Nearest: --", _parse(binary.FLAGS, *words, "--nosuchflag=1"))

  def test_one_thing_has_one_spelling(self):
    names = {
      flag
      for name in BINARIES
      for flag in importlib.import_module(name).FLAGS.values
    }
    self.assertEmpty(names & {"output", "quick", "output_dir", "n", "outdir"})
