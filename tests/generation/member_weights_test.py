"""Tests of rebuilding: in the buffers of the members before."""

import functools
from unittest import mock

import jax
import numpy as np
import pytest
import unoptimised
from absl.testing import parameterized
from golden import transformer_cases as cases

from thickets.generation.member_weights import Rebuilder
from thickets.members import Member, stack_members
from thickets.models import layout as layout_lib
from thickets.models import transformer
from thickets.models.layout import Layout
from thickets.perturbation import Gaussian, perturb
from thickets.search import meshes, population
from thickets.search.compiled import Programs

_SIGMA = 0.02


@functools.lru_cache
def _model():
  return cases.make_model("qwen3", num_hidden_layers=2)


# Without optimisation, for it runs once and compiles for seconds.
@functools.partial(jax.jit, compiler_options=unoptimised.OPTIONS)
def _perturb(params, member):
  names = transformer.tensor_names(params)
  return perturb(params, member, names=names)


def _members(num_members):
  return population.sample_members(3, num_members, (_SIGMA,))


class RebuilderTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    # A compiler that fuses as it likes must not change bits; see conftest.
    optimised = Programs.get.__wrapped__
    self.enter_context(mock.patch.object(Programs, "get", optimised))

  def _rebuilder(self, mesh, layout=Layout.STACKED):
    config, params = _model().config, _model().params
    shardings = transformer.shardings(config, mesh)
    base = jax.device_put(params, shardings)
    return base, Rebuilder(config, Gaussian(), mesh, Programs(), layout)

  @parameterized.parameters(({"model": 2}, Layout.STACKED), ({}, Layout.APART))
  @pytest.mark.slow
  def test_weights_have_the_bits_of_one_device(self, mesh, layout):
    mesh = meshes.make_mesh(**mesh)
    base, rebuilder = self._rebuilder(mesh, layout)
    members = _members(8)
    expected = [_perturb(_model().params, m) for m in members]
    expected = [layout.arrange(params) for params in expected]
    many = rebuilder.rebuild_many(base, stack_members(members))
    jax.tree.map(
      np.testing.assert_array_equal,
      jax.device_get(many),
      jax.device_get(layout_lib.stack_weights(expected)),
    )
    one = rebuilder.rebuild_one(base, members[5])
    jax.tree.map(
      np.testing.assert_array_equal, jax.device_get(one), expected[5]
    )

  def _places(self, params):
    return [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(params)]

  @parameterized.parameters(*Layout)
  def test_takes_the_buffers_of_the_members_before(self, layout):
    mesh = meshes.make_mesh(jax.devices()[:1])
    base, rebuilder = self._rebuilder(mesh, layout)
    bases = self._places(base)
    first = rebuilder.rebuild_many(base, stack_members(_members(1)))
    places = self._places(first)
    second = rebuilder.rebuild_many(base, stack_members(_members(2)[1:]))
    self.assertEqual(self._places(second), places)
    self.assertTrue(all(leaf.is_deleted() for leaf in jax.tree.leaves(first)))
    self.assertEqual(self._places(base), bases)
    # Another width frees the old copies before it makes its own.
    rebuilder.rebuild_one(base, _members(1)[0])
    self.assertTrue(all(leaf.is_deleted() for leaf in jax.tree.leaves(second)))
    self.assertEqual(self._places(base), bases)

  @pytest.mark.slow
  def test_several_terms_add_up(self):
    base, rebuilder = self._rebuilder(meshes.make_mesh())
    member = Member((1, 2), (0.02, -0.01))
    rebuilt = rebuilder.rebuild_one(base, member)
    jax.tree.map(
      np.testing.assert_array_equal,
      jax.device_get(rebuilt),
      jax.device_get(_perturb(_model().params, member)),
    )
