"""Tests of the controls: no question keeps its picture, and nothing else changes."""

import collections

import hypothesis
import hypothesis.strategies as st
import numpy as np
from absl.testing import absltest

from thickets.errors import UserError
from thickets.tasks import controls, pictures
from thickets.tasks.base import Example, Message, ask


def _example(number, *names):
  shown = [pictures.from_bytes(name.encode(), name) for name in names]
  return Example(str(number), ask(f"q{number}", pictures=shown), number, "g")


def _without(example):
  return example.id, example.messages[-1].text, example.reference, example.group


class ControlsTest(absltest.TestCase):
  @hypothesis.given(
    st.lists(st.sampled_from("abcdef"), min_size=1, max_size=24),
    st.integers(0, 9),
  )
  def test_another_picture_for_every_question(self, names, seed):
    examples = [_example(i, name) for i, name in enumerate(names)]
    most = max(collections.Counter(names).values())
    if 2 * most > len(names):
      with self.assertRaisesRegex(UserError, "At most half of the questions"):
        controls.swap_pictures(examples, seed=seed)
      return
    swapped = controls.swap_pictures(examples, seed=seed)
    for before, after in zip(examples, swapped, strict=True):
      self.assertNotEqual(before.pictures, after.pictures)
      self.assertEqual(_without(before), _without(after))
    # A permutation: each picture is shown as often as before.
    self.assertCountEqual(
      [example.pictures for example in examples],
      [example.pictures for example in swapped],
    )

  def test_questions_without_and_with_two_pictures(self):
    examples = [
      _example(0),
      _example(1, "a", "b"),
      _example(2, "a"),
      _example(3, "b", "a"),
      _example(4, "c"),
    ]
    swapped = controls.swap_pictures(examples, seed=0)
    shown = [[p.where for p in example.pictures] for example in swapped]
    self.assertEqual(shown, [[], ["b", "a"], ["c"], ["a", "b"], ["a"]])

  def test_no_picture_leaves_the_text(self):
    picture = pictures.from_bytes(b"a", "a")
    message = Message("user", ("before ", picture, "after"))
    example = Example("0", (Message("system", "s"), message), 1)
    (blind,) = controls.remove_pictures([example])
    self.assertEqual(
      blind.messages,
      (Message("system", "s"), Message("user", "before after")),
    )

  def test_questions_that_are_asked_again_are_spread_evenly(self):
    examples = [_example(i, str(i % 7)) for i in range(2500)]
    asked = controls.find_asked(examples)
    self.assertLen({*asked}, controls.MAX_PROMPTS)
    self.assertEqual({*np.diff(asked)}, {2, 3})
    self.assertEqual(controls.find_asked(examples[:9]), tuple(range(9)))
    self.assertEqual(controls.find_asked([_example(0), examples[1]]), (1,))

  def test_no_controls_without_pictures_or_where_they_cannot_be(self):
    self.assertIsNone(controls.make_controls([_example(0)]))
    made = controls.make_controls([_example(0, "a"), _example(1, "a")])
    self.assertEqual([*made.examples], [controls.NO_PICTURE])
    self.assertIn("got 2 of 2 about a", made.left_out[controls.ANOTHERS])


if __name__ == "__main__":
  absltest.main()
