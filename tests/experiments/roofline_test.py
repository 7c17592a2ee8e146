"""Tests of the roofline of a member against its work counted by hand."""

from absl.testing import absltest
from golden import transformer_cases as cases

from experiments.benchmark.roofline import (
  Work,
  Workload,
  count_noise_operations,
)
from thickets.models import families, flops


class RooflineTest(absltest.TestCase):
  def test_whichever_limits(self):
    self.assertEqual(Work(6, 8).least_s(2, 4), 3)
    self.assertEqual(Work(6, 8).least_s(6, 2), 4)

  def test_only_rows_that_have_not_stopped_count(self):
    config = families.parse_config(cases.CASES["qwen3"])
    workload = Workload(config, "float32", 2, [5, 4], [3, 1])
    head = flops.head_flops(config)
    steps = list(workload.steps())
    self.assertEqual(
      [step.operations for step in steps],
      [flops.token_flops(config, n) + head for n in (6, 7)],
    )
    # The KV cache of the prefix is shared, so two tokens and the row's others.
    self.assertEqual(
      [step.num_bytes for step in steps],
      [
        flops.weight_bytes(config, "float32", 1)
        + flops.kv_cache_bytes(config, "float32", n)
        for n in (6, 7)
      ],
    )
    seen = (1, 2, 3, 4, 5, 3, 4)  # The prefix, and what stands behind it.
    self.assertEqual(
      workload.prefill().operations,
      sum(flops.token_flops(config, n) for n in seen) + 2 * head,
    )

  def test_steps_read_the_experts_that_their_rows_choose(self):
    config = families.parse_config(cases.CASES["qwen3_moe"])
    workload = Workload(config, "float32", 0, [5, 5], [3, 2])
    self.assertEqual(
      [step.num_bytes for step in workload.steps()],
      [
        flops.weight_bytes(config, "float32", rows)
        + flops.kv_cache_bytes(config, "float32", tokens)
        for rows, tokens in ((2, 12), (1, 7))
      ],
    )

  def test_the_noise_takes_at_least_its_cipher(self):
    # Twenty rounds: two additions of words or more, two shifts, or, xor.
    self.assertGreater(count_noise_operations(), 20 * 5)
    self.assertLess(count_noise_operations(), 400)


if __name__ == "__main__":
  absltest.main()
