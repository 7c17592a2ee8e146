"""A comparison of three methods, from its config to its table and figure."""

import json
import pathlib
import tempfile

import pytest
from absl.testing import absltest

from configs import compare as compare_keys
from experiments import compare
from experiments.launch import compare_specs
from thickets.errors import UserError
from thickets.report import comparison_table

pytestmark = pytest.mark.slow


def _read(**changes):
  config = compare_keys.get_config("smoke").unlock()
  for name in ("GRPO", "PPO", "distilled"):
    del config.methods[name]
  config.methods.ES.key, config.methods.ES["values"] = "", ()
  config.seeds = (0,)
  config.budget.flops = 1e9
  for key, value in changes.items():
    config[key] = value
  return compare_specs.read_compare(config)


class CompareTest(absltest.TestCase):
  def test_methods_are_run_asked_and_compared_and_run_once(self):
    folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    results = compare.run(_read(), folder)
    rows = {row["name"]: row for row in results["rows"]}
    self.assertEqual([*rows], ["base", "RandOpt", "ES", "consolidated"])
    for name in ("RandOpt", "ES"):  # Within one member, or step, of the budget.
      self.assertBetween(rows[name]["search_flops"], 0.7e9, 1.05e9)
    # What is made of a run costs what the run has cost.
    self.assertEqual(
      rows["consolidated"]["search_flops"], rows["RandOpt"]["search_flops"]
    )
    self.assertEqual(rows["RandOpt"]["num_steps"], 1)
    self.assertGreater(rows["ES"]["num_steps"], 3)
    self.assertTrue((folder / "figures/methods.png").exists())
    table = comparison_table.format_comparison(results)
    self.assertIn("over RandOpt's", table)
    # One pass of a method's model is what the method itself has found.
    found = json.loads((folder / "ES/0/results.json").read_text("utf-8"))
    self.assertAlmostEqual(
      rows["ES"]["right"]["one pass"]["mean"],
      found["table"][-1]["judge"]["mean"],
    )

    logs = {path: path.stat().st_mtime_ns for path in folder.rglob("*.log")}
    again = compare.run(_read(), folder)
    self.assertEqual(again["rows"], results["rows"])
    self.assertEqual(
      logs, {path: path.stat().st_mtime_ns for path in folder.rglob("*.log")}
    )
    with self.assertRaisesRegex(UserError, "config differs: budget.flops"):
      compare.run(_read(budget={"flops": 2e9}), folder)


if __name__ == "__main__":
  absltest.main()
