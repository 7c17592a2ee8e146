"""Tests of the rounds of iterative RandOpt, with searches that are stood in for."""

import pathlib
import tempfile
from types import SimpleNamespace
from unittest import mock

import numpy as np
from absl.testing import parameterized

from configs import iterate
from experiments.launch import distil_run, iterating, randopt_run
from experiments.launch.distil_texts import NothingToTeachError
from thickets.analysis import measurement
from thickets.runs.directory import BASE_POSITION

CONFIG = iterate.get_config("smoke")


def _record(right):
  flags = np.array(right, bool)
  fields = {
    "score": flags.astype(float),
    "correct": flags,
    "lenient": flags,
    "format": flags,
    "vote": np.array(["a"] * len(right)),
  }
  return SimpleNamespace(channels=lambda names: {n: fields[n] for n in names})


class RoundsTest(parameterized.TestCase):
  taught_out = ()  # The distillations that have nothing to teach.

  def run_arm(self, arm, chosen, right):
    """Runs an arm of which dev chooses these steps, and judge finds these right."""
    self.searched, steps = [], iter(chosen)
    outcomes = iter(right)

    def search(spec, workdir):
      self.searched.append((spec.model.name, spec.population.sigmas, workdir))

    def distil(spec, source, source_dir, workdir):
      self.assertEqual(spec.teaching.teachers, arm)
      self.assertEqual(source_dir, self.searched[-1][2])
      if workdir in self.taught_out:
        raise NothingToTeachError("nothing to distil")
      return {"chosen": next(steps), "data": {"judge": {}}}

    def read(folder):
      step, flags = (
        chosen[int(folder.split("round_")[1][0]) - 1],
        next(outcomes),
      )
      judge = {BASE_POSITION: _record([0, 0, 1])}
      judge |= {} if step is None else {step: _record(flags)}
      return {}, {"judge": judge}

    with (
      mock.patch.object(randopt_run, "run", search),
      mock.patch.object(distil_run, "run", distil),
      mock.patch.object(measurement, "read_records", read),
    ):
      return iterating.run_arm(CONFIG, arm, "d")

  def test_each_round_is_around_the_model_of_the_last(self):
    rounds = self.run_arm("members", [4, 2], [[0, 1, 1], [1, 1, 1]])
    self.assertEqual(
      self.searched,
      [
        ("shipped/conventions-hidden", (1.4e-2,), "d/members/round_1/randopt"),
        (
          "d/members/round_1/distil/model",
          (1.4e-2,),
          "d/members/round_2/randopt",
        ),
      ],
    )
    self.assertEqual([r.chosen for r in rounds], [4, 2])
    right = [r.distilled.lenient[0].tolist() for r in rounds]
    self.assertEqual(right, [[False, True, True], [True, True, True]])

  def test_an_arm_ends_with_a_round_that_dev_refuses(self):
    rounds = self.run_arm("samples", [None], [[0, 0, 0]])
    self.assertLen(rounds, 1)
    self.assertEqual(self.searched[0][1], (0.0,))
    right = rounds[0].distilled.lenient[0].tolist()
    self.assertEqual(right, [False, False, True])

  def test_an_arm_ends_where_nothing_is_left_to_teach(self):
    self.taught_out = ("d/members/round_2/distil",)
    rounds = self.run_arm("members", [4], [[0, 1, 1]])
    self.assertEqual([r.chosen for r in rounds], [4])
    self.assertLen(self.searched, 2)
    self.taught_out = ("d/members/round_1/distil",)
    with self.assertRaises(NothingToTeachError):
      self.run_arm("members", [4], [[0, 1, 1]])

  def test_the_arms_are_compared_after_their_last_rounds(self):
    rounds = {
      "members": self.run_arm("members", [4, 2], [[0, 1, 1], [1, 1, 1]]),
      "samples": self.run_arm("samples", [4, None], [[1, 0, 1], [0, 0, 0]]),
    }
    # A round that is refused has the answers of its base.
    refused = rounds["samples"][1].distilled.lenient[0].tolist()
    self.assertEqual(refused, [False, False, True])
    folder = self.enter_context(tempfile.TemporaryDirectory())
    results = iterating.summarise(rounds, folder)
    self.assertEqual(results["kept"], {"members": 2, "samples": 1})
    self.assertAlmostEqual(results["members_minus_samples"]["mean"], 2 / 3)
    self.assertEqual(
      [row["name"] for row in results["table"]],
      [
        *("base", "members, round 1", "members, round 2"),
        *("samples, round 1", "samples, round 2"),
      ],
    )
    self.assertTrue((pathlib.Path(folder) / "results.json").exists())
    printed = iterating.describe_rounds(results)
    self.assertIn("samples: rounds that dev kept: 1.", printed)
    self.assertRegex(
      printed, r"members - samples: \+66.7 \[.*\] points over pr"
    )
