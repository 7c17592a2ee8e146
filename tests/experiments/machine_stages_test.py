"""Tests of the stages in which a machine is measured."""

import json
import pathlib
import tempfile

from absl.testing import parameterized

from configs import benchmark_machine
from experiments import compile as compile_lib
from experiments.launch import machine_stages
from experiments.launch.machine_stages import Stage
from thickets.errors import UserError


def _config(**changes):
  config = benchmark_machine.get_config("qwen2_5").unlock()
  for key, value in changes.items():
    part, _, rest = key.partition("__")
    if rest:
      config[part][rest] = value
    else:
      config[part] = value
  return config


class StagesTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.workdir = pathlib.Path(
      self.enter_context(tempfile.TemporaryDirectory())
    )

  def make(self, code, bound_s=60):
    folder = self.workdir / "shape-stacked"
    return Stage("shape", "stacked", folder, ("-c", code), bound_s)

  @parameterized.parameters("qwen2_5", "cpu", "smoke")
  def test_those_of_every_variant_take_longer_and_longer(self, variant):
    config = benchmark_machine.get_config(variant)
    machine_stages.validate(config)
    stages = machine_stages.plan(config, self.workdir)
    bounds = [stage.bound_s for stage in stages]
    self.assertEqual(bounds, sorted(bounds))
    self.assertLen({stage.folder for stage in stages}, len(stages))

  def test_forecasts_are_of_the_machine_that_was_measured(self):
    config = _config()
    stages = machine_stages.plan(config, self.workdir)

    def plan(config):
      found = machine_stages.plan_forecasts(config, stages, self.workdir)
      return [stage.arguments for stage in found]

    self.assertEmpty(plan(config))  # Nothing was measured yet.
    named = plan(_config(target="h100:8"))
    self.assertLen(named, 4)
    stages[0].begin()
    environment = {"device_kind": "NVIDIA H200", "num_devices": 2}
    (stages[0].folder / "benchmark.json").write_text(
      json.dumps({"environment": environment}), "utf-8"
    )
    found = plan(config)
    self.assertTrue(all("--target=h200:2" in words for words in found), found)
    known = compile_lib.FLAGS.values
    for words in (*named, *found):
      flags = {word[2:].partition("=")[0] for word in words[2:]}
      self.assertContainsSubset({f for f in flags if "." not in f}, set(known))
    self.assertEmpty(plan(_config(bound_s__foretold=())))

  def test_a_kind_without_bounds_is_left_out(self):
    config = _config(bound_s__transformers=())
    kinds = {s.kind for s in machine_stages.plan(config, self.workdir)}
    self.assertEqual(kinds, {"stacked", "apart"})

  @parameterized.parameters(
    ({"shapes": ("qwen2_5_3",)}, "Nearest: qwen2_5_3b"),
    ({"shapes": ()}, "shapes must hold at least one item"),
    ({"bound_s__apart": (10,)}, "bound_s.apart must have one number for each"),
    ({"bound_s__apart": (10, 0)}, "bound_s.apart must be at least 1"),
    ({"target": "h300:1"}, "Nearest: h"),
    (
      {
        f"bound_s__{kind}": ()
        for kind in (*machine_stages.KINDS, machine_stages.FORETOLD)
      },
      "must have a kind of stage",
    ),
  )
  def test_wrong_values_are_refused(self, changes, message):
    with self.assertRaisesRegex(UserError, message):
      machine_stages.validate(_config(**changes))

  def test_one_that_takes_too_long_is_ended(self):
    stage = self.make("import time; time.sleep(600)", bound_s=1)
    self.assertIn("took longer than 1 s", machine_stages.run(stage))
    self.assertIsNone(stage.read())

  def test_one_that_fails_says_its_last_line(self):
    stage = self.make("import sys; sys.exit('error: no room.\\n')")
    self.assertStartsWith(machine_stages.run(stage), "failed: error: no room.")

  def test_compilation_counts_only_where_nothing_was_compiled_before(self):
    path = self.workdir / "shape-stacked/benchmark.json"
    figures = {"compile_s": 3.0, "member_s": 1.0}
    code = f"open({str(path)!r}, 'w').write({json.dumps(figures)!r})"
    self.assertIsNone(machine_stages.run(self.make(code)))
    self.assertEqual(self.make(code).read(), figures)
    path.unlink()
    self.assertIsNone(machine_stages.run(self.make(code)))
    self.assertEqual(self.make(code).read(), figures | {"compile_s": None})
