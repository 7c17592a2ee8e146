"""Tests of the ladder: its configs, and the smoke variant from end to end."""

import json
import pathlib
import tempfile

import pytest
from absl.testing import parameterized
from end_to_end import commands

from configs import ladder as settings
from experiments import ladder as binary
from thickets.analysis import measurement
from thickets.errors import UserError
from thickets.models import hub
from thickets.training.pretraining import stage_path


class ConfigTest(parameterized.TestCase):
  @parameterized.parameters("", "smoke")
  def test_the_variants_pass(self, variant):
    binary.make_specs(settings.get_config(variant))

  def test_it_is_the_ladder_that_was_asked_for(self):
    """Six sizes over two orders of magnitude, and five stages of each."""
    config = settings.get_config()
    sizes = [rung.width for rung in config.rungs.values()]
    self.assertGreaterEqual(len(set(sizes)), 6)
    # Weights of the layers grow as width squared times their number.
    weights = [
      rung.num_layers * rung.width * (4 * rung.width + 3 * rung.mlp_width)
      for rung in config.rungs.values()
    ]
    self.assertGreater(max(weights) / min(weights), 100)
    for rung in config.rungs.values():
      self.assertGreaterEqual(len(set(rung.stages)), 5)
      self.assertEqual((rung.stages[0], rung.stages[-1]), (0, rung.num_steps))
    self.assertLen(config.measure.tasks.names, 7)

  def test_rungs_of_one_size_differ_in_the_text_alone(self):
    config = settings.get_config()
    several, one = (
      binary.make_pretrain(config, name).to_dict()
      for name in ("w96", "w96-one")
    )
    self.assertEqual(one["corpus"].pop("manners"), "one")
    self.assertEqual(several["corpus"].pop("manners"), "several")
    self.assertEqual(one, several)

  def test_a_rung_that_is_not_there_is_refused(self):
    config = settings.get_config()
    self.assertEqual(binary._choose_rungs(config, "w40"), ["w40"])
    self.assertEqual(binary._choose_rungs(config, None), list(config.rungs))
    with self.assertRaisesRegex(UserError, "--rung must be one of .* Nearest"):
      binary._choose_rungs(config, "w41")


def _climb(workdir):
  return commands.run_binary(
    "ladder", "--config=configs/ladder.py:smoke", f"--workdir={workdir}"
  )


@pytest.mark.slow
class ClimbTest(parameterized.TestCase):
  def test_every_stage_is_kept_and_measured_once(self):
    folder = self.enter_context(tempfile.TemporaryDirectory())
    workdir = pathlib.Path(folder) / "ladder"
    done = _climb(workdir)
    self.assertEqual(done.returncode, 0, msg=done.stderr[-5000:])
    rung = workdir / "w24"
    stages = (0, 2, 5, 10, 20)
    content = json.loads((rung / "stages.json").read_text())
    self.assertEqual([*content["stages"]], [str(step) for step in stages])
    losses = [stage["loss"] for stage in content["stages"].values()]
    self.assertLess(losses[-1], losses[0])
    self.assertGreater(content["num_weights"], 0)
    identities = set()
    for step in stages:
      model = hub.load(str(stage_path(rung / "pretrain", step)))
      found = measurement.read_measurement(rung / "measure" / f"{step:06d}")
      self.assertEqual(found.base_identity, model.identity)
      identities.add(model.identity)
      self.assertLen(found.members, 8)
      self.assertEqual(tuple(found.tasks), ("drills/maximum", "drills/minimum"))
    self.assertLen(identities, len(stages))
    last = hub.load(str(rung / "pretrain" / "model"))
    self.assertIn(last.identity, identities)
    # Once more it does nothing.
    times = {p: p.stat().st_mtime_ns for p in rung.rglob("results.json")}
    self.assertLen(times, 6)
    done = _climb(workdir)
    self.assertEqual(done.returncode, 0, msg=done.stderr[-5000:])
    self.assertEqual(
      {p: p.stat().st_mtime_ns for p in rung.rglob("results.json")}, times
    )
