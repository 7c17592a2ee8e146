"""Tests of a comparison: its config, its commands, and what it reads."""

import json
import pathlib
import tempfile

from absl.testing import absltest, parameterized

from configs import compare as compare_keys
from experiments.launch import compare_plan, compare_specs
from experiments.launch.compare_plan import Plan
from thickets.errors import UserError


def _read(changes=None, variant="smoke"):
  config = compare_keys.get_config(variant).unlock()
  for key, value in (changes or {}).items():
    *path, last = key.split(".")
    part = config
    for name in path:
      part = part[name]
    part[last] = value
  return compare_specs.read_compare(config)


class SpecsTest(parameterized.TestCase):
  @parameterized.parameters(
    ({"seeds": (0, 0)}, "seeds must differ"),
    ({"seeds": (0, 100)}, "none be tuning_seed=100"),
    ({"seeds": ()}, "seeds must hold at least one"),
    ({"budget.flops": 0.0}, "budget.flops must be above 0"),
    ({"task.num_dev": 0}, "task.num_dev must be at least 1"),
    ({"votes.temperatures": ()}, "votes.temperatures must hold at least one"),
    ({"parallel": 0}, "parallel must be at least 1"),
    ({"methods.GRPO.binary": "gpo"}, "methods.GRPO.binary must be one of"),
    ({"methods.GRPO.variant": "grpo"}, "methods.GRPO.variant must be"),
    (
      {"methods.GRPO.key": "policy.learning_rat", "methods.GRPO.values": (1,)},
      "policy.learning_rat, which .* does not have. Nearest: policy.learning_rate",
    ),
    ({"methods.GRPO.key": "policy.clip_low"}, "both key and values"),
    (
      {"methods.RandOpt.key": "seed", "methods.RandOpt.values": (1, 2)},
      "must be empty for randopt, which dev does not watch",
    ),
    ({"methods.distilled.source": "GRPO"}, "one of .'RandOpt'., got 'GRPO'"),
    ({"methods.GRPO.source": "RandOpt"}, "source must be empty"),
    ({"methods.GRPO": {"binary": "randopt"}}, "must hold the keys"),
    ({"methods.votes": {}}, "can be a folder's, other than base, votes, .*"),
    (
      {"methods.RandOpt.set.population": {"size": 9}},
      "RandOpt must leave population.size to the comparison",
    ),
    (
      {"methods.ES.key": "budget.flops", "methods.ES.values": (1.0, 2.0)},
      "ES must leave budget.flops to the comparison",
    ),
    (
      {"methods.consolidated.variant": "laptop"},
      "consolidated.variant must be empty for consolidate",
    ),
  )
  def test_refusals(self, changes, expected):
    with self.assertRaisesRegex(UserError, expected):
      _read(changes)

  @parameterized.parameters(
    "laptop", "smoke", "qwen2_5_3b-countdown", "qwen2_5_3b-gsm8k"
  )
  def test_variants(self, variant):
    spec = _read(variant=variant)
    Plan(spec, pathlib.Path("none")).check()
    self.assertEqual(
      [method.name for method in spec.methods],
      ["RandOpt", "ES", "GRPO", "PPO", "consolidated", "distilled"],
    )

  def test_an_unknown_variant(self):
    with self.assertRaisesRegex(ValueError, "variant must be one of laptop"):
      compare_keys.get_config("desktop")


class CheckTest(parameterized.TestCase):
  @parameterized.parameters(
    (
      {"methods.GRPO.set.rollout": {"num_prompts": 14}},
      "methods.GRPO: .*rollout.num_prompts must be at most task.num_select=12",
    ),
    (
      {"methods.ES.values": (7e-3, -1.0)},
      "methods.ES: .*evolution.alpha must be",
    ),
    (
      {"methods.RandOpt.set.ensemble": {"also": (1, 4)}},
      "methods.RandOpt: .*ensemble.also must be",
    ),
    (
      {"methods.distilled.set": {"fitting": {"epochs": "many"}}},
      "methods.distilled: .*epochs",
    ),
  )
  def test_what_an_experiment_would_refuse_is_refused(self, changes, expected):
    plan = Plan(_read(changes), pathlib.Path("none"))
    with self.assertRaisesRegex(UserError, expected):
      plan.check()


class PlanTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    folder = self.enterContext(tempfile.TemporaryDirectory())
    self.plan = Plan(_read(), pathlib.Path(folder))
    self.methods = {method.name: method for method in self.plan.spec.methods}

  def write(self, where, content):
    where.mkdir(parents=True)
    (where / "results.json").write_text(json.dumps(content))

  def write_base(self, flops):
    ledger = [{"method": "one pass", "answer": {"flops": flops}}]
    for seed in self.plan.spec.seeds:
      self.write(self.plan.locate_votes("base", seed), {"ledger": ledger})

  def test_the_budget_decides_the_size_of_the_population(self):
    self.write_base(1e6)
    command = self.plan.search(self.methods["RandOpt"], 1)
    # 2e9 FLOPs, 12 prompts of 1e6 FLOPs each: 166 members and two thirds.
    self.assertIn("--config.population.size=166", command.arguments)
    self.assertIn("--config.seed=1", command.arguments)
    self.assertIn("--config.ensemble.top_k=3", command.arguments)

  def test_a_budget_below_the_members_that_vote_is_refused(self):
    self.write_base(1e8)  # 1.2e9 a member.
    with self.assertRaisesRegex(UserError, "pay for the 3 members .* for 1"):
      self.plan.search(self.methods["RandOpt"], 0)

  def test_dev_chooses_among_the_values_by_the_last_step(self):
    evolution = self.methods["ES"]
    search = {"flops": 1.0}
    for command, scores in zip(
      self.plan.tune(evolution), ([0.9, 0.4], [0.1, 0.5]), strict=True
    ):
      watched = [{"step": s, "score": v} for s, v in enumerate(scores)]
      self.write(
        command.workdir, {"watched": watched, "ledger": [{"search": search}]}
      )
    self.assertEqual(self.plan.choose(evolution), 1.4e-2)
    command = self.plan.search(evolution, 0)
    self.assertIn("--config.evolution.alpha=0.014", command.arguments)
    self.assertIn("--config.budget.flops=2000000000.0", command.arguments)

  def test_values_that_the_file_has_anyway_are_left_out(self):
    command = self.plan.ask_base(0)
    flags = [word.partition("=")[0] for word in command.arguments]
    self.assertIn("--config.task.num_judge", flags)
    self.assertNotIn("--config.seed", flags)
    self.assertNotIn("--config.task.rules", flags)

  def test_one_model_is_made_of_the_run_of_the_same_seed(self):
    command = self.plan.search(self.methods["distilled"], 1)
    source = self.plan.locate(self.methods["RandOpt"], 1)
    self.assertIn(f"--run={source}", command.arguments)

  def test_dotted_keys(self):
    found = compare_specs.flatten({"a": {"b": 1, "c": {"d": (2,)}}, "e": {}})
    self.assertEqual(found, {"a.b": 1, "a.c.d": (2,), "e": {}})

  def test_flags_name_what_differs(self):
    flags = compare_plan._override({"a.b": 2, "x": 1}, {"a.b": 1, "c": 3})
    self.assertEqual(flags, ["--config.a.b=2"])


if __name__ == "__main__":
  absltest.main()
