"""Questions that are answered with a word: kinds of reviews, sentences and things.

Each names the words that can be answered. The answer of a response is the one of
them that it names; a response that names several, or none, gives no answer, and
neither does one that only denies a word ("not positive").
"""

import re
from collections.abc import Sequence

from thickets.tasks.drills.stable_random import StableRandom
from thickets.tasks.questions.kinds import Question, QuestionKind

# A denial, with the word that it denies.
_DENIED = re.compile(
  r"(?:\b(?:not|cannot be|never|neither|nor)|n't)\W{1,3}(?:(?:be|an?|the)\W{1,3})?\w+",
  re.IGNORECASE,
)

_PLACES = (
  "book", "concert", "film", "garden", "holiday", "hotel", "lesson", "meal",
  "museum", "party", "restaurant", "show", "song", "story", "trip", "visit",
)  # fmt: skip
_REVIEWS = {
  "positive": (
    "amazing", "beautiful", "brilliant", "charming", "cheerful", "delightful",
    "enchanting", "enjoyable", "excellent", "exquisite", "fabulous", "fantastic",
    "glorious", "good", "great", "impressive", "lovely", "magnificent", "marvellous",
    "outstanding", "perfect", "pleasant", "remarkable", "splendid", "stunning",
    "superb", "terrific", "wonderful",
  ),
  "negative": (
    "abysmal", "appalling", "awful", "bad", "boring", "depressing", "disappointing",
    "disgusting", "dismal", "dreadful", "dreary", "dull", "ghastly", "hideous",
    "horrible", "lousy", "mediocre", "miserable", "nasty", "pathetic", "poor",
    "shabby", "tedious", "terrible", "tiresome", "ugly", "unbearable", "unpleasant",
  ),
}  # fmt: skip
_FRAMES = (
  "The {} was {}.",
  "What a {}, it was {}.",
  "I thought the {} was {}.",
  "We found the {} {}.",
)

# Subjects and what they do; every subject goes with every ending of its topic.
_SENTENCES = {
  "sports": (
    ("the runner", "the swimmer", "our team", "the champion", "the captain"),
    (
      "won the final race", "lost the match", "broke the world record",
      "trained for the tournament", "scored in the last minute",
      "won a gold medal", "was cheered in the stadium", "missed the penalty",
      "came second in the marathon", "warmed up before the game",
      "was sent off by the referee", "practised the high jump",
    ),
  ),
  "cooking": (
    ("my aunt", "the chef", "the baker", "our cook", "the young couple"),
    (
      "stirred the onions in butter", "baked a loaf of bread",
      "added salt to the soup", "roasted a chicken with garlic",
      "fried the eggs in oil", "boiled the potatoes",
      "mixed flour with sugar", "tasted the sauce", "peeled the carrots",
      "grilled the fish with lemon", "left the rice to simmer",
      "rolled out the dough",
    ),
  ),
  "weather": (
    ("in the evening", "last night", "in the north", "at the coast", "up here"),
    (
      "heavy rain is expected", "a cold wind blew", "snow fell on the hills",
      "the storm brought hail", "it was sunny and warm",
      "thick fog lay over the fields", "the sky was full of dark clouds",
      "thunder and lightning were reported", "a mild frost is forecast",
      "the drizzle did not stop", "a warm breeze came up",
      "the heatwave is over",
    ),
  ),
}  # fmt: skip

_REPORTED = (
  "", "I read that ", "He told us that ", "The letter says that ",
  "They were glad that ", "She wrote to me that ",
)  # fmt: skip

_KINDS = {
  "animal": (
    "bear", "cat", "cow", "deer", "dog", "fox", "goat", "horse", "lion", "monkey",
    "mouse", "pig", "rabbit", "sheep", "tiger", "wolf",
  ),
  "fruit": (
    "apple", "apricot", "banana", "cherry", "fig", "grape", "lemon", "mango",
    "melon", "orange", "peach", "pear", "pineapple", "plum",
  ),
  "tool": (
    "axe", "chisel", "drill", "hammer", "pliers", "rake", "saw", "screwdriver",
    "shovel", "spade", "wrench",
  ),
}  # fmt: skip


def _draw_sentiment(draw: StableRandom) -> Question:
  answer = draw.choose(tuple(_REVIEWS))
  place, adjective = draw.choose(_PLACES), draw.choose(_REVIEWS[answer])
  review = draw.choose(_FRAMES).format(place, adjective)
  return Question(
    f'Is this review positive or negative? "{review}" Answer with one word.',
    answer,
    adjective,
  )


def _draw_topic(draw: StableRandom) -> Question:
  answer = draw.choose(tuple(_SENTENCES))
  subject, event = (draw.choose(part) for part in _SENTENCES[answer])
  sentence = f"{draw.choose(_REPORTED)}{subject} {event}"
  sentence = sentence[0].upper() + sentence[1:]
  return Question(
    f'Is this sentence about sports, cooking or weather? "{sentence}." Answer'
    " with one word.",
    answer,
    event,
  )


def _draw_odd(draw: StableRandom) -> Question:
  many, one = draw.shuffle(tuple(_KINDS))[:2]
  answer = draw.choose(_KINDS[one])
  words = draw.shuffle([*draw.shuffle(_KINDS[many])[:3], answer])
  return Question(
    f"Which word does not belong: {', '.join(words)}?", answer, answer
  )


def read_named(question: str, response: str) -> str | None:
  """Reads the one choice of the question that a response names."""
  return _read_choice(_find_choices(question), response)


def _find_choices(question: str) -> list[str]:
  """Returns the words between which a question lets one choose."""
  asked = question.partition('"')[0].partition("?")[0]
  if ":" in asked:
    return re.findall("[a-z]+", asked.partition(":")[2])
  listed = re.search(r"(?:[a-z]+, )*[a-z]+ or [a-z]+$", asked)
  return re.findall(r"(?!or\b)[a-z]+", listed[0]) if listed else []


def _read_choice(choices: Sequence[str], response: str) -> str | None:
  claims = {
    choice
    for choice in choices
    if re.search(
      rf"(?<![\w-]){choice}\W{{1,3}}(?:does not|doesn't) belong"
      rf"|\bodd (?:one|word)(?: out)? is\W{{1,3}}(?:the\W{{1,3}})?{choice}\b",
      response,
      re.IGNORECASE,
    )
  }
  affirmed = _DENIED.sub(" ", response)
  named = claims or {
    choice
    for choice in choices
    if re.search(rf"(?<![\w-]){choice}(?![\w-])", affirmed, re.IGNORECASE)
  }
  return named.pop() if len(named) == 1 else None


WORD_QUESTIONS = {
  "sentiment": QuestionKind(_draw_sentiment, read_named, version=2),
  "topic": QuestionKind(_draw_topic, read_named, version=2),
  "odd_word": QuestionKind(_draw_odd, read_named, version=2),
}
