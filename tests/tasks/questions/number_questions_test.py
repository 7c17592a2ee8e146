import pytest

from thickets.tasks.questions import number_questions

LARGER = "Which number is larger, 147 or 592?"


@pytest.mark.parametrize(
  ("response", "answer"),
  [
    ("29", "29"),
    ("20 + 9 = 29.", "29"),
    ("20 + 9 = 30", "30"),  # A false equation is an answer as well.
    ("It is 29.\n\nThis is a classic example", "29"),
    ("about 1,234 in all", "1234"),
    ("first 1,2,3", "3"),
    ("007", "7"),
    ("29.0", "29"),
    ("29.5", "59/2"),
    ("\\boxed{29}", "29"),
    ("= -5", "-5"),
    ("−5", "-5"),
    ("52-41", "41"),
    ("52 - 41", "41"),
    ("(52) - 41", "41"),
    ("none at all", None),
    ("٣", None),
    ("9" * 40, None),
  ],
)
def test_the_last_number_is_the_answer(response, answer):
  assert number_questions.read_last_number("", response) == answer


@pytest.mark.parametrize(
  ("response", "answer"),
  [
    ("592", "592"),
    ("The larger number is 592.", "592"),
    ("The larger number between 147 and 592 is 592.", "592"),
    ("The greatest of the two is 147", "147"),
    ("592 is larger than 147.", "592"),
    ("592 is the larger number, as 592 - 147 = 445.", "592"),
    ("147 is smaller than 592", "592"),
    ("The smaller number is 147.", "592"),
    ("592 > 147", "592"),
    ("147 < 592", "592"),
    ("147 > 592", "147"),
    ("**592**", "592"),
    ("592 is much larger than 147.", "592"),
    ("592 is definitely larger than 147", "592"),
    ("592 is indeed greater than 147", "592"),
    ("592 is a larger number than 147", "592"),
    ("592 has a higher value than 147", "592"),
    ("592 exceeds 147", "592"),
    ("The larger of the two numbers is 592, 147 is not.", "592"),
    ("Between 592 and 147, the larger number is clearly 592.", "592"),
    ("The larger number would be 592, not 147", "592"),
    ("592 is not larger than 147", None),
    ("147 is larger than 592? No.", None),
    ("The number that is not larger is 147", None),
    ("The larger number is not 147.", None),
    ("To find the larger number, we compare 147", None),
    ("We need the largest number that is exactly 147 units", None),
    ("We compare 147 and 592.", None),
    ("147 is larger than 592. No, 592 is larger than 147.", None),
    ("We need the greatest common divisor of 147 and 592.", None),
    ("1592", None),
    ("592.5", None),
    ("", None),
  ],
)
def test_a_claim_or_a_single_number_says_which_is_larger(response, answer):
  assert number_questions.read_larger(LARGER, response) == answer


def test_the_order_of_the_question_does_not_matter():
  for question in (LARGER, "Which number is larger, 592 or 147?"):
    read = number_questions.read_larger(question, "147 is less than 592")
    assert read == "592"


@pytest.mark.parametrize(
  ("response", "answer"),
  [
    ("4, 68, 93", "4, 68, 93"),
    ("4,68,93", "4, 68, 93"),
    ("From 93, 4 and 68 we get 4, 68, and 93.", "4, 68, 93"),
    ("The numbers are 93, 4, 68.", "93, 4, 68"),
    ("**47, 47**", "47, 47"),
    ("1. 4\n2. 68\n3. 93", None),
    ("47", None),
    ("4 68 93", None),
  ],
)
def test_the_last_list_is_the_answer(response, answer):
  assert number_questions.read_last_list("", response) == answer
