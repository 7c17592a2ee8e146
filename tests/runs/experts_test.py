"""Tests of experts files: small, complete, and refused where they do not fit."""

import json
import pathlib
import re
import tempfile

import jax
import numpy as np
from absl.testing import parameterized

from thickets import naming
from thickets.errors import UserError
from thickets.members import BASE, Member
from thickets.perturbation import Gaussian, perturb
from thickets.runs import environment, experts
from thickets.runs.experts import Expert
from thickets.search import population

RNG = np.random.default_rng(0)
WEIGHTS = {
  "layer": {"w": RNG.normal(size=(4, 3)).astype(np.float32)},
  "norm": {"scale": np.ones(3, np.float16)},
}
KIND = Gaussian(include=("*",), exclude=("norm.*",))
MEMBERS = [
  *population.sample_members(3, 48, (0.001, 0.002, 1 / 3)),
  Member((5, 2**32 - 1), (0.1, -0.2)),  # A point of a landscape.
  BASE,
]


class ExpertsTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    self.path = pathlib.Path(folder.name) / "experts.json"

  def write(self, source=None, **changes):
    """Writes a file of fifty members, with some of its fields changed."""
    header = {
      "base": {
        "identity": naming.identify(WEIGHTS),
        "dtypes": naming.list_dtypes(WEIGHTS),
        "names": naming.hash_names(WEIGHTS),
      },
      "kind": KIND.to_json(),
      "task": {"name": "toy"},
      "population": {"seed": 3},
    }
    scores = -np.linspace(0, 1, 50) / 3
    fields = experts.describe_experts(
      header,
      [
        Expert(49 - rank, member, float(score))
        for rank, (member, score) in enumerate(
          zip(MEMBERS, scores, strict=True)
        )
      ],
      population_size=1000,
      primary_k=5,
      versions=environment.library_versions(),
      source=source,
    )
    self.path.write_text(json.dumps(fields | changes, indent=2))
    return fields

  def assert_refused(self, message, base=WEIGHTS):
    with self.assertRaisesRegex(
      UserError, rf"{re.escape(str(self.path))}.*{message}"
    ):
      experts.load_experts(self.path, base)

  def test_every_member_is_rebuilt_bit_for_bit(self):
    self.write()
    found = experts.load_experts(self.path, WEIGHTS)
    self.assertEqual(found.members, tuple(MEMBERS))
    self.assertEqual(found.scores, tuple(-np.linspace(0, 1, 50) / 3))
    self.assertEqual(found.positions, tuple(range(49, -1, -1)))
    self.assertEqual(found.base_identity, naming.identify(WEIGHTS))
    for rank, member in enumerate(MEMBERS):
      got = found.rebuild(WEIGHTS, rank)
      expected = perturb(WEIGHTS, member, kind=KIND)
      self.assertEqual(jax.tree.structure(got), jax.tree.structure(expected))
      jax.tree.map(np.testing.assert_array_equal, got, expected)

  def test_says_where_the_base_is_and_does_not_need_to(self):
    source = {"name": "org/model", "revision": "abc", "dtype": "bfloat16"}
    self.write(source=source)
    found = experts.load_experts(self.path, WEIGHTS)
    self.assertEqual(found.fields["base"]["source"], source)
    # The identity decides, not the name: a run of another kind has no source.
    self.assertIsNone(self.write()["base"]["source"])
    again = experts.load_experts(self.path, WEIGHTS)
    self.assertEqual(again.members, found.members)

  def test_fifty_members_take_less_than_ten_kilobytes(self):
    self.write()
    self.assertLess(self.path.stat().st_size, 10_000)

  @parameterized.parameters(-1, 50)
  def test_a_rank_that_is_not_there_is_refused(self, rank):
    self.write()
    found = experts.load_experts(self.path, WEIGHTS)
    with self.assertRaisesRegex(UserError, f"within 0 and 49, got {rank}"):
      found.rebuild(WEIGHTS, rank)

  def test_another_base_is_refused(self):
    self.write()
    other = jax.tree.map(np.copy, WEIGHTS)
    other["layer"]["w"].view(np.uint8)[0, 0] ^= 1  # The smallest change.
    ours, theirs = naming.identify(WEIGHTS)[:16], naming.identify(other)[:16]
    self.assert_refused(f"belongs to the base {ours}…, got {theirs}…", other)

  def test_other_logical_names_are_another_base(self):
    self.write()
    names = {"layer": {"w": "layer.v"}, "norm": {"scale": "norm.scale"}}
    with self.assertRaisesRegex(UserError, "belongs to the base"):
      experts.load_experts(self.path, WEIGHTS, names=names)

  def test_a_published_identity_holds_whatever_the_dtype_in_use(self):
    fields = self.write()
    identity = fields["base"]["identity"]
    wide = jax.tree.map(lambda leaf: leaf.astype(np.float32), WEIGHTS)
    with self.assertRaisesRegex(UserError, "held as .'float16', 'float32'."):
      experts.load_experts(self.path, wide, identity=identity)
    held = fields["base"] | {"dtypes": ["float32"]}
    self.write(base=held)
    found = experts.load_experts(self.path, wide, identity=identity)
    self.assertEqual(found.base_identity, identity)

  def test_a_published_identity_does_not_excuse_other_names(self):
    identity = self.write()["base"]["identity"]
    names = {"layer": {"w": "layer.v"}, "norm": {"scale": "norm.scale"}}
    with self.assertRaisesRegex(UserError, "other logical names"):
      experts.load_experts(self.path, WEIGHTS, names=names, identity=identity)

  @parameterized.parameters(
    ({"version": 3}, r"version 3; this version of thickets reads up to 2"),
    ({"version": 1}, r"version 1, from before"),
    ({"noise": {"version": 0, "prng": "x"}}, r"drawn by noise.*'prng': 'x'"),
    ({"format": "thickets.records"}, "is not an experts file"),
    ({"kind": {"name": "gausian"}}, r"is corrupt: .*Nearest: gaussian"),
    ({"kind": {"name": "gaussian", "rank": 3}}, r"is corrupt: .*'rank'"),
    ({"members": [{"seed": 2**32, "sigma": 0.1}]}, r"is corrupt: .*seed"),
    ({"members": [{"seed": [1, 2], "sigma": 0.1}]}, r"is corrupt: .*one sigma"),
  )
  def test_fields_that_do_not_fit_are_refused(self, changes, message):
    self.write(**changes)
    self.assert_refused(message)

  @parameterized.parameters(
    "format", "version", "base", "noise", "kind", "primary_k", "members"
  )
  def test_a_missing_field_is_refused(self, field):
    fields = self.write()
    del fields[field]
    self.path.write_text(json.dumps(fields))
    self.assert_refused(rf"'{re.escape(field)}|no format")

  @parameterized.parameters("seed", "sigma", "score", "position")
  def test_a_member_that_lacks_a_field_is_refused(self, field):
    fields = self.write()
    del fields["members"][7][field]
    self.path.write_text(json.dumps(fields))
    self.assert_refused("is corrupt")

  @parameterized.parameters(
    ("{", "is not JSON"), ("", "is not JSON"), ("[]", "is not an experts file")
  )
  def test_other_files_are_refused(self, text, message):
    self.path.write_text(text)
    self.assert_refused(message)

  def test_a_missing_file_is_refused(self):
    with self.assertRaisesRegex(
      UserError, rf"must be readable, got {re.escape(str(self.path))} \(No such"
    ):
      experts.load_experts(self.path, WEIGHTS)
