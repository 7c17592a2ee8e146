"""Tests of what `bootstrap.py benchmark` starts."""

import importlib
import pathlib
import re

from absl.testing import parameterized

import bootstrap
from experiments import benchmark_machine, launch
from experiments.launch import machine_stages

_SETUP = pathlib.Path(bootstrap.__file__).with_name("setup.py")


class BenchmarkTest(parameterized.TestCase):
  @parameterized.parameters("cuda13", "cuda12", "tpu", "cpu")
  def test_the_command_of_every_kind_of_machine_is_one(self, devices):
    extras, (dash_m, module, *argv) = bootstrap.plan_benchmark(devices)
    self.assertEqual(dash_m, "-m")
    self.assertIs(importlib.import_module(module), benchmark_machine)
    flags = launch.BinaryFlags("", "python -m experiments.benchmark_machine")
    flags.define_config()
    flags.define_workdir()
    self.assertLen(flags.parse(["x", *argv]), 1)
    machine_stages.validate(flags.config)
    self.assertEqual(
      bool(flags.config.bound_s.transformers), devices == "cuda13"
    )
    known = re.findall(r'^    "([\w-]+)":', _SETUP.read_text("utf-8"), re.M)
    self.assertContainsSubset(extras.strip("[]").split(","), known)
