"""Tests of the configs of GRPO and PPO, and of their checks."""

from absl.testing import parameterized

from configs import policy_gradient, randopt
from experiments.launch import policy_specs
from thickets.errors import UserError

VARIANTS = [
  *policy_gradient.NAMES,
  *(
    f"{method}-{model}-{task}"
    for method in policy_gradient.METHODS
    for model in ("qwen2_5_0_5b", "olmo3_7b")
    for task in randopt.DEV_SIZES
  ),
]


class ConfigsTest(parameterized.TestCase):
  def test_every_variant_passes_the_checks(self):
    for variant in VARIANTS:
      config = policy_gradient.get_config(variant)
      self.assertTrue(config.is_locked)
      spec = policy_specs.read_policy(config)
      self.assertEqual(spec.policy.critic is not None, "ppo" in variant)

  def test_the_settings_of_the_paper(self):
    grpo, ppo = (
      policy_specs.read_policy(
        policy_gradient.get_config(f"{method}-qwen2_5_3b-gsm8k")
      )
      for method in policy_gradient.METHODS
    )
    self.assertEqual(grpo.model.name, "Qwen/Qwen2.5-3B-Instruct")
    rollout = grpo.policy.rollout
    self.assertEqual((rollout.num_prompts, rollout.group), (1024, 8))
    self.assertEqual((grpo.policy.minibatch, grpo.num_steps), (64, 200))
    rollout = ppo.policy.rollout
    self.assertEqual((rollout.num_prompts, rollout.group), (128, 1))
    self.assertEqual((ppo.policy.minibatch, ppo.num_steps), (32, 600))
    critic = ppo.policy.critic
    self.assertEqual(critic.optimizer.learning_rate, 1e-5)
    self.assertEqual((critic.discount, critic.trace), (1, 1))
    for spec in (grpo, ppo):
      self.assertEqual(spec.policy.optimizer.learning_rate, 1e-6)
      self.assertEqual(
        (spec.policy.clip_low, spec.policy.clip_high), (0.2, 0.2)
      )
      self.assertFalse(spec.policy.has_reference)

  @parameterized.parameters(
    "tiny", "grpo", "grpo-qwen2_5_3b-gsm8k-small", "es-qwen2_5_3b-gsm8k"
  )
  def test_wrong_words_are_refused(self, variant):
    with self.assertRaisesRegex(ValueError, "variant must be .*MODEL-TASK"):
      policy_gradient.get_config(variant)

  @parameterized.parameters(
    ({"rollout.group": 1}, "rollout.group must be at least 2 for grpo"),
    (
      {"rollout.num_prompts": 13},
      "num_prompts must be at most task.num_select",
    ),
    ({"method": "dpo"}, "method must be one of .*grpo.*, got 'dpo'"),
    ({"policy.minibatch": 3}, "policy.minibatch must divide"),
    ({"policy.learning_rate": 0.0}, "policy.learning_rate must be at least"),
    ({"policy.save_every": 0}, "policy.save_every must be at least 1"),
    ({"policy.num_steps": 0}, "num_steps or budget.flops must be above 0"),
    ({"budget.flops": -1.0}, "budget.flops must be at least 0"),
    ({"policy.divergence": -0.1}, "policy.divergence must be at least 0"),
    (
      {"method": "ppo", "policy.weight_decay": -1.0},
      "^policy.weight_decay must be at least 0, got -1.0.$",
    ),
    (
      {"method": "ppo", "critic.discount": 1.5},
      "critic.discount must be at most 1",
    ),
  )
  def test_what_cannot_run_is_refused_by_name(self, changes, message):
    config = policy_gradient.get_config("smoke")
    config.update_from_flattened_dict(changes)
    with self.assertRaisesRegex(UserError, message):
      policy_specs.read_policy(config)

  def test_ppo_needs_no_group(self):
    config = policy_gradient.get_config("ppo-smoke")
    config.update_from_flattened_dict({"rollout.group": 1})
    self.assertEqual(policy_specs.read_policy(config).policy.method, "ppo")
