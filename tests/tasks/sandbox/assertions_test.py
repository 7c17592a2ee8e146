"""Tests of asserts that are taken apart, and of the comparisons in them."""

import contextlib
import decimal
import fractions
import json
import math

import hypothesis
import hypothesis.strategies as st
from absl.testing import parameterized

from thickets.tasks.sandbox import assertions, values

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


class ParseTest(parameterized.TestCase):
  @parameterized.parameters(
    ("assert f(1, 'a') == [2]", "f(1, 'a')", "==", "[2]"),
    ("assert (f(1)) == -3", "f(1)", "==", "-3"),
    ("assert 3 == f(1), 'message'", "f(1)", "==", "3"),
    ("assert 3 < f(1)", "f(1)", ">", "3"),
    ("assert sum(10, 15) == 6", "sum(10, 15)", "==", "6"),
    ("assert int(f(1)) == 6", "int(f(1))", "==", "6"),
    ("assert set(f(1)) == set([1])", "set(f(1))", "==", "set([1])"),
    ("assert f(1) in (2, 3)", "f(1)", "in", "(2, 3)"),
    ("assert f(1) is None", "f(1)", "is", "None"),
    ("assert f(1)", "f(1)", "true", None),
    ("assert not f(1)", "f(1)", "false", None),
    ("assert math.isclose(f(1), 0.5)", "f(1)", "isclose", "0.5"),
    ("assert isclose(0.5, f(1), abs_tol=1)", "f(1)", "isclose", "0.5"),
    ("assert abs(f(1) - 0.5) < 1e-6", "f(1)", "within <", "0.5"),
    ("assert f(lambda x: x > 1) == 2", "f(lambda x: x > 1)", "==", "2"),
    (
      "assert f(root) == [i for i in (1, 2)]",
      "f(root)",
      "==",
      "[i for i in (1, 2)]",
    ),
  )
  def test_takes_apart(self, test, call, comparison, expected):
    assertion = assertions.parse_test(test)
    self.assertEqual(
      (assertion.call, assertion.comparison, assertion.expected),
      (call, comparison, expected),
    )

  def test_other_side_may_use_modules(self):
    assertion = assertions.parse_test("assert f(1) == sys.getsizeof((1,))")
    self.assertEqual(assertion.modules, ("sys",))
    self.assertFalse(assertion.is_literal)

  @parameterized.parameters(
    "assert f(1) == g(2)",
    "assert (f(1) == 2) == True",
    "assert f(1) == 2 and f(2) == 3",
    "assert all(f(i) == i for i in (1, 2))",
    "assert not f(1) == 2",
    "assert 1 < f(1) < 3",
    "assert f(1) is g",
    "assert 1 == 1.0",
    "f(1) == 2",
    "assert f(1) == 2; assert f(2) == 3",
    "assert f(",
    "",
    "assert \x00",
    "assert " + "(" * 10_000,
  )
  def test_refuses_what_a_program_would_decide(self, test):
    with self.assertRaisesRegex(ValueError, "a test must be"):
      assertions.parse_test(test)

  @parameterized.parameters(
    ("assert f() == 1", True, 1, True),
    ("assert f() == [1]", (1,), [1], False),
    ("assert f() == 0.3", 0.1 + 0.2, 0.3, False),
    ("assert f() != 1", 2, 1, True),
    ("assert f() < 1", "a", 1, False),
    ("assert f() in [1]", 1.0, [1], True),
    ("assert f() in 'abc'", 1, "abc", False),
    ("assert f() is True", 1, True, False),
    ("assert f() is not None", 1, None, True),
    ("assert f()", [], None, False),
    ("assert not f()", 0, None, True),
    ("assert math.isclose(f(), 1, rel_tol=.1)", 1.05, 1, True),
    ("assert math.isclose(f(), 1)", 10**400, 1, False),
    ("assert abs(f() - 1) < 0.1", 1.05, 1, True),
    ("assert abs(f() - 1) <= 0.1", 1.2, 1, False),
    ("assert abs(f() - 1) < 0.1", "x", 1, False),
    ("assert f() == 1", math.nan, math.nan, False),
  )
  def test_judges_as_python(self, test, actual, expected, passes):
    self.assertEqual(
      assertions.parse_test(test).passes(actual, expected), passes
    )

  @parameterized.parameters("<", "==", "in")
  def test_what_a_program_wrote_itself_is_judged(self, sign):
    """Such as a number that our own encoder would not send."""
    other = "[3]" if sign == "in" else "3"
    assertion = assertions.parse_test(f"assert f(1) {sign} {other}")
    for digits in (100, 4000, 9000):
      with contextlib.suppress(ValueError):
        value = values.decode(json.dumps(["d", "1" * digits]))
        self.assertIsInstance(assertion.make_vote_key(value), str)
        self.assertFalse(assertion.passes(value, 3 if sign != "in" else [3]))

  @hypothesis.given(VALUES, VALUES)
  def test_equal_keys_pass_alike(self, one, other):
    try:
      one, other = (
        values.decode(values.encode(value)) for value in (one, other)
      )
    except values.UnencodableError:
      return
    tests = ("f() == 1", "f() is True", "not f()", "f() < 1", "f() in [1, 2]")
    for assertion in map(
      assertions.parse_test, (f"assert {test}" for test in tests)
    ):
      expected = [1, 2] if assertion.comparison == "in" else 1
      expected = True if assertion.comparison == "is" else expected
      if assertion.make_vote_key(one) == assertion.make_vote_key(other):
        self.assertEqual(
          assertion.passes(one, expected), assertion.passes(other, expected)
        )
