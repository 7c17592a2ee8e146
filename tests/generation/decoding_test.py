"""Tests of decodings: which ids can be chosen, and what ends a response."""

import jax
import numpy as np
import tokenizers
import transformers
from absl.testing import parameterized
from golden import transformer_cases as cases

from experiments.launch import saved_experts
from thickets.errors import UserError
from thickets.generation.decoding import Decoding
from thickets.generation.generator import Generator
from thickets.models import hub, tokenizer_files
from thickets.models.layout import Layout
from thickets.search import meshes

# 97 rows; untied, or else a model repeats what it read.
CHANGES = {"num_hidden_layers": 1, "tie_word_embeddings": False}
FIELDS = cases.CASES["qwen2"] | CHANGES


def make_tokenizer(ids, specials=(), **options):
  """A tokenizer of words w3, w7, … with these ids, and special tokens."""
  vocabulary = {f"w{id}": id for id in ids} | {f"<{id}>": id for id in specials}
  backend = tokenizers.Tokenizer(
    tokenizers.models.WordLevel(vocabulary, unk_token=f"w{min(ids)}")
  )
  backend.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
  backend.add_special_tokens([f"<{id}>" for id in specials])
  return transformers.PreTrainedTokenizerFast(
    tokenizer_object=backend, **options
  )


def make_model(tokenizer, **changes):
  return hub.make_model(
    FIELDS | changes, jax.random.key(0), tokenizer=tokenizer
  )


def make_lively_model(tokenizer):
  """One with weights so large that its tokens vary."""
  return cases.make_model(tokenizer=tokenizer, **CHANGES)


def generate(model, decoding, prompts=((3, 4), (5,))):
  return Generator(
    model.config,
    decoding,
    mesh=meshes.make_mesh(jax.devices()[:1]),
    layout=Layout.APART,
    detokenize=tokenizer_files.make_detokenizer(model.tokenizer),
  ).generate(model.params, prompts)


class VocabularyTest(parameterized.TestCase):
  def test_what_stands_for_pictures_is_never_chosen(self):
    # The last of the ids as well: there is no other number of tokens then.
    tokenizer = make_tokenizer(range(20), [30, 31])
    decoding = Decoding.for_tokenizer(
      tokenizer, make_model(tokenizer).config, 8, placeholders=(7, 30, 31)
    )
    self.assertEqual(decoding.num_tokens, 20)
    self.assertEqual(decoding.missing_tokens, (7,))

  def test_a_stop_token_behind_a_gap_can_be_chosen(self):
    """As many tokens as there are would hide the last of them."""
    tokenizer = make_tokenizer(range(20), [30], eos_token="<30>")
    model = make_model(tokenizer)
    self.assertLen(tokenizer, 21)
    self.assertEqual(model.stop_tokens, (30,))
    decoding = Decoding.for_model(model, 8)
    self.assertEqual(decoding.num_tokens, 31)
    self.assertEqual(decoding.missing_tokens, tuple(range(20, 30)))
    with self.assertRaisesRegex(UserError, r"got \[30\] with num_tokens=21"):
      Decoding(8, stop_tokens=(30,), num_tokens=len(tokenizer))
    # One that config.json names and no token has ends a response as well.
    model = make_model(tokenizer, eos_token_id=50)
    decoding = Decoding.for_model(model, 8)
    self.assertEqual(decoding.num_tokens, 51)
    self.assertNotIn(50, decoding.missing_tokens)

  def test_without_gaps_nothing_is_missing(self):
    decoding = Decoding.for_model(make_model(make_tokenizer(range(20))), 8)
    self.assertEqual((decoding.num_tokens, decoding.missing_tokens), (20, ()))
    self.assertNotIn("missing_tokens", decoding.describe())  # As in old runs.
    decoding = Decoding.for_tokenizer(None, make_model(None).config, 8)
    self.assertEqual((decoding.num_tokens, decoding.missing_tokens), (97, ()))

  def test_only_ids_that_have_a_token_are_generated(self):
    ids = [3, 4, 5, 61]  # Of 97, so that others would be chosen.
    model = make_lively_model(make_tokenizer(ids))
    responses = generate(model, Decoding.for_model(model, 8))
    self.assertContainsSubset(responses.tokens.ravel().tolist(), ids)
    free = generate(model, Decoding(8))
    self.assertNotEmpty(set(free.tokens.ravel().tolist()) - set(ids))

  def test_missing_ids_lie_below_the_highest(self):
    for missing, num_tokens in (((-1,), 9), ((8,), 9), ((2,), None)):
      with self.assertRaisesRegex(UserError, "missing_tokens must be ids"):
        Decoding(8, num_tokens=num_tokens, missing_tokens=missing)

  def test_an_added_token_may_lie_beyond_the_embedding(self):
    """Nothing generates it, and no prompt may hold it."""
    tokenizer = make_tokenizer(range(97), pad_token="<pad>", eos_token="<end>")
    tokenizer_ids = tokenizer.get_vocab()
    self.assertEqual((tokenizer_ids["<pad>"], tokenizer_ids["<end>"]), (98, 97))
    model = make_model(tokenizer, eos_token_id=5)
    self.assertEqual(model.stop_tokens, (5,))
    decoding = Decoding.for_model(model, 8)
    self.assertEqual(decoding.num_tokens, 97)
    prompt = tokenizer.encode("w3 <pad>")
    with self.assertRaisesRegex(
      UserError, r"within \[0, 97\), got 3 to 98 in prompt 1.*without a row"
    ):
      decoding.check_prompts([[1], prompt], model.config)
    with self.assertRaisesRegex(UserError, "at most the model's 97 .* got 98"):
      make_model(make_tokenizer(range(98)))

  def test_described_decodings_are_read_back(self):
    tokenizer = make_tokenizer(range(20), [30], eos_token="<30>")
    decoding = Decoding.for_model(make_model(tokenizer), 8)
    fields = decoding.describe()
    self.assertEqual(saved_experts.read_decoding(fields), decoding)
    # Of an earlier version, which never chose its stop token.
    old = fields | {"num_tokens": 21, "stop_tokens": [7, 30]}
    del old["missing_tokens"]
    self.assertEqual(
      saved_experts.read_decoding(old),
      Decoding(8, stop_tokens=(7,), num_tokens=21),
    )


class StopStringsTest(parameterized.TestCase):
  @parameterized.parameters("<{}>", "w{} <{}>")
  def test_a_special_token_ends_a_response(self, stop):
    """Alone or within a text, though graders never see it."""
    free = make_lively_model(make_tokenizer(range(97)))
    row = generate(free, Decoding.for_model(free, 8)).tokens[0].tolist()
    end = next(n for n in range(1, 8) if row[n] not in row[:n])
    tokenizer = make_tokenizer(sorted({*range(97)} - {row[end]}), [row[end]])
    model = make_lively_model(tokenizer)
    numbers = (row[end],) if stop == "<{}>" else (row[end - 1], row[end])
    decoding = Decoding.for_model(
      model, 8, stop_strings=(stop.format(*numbers),)
    )
    responses = generate(model, decoding)
    self.assertEqual(responses.lengths[0], end + 1)
    self.assertTrue(responses.stopped[0])
    np.testing.assert_array_equal(
      responses.tokens[0, : end + 1], row[: end + 1]
    )
    detokenize = tokenizer_files.make_detokenizer(tokenizer)
    self.assertNotIn("<", detokenize(row[: end + 1]))
