"""Tests of members and perturbations: the same bits by every route."""

import dataclasses
import functools
import hashlib
import json
import math

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized
from golden import logical_tensors
from jax.sharding import NamedSharding, PartitionSpec

from thickets import naming, noise
from thickets.members import BASE, Member, stack_members
from thickets.perturbation import (
  _KINDS,
  Gaussian,
  Kind,
  describe_kind,
  kind_from_json,
  kind_names,
  perturb,
  register_kind,
)
from thickets.search import meshes

MEMBER = Member(seed=3_000_000_001, sigma=0.013)
MEMBERS = [Member(7 * i, 0.01 * (i - 5) + 0.003) for i in range(64)]


def _params(seed=0):
  """Weights of both signs, with a -0.0 in every leaf."""
  rng = np.random.default_rng(seed)

  def draw(*shape):
    w = rng.normal(size=shape)
    w.reshape(-1)[0] = -0.0
    return w

  return {
    "embed": jnp.asarray(draw(16, 24), jnp.float32),
    "half": jnp.asarray(draw(16, 8), jnp.bfloat16),
    "layers": {
      "w": jnp.asarray(draw(4, 8, 24), jnp.float32),
      "b": jnp.asarray(draw(4, 24), jnp.bfloat16),
    },
  }


PARAMS = _params()
NAMES = naming.tensor_names(PARAMS, stacked=["layers"])

_gaussian = jax.jit(noise.gaussian, static_argnames="shape")


def _bits(tree):
  """The tree with a hash of dtype, shape and bytes at its leaves."""

  def identify(x):
    # Of the bytes themselves, unittest would print the difference for minutes.
    digest = hashlib.sha256(np.asarray(x).tobytes()).hexdigest()
    return f"{x.dtype.name}{x.shape} {digest[:16]}"

  return jax.tree.map(identify, tree)


def _row(tree, row):
  return jax.tree.map(lambda x: x[row], tree)


def _numpy_round12(x):
  fraction, exponent = np.frexp(np.float32(x))
  return np.ldexp(np.rint(fraction * 4096) / 4096, exponent).astype(np.float32)


def _numpy_perturb(weight, name, member):
  """The definition: float32 sums, one rounding to the dtype of the weight."""
  shift = np.zeros(weight.shape, np.float32)
  for seed, coefficient in member.terms:
    key = jnp.uint32(seed), jnp.asarray(noise.hash_name(name))
    shift += _numpy_round12(coefficient) * _gaussian(*key, weight.shape)
  return (np.asarray(weight).astype(np.float32) + shift).astype(weight.dtype)


class PerturbTest(parameterized.TestCase):
  @parameterized.parameters(
    BASE,
    Member(3, 0.0),
    Member(3, -0.0),
    Member((3, 4), (0.0, 0.0)),
    Member((3, 3), (0.1, -0.1)),
    Member((3, 3, 4, 4), (0.1, -0.1, 0.3, -0.3)),
  )
  def test_no_noise_gives_the_very_bits_of_the_base(self, member):
    moved = perturb(PARAMS, member, names=NAMES)
    self.assertEqual(_bits(moved), _bits(PARAMS))

  def test_the_base_is_left_alone(self):
    base = jax.tree.map(np.array, PARAMS)
    before = _bits(base)
    moved = perturb(base, MEMBER, names=NAMES)
    self.assertEqual(_bits(base), before)
    for old, new in zip(*map(jax.tree.leaves, (base, moved)), strict=True):
      # A gain of one in bfloat16 need not move, but most weights do.
      self.assertGreater((old != np.asarray(new)).mean(), 0.8)

  @parameterized.product(
    dtype=["float32", "bfloat16", "float16"],
    member=[
      MEMBER,
      Member(0, 1e-4),
      Member((5, 6), (0.02, -0.7)),
      Member(tuple(range(9)), tuple(np.linspace(-1, 1, 9))),
    ],
  )
  def test_numpy_gives_the_same_bits(self, dtype, member):
    base = {"w": PARAMS["embed"].astype(dtype)}
    expected = {"w": _numpy_perturb(base["w"], "w", member)}
    self.assertEqual(_bits(perturb(base, member)), _bits(expected))

  def test_two_terms_add_up(self):
    # From a zero base, where only the two products are rounded.
    base = {"w": jnp.zeros((40, 50))}
    first, second = Member(5, 0.02), Member(6, -0.7)
    one, other = perturb(base, first), perturb(base, second)
    both = perturb(base, Member((5, 6), (0.02, -0.7)))
    self.assertEqual(_bits(both["w"]), _bits(one["w"] + other["w"]))

  def test_antithetic_members_lie_opposite(self):
    base = jax.tree.map(jnp.zeros_like, PARAMS)
    for member in (MEMBER, Member((5, 6), (0.02, -0.7))):
      one, other = perturb(base, member), perturb(base, member.antithetic)
      mirrored = jax.tree.map(jnp.negative, other)
      self.assertEqual(_bits(one), _bits(mirrored))

  def test_equal_shaped_tensors_get_unrelated_noise(self):
    base = {"a": jnp.zeros(2**14), "layers": {"w": jnp.zeros((2, 2**14))}}
    names = naming.tensor_names(base, stacked=["layers"])
    moved = perturb(base, MEMBER, names=names)
    draws = np.concatenate([moved["a"][None], moved["layers"]["w"]])
    correlation = np.abs(np.corrcoef(draws) - np.eye(3)).max()
    self.assertLess(correlation * math.sqrt(2**14), 4)  # Standard errors.

  def test_integers_stay_and_complex_numbers_are_refused(self):
    base = {"steps": jnp.arange(4), "w": jnp.ones(4)}
    moved = perturb(base, MEMBER)
    self.assertEqual(_bits(moved["steps"]), _bits(base["steps"]))
    self.assertEqual(
      _bits(moved["w"]), _bits(perturb({"w": base["w"]}, MEMBER)["w"])
    )
    with self.assertRaisesRegex(TypeError, "'z' must be real, got complex64"):
      perturb({"z": jnp.ones(4, jnp.complex64)}, MEMBER)


class SameBitsTest(parameterized.TestCase):
  """A weight's noise depends on the seed and the tensor's name only."""

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.perturb = staticmethod(lambda base, m: perturb(base, m, names=NAMES))
    cls.expected = _bits(cls.perturb(PARAMS, MEMBER))
    cls.population = [_bits(cls.perturb(PARAMS, m)) for m in MEMBERS]
    cls.mesh = meshes.make_mesh()

  def test_jit(self):
    member = _row(stack_members([MEMBER]), 0)
    self.assertEqual(
      _bits(jax.jit(self.perturb)(PARAMS, member)), self.expected
    )

  @parameterized.parameters(MEMBER, Member((2**32 - 1, 7), (0.1, -0.2)))
  def test_jit_of_a_member_of_the_host(self, member):
    # Its seeds are Python integers beyond int32.
    self.assertEqual(
      _bits(jax.jit(self.perturb)(PARAMS, member)),
      _bits(self.perturb(PARAMS, member)),
    )

  def test_fused_into_a_larger_program(self):
    # Exact uses of the weights: any difference is one of the perturbation.
    def use(base, member):
      w = perturb(base, member)["embed"]
      return w - base["embed"], jnp.eye(16) @ w, -2 * w

    base = {"embed": PARAMS["embed"]}
    member = _row(stack_members([MEMBER]), 0)
    with jax.disable_jit():
      eager = use(base, member)
    self.assertEqual(_bits(jax.jit(use)(base, member)), _bits(eager))

  @parameterized.parameters(1, 7, 64)
  def test_vmap(self, width):
    members = stack_members(MEMBERS[:width])
    moved = jax.jit(jax.vmap(self.perturb, in_axes=(None, 0)))(PARAMS, members)
    rows = [_bits(_row(moved, row)) for row in range(width)]
    self.assertEqual(rows, self.population[:width])

  def test_order_and_padding_terms(self):
    order = np.random.default_rng(0).permutation(16)
    stacked = stack_members(
      [MEMBERS[i] for i in order] + [Member((1, 2), (1, 1))]
    )
    moved = jax.vmap(self.perturb, in_axes=(None, 0))(PARAMS, stacked)
    rows = [_bits(_row(moved, row)) for row in range(16)]
    self.assertEqual(rows, [self.population[i] for i in order])

  @parameterized.parameters(
    ((None, "population"),), (("population",),), ((None, None),)
  )
  def test_sharded_weights(self, axes):
    sharding = NamedSharding(self.mesh, PartitionSpec(*axes))
    replicated = NamedSharding(self.mesh, PartitionSpec())
    base = {
      **jax.device_put(PARAMS, replicated),
      "embed": jax.device_put(PARAMS["embed"], sharding),
      "half": jax.device_put(PARAMS["half"], sharding),
    }
    self.assertEqual(_bits(self.perturb(base, MEMBER)), self.expected)
    member = jax.device_put(_row(stack_members([MEMBER]), 0), replicated)
    self.assertEqual(_bits(jax.jit(self.perturb)(base, member)), self.expected)

  def test_sharded_members(self):
    sharding = NamedSharding(self.mesh, PartitionSpec("population"))
    members = jax.device_put(stack_members(MEMBERS), sharding)
    moved = jax.jit(
      jax.vmap(self.perturb, in_axes=(None, 0)), out_shardings=sharding
    )(PARAMS, members)
    rows = [_bits(_row(jax.device_get(moved), row)) for row in range(64)]
    self.assertEqual(rows, self.population)

  def test_stacked_or_not_and_other_tensors_or_not(self):
    for index in range(4):
      alone = {f"layers.{index}.w": PARAMS["layers"]["w"][index]}
      expected = _row(self.perturb(PARAMS, MEMBER)["layers"]["w"], index)
      (moved,) = jax.tree.leaves(perturb(alone, MEMBER))
      self.assertEqual(_bits(moved), _bits(expected))

  def test_two_stacking_axes(self):
    template = "blocks.{}.experts.{}.w"
    base = {"w": PARAMS["embed"].reshape(2, 4, 6, 8)}
    moved = perturb(base, MEMBER, names={"w": template})["w"]
    for block, expert in np.ndindex(2, 4):
      expected = _numpy_perturb(
        base["w"][block, expert], template.format(block, expert), MEMBER
      )
      self.assertEqual(_bits(moved[block, expert]), _bits(expected))

  def test_tensors_together_or_alone(self):
    rng = np.random.default_rng(5)
    draw = lambda *shape: rng.standard_normal(shape)  # noqa: E731
    base = {
      f"block_{i}": {
        "weight": jnp.asarray(draw(6, 4), jnp.float32),
        "turned": jnp.asarray(draw(4, 6), jnp.float32),
        "bias": jnp.asarray(draw(17 + i), jnp.float32),
        "scale": jnp.asarray(draw(), jnp.float32),
        "half": jnp.asarray(draw(6, 4), jnp.bfloat16),
        "parts": jnp.asarray(draw(2, 6, 4), jnp.float32),
        "others": jnp.asarray(draw(2, 5 + i), jnp.float32),
        "none": jnp.zeros((0, 3)),
      }
      for i in range(4)
    }
    names = {
      block: {
        key: f"{block}.{key}" + (".{}" if key in ("parts", "others") else "")
        for key in leaves
      }
      for block, leaves in base.items()
    }
    kind = Gaussian(exclude=("block_3.*",))
    got = perturb(base, MEMBER, kind=kind, names=names, together=True)
    for block, parts in base.items():
      for key, leaf in parts.items():
        alone = perturb({"x": leaf}, MEMBER, names={"x": names[block][key]})
        expected = leaf if block == "block_3" else alone["x"]
        self.assertEqual(_bits(got[block][key]), _bits(expected), (block, key))

  def test_a_kind_that_sees_shapes_or_values_is_not_given_others(self):
    class Ranked(Kind):
      """As large as the tensor's values, and of rank one."""

      def direction(self, seed, name_hash, weight):
        column = noise.gaussian(seed, name_hash, weight.shape[:1])
        return (
          jnp.max(jnp.abs(weight)) * column[:, None] * jnp.ones_like(weight)
        )

    rng = np.random.default_rng(6)
    base = {
      f"{name}_{i}": jnp.asarray(rng.standard_normal(shape), jnp.float32)
      for i in range(3)
      for name, shape in (("wide", (3, 5)), ("tall", (5, 3)), ("other", (4, 4)))
    }
    alone = perturb(base, MEMBER, kind=Ranked())
    together = perturb(base, MEMBER, kind=Ranked(), together=True)
    self.assertEqual(_bits(together), _bits(alone))

  def test_a_kind_that_replaces_gaussian_directions_is_not_laid_out(self):
    class Relative(Gaussian):
      """As large as the tensor's values."""

      def direction(self, seed, name_hash, weight):
        return jnp.std(weight) * super().direction(seed, name_hash, weight)

    rng = np.random.default_rng(7)
    base = {
      f"bias_{i}": jnp.asarray(rng.standard_normal(5 + i % 2), jnp.float32)
      for i in range(6)
    }
    alone = perturb(base, MEMBER, kind=Relative())
    together = perturb(base, MEMBER, kind=Relative(), together=True)
    self.assertEqual(_bits(together), _bits(alone))

  def test_tensors_that_are_alike_are_one_loop_of_the_program(self):
    base = {f"bias_{i}": jnp.zeros(5) for i in range(30)}
    base |= {f"norm_{i}": jnp.ones((2, 4)) for i in range(30)}
    base |= {f"wide_{i}": jnp.ones(9) for i in range(30)}
    base |= {f"large_{i}": jnp.ones(2**16) for i in range(2)}
    for together, count in ((True, 4), (False, 92)):
      move = functools.partial(perturb, member=MEMBER, together=together)
      program = str(jax.make_jaxpr(move)(base))
      self.assertEqual(program.count("name=_shift_leaf"), count)


class FilterTest(parameterized.TestCase):
  @parameterized.parameters(
    (("layers.2.*",), (), {"layers.2.w", "layers.2.b"}),
    (("*.w",), ("layers.[0-2].*",), {"layers.3.w"}),
    (("*",), ("layers.*", "half"), {"embed"}),
  )
  def test_only_the_named_tensors_move_and_as_without_filter(
    self, include, exclude, expected
  ):
    kind = Gaussian(include=include, exclude=exclude)
    trees = [
      perturb(PARAMS, MEMBER, kind=kind, names=NAMES),
      perturb(PARAMS, MEMBER, names=NAMES),
      PARAMS,
    ]
    got, free, base = (
      dict(logical_tensors.list_tensors(t, NAMES)) for t in trees
    )
    for name in base:
      self.assertEqual(
        _bits(got[name]), _bits(free[name] if name in expected else base[name])
      )
    counts = describe_kind(PARAMS, kind, NAMES)
    self.assertEqual(
      counts,
      {
        "num_tensors": 10,
        "num_weights": 16 * 24 + 16 * 8 + 4 * 9 * 24,
        "num_perturbed_tensors": len(expected),
        "num_perturbed_weights": sum(base[name].size for name in expected),
      },
    )

  def test_a_pattern_that_matches_nothing_is_refused(self):
    # "layers.*" names no integer tensor: those take no part.
    base = {"layers": {"steps": jnp.arange(3)}, "w": jnp.ones(3)}
    with self.assertRaisesRegex(ValueError, r"got 'layers.\*'. Nearest: w"):
      perturb(base, MEMBER, kind=Gaussian(include=("layers.*",)))


class KindTest(parameterized.TestCase):
  @hypothesis.given(st.lists(st.text()), st.lists(st.text()))
  def test_survives_json(self, include, exclude):
    kind = Gaussian(include, exclude)
    again = kind_from_json(json.loads(json.dumps(kind.to_json())))
    self.assertEqual(again, kind)
    self.assertEqual(hash(again), hash(kind))

  def test_defaults_may_be_left_out(self):
    self.assertEqual(kind_from_json({"name": "gaussian"}), Gaussian())

  @parameterized.parameters(
    ({"name": "gausian"}, "got 'gausian'. Nearest: gaussian"),
    ({}, "got None"),
    ({"name": "gaussian", "rank": 2}, r"takes .*include.*, got \['rank'\]"),
    (
      {"name": "gaussian", "include": "layers.*"},
      r"Write include=\('layers.\*',\)",
    ),
  )
  def test_refuses(self, fields, message):
    with self.assertRaisesRegex(ValueError, message):
      kind_from_json(fields)

  def test_a_name_is_registered_once(self):
    with self.assertRaisesRegex(ValueError, "'gaussian' is registered already"):
      register_kind("gaussian")(Gaussian)

  def test_a_kind_of_ones_own(self):
    @register_kind("toy")
    @dataclasses.dataclass(frozen=True)
    class Proportional(Kind):
      gain: float = 1.0

      def direction(self, seed, name_hash, weight):
        return jnp.float32(self.gain) * weight

    self.addCleanup(_KINDS.pop, "toy")
    self.assertIn("toy", kind_names())
    kind = kind_from_json({"name": "toy", "gain": 2.0, "exclude": ["half"]})
    self.assertEqual(kind, Proportional(gain=2.0, exclude=("half",)))
    base = {"w": PARAMS["embed"], "half": PARAMS["half"]}
    moved = perturb(base, Member(3, 0.25), kind=kind)
    # Its directions are rounded too, or their products were not exact.
    shift = np.float32(0.25) * _numpy_round12(2 * base["w"])
    expected = {"w": base["w"] + shift, "half": base["half"]}
    self.assertEqual(_bits(moved), _bits(expected))
    with self.assertRaisesRegex(TypeError, "has no direction"):
      perturb(base, MEMBER, kind=Kind())
