"""Tests of tokenizers in files: tokenizer.json decides, whatever a class says."""

import json
import pathlib
import pickle
import shutil
import sys
import tempfile
from unittest import mock

import tokenizers
from absl.testing import parameterized
from golden import tokenizer_cases as shapes
from golden import transformer_cases as cases

from thickets.errors import UserError
from thickets.models import tokenizer_files

TEMPLATE = "{{ messages[0]['content'] }}"


class _Test(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    folder = self.enter_context(tempfile.TemporaryDirectory())
    self.directory = pathlib.Path(folder) / "model"

  def _write(self, name="qwen2", **more):
    return shapes.write_shape(self.directory, name, **more)

  def _load(self):
    return tokenizer_files.load_tokenizer(self.directory)

  def _write_json(self, file, contents):
    shapes.write_json(self.directory / file, contents)

  def _edit(self, change):
    path = self.directory / "tokenizer.json"
    fields = json.loads(path.read_text(encoding="utf-8"))
    change(fields)
    self._write_json("tokenizer.json", fields)


class IdsTest(_Test):
  @parameterized.parameters(*shapes.SHAPES)
  def test_ids_are_those_of_the_file(self, name):
    self._write(name)
    file = str(self.directory / "tokenizer.json")
    oracle, tokenizer = tokenizers.Tokenizer.from_file(file), self._load()
    for text in shapes.TEXTS:
      expected = oracle.encode(text).ids
      self.assertEqual(tokenizer.encode(text), expected, text)
      self.assertEqual(
        tokenizer_files.make_detokenizer(tokenizer)(expected),
        oracle.decode(expected),
      )

  def test_a_limit_or_padding_in_the_file_is_not_for_prompts(self):
    self._write()
    expected = self._load().encode(shapes.TEXTS[0])
    backend = tokenizers.Tokenizer.from_file(
      str(self.directory / "tokenizer.json")
    )
    backend.enable_truncation(4)
    backend.enable_padding(length=99)
    backend.save(str(self.directory / "tokenizer.json"))
    self.assertEqual(self._load().encode(shapes.TEXTS[0]), expected)

  @parameterized.parameters(
    ("added_tokens.json", {"<late>": 400}),
    (
      "tokenizer_config.json",
      {"added_tokens_decoder": {"400": {"content": "<late>"}}},
    ),
  )
  def test_an_id_that_cannot_be_kept_is_refused(self, file, contents):
    """The library would give the token the next free id."""
    self._write()
    (self.directory / "tokenizer_config.json").unlink()
    self._write_json(file, contents)
    with self.assertRaisesRegex(
      UserError, f"got 400 for '<late>' in .*{file} and 265 as it is read"
    ):
      self._load()

  def test_a_gap_in_the_file_is_kept_or_refused(self):
    token = {"id": 400, "content": "<late>", "special": True} | dict.fromkeys(
      ("single_word", "lstrip", "rstrip", "normalized"), False
    )
    self._write()
    self._edit(lambda fields: fields["added_tokens"].append(token))
    with self.assertRaisesRegex(UserError, "got 400 for .* and 265"):
      self._load()
    self._edit(lambda fields: fields["model"]["vocab"].update({"<late>": 400}))
    self.assertEqual(self._load().encode("<late>"), [400])

  def test_tokens_that_follow_the_vocabulary_are_added(self):
    self._write()
    (self.directory / "tokenizer_config.json").unlink()
    self._write_json("added_tokens.json", {"<late>": 265})
    self.assertEqual(self._load().encode("<late>"), [265])

  def test_without_the_file_the_class_decides(self):
    """Byte pairs from vocab.json and merges.txt, by the rules of Qwen."""
    self._write()
    fields = json.loads((self.directory / "tokenizer.json").read_text())
    (self.directory / "tokenizer.json").unlink()
    vocabulary = fields["model"]["vocab"]
    self._write_json("vocab.json", vocabulary)
    merges = "\n".join(" ".join(pair) for pair in fields["model"]["merges"])
    (self.directory / "merges.txt").write_text(merges, encoding="utf-8")
    tokenizer = self._load()
    self.assertEqual(
      tokenizer.encode("a12"), [vocabulary[token] for token in ("a", "1", "2")]
    )


class SpecialTokensTest(_Test):
  @parameterized.parameters(
    ("gpt2", {}, None, ("<|endoftext|>", "<|endoftext|>", None)),
    ("llama 2", {}, None, ("<s>", "</s>", None)),
    # None means none, whatever the class would say.
    ("qwen2", {}, None, (None, "<|end|>", "<|endoftext|>")),
    ("llama 2", {"bos_token": None}, None, (None, "</s>", None)),
    # Only special_tokens_map.json says so, in either of its two forms.
    ("code", {}, {"eos_token": "<|end|>"}, (None, "<|end|>", None)),
    ("code", {}, {"bos_token": {"content": "<s>"}}, ("<s>", None, None)),
    (
      "code",
      {"added_tokens_decoder": {"1": {"content": "<s>", "special": True}}},
      {"bos_token": "<s>", "pad_token": "<|end|>"},
      ("<s>", None, "<|end|>"),
    ),
    # The vocabulary has no such token, and gets none.
    ("gemma", {}, None, ("<s>", None, None)),
  )
  def test_special_tokens_by_the_file_that_says_so(
    self, name, declared, listed, expected
  ):
    self._write(name, **declared)
    if listed is not None:
      self._write_json("special_tokens_map.json", listed)
    tokenizer = self._load()
    self.assertEqual(
      (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token), expected
    )
    self.assertNotIn("<eos>", tokenizer.get_vocab())

  def test_a_named_token_of_the_vocabulary_becomes_special(self):
    self._write("gpt2")
    self._edit(lambda fields: fields["added_tokens"].pop())
    tokenizer = self._load()
    self.assertEqual(tokenizer.eos_token_id, 4)
    detokenize = tokenizer_files.make_detokenizer(tokenizer)
    self.assertEqual(tokenizer.encode("a<|endoftext|>")[1:], [4])
    self.assertEqual(detokenize(tokenizer.encode("a<|endoftext|>")), "a")


class ReadingTest(_Test):
  @parameterized.parameters(
    ("tokenizer.json", "{", "must be one that transformers"),
    ("tokenizer.json", "[]", "must be one that transformers"),
    ("tokenizer.json", '{"model": {"type": "None"}}', "must be one that"),
    ("tokenizer_config.json", "{", "must be JSON"),
    ("special_tokens_map.json", "[", "tokenizer|must be JSON"),
    ("added_tokens.json", "[", "tokenizer|must be JSON"),
  )
  def test_damaged_files_are_refused_in_one_line(self, file, text, message):
    self._write("gpt2")
    (self.directory / file).write_text(text, encoding="utf-8")
    with self.assertRaisesRegex(UserError, message) as caught:
      self._load()
    self.assertNotIn("\n", str(caught.exception))
    self.assertIn(str(self.directory), str(caught.exception))

  def test_a_file_at_which_the_library_panics_is_refused(self):
    self._write("gpt2")
    # Its tokens must be longer than that, which the library does not check.
    self._edit(
      lambda file: file["model"].update(continuing_subword_prefix="#" * 99)
    )
    with self.assertRaisesRegex(UserError, "got PanicException"):
      self._load()

  def test_code_of_a_directory_is_not_run(self):
    """With the file none is needed; without it, nobody is asked to trust it."""
    self._write("code")
    (self.directory / "tokenization_foo.py").write_text("1 / 0")
    self.assertIsNotNone(self._load())
    (self.directory / "tokenizer.json").rename(self.directory / "vocab.json")
    with self.assertRaisesRegex(UserError, "Fetch its files again"):
      self._load()

  def test_sentencepiece_alone_needs_its_library(self):
    self._write()
    (self.directory / "tokenizer.json").unlink()
    (self.directory / "tokenizer.model").write_bytes(b"\x0a")
    with (
      mock.patch.dict(sys.modules, {"sentencepiece": None}),
      self.assertRaisesRegex(UserError, "pip install sentencepiece"),
    ):
      self._load()

  def test_no_files_no_tokenizer(self):
    self._write()
    for file in ("tokenizer.json", "tokenizer_config.json"):
      (self.directory / file).unlink()
    self.assertIsNone(self._load())

  def test_a_chat_template_in_any_of_its_places(self):
    """A file of its own, or a field: one template, or several by name."""
    named = [
      {"name": "default", "template": TEMPLATE},
      {"name": "tool_use", "template": "tools"},
    ]
    by_name = {"default": TEMPLATE, "tool_use": "tools"}
    self._write(chat_template=TEMPLATE)
    self.assertEqual(self._load().chat_template, TEMPLATE)
    self._write(chat_template=named)
    self.assertEqual(self._load().chat_template, by_name)
    self._write_json("chat_template.json", {"chat_template": "not this"})
    (self.directory / "chat_template.jinja").write_text(TEMPLATE)
    self.assertEqual(self._load().chat_template, TEMPLATE)
    extra = self.directory / "additional_chat_templates"
    extra.mkdir()
    (extra / "tool_use.jinja").write_text("tools")
    self.assertEqual(self._load().chat_template, by_name)
    shutil.rmtree(self.directory)
    self._write()
    self.assertIsNone(self._load().chat_template)
    self._write_json("chat_template.json", {"chat_template": TEMPLATE})
    self.assertEqual(self._load().chat_template, TEMPLATE)


class StopTokensTest(parameterized.TestCase):
  def find(self, generation=None, **fields):
    tokenizer = cases.make_tokenizer(
      chat_template="{{ messages[-1].content }}w4",
      extra_special_tokens=["w4"],
    )
    return tokenizer_files.find_stop_tokens(
      fields, generation, tokenizer, vocab_size=12
    )

  @parameterized.parameters(
    ({"eos_token_id": [5, 6]}, 7, (1, 4, 5, 6)),
    ({"eos_token_id": 4}, 7, (1, 4)),
    ({"eos_token_id": []}, 7, (1, 4)),
    ({"eos_token_id": None}, 7, (1, 4, 7)),
    ({}, [7, 8], (1, 4, 7, 8)),
    (None, 7, (1, 4, 7)),
    (None, None, (1, 4)),
    ({"eos_token_id": [5, 12, -1]}, 7, (1, 4, 5)),  # Without a row.
  )
  def test_every_file_may_say_which_they_are(self, generation, named, expected):
    self.assertEqual(self.find(generation, eos_token_id=named), expected)

  def test_it_is_said_where_the_chat_template_alone_has_one(self):
    with self.assertLogs("absl", "INFO") as logged:
      self.find(eos_token_id=7)
    self.assertIn("ends answers with 'w4' (4)", logged.output[0])
    with self.assertNoLogs("absl", "INFO"):
      self.find(eos_token_id=[7, 4])

  def test_it_is_said_where_the_tokenizer_has_no_such_token(self):
    tokenizer = cases.make_tokenizer(num_tokens=11)
    with self.assertLogs("absl", "WARNING") as logged:
      tokenizer_files.find_stop_tokens(
        {"eos_token_id": [7, 11]}, None, tokenizer, vocab_size=12
      )
    self.assertIn("with 11, for which the tokenizer has no", logged.output[0])

  @parameterized.parameters(
    ("5",), (5.0,), (True,), ([[5]],), ([5, None],), ({"a": 5},)
  )
  def test_what_is_no_id_is_refused(self, said):
    message = "eos_token_id must be an id or a list of ids, got .*"
    with self.assertRaisesRegex(UserError, message + "generation_config.json"):
      self.find({"eos_token_id": said})
    with self.assertRaisesRegex(UserError, message + r"\(config.json\)"):
      self.find(eos_token_id=said)


class DetokenizerTest(_Test):
  def test_spaces_before_punctuation_survive(self):
    """Version 4 of transformers removes them where the file wishes so."""
    self._write("llama 3")
    tokenizer = self._load()
    text = "f ( x , y ) . z n't"
    detokenize = tokenizer_files.make_detokenizer(tokenizer)
    self.assertEqual(detokenize(tokenizer.encode(text)), text)
    with self.assertNoLogs("transformers"):
      detokenize(tokenizer.encode(text))

  def test_special_tokens_are_left_out_or_spelled(self):
    self._write("llama 3")
    tokenizer = self._load()
    detokenize = tokenizer_files.make_detokenizer(tokenizer)
    detokenize = pickle.loads(pickle.dumps(detokenize))
    ids = tokenizer.encode("a<|end|>b")
    self.assertEqual(detokenize(ids), "ab")
    self.assertEqual(detokenize.spell(ids), "<s>a<|end|>b")
