"""Tests of values as text, and of tests as a call and a comparison."""

import decimal
import fractions
import json
import math
import sys

import hypothesis
import hypothesis.strategies as st
from absl.testing import parameterized

from thickets.tasks.sandbox import values

NUMBERS = (
  st.booleans()
  | st.integers()
  | st.integers(-3, 3)
  | st.floats()
  | st.sampled_from([0.0, -0.0, 1.0, 2.0, 1e308, 5e-324, math.inf, 0.5])
  | st.complex_numbers()
  | st.sampled_from(
    [1 + 0j, 2j, fractions.Fraction(1, 2), fractions.Fraction(2)]
  )
  | st.decimals(allow_nan=False)
  | st.just(decimal.Decimal("NaN"))
  | st.sampled_from([decimal.Decimal("1.0"), decimal.Decimal("0.5")])
)
HASHABLE = st.recursive(
  st.none() | NUMBERS | st.text() | st.binary(),
  lambda parts: (
    st.lists(parts, max_size=4).map(tuple) | st.frozensets(parts, max_size=4)
  ),
  max_leaves=8,
)
VALUES = st.recursive(
  HASHABLE,
  lambda parts: (
    st.lists(parts, max_size=4)
    | st.lists(parts, max_size=3).map(tuple)
    | st.sets(HASHABLE, max_size=4)
    | st.dictionaries(HASHABLE, parts, max_size=4)
  ),
  max_leaves=12,
)


def _has_nan(value):
  if isinstance(value, dict):
    return any(map(_has_nan, (*value.keys(), *value.values())))
  if isinstance(value, list | tuple | set | frozenset):
    return any(map(_has_nan, value))
  if isinstance(value, decimal.Decimal):
    return value.is_nan()
  return value != value


class ValuesTest(parameterized.TestCase):
  @hypothesis.given(VALUES)
  def test_round_trip_is_equal_in_python(self, value):
    try:
      back = values.decode(values.encode(value))
    except values.UnencodableError:
      self.assertIn("Decimal", repr(value))  # Of a huge exponent.
      return
    if not _has_nan(value):
      self.assertEqual(back, value)
    again = values.decode(values.encode(back))
    self.assertEqual(
      values.make_equality_key(again), values.make_equality_key(back)
    )

  @hypothesis.given(st.lists(NUMBERS, min_size=2, max_size=30), st.data())
  def test_keys_are_equal_where_values_are(self, numbers, data):
    wrap = data.draw(
      st.sampled_from([lambda x: x, lambda x: [x], lambda x: {x: x}])
    )
    kept = []
    for number in numbers:
      try:
        kept.append(wrap(values.decode(values.encode(number))))
      except values.UnencodableError:
        continue
    for one in kept:
      for other in kept:
        if not _has_nan(one):
          same = values.make_equality_key(one) == values.make_equality_key(
            other
          )
          self.assertEqual(same, one == other, (one, other))

  @hypothesis.given(VALUES, VALUES)
  def test_keys_differ_where_values_do(self, one, other):
    try:
      one, other = (
        values.decode(values.encode(value)) for value in (one, other)
      )
    except values.UnencodableError:
      return
    if not _has_nan(one) and not _has_nan(other):
      same = values.make_equality_key(one) == values.make_equality_key(other)
      self.assertEqual(same, one == other, (one, other))

  @parameterized.parameters(
    ([1, 2], (1, 2)),
    ([[]], []),
    ([], ()),
    ((), set()),
    ("1", 1),
    ("a", b"a"),
    (None, False),
    (["ab", "c"], ["a", "bc"]),
    ({1: 2}, {(1, 2)}),
    ({1: 2, 3: 4}, {1: 4, 3: 2}),
    (0.1 + 0.2, 0.3),
    (2**53 + 1, float(2**53)),
    (fractions.Fraction(1, 10), 0.1),
  )
  def test_keys_tell_apart_what_python_does(self, one, other):
    self.assertNotEqual(one, other)
    self.assertNotEqual(
      values.make_equality_key(one), values.make_equality_key(other)
    )

  @parameterized.parameters(
    (1, True, 1.0, 1 + 0j, decimal.Decimal("1.00"), fractions.Fraction(1)),
    (0, False, 0.0, -0.0),
    ({1, 2}, frozenset({2.0, True})),
    ({"a": 1, "b": [2]}, {"b": [2.0], "a": True}),
  )
  def test_keys_unite_what_python_does(self, *same):
    self.assertLen({values.make_equality_key(value) for value in same}, 1)

  def test_instances_of_subclasses_are_plain(self):
    class Sly(int):
      def __eq__(self, other):
        return True

      def __int__(self):
        return 42

      __hash__ = int.__hash__

    class Word(str):
      def __str__(self):
        return "forged"

    self.assertEqual(values.decode(values.encode(Sly(7))), 7)
    self.assertEqual(
      values.decode(values.encode([Word("as it is")])), ["as it is"]
    )
    self.assertEqual(values.decode(values.encode({1: 2}.keys())), {1})

  @parameterized.parameters(
    (object(),), (len,), (iter([]),), (range(3),), ([{1: [object]}],), (math,)
  )
  def test_other_types_are_refused(self, value):
    with self.assertRaises(values.UnencodableError):
      values.encode(value)

  def test_depth_and_size_are_limited(self):
    deep = []
    for _ in range(values.MAX_DEPTH + 1):
      deep = [deep]
    with self.assertRaisesRegex(values.UnencodableError, "deeper"):
      values.encode(deep)
    endless = []
    endless.append(endless)
    with self.assertRaisesRegex(values.UnencodableError, "deeper"):
      values.encode(endless)
    with self.assertRaisesRegex(values.UnencodableError, "parts"):
      values.encode([0] * values.MAX_NODES)

  @parameterized.parameters(
    "",
    "{}",
    "1",
    "1.5",
    "NaN",
    '["i"]',
    '["i", 5]',
    '["i", "1", "2"]',
    '["z", "1"]',
    "[]",
    "[[]]",
    '["s", ["l"]]',
    '["m", [["l"], null]]',
    '["m", null]',
    '["q", "1", "0"]',
    '["d", "1E+999999999"]',
    '["d", "NaN"]',
    '["f", "x"]',
    '["b", "0"]',
    '["__import__", "os"]',
    "[" * 100_000,
    '["l",' * 100 + "null" + "]" * 100,
    "9" * 100_000,
    "\x00",
    '["s"' + "".join(f',["i","{i:x}"]' for i in range(5000)) + "]",
  )
  def test_malformed_text_is_a_value_error(self, text):
    with self.assertRaises(ValueError):
      values.decode(text)

  @hypothesis.given(
    st.recursive(
      st.none() | st.sampled_from(list("lstmifcbqd")) | st.text(max_size=5),
      lambda parts: st.lists(parts, max_size=4),
    )
  )
  def test_any_json_loads_or_is_a_value_error(self, tree):
    try:
      value = values.decode(json.dumps(tree))
    except ValueError:
      return
    self.assertIsInstance(values.make_equality_key(value), str)

  @parameterized.parameters(
    '["i","{i:x}"]', '["t",["i","{i:x}"]]', '["q","{i:x}","1"]'
  )
  def test_many_equal_hashes_are_refused(self, entry):
    """Else a set or a dict compares each entry with each other."""
    modulus = sys.hash_info.modulus

    def spell(count):
      return [entry.format(i=i * modulus) for i in range(1, count + 1)]

    for kind, form in (("s", "{}"), ("m", "[{},null]")):
      few, many = (
        f'["{kind}",{",".join(map(form.format, spell(count)))}]'
        for count in (values.MAX_SAME_HASH, values.MAX_SAME_HASH + 1)
      )
      self.assertLen(values.decode(few), values.MAX_SAME_HASH)
      with self.assertRaisesRegex(ValueError, "the same hash, got 9"):
        values.decode(many)

  @parameterized.parameters(
    ('["d","1E-4990"]', "Decimals must have at most"),
    ('["q","' + "f" * 999 + '","1"]', "fractions must have at most"),
  )
  def test_long_numbers_are_few(self, number, message):
    self.assertLen(values.decode(f'["l",{",".join([number] * 9)}]'), 9)
    with self.assertRaisesRegex(ValueError, message):
      values.decode(f'["l",{",".join([number] * 50)}]')
