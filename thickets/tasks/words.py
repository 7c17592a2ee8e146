"""Short answers in words: when two of them are the same answer.

`normalise` is what GQA's own exact match needs so that a reply in prose can be right:
case, punctuation around the answer, a leading article and spaces do not count.
`canonicalise` also takes plurals and a few words of the same meaning for one answer.
It looks at the answer alone: nothing is right because it contains the reference, or is
contained in it.
"""

import re
import string

_ARTICLE = re.compile(r"(a|an|the) +(?=\S)")
_SPACES = re.compile(r"\s+")
_EDGES = string.punctuation + string.whitespace + "“”‘’…–—"

# Words that end in s and are no plurals of what is left without it.
_NO_PLURALS = frozenset(
  [
    "yes",
    "gas",
    "lens",
    "canvas",
    "christmas",
    "glasses",
    "sunglasses",
    "eyeglasses",
    "pants",
    "jeans",
    "shorts",
    "scissors",
    "tennis",
    "news",
    "always",
    "as",
    "is",
    "has",
    "was",
    "this",
    "its",
    "stairs",
    "clothes",
    "swiss",
    "pajamas",
    "tongs",
    "pliers",
    "goggles",
  ]
)
_IRREGULAR = {
  "men": "man",
  "women": "woman",
  "people": "person",
  "children": "child",
  "mice": "mouse",
  "geese": "goose",
  "feet": "foot",
  "teeth": "tooth",
  "leaves": "leaf",
  "knives": "knife",
  "shelves": "shelf",
  "bookshelves": "bookshelf",
  "loaves": "loaf",
  "wolves": "wolf",
  "calves": "calf",
  "scarves": "scarf",
  "buses": "bus",
  "cookies": "cookie",
  "movies": "movie",
  "pies": "pie",
  "ties": "tie",
  "hoodies": "hoodie",
  "brownies": "brownie",
  "potatoes": "potato",
  "tomatoes": "tomato",
}
# What is said for what. Only words that mean the same thing in a picture: a street is
# no road here, and a laptop no computer.
_SAME = {
  "aeroplane": "airplane",
  "plane": "airplane",
  "bicycle": "bike",
  "motorcycle": "motorbike",
  "television": "tv",
  "sofa": "couch",
  "fridge": "refrigerator",
  "grey": "gray",
  "drape": "curtain",
  "large": "big",
  "little": "small",
  "lady": "woman",
  "kid": "child",
  "mobile phone": "cell phone",
  "cellphone": "cell phone",
}


def normalise(answer: str) -> str:
  """Returns an answer without case, outer punctuation, article and needless spaces."""
  text = _SPACES.sub(" ", answer.casefold()).strip(_EDGES)
  return _ARTICLE.sub("", text, count=1) if _ARTICLE.match(text) else text


def canonicalise(answer: str) -> str:
  """Returns what stands for all answers that are the same; "" for none.

  Of several words only the last is made singular, as in `fire trucks`.
  """
  *before, last = normalise(answer).split(" ")
  words = " ".join([*before, singular(last)])
  return _SAME.get(words, words)


def singular(word: str) -> str:
  """Returns the singular of a word in lower case; the word itself if it is none."""
  if word in _IRREGULAR:
    return _IRREGULAR[word]
  if (
    len(word) < 4
    or word in _NO_PLURALS
    or not word.endswith("s")
    or word.endswith(("ss", "us", "is"))
  ):
    return word
  if word.endswith("ies"):
    return f"{word[:-3]}y"
  if word.endswith(("ches", "shes", "xes", "sses", "zzes")):
    return word[:-2]
  return word[:-1]
