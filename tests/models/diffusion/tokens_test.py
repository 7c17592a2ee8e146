"""Tokens of prompts: padding, typed exclamation marks, and what is cut off."""

import pathlib
import tempfile

import numpy as np
from absl.testing import parameterized
from golden import pipeline_files

from thickets.errors import UserError
from thickets.models.diffusion import clip_config, tokens


def _load(pad, *, is_old=True, vocab_size=85, context=20, **declared):
  with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / "tokenizer"
    pipeline_files.write_tokenizer(path, pad, is_old=is_old)
    if declared:
      pipeline_files.change_json(path / "tokenizer_config.json", **declared)
    config = clip_config.parse_text_config(
      pipeline_files.make_text_config(
        vocab_size, max_position_embeddings=context
      ),
      "text",
      is_projected=False,
    )
    return tokens.load(path, config)


class TokensTest(parameterized.TestCase):
  @parameterized.product(
    pad=[("<|endoftext|>", 84, 75), ("!", 0, 0)], is_old=[True, False]
  )
  def test_padding_and_exclamation_marks(self, pad, is_old):
    word, pad_id, mark = pad
    tokenizer = _load(word, is_old=is_old)
    ids = tokenizer.encode(["A red cat!", "! !! !!!"])
    self.assertEqual(ids.dtype, np.int32)
    self.assertEqual(ids.shape, (2, 20))
    expected = [83, 39, 81, 79, mark, 84] + [pad_id] * 14
    np.testing.assert_array_equal(ids[0], expected)
    # The token of padding is read for each typed mark, by itself or not.
    marks = [75, 0, 75, 0, 0, 75] if mark else [0] * 6
    np.testing.assert_array_equal(ids[1][1:7], marks)
    self.assertEqual(ids[1][7], 84)

  def test_a_cut_text_is_named(self):
    tokenizer = _load("!")
    text = "the red cat " * 5
    self.assertEqual(tokenizer.find_cut("the red cat"), "")
    self.assertEqual(tokenizer.find_cut(text), "red cat")
    with self.assertRaisesRegex(
      UserError, "at most 18 tokens.*'red cat' would"
    ):
      tokenizer.encode(["red", text])

  def test_the_longest_text_is_whole(self):
    tokenizer = _load("!")
    ids = tokenizer.encode(["cat " * 18])
    np.testing.assert_array_equal(ids[0], [83] + [79] * 18 + [84])

  @parameterized.parameters((8, 8), (30, pipeline_files.NUM_TOKENS))
  def test_texts_are_as_long_as_tower_and_tokenizer_allow(
    self, context, length
  ):
    tokenizer = _load("!", context=context)
    self.assertEqual(tokenizer.encode(["cat"]).shape, (1, length))

  def test_other_vocabularies(self):
    with self.assertRaisesRegex(UserError, "at most 60 tokens.*got 85"):
      _load("!", vocab_size=60)

  @parameterized.parameters("x", 1, True)
  def test_lengths_that_leave_no_room_for_a_word(self, length):
    with self.assertRaisesRegex(UserError, "model_max_length must be a number"):
      _load("!", model_max_length=length)

  def test_a_tokenizer_may_have_no_limit(self):
    self.assertEqual(_load("!", model_max_length=float("inf")).length, 20)

  def test_a_text_that_is_too_long_is_reported_once(self):
    with self.assertNoLogs("transformers", level="WARNING"):
      self.assertNotEqual(_load("!").find_cut("cat " * 40), "")

  def test_texts_that_differ_for_the_tokenizer(self):
    tokenizer = _load("!")
    tokens.check_distinct(tokenizer, "targets", ["cat", "red", "the cat"])
    with self.assertRaisesRegex(
      UserError, "targets must differ .*got 'red' and 'RED', which are one"
    ):
      tokens.check_distinct(tokenizer, "targets", ["red", "cat", "RED"])

  def test_a_tokenizer_that_pads_with_nothing(self):
    config = clip_config.parse_text_config(
      pipeline_files.make_text_config(85), "text", is_projected=False
    )
    with tempfile.TemporaryDirectory() as folder:
      path = pathlib.Path(folder)
      pipeline_files.write_tokenizer(path)
      for file in ("special_tokens_map.json", "tokenizer_config.json"):
        pipeline_files.change_json(path / file, pad_token=None)
      with self.assertRaisesRegex(UserError, "must have a token for padding"):
        tokens.load(path, config)

  def test_none(self):
    config = clip_config.parse_text_config(
      pipeline_files.make_text_config(85), "text", is_projected=False
    )
    with (
      tempfile.TemporaryDirectory() as folder,
      self.assertRaisesRegex(UserError, "must have a tokenizer"),
    ):
      tokens.load(pathlib.Path(folder), config)
