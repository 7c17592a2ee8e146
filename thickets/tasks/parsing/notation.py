r"""LaTeX and plain notation of answers as tokens, the same for all spellings.

What only changes how an answer looks is settled here: sizes of brackets, spaces,
fonts, `\dfrac`, Unicode signs, digits in groups of three. So is what LaTeX's
grammar leaves to the reader: which letters are a word and which are factors.
What is not known raises an `UnreadableError`; nothing is skipped because it is
not understood.

The file is loaded alone, without the package (`killable`).
"""

import fractions
import re
from collections.abc import Iterator
from typing import NamedTuple

from . import infix, symbols

_MAX_DEPTH = 40
# Between digits in groups of three; a plain comma only outside of brackets,
# where it may stand between the coordinates of a point.
_THIN = r"(?:,?[ ]*\\![ ]*|\\[,;:][ ]*|\{,\})"
_RUN = {
  True: re.compile(rf"[0-9]+(?:(?:{_THIN}|,)[0-9]+)+"),
  False: re.compile(rf"[0-9]+(?:{_THIN}[0-9]+)+"),
}
_GROUPED = {
  True: re.compile(rf"[1-9][0-9]{{0,2}}(?:(?:{_THIN}|,)[0-9]{{3}})+"),
  False: re.compile(rf"[1-9][0-9]{{0,2}}(?:{_THIN}[0-9]{{3}})+"),
}
_PADDED = re.compile(r",0[0-9]")
_REPEATING = re.compile(
  r"([0-9]*)\.([0-9]*)\\(?:overline|bar|dot) ?(?:\{([0-9]+)\}|([0-9]))"
)
_SCIENTIFIC = re.compile(r"[0-9]\.[0-9]+[eE]-?[0-9]{1,3}(?![0-9.])")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+")
_DECIMALS = re.compile(r"\.[0-9]*")
_COMMAND = re.compile(r"\\(?:[A-Za-z]+\*?|.)", re.DOTALL)
_WORD = re.compile(r"[A-Za-z]+")
_SIGNED = re.compile(r"[-+]?(?:[0-9]+|[A-Za-z])")
_FULL_STOP = re.compile(r"\.(?:[}\s]|\\[,;:! ]|\\q?quad)*\Z")
_ROW_END = re.compile(r"\\\\[ ]*\[[-.0-9 ]*[a-z]{2}\]|\\cr(?![A-Za-z])")
_ENVIRONMENT = re.compile(
  r"\{((?:[pbB]|small)?matrix|array)\}(?:\{[lcr| ]*\})?"
)


class UnreadableError(ValueError):
  """A text is not in a notation that is known."""


class Token(NamedTuple):
  """One sign of an answer.

  Attributes:
    kind: `number`, `letter`, `sign`, `open`, `close`, `text`, `function`,
      `fraction`, `root`, `binomial`, `power`, `index` or `matrix`.
    value: what it is; the exact value of a number ("1/3"), the name of a letter.
    parts: what it is made of, each a tuple of tokens.
  """

  kind: str
  value: str = ""
  parts: tuple["Tokens", ...] = ()


Tokens = tuple[Token, ...]


def tokenize(text: str, letters: frozenset[str] = frozenset()) -> Tokens:
  """Reads an answer as tokens.

  Args:
    text: an answer, in LaTeX or as one types it.
    letters: variables of the question, which are never units.

  Raises:
    UnreadableError: if the text has something that is not known.
  """
  text = infix.to_prefix(symbols.spell_out(text))
  return tuple(_Scanner(text, letters, 0, False).scan(outside=True))


def spell(tokens: Tokens) -> str:
  """Writes tokens as a text, so that different ones differ."""
  return " ".join(
    f"{token.value or token.kind}"
    + "".join(f"{{{spell(part)}}}" for part in token.parts)
    for token in tokens
  )


class _Scanner:
  """Reads one text, or one argument of a command, from left to right."""

  def __init__(self, text, letters, depth, is_text):
    if depth > _MAX_DEPTH:
      raise UnreadableError("it is nested too deeply")
    self._text = text
    self._letters = letters
    self._depth = depth
    self._is_text = is_text  # Words, as in \text{}.
    self._at = 0
    self._open = 0
    # Whether this is outside of brackets, where a comma may group digits.
    self._outside = False
    # Where a list of numbers ends whose commas do not group digits in threes.
    self._list_end = 0

  def scan(self, outside: bool = False) -> Iterator[Token]:
    braces = 0
    self._outside = outside
    while self._at < len(self._text):
      character = self._text[self._at]
      if character.isspace() or _FULL_STOP.match(self._text, self._at):
        self._at += 1
      elif character in "{}" and not self._text.startswith("{,}", self._at):
        # Braces that belong to no command are not seen.
        braces += 1 if character == "{" else -1
        if braces < 0:
          raise UnreadableError("a brace is closed that was not opened")
        self._at += 1
      elif character in "0123456789." and (
        number := self._number(outside and not self._open)
      ):
        yield Token("number", number)
      elif character == "\\":
        yield from self._command()
      elif character.isascii() and character.isalpha():
        yield from self._word()
      elif character in "^_":
        self._at += 1
        yield self._script(character)
      else:
        yield self._character(character)
    if braces:
      raise UnreadableError("a brace is not closed")

  def _number(self, may_have_commas):
    may_have_commas = may_have_commas and self._at >= self._list_end
    run = _RUN[may_have_commas].match(self._text, self._at)
    if run and may_have_commas:
      self._list_end = run.end()
      if _PADDED.search(run[0]) and not _GROUPED[True].fullmatch(run[0]):
        raise UnreadableError("digits in groups of other sizes than three")
    if run and _GROUPED[may_have_commas].fullmatch(run[0]):
      self._at = run.end()
      digits = "".join(filter(str.isdigit, run[0]))
      decimals = _DECIMALS.match(self._text, self._at)
      if decimals:
        self._at = decimals.end()
        digits += decimals[0]
      return digits.rstrip(".")
    if repeating := _REPEATING.match(self._text, self._at):
      self._at = repeating.end()
      whole, fixed, *period = repeating.groups()
      period = period[0] or period[1]
      once = int(f"0{whole}{fixed}")
      again = int(f"0{whole}{fixed}{period}")
      scale = 10 ** len(fixed) * (10 ** len(period) - 1)
      return str(fractions.Fraction(again - once, scale))
    number = _SCIENTIFIC.match(self._text, self._at) or _NUMBER.match(
      self._text, self._at
    )
    if not number:
      return None
    self._at = number.end()
    if number[0].isdigit():
      return number[0].lstrip("0") or "0"
    return number[0].rstrip(".")

  def _word(self):
    match = _WORD.match(self._text, self._at)
    assert match is not None  # Who calls this has seen its first letter.
    word, self._at = match[0], match.end()
    if self._is_text and (len(word) > 1 or word in symbols.UNIT_LETTERS):
      yield from self._words(word)
    elif word in ("and", "or"):
      yield Token("sign", word)
    elif word.lower() == "no" and not self._letters.issuperset(word):
      yield from self._words(word)
    elif word in symbols.FUNCTIONS:
      yield Token("function", word)
    elif word == "sqrt":
      yield Token("root", "", (self._argument(), ()))
    elif word in symbols.LETTERS_BY_NAME:
      yield Token("letter", symbols.LETTERS_BY_NAME[word])
    elif len(word) >= 3 and not self._letters.issuperset(word):
      yield from self._words(word)
    else:
      yield from (Token("letter", letter) for letter in word)

  def _words(self, words):
    """Words that the text marks as such."""
    words = " ".join(words.replace("~", " ").split()).strip(" .")
    if words.lower() in ("and", "or"):
      yield Token("sign", words.lower())
    elif words in self._letters:
      yield Token("letter", words)
    elif words:
      yield Token("text", words)

  def _character(self, character):
    self._at += 1
    if character in "([":
      self._open += 1
      return Token("open", character)
    if character in ")]":
      self._open -= 1
      return Token("close", character)
    if character in symbols.SIGN_CHARACTERS:
      return Token("sign", symbols.SIGN_CHARACTERS[character])
    raise UnreadableError(f"{character!r} is not known")

  def _script(self, character):
    """A power or an index; without braces, all digits belong to it."""
    signed = _SIGNED.match(self._text, self._at)
    if signed:
      self._at = signed.end()
      inner = self._inside(signed[0])
    elif self._text.startswith("(", self._at) and character == "^":
      inner = self._parenthesis()
    else:
      inner = self._argument()
    if not inner:
      raise UnreadableError("a power or an index is missing")
    degrees = [Token("sign", "∘")]
    if "o" not in self._letters:
      degrees.append(Token("letter", "o"))
    if character == "^" and len(inner) == 1 and inner[0] in degrees:
      return Token("sign", "°")
    return Token("power" if character == "^" else "index", "", (inner,))

  def _parenthesis(self):
    depth = 0
    for at in range(self._at, len(self._text)):
      depth += {"(": 1, ")": -1}.get(self._text[at], 0)
      if not depth:
        inner = self._text[self._at + 1 : at]
        self._at = at + 1
        return self._inside(inner)
    raise UnreadableError("a parenthesis is not closed")

  def _command(self):
    command = _COMMAND.match(self._text, self._at)
    if not command:
      raise UnreadableError("a command has no name")
    self._at = command.end()
    name = command[0][1:].rstrip("*")
    if name in symbols.SKIPPED:
      if name in ("left", "right") and self._text.startswith(".", self._at):
        self._at += 1
      return
    if name in symbols.BRACKETS:
      kind, bracket = symbols.BRACKETS[name]
      self._open += 1 if kind == "open" else -1
      yield Token(kind, bracket)
    elif name in symbols.SIGNS:
      yield Token("sign", symbols.SIGNS[name])
    elif name in symbols.FUNCTIONS:
      yield Token("function", name)
    elif name in symbols.LETTERS:
      yield Token("letter", symbols.LETTERS[name])
    elif name in symbols.WORDS:
      yield from self._text_argument()
    elif name in symbols.FONTS:
      yield from self._argument()
    elif name in symbols.ACCENTS:
      yield Token("letter", f"{name} {spell(self._argument())}")
    elif name in symbols.TWO_ARGUMENTS:
      kind = symbols.TWO_ARGUMENTS[name]
      yield Token(kind, "", (self._argument(), self._argument()))
    elif name == "sqrt":
      yield self._root()
    elif name == "begin":
      yield self._matrix()
    else:
      raise UnreadableError(f"\\{name} is not known")

  def _text_argument(self):
    text = self._raw_argument()
    if re.fullmatch(r"[A-Za-z ~./()'-]*", text) and not re.fullmatch(
      r"[^A-Za-z]*", text
    ):
      bare = text.strip(" ~.")
      if len(bare) == 1 and bare not in symbols.UNIT_LETTERS:
        yield Token("letter", bare)
      else:
        yield from self._words(text)
    else:
      yield from self._inside(text, is_text=True, outside=self._is_outside())

  def _root(self):
    index: Tokens = ()
    self._skip_spaces()
    if self._text.startswith("[", self._at):
      end = self._text.find("]", self._at)
      if end < 0:
        raise UnreadableError("the index of a root is not closed")
      index = self._inside(self._text[self._at + 1 : end])
      self._at = end + 1
    return Token("root", "", (self._argument(), index))

  def _matrix(self):
    environment = _ENVIRONMENT.match(self._text, self._at)
    if not environment:
      raise UnreadableError("an environment is not a matrix")
    ending = f"\\end{{{environment[1]}}}"
    end = self._text.find(ending, self._at)
    if end < 0:
      raise UnreadableError("a matrix has no end")
    rows = _ROW_END.sub(r"\\\\", self._text[environment.end() : end])
    rows = rows.strip().removesuffix("\\\\")
    self._at = end + len(ending)
    cells = [
      [self._inside(cell) for cell in row.split("&")]
      for row in rows.split("\\\\")
    ]
    if not all(all(row) and len(row) == len(cells[0]) for row in cells):
      raise UnreadableError("a matrix has a place without an entry")
    flat = tuple(cell for row in cells for cell in row)
    return Token("matrix", f"{len(cells)}x{len(cells[0])}", flat)

  def _skip_spaces(self):
    while self._text[self._at : self._at + 1].isspace():
      self._at += 1

  def _raw_argument(self):
    """The text of a command's argument: a group, a command or a character."""
    self._skip_spaces()
    if self._text.startswith("{", self._at):
      depth = 0
      for at in range(self._at, len(self._text)):
        escaped = self._text[at - 1] == "\\" and at > self._at
        if not escaped:
          depth += {"{": 1, "}": -1}.get(self._text[at], 0)
        if not depth:
          inner = self._text[self._at + 1 : at]
          self._at = at + 1
          return inner
      raise UnreadableError("a brace is not closed")
    if self._text.startswith("\\", self._at):
      start = self._at
      for _ in self._command():  # With the arguments of its own.
        pass
      return self._text[start : self._at]
    if self._text.startswith("(", self._at):  # sqrt(2)
      start = self._at
      self._parenthesis()
      return self._text[start : self._at]
    character = self._text[self._at : self._at + 1]
    self._at += 1
    return character

  def _argument(self):
    self._skip_spaces()
    if self._text.startswith("\\", self._at):
      inner = tuple(self._command())  # Read once, however deep it is nested.
    else:
      inner = self._inside(self._raw_argument(), outside=self._is_outside())
    if not inner:
      raise UnreadableError("a command has no argument")
    return inner

  def _is_outside(self):
    return self._outside and not self._open

  def _inside(self, text, is_text=False, outside=False):
    scanner = _Scanner(
      text, self._letters, self._depth + 1, is_text or self._is_text
    )
    return tuple(scanner.scan(outside))
