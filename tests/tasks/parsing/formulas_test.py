"""Tests of arithmetic in hostile text, with Python's own as the oracle."""

import ast
import fractions
import operator
import random
import time

from absl.testing import parameterized
from hypothesis import given
from hypothesis import strategies as st

from thickets.tasks.parsing import formulas

_NODES = {
  ast.Add: operator.add,
  ast.Sub: operator.sub,
  ast.Mult: operator.mul,
  ast.Div: operator.truediv,
  ast.UAdd: operator.pos,
  ast.USub: operator.neg,
}


def _by_python(node):
  """The exact value of a syntax tree that Python's own parser made."""
  match node:
    case ast.Expression(body=body):
      return _by_python(body)
    case ast.Constant(value=int(value)):
      return fractions.Fraction(value)
    case ast.BinOp(left=left, op=op, right=right):
      return _NODES[type(op)](_by_python(left), _by_python(right))
    case ast.UnaryOp(op=op, operand=operand):
      return _NODES[type(op)](_by_python(operand))
  raise ValueError(f"not arithmetic: {ast.dump(node)}")


def _python_value(text):
  """None where Python finds no arithmetic or divides by zero."""
  try:
    return _by_python(ast.parse(text.lstrip(" "), mode="eval"))
  except (SyntaxError, KeyError, ValueError, ZeroDivisionError):
    return None


def _our_value(text):
  try:
    return formulas.evaluate(text)
  except ValueError:
    return None


def _random_formula(rng, depth=4):
  if depth == 0 or rng.random() < 0.2:
    return str(rng.randrange(20))
  kind = rng.randrange(4)
  if kind == 0:
    return f"({_random_formula(rng, depth - 1)})"
  if kind == 1:
    return f"{rng.choice('+-')}{_random_formula(rng, depth - 1)}"
  left, right = (_random_formula(rng, depth - 1) for _ in range(2))
  space = " " * rng.randrange(2)
  return f"{left}{space}{rng.choice('+-*/')}{space}{right}"


class FormulasTest(parameterized.TestCase):
  def test_values_are_those_of_python(self):
    rng = random.Random(0)
    num_values = 0
    for _ in range(3000):
      text = _random_formula(rng)
      if "/ /" in text or len(text) > formulas.MAX_CHARS:
        continue
      self.assertEqual(_our_value(text), _python_value(text), text)
      num_values += _our_value(text) is not None
    self.assertGreater(num_values, 2000)

  @given(st.text("0123456789+-*/() ", max_size=12))
  def test_texts_are_formulas_where_python_finds_arithmetic(self, text):
    refused_here_alone = any(
      len(digits) > 1 and not digits.strip("0")
      for digits in "".join(c if c.isdigit() else " " for c in text).split()
    )
    if not refused_here_alone:
      self.assertEqual(_our_value(text), _python_value(text))

  @given(st.text(max_size=40))
  def test_any_text_has_a_value_or_a_reason(self, text):
    _our_value(text)

  @parameterized.parameters(
    ("1 + 2 * 3", 7),
    ("(1 + 2) / 3", 1),
    ("8 / 3 / 2", (4, 3)),
    ("2 - 3 - 4", -5),
    ("-3 * -(2 - 5)", -9),
    ("1 / 3 + 2 / 3", 1),
    ("(" * 149 + "1" + ")" * 149, 1),
    ("-" * 299 + "1", -1),
    ("0", 0),
  )
  def test_worked_cases(self, text, value):
    value = fractions.Fraction(*value if isinstance(value, tuple) else (value,))
    self.assertEqual(formulas.evaluate(text), value)

  def test_numbers_are_those_written(self):
    self.assertEqual(formulas.parse("(12 - 3) * 12/1").numbers, (12, 3, 12, 1))

  @parameterized.parameters(
    ("", "must end with"),
    ("   ", "must end with"),
    ("()", "number before"),
    ("2 ** 3", "number before"),
    ("7 // 2", "number before"),
    ("9**9**9", "number before"),
    ("2(3)", "operator before"),
    ("1 2", "operator before"),
    ("(1", "must close"),
    ("1)", "must open"),
    (")1(", "number before"),
    ("07", "must not begin with 0"),
    ("1 / (2 - 2)", "divide by zero"),
    ("1 / 0", "divide by zero"),
    ("1\n+ 2", "must not contain"),
    ("1 + 2 = 3", "must not contain"),
    ("1.5", "must not contain"),
    ("1_000", "must not contain"),
    ("0x1F", "must not contain"),
    ("١ + ٢", "must not contain"),  # Arabic-Indic digits.
    ("２+２", "must not contain"),  # Full-width digits.
    ("2²", "must not contain"),
    ("1\0", "must not contain"),
    ("\ud800", "must not contain"),
    ("1234567890123", "at most 12 digits"),
    ("(" * 10_000 + "1" + ")" * 10_000, "at most 300 characters"),
    ("9" * 1_000_000, "at most 300 characters"),
  )
  def test_anything_else_is_refused(self, text, reason):
    with self.assertRaisesRegex(ValueError, reason) as caught:
      formulas.parse(text)
    self.assertTrue(str(caught.exception).isprintable())

  def test_the_longest_formulas_take_little(self):
    longest = "*".join(["9" * formulas.MAX_DIGITS] * 23)
    start = time.process_time()
    for text in (longest, longest.replace("*", "/"), "1/1+" * 74 + "1"):
      formulas.parse(text)
    self.assertLess(time.process_time() - start, 0.1)
