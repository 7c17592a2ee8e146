"""Tests of projections: against dense linear algebra, from shapes alone."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized
from golden import logical_tensors

from thickets import naming, noise
from thickets.errors import UserError
from thickets.members import BASE, Member, stack_members
from thickets.perturbation import _KINDS, Gaussian, Kind, perturb, register_kind
from thickets.search import projection
from thickets.search.projection import project_members, relative_norm

# 1500 is more than one block of a sum, and no multiple of one.
SHAPES = {
  "embed": (30, 50),
  "layers": {"w": (3, 4, 5), "b": (3, 4, 5)},
  "steps": (6,),
}
DTYPES = {
  "embed": jnp.float32,
  "layers": {"w": jnp.float32, "b": jnp.bfloat16},
  "steps": jnp.int32,
}
ABSTRACT = jax.tree.map(
  jax.ShapeDtypeStruct, SHAPES, DTYPES, is_leaf=lambda x: isinstance(x, tuple)
)
NAMES = naming.tensor_names(ABSTRACT, stacked=["layers"])
MEMBERS = [
  Member(3, 0.01),
  Member(4, 0.02),
  Member((3, 4), (0.01, 0.02)),
  BASE,
  Member(5, -0.3),
  Member((6, 7, 8), (0.1, 0.0, -0.2)),
]


def _real(dtype=None):
  rng = np.random.default_rng(0)
  return jax.tree.map(
    lambda x: jnp.asarray(3 * rng.normal(size=x.shape), dtype or x.dtype),
    ABSTRACT,
  )


def _flatten(tensors, kind):
  """[..., d] float64, of what takes part, in the order of names."""
  chosen = naming.select_names(
    tuple(sorted(tensors)), kind.include, kind.exclude
  )
  return np.concatenate(
    [np.asarray(tensors[n], np.float64) for n in sorted(chosen)], axis=-1
  )


@functools.cache
def _draw_all(seed):
  """Noise of the members and two directions by tensor, flat, from `perturb`."""
  zeros = {
    name: jnp.zeros(x.shape)
    for name, x in logical_tensors.list_tensors(_real(), NAMES)
    if name != "steps"
  }
  moved = jax.jit(jax.vmap(perturb, in_axes=(None, 0)))(
    zeros, stack_members(MEMBERS)
  )
  draw = jax.jit(noise.gaussian, static_argnames=("shape", "stream"))
  directions = {
    name: jnp.stack(
      [
        draw(jnp.uint32(seed), noise.hash_name(name), shape=x.shape, stream=s)
        for s in (0x78, 0x79)
      ]
    )
    for name, x in zeros.items()
  }
  return [
    {name: x.reshape(len(x), -1) for name, x in tree.items()}
    for tree in (moved, directions)
  ]


def _dense(kind):
  """Coordinates and norms of the members by dense algebra, of plane 9."""
  moved, directions = (_flatten(tree, kind) for tree in _draw_all(9))
  plane, triangle = np.linalg.qr(directions.T)
  plane *= np.sign(np.diag(triangle))
  return moved @ plane, np.linalg.norm(moved, axis=1)


class ProjectMembersTest(parameterized.TestCase):
  @parameterized.parameters(
    (Gaussian(), 1620),
    (Gaussian(include=("layers.*",)), 120),
    (Gaussian(exclude=("layers.1.*", "embed")), 80),
  )
  def test_dense_algebra_gives_the_same(self, kind, num_weights):
    got = project_members(ABSTRACT, MEMBERS, seed=9, kind=kind, names=NAMES)
    coordinates, norms = _dense(kind)
    scale = np.maximum(norms, 1e-9)
    np.testing.assert_array_less(
      np.abs(got.coordinates - coordinates).max(axis=1) / scale, 1e-6
    )
    np.testing.assert_allclose(got.norms, norms, rtol=1e-6)
    self.assertEqual(got.num_weights, num_weights)
    self.assertEqual(got.seed, 9)

  def test_the_base_is_the_origin_and_terms_add_up(self):
    got = project_members(ABSTRACT, MEMBERS, seed=9, names=NAMES)
    one, other, both, base = got.coordinates[:4]
    np.testing.assert_array_equal(base, [0, 0])
    self.assertEqual(got.norms[3], 0)
    np.testing.assert_allclose(one + other, both, atol=1e-8)
    self.assertGreater(np.abs(both).min(), 1e-4)

  @parameterized.parameters(1, 4)
  @pytest.mark.slow
  def test_order_and_chunk_do_not_matter(self, chunk):
    order = [5, 0, 3, 2, 4, 1]
    expected = project_members(ABSTRACT, MEMBERS, seed=9, names=NAMES)
    members = [MEMBERS[i] for i in order]
    got = project_members(ABSTRACT, members, seed=9, names=NAMES)
    np.testing.assert_array_equal(got.coordinates, expected.coordinates[order])
    np.testing.assert_array_equal(got.norms, expected.norms[order])
    # A compiler may sum in another order where a chunk has another length.
    chunked = project_members(
      ABSTRACT, members, seed=9, names=NAMES, chunk=chunk
    )
    np.testing.assert_allclose(chunked.coordinates, got.coordinates, atol=2e-8)
    np.testing.assert_allclose(chunked.norms, got.norms, rtol=1e-7)

  @pytest.mark.slow
  def test_weights_and_stacking_do_not_matter(self):
    expected = project_members(ABSTRACT, MEMBERS, seed=9, names=NAMES)
    stacked = project_members(_real(), MEMBERS, seed=9, names=NAMES)
    alone = {
      name: jax.ShapeDtypeStruct(x.shape, x.dtype)
      for name, x in logical_tensors.list_tensors(_real(), NAMES)
    }
    unstacked = project_members(alone, MEMBERS, seed=9)
    for got in (stacked, unstacked):
      np.testing.assert_allclose(
        got.coordinates, expected.coordinates, rtol=1e-12, atol=1e-15
      )
      np.testing.assert_allclose(got.norms, expected.norms, rtol=1e-12)

  @pytest.mark.slow
  def test_coordinates_are_normal_with_the_sigma_of_the_member(self):
    members = [Member(seed, 0.02) for seed in range(2000)]
    base = {"w": ABSTRACT["embed"]}
    got = project_members(base, members, seed=1)
    # Standard errors: of a mean, of a variance, of a correlation.
    error = 1 / math.sqrt(len(members))
    scaled = got.coordinates / 0.02
    np.testing.assert_array_less(np.abs(scaled.mean(axis=0)), 4 * error)
    np.testing.assert_array_less(
      np.abs(scaled.var(axis=0) - 1), 4 * error * math.sqrt(2)
    )
    self.assertLess(abs(np.corrcoef(scaled.T)[0, 1]), 4 * error)
    # Distances are sigma √d, the same for all: the cloud is a thin shell.
    np.testing.assert_allclose(
      got.norms / (0.02 * math.sqrt(1500)), 1, atol=4 / math.sqrt(2 * 1500)
    )
    self.assertGreater(np.linalg.norm(scaled, axis=1).max(), 3)

  def test_a_plane_is_its_seed(self):
    first, again, other = (
      project_members(ABSTRACT, MEMBERS, seed=seed, names=NAMES)
      for seed in (9, 9, 10)
    )
    np.testing.assert_array_equal(first.coordinates, again.coordinates)
    moved = np.abs(first.coordinates - other.coordinates)[[0, 1, 2, 4, 5]]
    self.assertGreater(moved.min(), 1e-4)
    np.testing.assert_array_equal(first.norms, other.norms)

  @pytest.mark.slow
  def test_one_program_for_tensors_of_one_shape(self):
    base = {
      "a": jax.ShapeDtypeStruct((3, 4, 11), jnp.float32),
      "b": jax.ShapeDtypeStruct((4, 11), jnp.float32),
    }
    names = {"a": "layers.{}.a", "b": "b"}
    before = projection._sum_products._cache_size()
    project_members(base, MEMBERS[:5], seed=0, names=names, chunk=2)
    self.assertEqual(projection._sum_products._cache_size(), before + 1)

  def test_long_sums_do_not_lose_digits(self):
    base = {"w": jax.ShapeDtypeStruct((2**20,), jnp.float32)}
    got = project_members(base, [Member(1, 0.01)], seed=2, chunk=1)
    moved = perturb({"w": jnp.zeros(2**20)}, Member(1, 0.01))["w"]
    exact = np.linalg.norm(np.asarray(moved, np.float64))
    self.assertLess(abs(got.norms[0] / exact - 1), 1e-7)

  def test_a_kind_that_reads_weights_needs_them(self):
    @register_kind("proportional")
    @dataclasses.dataclass(frozen=True)
    class Proportional(Kind):
      def direction(self, seed, name_hash, weight):
        return weight * noise.gaussian(seed, name_hash, weight.shape)

    self.addCleanup(_KINDS.pop, "proportional")
    base, kind = {"w": jnp.full((8, 8), 3.0)}, Proportional()
    got = project_members(base, [Member(3, 0.1)], seed=0, kind=kind)
    plain = project_members(base, [Member(3, 0.1)], seed=0)
    np.testing.assert_allclose(got.norms, 3 * plain.norms, rtol=1e-3)
    abstract = jax.eval_shape(lambda: base)
    with self.assertRaisesRegex(UserError, "got only the shape of 'w'"):
      project_members(abstract, [Member(3, 0.1)], seed=0, kind=kind)

  @parameterized.parameters(
    ({"members": []}, "members must be at least one"),
    ({"seed": -1}, r"integer within \[0, 2\*\*32\), got -1"),
    ({"seed": True}, "got True"),
    ({"chunk": 0}, "chunk must be at least 1, got 0"),
    ({"base": {"w": jnp.zeros(1)}}, "at least two perturbed weights"),
    ({"kind": Gaussian(include=("nothing",))}, "got 'nothing'. Nearest: w"),
  )
  def test_refuses(self, change, message):
    arguments = {"base": {"w": jnp.zeros(9)}, "members": [BASE], "seed": 0}
    with self.assertRaisesRegex(UserError, message):
      project_members(**(arguments | change))


class RelativeNormTest(parameterized.TestCase):
  @parameterized.parameters(
    Gaussian(), Gaussian(include=("layers.*",), exclude=("layers.0.*",))
  )
  def test_is_the_root_mean_square_of_members(self, kind):
    base = _real()
    tensors = {
      name: x.reshape(-1)
      for name, x in logical_tensors.list_tensors(base, NAMES)
      if name != "steps"
    }
    weights = _flatten(tensors, kind)
    members = [Member(seed, 0.1) for seed in range(192)]
    norms = project_members(
      base, members, seed=0, kind=kind, names=NAMES
    ).norms / np.linalg.norm(weights)
    got = relative_norm(base, 0.1, kind=kind, names=NAMES)
    expected = 0.1 * math.sqrt(len(weights)) / np.linalg.norm(weights)
    self.assertAlmostEqual(got / expected, 1, places=6)
    error = math.sqrt(2 / len(weights) / len(members)) / 2
    self.assertLess(
      abs(math.sqrt(np.square(norms).mean()) / got - 1), 4 * error
    )

  def test_grows_with_sigma(self):
    base = {"w": jnp.full(16, 2.0)}
    self.assertEqual(relative_norm(base, 1), 0.5)
    self.assertEqual(relative_norm(base, 0.25), 0.125)
    self.assertEqual(relative_norm(base, 0), 0)

  def test_refuses(self):
    with self.assertRaisesRegex(UserError, "not all zero"):
      relative_norm({"w": jnp.zeros(4)}, 0.1)
    with self.assertRaisesRegex(UserError, "at least 0 and finite, got -1"):
      relative_norm({"w": jnp.ones(4)}, -1)
    abstract = {"w": jax.ShapeDtypeStruct((4,), jnp.float32)}
    with self.assertRaisesRegex(UserError, "must hold weights"):
      relative_norm(abstract, 0.1)
