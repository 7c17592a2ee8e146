"""Tests of responses that stand side by side."""

import types

import numpy as np

from thickets.generation import grading, side_by_side
from thickets.runs.directory import BASE_POSITION
from thickets.tasks import base


def _run(with_responses):
  """A run whose base is wrong where member 3 is right, on three prompts."""
  texts = {BASE_POSITION: ["a", "b", ""], 3: ["x", "y", "z"]}
  right = {BASE_POSITION: [False, False, True], 3: [True, True, False]}

  def channels(split, position):
    assert split == "judge"
    packed = grading.pack_responses(texts[position]) if with_responses else {}
    return {"lenient": np.array(right[position]), **packed}

  return types.SimpleNamespace(channels=channels)


EXAMPLES = [
  base.Example(str(i), base.ask(f"{i}?", system="s"), "") for i in "abc"
]


def test_the_first_prompts_are_shown_with_both_responses():
  pairs = side_by_side.read_pairs(_run(True), "judge", EXAMPLES, 3, count=2)
  assert pairs == [
    {
      "question": f"{question}?",
      "base": {"response": first, "right": False},
      "member": {"response": second, "right": True},
    }
    for question, first, second in (("a", "a", "x"), ("b", "b", "y"))
  ]
  assert len(side_by_side.read_pairs(_run(True), "judge", EXAMPLES, 3)) == 3


def test_nothing_is_shown_where_responses_were_not_logged():
  assert side_by_side.read_pairs(_run(False), "judge", EXAMPLES, 3) == []
