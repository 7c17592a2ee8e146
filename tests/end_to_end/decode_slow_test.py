"""Generation in more combinations than the fast tests have time to compile."""

import functools
import itertools
from unittest import mock

import jax
import numpy as np
import pytest
from absl.testing import parameterized
from generation import generator_test

from thickets.generation import programs
from thickets.generation.batching import Batching
from thickets.generation.decoding import Decoding
from thickets.generation.generator import Generator
from thickets.generation.sampling import Sampling
from thickets.members import Member
from thickets.models import layout as layout_lib
from thickets.models import transformer
from thickets.models.layout import Layout
from thickets.perturbation import perturb
from thickets.search import meshes

LENGTHS = (3, 8, 1, 16, 2, 11, 5)


class OracleTest(generator_test.Comparison):
  @parameterized.product(
    name=["qwen3", "qwen2_window", "llama", "olmo3", "gpt2"],
    prefixed=[(Layout.APART, 20), (Layout.STACKED, 0)],
  )
  @pytest.mark.slow
  @mock.patch.object(programs, "CPU_BLOCK_TOKENS", 48)
  def test_every_family_follows_the_oracle(self, name, prefixed):
    layout, prefix = prefixed
    config, params = generator_test.make_model(name)
    apply = jax.jit(functools.partial(transformer.apply, config))
    prompts = generator_test.make_prompts(LENGTHS, prefix=prefix, seed=3)
    expected = generator_test.expect(apply, params, prompts, 24)
    stop_tokens = tuple({int(expected.tokens[row, row]) for row in range(5)})
    for num_devices, rows, segment in ((1, None, None), (1, 3, 7), (8, 6, 11)):
      generator = Generator(
        config,
        Decoding(24, stop_tokens=stop_tokens),
        mesh=meshes.make_mesh(jax.devices()[:num_devices]),
        batching=Batching(rows=rows, segment=segment),
        layout=layout,
      )
      self.assert_follows(
        generator.generate(params, prompts),
        expected,
        is_end=lambda tokens: tokens[-1] in stop_tokens,
      )

  @pytest.mark.slow
  def test_compilations_are_bounded_whatever_rows_do(self):
    config, params = generator_test.make_model("qwen3")
    apply = jax.jit(functools.partial(transformer.apply, config))
    stop_tokens = tuple(range(0, generator_test.VOCAB, 12))
    generator = Generator(
      config,
      Decoding(30, stop_tokens=stop_tokens),
      mesh=generator_test.one_device(),
      batching=Batching(segment=10),
    )
    shapes = set()
    for seed in range(8):
      prompts = generator_test.make_prompts([8] * 24, seed=seed)
      with generator_test.spy(generator, "run_segment") as segments:
        responses = generator.generate(params, prompts)
      shapes |= {
        (call.kwargs["index"], call.args[2].shape[1])
        for call in segments.call_args_list
      }
      expected = generator_test.expect(apply, params, prompts, 30)
      self.assert_follows(
        responses, expected, is_end=lambda tokens: tokens[-1] in stop_tokens
      )
    sizes = {int(np.ceil(f * 24)) for f in generator_test.ROW_FRACTIONS}
    self.assertContainsSubset(
      shapes, set(itertools.product((1, 11, 21), sizes))
    )
    self.assertGreaterEqual(len({size for _, size in shapes}), 3)
    # One prefill, the segments, and a regrouping for each pair of sizes.
    num_compilations = generator.programs.compiled.num_compilations
    self.assertLessEqual(num_compilations, 1 + len(shapes) + 6 + 6**2)


class MembersTest(generator_test.Comparison):
  @parameterized.parameters(
    ("qwen3", Sampling(1.0, 40, 0.95), 1, 17),
    ("qwen3", Sampling(1.0, 40, 0.95), 2, 0),
    ("olmo3", Sampling(), 2, 17),
    ("olmo3", Sampling(1.0), 2, 17),
    ("gpt2", Sampling(), 1, 0),
    ("gpt2", Sampling(1.0), 2, 17),
  )
  @pytest.mark.slow
  def test_members_together_and_alone(self, name, how, num_model, prefix):
    config, base = generator_test.make_model(name)
    mesh = meshes.make_mesh(model=num_model)
    rebuild = jax.jit(
      functools.partial(perturb, names=transformer.tensor_names(base))
    )
    params = [rebuild(base, Member(seed, 0.03)) for seed in range(8)]

    together = jax.device_put(
      layout_lib.stack_weights(params),
      layout_lib.member_shardings(transformer.shardings(config, mesh)),
    )
    prompts = generator_test.make_prompts((3, 8, 1, 6, 2), prefix=prefix)
    keys = jax.random.split(jax.random.key(0), (8, 5))
    decoding = Decoding(20, how, stop_tokens=(3, 14, 15, 92, 65, 35))
    generator = Generator(
      config, decoding, mesh=mesh, batching=Batching(rows=3, segment=8)
    )
    responses = generator.generate_members(together, prompts, keys)
    # On one device, in one segment, all rows at once.
    single = Generator(
      config,
      decoding,
      mesh=generator_test.one_device(),
      batching=Batching(segment=19),
    )
    if how.is_greedy:
      apply = jax.jit(functools.partial(transformer.apply, config))
    for member in range(8):
      got = jax.tree.map(lambda field, member=member: field[member], responses)
      if how.is_greedy:
        expected = generator_test.expect(apply, params[member], prompts, 20)
        self.assert_follows(
          got,
          expected,
          is_end=lambda tokens: tokens[-1] in decoding.stop_tokens,
        )
        continue
      alone = single.generate(params[member], prompts, keys[member])
      np.testing.assert_array_equal(got.tokens, alone.tokens)
      np.testing.assert_array_equal(got.lengths, alone.lengths)
      np.testing.assert_array_equal(got.stopped, alone.stopped)
      np.testing.assert_allclose(
        got.log_probs, alone.log_probs, atol=generator_test.TOLERANCE
      )
