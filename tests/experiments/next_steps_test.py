"""Tests of the commands that a finished run prints: they are read as printed."""

import importlib
import os
import pathlib
import re
import shlex
import shutil
import sys
from unittest import mock

from absl.testing import absltest, parameterized

from configs import evolution
from experiments.launch import evolution_specs, next_steps, specs

WORKDIRS = ("runs/a", "runs/with space & 'quote'", "-odd")


class NextStepsTest(parameterized.TestCase):
  @parameterized.product(
    after=(
      lambda workdir: next_steps.after_randopt(workdir, has_questions=True),
      lambda workdir: next_steps.after_randopt(
        workdir, has_questions=True, has_pictures=True
      ),
      next_steps.after_signals,
      next_steps.after_measure,
      next_steps.after_ladder,
      next_steps.after_pretraining,
      lambda w: next_steps.after_pretraining_conventions(w, "hidden"),
      lambda w: next_steps.after_conventions(w, ["hidden", "one"]),
    ),
    workdir=WORKDIRS,
  )
  def test_each_command_is_read_by_its_binary(self, after, workdir):
    for command in after(workdir).values():
      python, m, name, *words = shlex.split(command)
      self.assertTrue(os.path.samefile(shutil.which(python), sys.executable))
      self.assertEqual(m, "-m")
      # Read afresh, since a binary reads one command line in its life.
      binary = importlib.reload(importlib.import_module(name)).FLAGS
      arguments = binary.parse([name, *words])[1:]
      values = [binary.values[flag].value for flag in binary.values]
      self.assertTrue(
        arguments == [workdir]
        or [a.startswith(f"{workdir}/") for a in arguments] == [True]
        or any(str(value).startswith(f"{workdir}/") for value in values)
      )

  @parameterized.parameters(
    ({}, (60, 120, 480)),
    ({"num_dev": 0, "num_judge": 9}, (60, 0, 9)),
    (
      {"name": "gsm8k", "train": "a b.jsonl", "rules": "paper"},
      (60, 120, 480),
    ),
  )
  def test_the_vote_around_new_weights_asks_the_same_prompts(self, task, asked):
    config = evolution.get_config("laptop")
    config.task.update(task)
    config.seed = 3
    spec = evolution_specs.read_evolution(config)
    (command,) = next_steps.after_one_model("d e", spec.task, 0.014).values()
    _, _, name, *words = shlex.split(command)
    binary = importlib.reload(importlib.import_module(name)).FLAGS
    binary.parse([name, *words])
    read = specs.read_randopt(binary.config)
    self.assertEqual(read.task, spec.task)
    sizes = read.task.sizes
    self.assertEqual((sizes.select, sizes.dev, sizes.judge), asked)
    self.assertEqual(read.model.name, "d e/model")
    self.assertEqual(read.population.sigmas, (0.014,))

  @parameterized.parameters(
    ("bin/python", "/else/python", "bin/python"),  # Not activated.
    ("bin/python", "bin/python", "python"),  # Activated.
    ("my env/python", None, "'my env/python'"),
    ("/usr/bin/python3", "/else/python", "/usr/bin/python3"),
  )
  def test_the_python_is_the_one_that_runs(self, running, found, expected):
    here = pathlib.Path.cwd()
    with (
      mock.patch.object(sys, "executable", str(here / running)),
      mock.patch.object(
        shutil, "which", return_value=found and str(here / found)
      ),
    ):
      (command,) = next_steps.after_signals("d").values()
    self.assertEqual(command, f"{expected} -m experiments.report d")

  def test_questions_are_asked_only_where_lines_are_questions(self):
    commands = next_steps.after_randopt("d", has_questions=False).values()
    self.assertNotIn("predict", " ".join(commands))

  def test_a_picture_is_named_only_where_questions_are_about_one(self):
    for task, is_named in (("scenes/what", True), ("gsm8k", False)):
      shown = next_steps.end_randopt("d", task, {"total_s": 1.0})
      self.assertIn("-m experiments.predict", shown)
      self.assertEqual("--picture=picture.png" in shown, is_named)

  def test_the_ending_says_where_how_long_and_what_next(self):
    shown = next_steps.format_ending(
      "Files are in d.",
      {"total_s": 112.2, "compile_s": 21.0, "judge_s": 3.0},
      {"look": "python -m experiments.report d"},
    )
    self.assertIn(
      "Files are in d. This took 1m52s, 21s of it compilation.", shown
    )
    self.assertRegex(shown, re.compile("^    python -m .*report d$", re.M))


if __name__ == "__main__":
  absltest.main()
