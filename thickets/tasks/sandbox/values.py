"""Python values as text: how a candidate's process returns them.

`encode` runs beside the candidate, `decode` here, on bytes that a hostile program
may have written: nothing is executed or unpickled, and size, depth and hash
collisions are bounded. Decoded values are of plain built-in types, so `==`
between them means what it means in Python and runs no foreign code; `make_equality_key`
gives equal texts to equal values.

This module needs the standard library alone: it is also loaded by a bare
interpreter that does not see this package.
"""

import collections
import decimal
import fractions
import hashlib
import json
import math
from collections.abc import Callable, Iterator
from typing import Any

MAX_DEPTH = 50
MAX_NODES = 100_000
# Small integers with equal hashes are easy to find, and make sets and dicts
# quadratic in their size.
MAX_HASHED = 4096
# So many different values of one set or dict may share a hash, as -1 and -2 do,
# and 1 and 2**61.
MAX_SAME_HASH = 8
# A Decimal with a large exponent is short to write and takes long to compare.
MAX_EXPONENT = 5000
# So many digits, with the zeros that would be spelled, all Decimals may have
# together.
MAX_DECIMAL_DIGITS = 100_000
# So many digits all numerators and denominators may have together: finding
# their common divisors takes quadratic time.
MAX_FRACTION_DIGITS = 20_000

_VIEWS = (type({}.keys()), type({}.items()))


class UnencodableError(ValueError):
  """Says why a value cannot be returned."""


def encode(value: Any) -> str:
  """A value as a line of ASCII.

  Of a subclass's instance it is the plain value of its built-in base, whatever
  the subclass defines: a namedtuple is a tuple, a defaultdict a dict, an object
  that calls itself equal to everything is what it holds. A set and a dict's view
  of keys or items are sets, a bytearray is bytes: they are equal in Python.

  Raises:
    UnencodableError: for other types, and for values too deep or too large.
  """
  return json.dumps(encode_tree(value), separators=(",", ":"))


def encode_tree(value: Any) -> Any:
  """What `encode` writes, as lists, texts, None and truth values."""
  return _Encoder().encode(value, 0)


def decode(line: str | bytes) -> Any:
  """The value that `encode` wrote.

  Raises:
    ValueError: if the text is not one that `encode` could have written, or its
      sets and dicts are too large together.
  """
  try:
    return _Decoder().decode(load_json(line), 0)
  except (RecursionError, TypeError, ArithmeticError, LookupError) as error:
    raise ValueError(f"a value must be well formed, got {error!r}.") from error


def load_json(line: str | bytes) -> Any:
  """Reads JSON of lists, texts, None and truth values.

  Raises:
    ValueError: if there is anything else in it.
    RecursionError: if it is too deep.
  """
  return json.loads(
    line,
    parse_int=_refuse,
    parse_float=_refuse,
    parse_constant=_refuse,
    object_pairs_hook=_refuse,
  )


def make_equality_key(value: Any) -> str:
  """A short text, the same for values that are equal in Python, else another.

  So 1, 1.0, True and Decimal(1) have the same key, (1,) and [1] have not.
  Not-a-numbers have one key though they equal nothing.

  Args:
    value: a value of plain types, as `decode` returns it.
  """
  return _digest(value).hex()


class _Encoder:
  def __init__(self):
    self._num_nodes = 0

  def encode(self, value, depth):
    self._num_nodes += 1
    if depth > MAX_DEPTH or self._num_nodes > MAX_NODES:
      raise UnencodableError(
        f"deeper than {MAX_DEPTH}"
        if depth > MAX_DEPTH
        else f"more than {MAX_NODES} parts"
      )
    if value is None or value is True or value is False:
      return value
    for kinds, encode in _SCALARS:
      if isinstance(value, kinds):
        return encode(value)
    for kinds, tag, iterate in _CONTAINERS:
      if isinstance(value, kinds):
        parts = [self.encode(part, depth + 1) for part in iterate(value)]
        return [tag, *parts]
    if isinstance(value, dict):
      pairs = dict.items(value)
      parts = [
        [self.encode(key, depth + 1), self.encode(part, depth + 1)]
        for key, part in pairs
      ]
      return ["m", *parts]
    raise UnencodableError(f"of type {type(value).__name__:.80}")


def _is_huge(value: decimal.Decimal) -> bool:
  """Whether a Decimal has too many digits, or zeros that would be spelled."""
  return _count_digits(value) > MAX_EXPONENT


def _count_digits(value: decimal.Decimal) -> int:
  return len(value.as_tuple().digits) + abs(value.adjusted())


def _encode_decimal(value):
  if not value.is_finite():  # As a float: infinities are equal to it.
    return ["f", "nan" if value.is_nan() else f"{float(value)}"]
  if _is_huge(value):
    raise UnencodableError(f"a Decimal beyond 1E{MAX_EXPONENT}")
  return ["d", decimal.Decimal.__str__(value)]


# Types, and what writes a value of one of them.
_SCALARS: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
  (str, str.__str__),
  # Hexadecimal: decimal digits of large integers take quadratic time.
  (int, lambda value: ["i", format(int.__int__(value), "x")]),
  (float, lambda value: ["f", float.hex(value)]),
  (
    complex,
    lambda value: [
      "c",
      complex.real.__get__(value).hex(),
      complex.imag.__get__(value).hex(),
    ],
  ),
  ((bytes, bytearray), lambda value: ["b", bytes(memoryview(value)).hex()]),
  (
    fractions.Fraction,
    lambda value: ["q", f"{value.numerator:x}", f"{value.denominator:x}"],
  ),
  (decimal.Decimal, _encode_decimal),
)
# Types, their tag, and what goes through a value of one of them.
_CONTAINERS: tuple[tuple[Any, str, Callable[[Any], Iterator[Any]]], ...] = (
  (list, "l", list.__iter__),
  (tuple, "t", tuple.__iter__),
  (set, "s", set.__iter__),
  (frozenset, "s", frozenset.__iter__),
  (_VIEWS, "s", iter),
)


class _Decoder:
  def __init__(self):
    self._num_hashed = 0
    self._num_decimal_digits = 0
    self._num_fraction_digits = 0

  def decode(self, tree, depth):
    if depth > MAX_DEPTH:
      raise ValueError(f"a value must be at most {MAX_DEPTH} deep.")
    if tree is None or isinstance(tree, bool | str):
      return tree
    if not isinstance(tree, list):
      raise ValueError(f"a value must be tagged, got {type(tree).__name__}.")
    tag, *parts = tree
    if tag in ("l", "t"):
      values = [self.decode(part, depth + 1) for part in parts]
      return values if tag == "l" else tuple(values)
    if tag == "s":
      return frozenset(self._hashable(parts, depth))
    if tag == "m":
      keys = self._hashable([key for key, _ in parts], depth)
      contents = [self.decode(part, depth + 1) for _, part in parts]
      return dict(zip(keys, contents, strict=True))
    if tag in ("d", "q"):
      return self._decode_long(tag, parts)
    return _LEAVES[tag](*parts)

  def _hashable(self, parts, depth):
    """Decodes entries of a set or a dict, of which few have the same hash."""
    self._num_hashed += len(parts)
    if self._num_hashed > MAX_HASHED:
      raise ValueError(
        f"sets and dicts must have at most {MAX_HASHED} entries together."
      )
    entries = [self.decode(part, depth + 1) for part in parts]
    counts = collections.Counter(map(hash, entries))
    if counts and max(counts.values()) > MAX_SAME_HASH:
      raise ValueError(
        f"at most {MAX_SAME_HASH} entries of a set or a dict must have the same"
        f" hash, got {max(counts.values())}."
      )
    return entries

  def _decode_long(self, tag, parts):
    """Decodes a number that takes more work than its text is long."""
    if tag == "q":
      self._num_fraction_digits += sum(map(len, parts))
      if self._num_fraction_digits > MAX_FRACTION_DIGITS:
        raise ValueError(
          f"fractions must have at most {MAX_FRACTION_DIGITS} digits together."
        )
      return _LEAVES[tag](*parts)
    value = _decode_decimal(*parts)
    self._num_decimal_digits += _count_digits(value)
    if self._num_decimal_digits > MAX_DECIMAL_DIGITS:
      raise ValueError(
        f"Decimals must have at most {MAX_DECIMAL_DIGITS} digits together."
      )
    return value


def _decode_decimal(text):
  value = decimal.Decimal(text)
  if not value.is_finite() or len(text) > 2 * MAX_EXPONENT:
    raise ValueError("a Decimal must be finite and short.")
  if _is_huge(value):
    raise ValueError(f"a Decimal must be within 1E{MAX_EXPONENT}.")
  return value


_LEAVES = {
  "i": lambda text: int(text, 16),
  "f": float.fromhex,
  "c": lambda real, imag: complex(float.fromhex(real), float.fromhex(imag)),
  "b": bytes.fromhex,
  "q": lambda above, below: fractions.Fraction(int(above, 16), int(below, 16)),
}


def _refuse(text):
  raise ValueError(f"a number must be tagged, got {text[:40]!r}.")


def _digest(value) -> bytes:
  """Hashes a value by way of its parts, so that the cost is linear."""
  if value is None:
    head, parts = b"none", []
  elif isinstance(value, str):
    head, parts = b"str", [value.encode("utf-8", "surrogatepass")]
  elif isinstance(value, bytes):
    head, parts = b"bytes", [value]
  elif isinstance(value, list | tuple):
    head, parts = type(value).__name__.encode(), [_digest(v) for v in value]
  elif isinstance(value, set | frozenset):
    head, parts = b"set", sorted(_digest(part) for part in value)
  elif isinstance(value, dict):
    pairs = ((_digest(k), _digest(part)) for k, part in value.items())
    head, parts = b"dict", [key + part for key, part in sorted(pairs)]
  else:
    head, parts = b"number", [_spell_number(value).encode()]
  total = hashlib.blake2b(head, digest_size=16)
  for part in parts:  # One, or of equal length.
    total.update(part)
  return total.digest()


def _spell_number(value) -> str:
  if isinstance(value, complex):
    if value.imag:  # True of a not-a-number as well.
      return f"{_spell_number(value.real)}+{_spell_number(value.imag)}j"
    value = value.real
  if isinstance(value, float) and not math.isfinite(value):
    return str(value)
  above, below = value.as_integer_ratio()
  return f"{above:x}/{below:x}"
