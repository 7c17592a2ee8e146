"""Tests of programs compiled from shapes: those of a run, and what they hold."""

import dataclasses
import functools
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized
from golden import transformer_cases as cases

from thickets.generation import forecast, rehearsal
from thickets.generation.batching import Batching
from thickets.generation.decoding import Decoding
from thickets.generation.forecast import Forecast
from thickets.generation.generator import Generator
from thickets.generation.member_weights import Rebuilder
from thickets.generation.memory_plan import Workload
from thickets.members import stack_members
from thickets.models import families, transformer
from thickets.models.layout import Layout
from thickets.perturbation import Gaussian
from thickets.search import meshes, population, targets
from thickets.search.compiled import Programs

_WORKLOAD = Workload(num_prompts=6, prompt_tokens=24, new_tokens=44)


def _config():
  # Six heads on four devices, of which two divide the heads of keys.
  return families.parse_config(
    cases.CASES["qwen2"]
    | {
      "num_hidden_layers": 2,
      "vocab_size": 96,
      "hidden_size": 48,
      "num_attention_heads": 6,
      "num_key_value_heads": 2,
    }
  )


@functools.cache
def _rehearsal(layout):
  return rehearsal.rehearse(
    _config(),
    jnp.float32,
    meshes.make_mesh(model=4),
    _WORKLOAD,
    Decoding(max_new_tokens=44),
    asked=Batching(lanes=2, rows=3),
    memory_bytes=2**30,
    layout=layout,
  )


def _through_json(content):
  return json.loads(json.dumps(content))


@pytest.mark.slow
class RehearsalTest(parameterized.TestCase):
  def test_a_run_compiles_nothing_else(self):
    found = _rehearsal(Layout.STACKED)
    config, mesh = _config(), meshes.make_mesh(model=4)
    compiled = Programs()
    compiled._compiled |= found.generator.programs.compiled._compiled
    generator = Generator(
      config,
      Decoding(max_new_tokens=44),
      mesh=mesh,
      batching=found.plan,
      layout=Layout.STACKED,
      compiled=compiled,
    )
    base = generator.place(
      transformer.init(config, jax.random.key(0), jnp.float32)
    )
    rebuilder = Rebuilder(config, Gaussian(), mesh, compiled, generator.layout)
    members = population.sample_members(1, 4, (0.1,))
    params = rebuilder.rebuild_many(base, stack_members(members))
    responses = generator.generate_members(params, [[3] * 24] + [[4] * 24] * 5)
    self.assertEqual(responses.tokens.shape, (4, 6, 44))
    self.assertEqual(compiled.num_compilations, 0)

  def test_tells_apart_what_programs_do(self):
    found = _rehearsal(Layout.STACKED)
    self.assertEqual(
      [stage.name for stage in found.stages],
      ["rebuild", "prefill", "segment", "regroup", "segment"],
    )
    # Two members on each of two groups of four devices; six prompts by three.
    self.assertEqual(found.num_members, 4)
    self.assertEqual(found.devices_per_member, 4)
    self.assertEqual(found.num_batches, 2)
    self.assertEqual(sum(steps for _, steps in found.segments), 43)
    leaves = jax.tree.leaves(
      transformer.shardings(_config(), meshes.make_mesh(model=4))
    )
    params = jax.tree.leaves(
      transformer.abstract_params(_config(), jnp.float32)
    )
    expected = sum(
      4 * math.prod(sharding.shard_shape(leaf.shape))
      for sharding, leaf in zip(leaves, params, strict=True)
    )
    self.assertEqual(found.base_bytes, expected)
    self.assertEqual(found.copies_bytes, 2 * expected)

  def test_members_exchange_nothing_and_their_parts_no_weights(self):
    chip = targets.CHIPS["h100"]
    read = forecast.make_forecast(
      _rehearsal(Layout.STACKED),
      _WORKLOAD,
      np.dtype(np.float32),
      chip,
      noise_operations=100,
    )
    for program in read.programs:
      for one in program.exchanges:
        self.assertNotIn("population", one.axes, (program.name, one))
    step = read.programs[-1]
    self.assertIn("all-reduce", {one.opcode for one in step.exchanges})
    rebuild = read.programs[0]
    self.assertEmpty(rebuild.exchanges)
    self.assertEqual(Forecast.from_json(_through_json(read.to_json())), read)
    self.assertLess(
      rebuild.temporary_bytes, _rehearsal(Layout.STACKED).base_bytes
    )
    self.assertGreater(read.members_per_hour(8), 0)
    self.assertEqual(read.members_per_hour(16), 2 * read.members_per_hour(8))
    self.assertGreater(
      read.memory_bytes, 3 * _rehearsal(Layout.STACKED).base_bytes
    )

  def test_a_response_of_one_token_takes_no_step(self):
    workload = dataclasses.replace(_WORKLOAD, new_tokens=1)
    found = rehearsal.rehearse(
      _config(),
      jnp.float32,
      meshes.make_mesh(jax.devices()[:1], model=1),
      workload,
      Decoding(max_new_tokens=1),
      asked=Batching(lanes=1, rows=3),
      memory_bytes=2**30,
    )
    self.assertEqual([s.name for s in found.stages], ["rebuild", "prefill"])
    read = forecast.make_forecast(
      found,
      workload,
      np.dtype(np.float32),
      targets.CHIPS["h100"],
      noise_operations=100,
    )
    self.assertIsNone(read.step_ratio)
    self.assertEqual(read.decode_s, 0)
    self.assertGreater(read.members_per_hour(1), 0)
