import pytest

from thickets.tasks.questions import word_questions

SENTIMENT = (
  'Is this review positive or negative? "What a show, it was great."'
  " Answer with one word."
)
TOPIC = (
  'Is this sentence about sports, cooking or weather? "The chef baked a loaf'
  ' of bread." Answer with one word.'
)
ODD = "Which word does not belong: apple, grape, orange, cat?"


@pytest.mark.parametrize(
  ("question", "response", "answer"),
  [
    (SENTIMENT, "Positive.", "positive"),
    (SENTIMENT, 'The review is "negative".', "negative"),
    (SENTIMENT, "It is not negative.", None),
    (SENTIMENT, "It is not negative but positive.", "positive"),
    (SENTIMENT, "It is positive, but also a bit negative.", None),
    (SENTIMENT, "It is great.", None),
    (SENTIMENT, "It isn't negative.", None),
    (SENTIMENT, "It cannot be negative, never positive", None),
    (TOPIC, "cooking", "cooking"),
    (ODD, "Cat does not belong, as apple, grape and orange are fruit.", "cat"),
    (ODD, "The odd one out is the cat, not apple or grape.", "cat"),
    (TOPIC, "The sentence is about weather.", "weather"),
    (TOPIC, "Sports or cooking?", None),
    (TOPIC, "A loaf of bread", None),
    (ODD, 'The word "cat" is an animal.', "cat"),
    (ODD, "A caterpillar", None),
    (ODD, "CAT", "cat"),
    (ODD, "the cat among apple and grape", None),
    (ODD, "", None),
  ],
)
def test_the_one_choice_that_is_named_is_the_answer(question, response, answer):
  assert word_questions.read_named(question, response) == answer
