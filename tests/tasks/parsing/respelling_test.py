"""Laws over other spellings of the references, and over changed ones."""

import json
import pathlib
import re

import pytest
from absl.testing import parameterized
from hypothesis import given, settings
from hypothesis import strategies as st
from tasks.parsing import respellings

from thickets.tasks import registry
from thickets.tasks.parsing import boxed

DATA = pathlib.Path(__file__).resolve().parents[3].parent / "shared/data"

_ARGUMENT = re.compile(r"^[a-z]\([a-z]\)")

# One reference of each kind.
REFERENCES = (
  *(
    "10080",
    "-7",
    r"\frac{9}{4}",
    r"3\sqrt{13}",
    r"\left(\frac{3}{5},8\right]",
  ),
  *(r"(2,\infty)", "2,-1,-18", r"145^\circ", r"\{1\pm\sqrt{5},-2\}", "17.5%"),
  *(r"\begin{pmatrix} 1/5 \\ -18/5 \end{pmatrix}", "x^5 - x^4 + n(n-1)"),
  *(r"(1,2), (-2,7)", r"f(x)=\frac{1}{x}", r"x \in [-2,7]", r"\text{east}"),
  *(r"\left\lfloor\log _{2} n\right\rfloor+1", "5x - 7y + 11z + 4 = 0"),
)


def _check_respellings(test, example, answer):
  asked = example.reference["asked"]
  vote = boxed.grade_standard(example, f"\\boxed{{{answer}}}").vote
  for text in respellings.respell(
    answer, is_unordered=len(asked) < 2, unknown=(asked or ["x"])[0]
  ):
    grade = boxed.grade_standard(example, f"\\boxed{{{text}}}")
    test.assertEqual((grade.vote, grade.correct), (vote, True), (answer, text))


def _check_mutations(test, example, answer):
  vote = boxed.grade_standard(example, f"\\boxed{{{answer}}}").vote
  for text in respellings.mutate(answer):
    if _ARGUMENT.sub("", text) == _ARGUMENT.sub("", answer):
      continue  # A constant function is the same, whatever its argument is called.
    grade = boxed.grade_standard(example, f"\\boxed{{{text}}}")
    if grade.vote != vote:  # Else its value is the same, as of 0 and -0.
      test.assertFalse(grade.lenient, (answer, text))


def _example(answer):
  row = {"problem": "What?", "answer": answer}
  return registry.load_task("math500").make_example(row, 0)


class ReferenceTest(parameterized.TestCase):
  @parameterized.parameters(*((answer,) for answer in REFERENCES))
  def test_respellings_have_one_key_and_are_right(self, answer):
    _check_respellings(self, _example(answer), answer)

  @parameterized.parameters(*((answer,) for answer in REFERENCES))
  def test_one_changed_character_is_wrong(self, answer):
    if "%" not in answer:  # A percentage without its sign is right.
      _check_mutations(self, _example(answer), answer)

  @settings(max_examples=25)
  @given(
    st.integers(-(10**9), 10**9),
    st.sampled_from([",", "{,}", r"\,", r"\!", "\u2009", "\u202f", "\u00a0"]),
    st.integers(1, 3),
  )
  def test_digits_join_in_threes_alone(self, number, separator, size):
    digits = str(abs(number))
    groups = [
      digits[max(0, end - size) : end] for end in range(len(digits), 0, -size)
    ][::-1]
    text = ("-" if number < 0 else "") + separator.join(groups)
    grade = boxed.grade_standard(_example(str(number)), f"\\boxed{{{text}}}")
    self.assertEqual(grade.correct, size == 3 or len(groups) == 1)


@pytest.mark.slow
class DataTest(parameterized.TestCase):
  def _references(self, name):
    file = DATA / name / "test.jsonl"
    if not file.exists():
      self.skipTest(f"No data in {DATA}.")
    for line in file.read_text().splitlines():
      example = registry.load_task(name).make_example(json.loads(line), 0)
      answer = re.sub(r"(?<!\\)\$", "", example.reference["answer"])
      if "where" not in answer:  # One reference is prose.
        yield example, answer

  @parameterized.parameters("math500", "olympiadbench")
  def test_respellings_have_one_key_and_are_right(self, name):
    for example, answer in self._references(name):
      _check_respellings(self, example, answer)

  @parameterized.parameters("math500", "olympiadbench")
  def test_one_changed_character_is_wrong(self, name):
    for example, answer in self._references(name):
      if "%" not in answer and not example.reference["tolerance"]:
        _check_mutations(self, example, answer)
