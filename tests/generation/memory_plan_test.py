"""Tests of what is run at once: bounded by memory, as asked, or refused."""

import dataclasses
from unittest import mock

import jax
import jax.numpy as jnp
from absl.testing import parameterized
from golden import transformer_cases as cases

from configs import benchmark_language
from thickets.errors import NoRoomError, UserError
from thickets.generation import memory_plan
from thickets.generation.batching import Batching
from thickets.generation.memory_plan import Workload
from thickets.models import families, memory
from thickets.search import meshes

_GIB = 2**30
# Qwen2.5-32B.
_LARGE = benchmark_language.get_config("qwen2_5_3b").model.to_dict() | {
  "vocab_size": 152064,
  "hidden_size": 5120,
  "intermediate_size": 27648,
  "num_hidden_layers": 64,
  "num_attention_heads": 40,
  "num_key_value_heads": 8,
  "tie_word_embeddings": False,
}


def _plan(size, config, *, model=1, dtype=jnp.bfloat16, **options):
  """A plan for devices of `size` bytes."""
  mesh = meshes.make_mesh(jax.devices()[:model], model=model)
  moves_weights = options.pop("moves_weights", False)
  workload = Workload(
    num_prompts=options.pop("num_prompts", 200),
    prompt_tokens=options.pop("prompt_tokens", 60),
    new_tokens=options.pop("new_tokens", 40),
    tower_bytes=options.pop("tower_bytes", 0),
  )
  asked = Batching(**options)
  with mock.patch.object(memory, "device_size_bytes", lambda _: size):
    return memory_plan.plan_memory(
      config, dtype, mesh, workload, asked, moves_weights=moves_weights
    )


class PlanTest(parameterized.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.small = cases.make_model("qwen3").config
    cls.large = families.parse_config(_LARGE)

  def test_small_models_run_many_members(self):
    plan = _plan(64 * _GIB, self.small)
    self.assertEqual(plan.rows, 200)
    # 8192 rows at most, a power of two of members.
    self.assertEqual(plan.lanes, 32)

  @parameterized.parameters(
    # 14 heads, 383 slots, 200 rows: 4.3 MB of scores for each member.
    ("gpu", 200, 4.29e6, 7),
    ("cuda", 200, 4.29e6, 7),
    ("tpu", 200, 4.29e6, 1),
    ("gpu", 200, 1e4, 40),
    ("gpu", 200, 1e9, 1),
    ("gpu", 10**5, 1e4, 1),
    ("other", 200, 4.29e6, 40),
  )
  def test_members_at_once_leave_each_other_the_cache(
    self, platform, rows, passed, lanes
  ):
    found = memory_plan.count_useful_lanes(platform, rows, passed)
    self.assertEqual(found, lanes)

  def test_large_models_run_one_with_the_rows_that_fit(self):
    plan = _plan(80 * _GIB, self.large, model=4, num_prompts=10**6)
    self.assertEqual(plan.lanes, 1)
    self.assertBetween(plan.rows, 100, 10**5)

  def test_long_prompts_are_read_in_smaller_blocks(self):
    short = _plan(48 * _GIB, self.large, model=4, prompt_tokens=128)
    long = _plan(
      48 * _GIB, self.large, model=4, prompt_tokens=4096, new_tokens=64
    )
    self.assertLess(long.block, short.block)
    self.assertGreaterEqual(long.block, 4096)
    self.assertGreaterEqual(long.rows, 1)

  def test_what_is_asked_for_wins(self):
    plan = _plan(64 * _GIB, self.small, lanes=3, rows=7)
    self.assertEqual((plan.lanes, plan.rows), (3, 7))
    # Devices that share the host's memory.
    self.assertEqual(_plan(None, self.small, lanes=3).lanes, 3)

  @parameterized.parameters(10, 20, 40)
  def test_no_more_would_fit(self, gib):
    mesh = meshes.make_mesh(jax.devices()[:1], model=1)
    workload = Workload(num_prompts=10**4, prompt_tokens=60, new_tokens=400)
    size = gib * _GIB

    def estimate(plan):
      return max(
        memory_plan.estimate_bytes(
          self.small, jnp.bfloat16, mesh, workload, plan
        ).values()
      )

    plan = memory_plan.plan_memory(
      self.small, jnp.bfloat16, mesh, workload, Batching(lanes=512), size
    )
    self.assertLess(plan.rows, 10**4)
    self.assertLessEqual(estimate(plan), 0.9 * size)
    one_more = dataclasses.replace(plan, rows=plan.rows + 1)
    self.assertGreater(estimate(one_more), 0.9 * size)

  def test_no_stack_of_layers_is_held_twice(self):
    with self.assertRaisesRegex(NoRoomError, "needs") as caught:
      _plan(1, self.large)
    needed = caught.exception.needed_bytes
    copy = memory.bytes_per_device(self.large, jnp.bfloat16)
    # A layer and a row with what it takes beside the base and a member.
    self.assertBetween(needed, 2 * copy, (2 + 1 / 32) * copy + _GIB)

  @parameterized.parameters(
    # A step holds the base, a member, and weights in float32 before and after.
    (jnp.bfloat16, 2 + 4),
    (jnp.float32, 2 + 2),
  )
  def test_weights_that_move_are_held_beside_base_and_members(
    self, dtype, copies
  ):
    with self.assertRaisesRegex(NoRoomError, "the weights that move") as caught:
      _plan(1, self.large, dtype=dtype, moves_weights=True)
    copy = memory.bytes_per_device(self.large, dtype)
    self.assertEqual(caught.exception.needed_bytes, copies * copy)
    # While members answer, there is less room for their rows.
    size = int(1.5 * copies * copy)
    options = {"dtype": dtype, "num_prompts": 10**6}
    moved = _plan(size, self.large, moves_weights=True, **options)
    self.assertLess(moved.rows, _plan(size, self.large, **options).rows)

  @parameterized.parameters((False, 1), (True, 1 + 1 + 2))
  def test_towers_are_held_beside_base_and_members(self, moves, copies):
    # Where weights move in bfloat16, their tower is there in float32 as well, and
    # once more in bfloat16.
    options = {"num_prompts": 10**6, "moves_weights": moves}
    size, tower = 12 * memory.bytes_per_device(self.large, jnp.bfloat16), _GIB
    alone = _plan(size, self.large, **options)
    room = size - int(copies * tower / 0.9)
    beside = _plan(size, self.large, tower_bytes=tower, **options)
    less = _plan(room, self.large, **options)
    self.assertLess(beside.rows, alone.rows)
    self.assertAlmostEqual(beside.rows, less.rows, delta=2)

  def test_says_what_it_needs_and_what_there_is(self):
    with self.assertRaisesRegex(UserError, "which needs 1.. GiB, got 72 GiB"):
      _plan(80 * _GIB, self.large, model=1)
