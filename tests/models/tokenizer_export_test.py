"""Tests of the files of a tokenizer in an exported directory."""

import json
import pathlib
import tempfile

import tokenizers
from absl.testing import parameterized
from golden import tokenizer_cases as shapes
from golden import transformer_cases as cases

from thickets.models import hub, tokenizer_export, tokenizer_files

ADDED = ("added_tokens.json", "special_tokens_map.json")


class ExportTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(
      self.enter_context(tempfile.TemporaryDirectory())
    )

  def _publish(self, name="qwen2", **more):
    """A directory with all kinds of files, and what is loaded from it."""
    source = shapes.write_shape(self.folder / "source", name, **more)
    for file in ADDED:
      shapes.write_json(source / file, {})
    for file in ("vocab.json", "merges.txt", "tokenizer.model"):
      (source / file).write_bytes(f"bytes of {file}\r\n\0".encode())
    extra = source / "additional_chat_templates"
    extra.mkdir()
    for path in (extra / "rag.jinja", source / "chat_template.jinja"):
      path.write_text("{{ 1 }}\r\n", encoding="utf-8", newline="")
    (source / "notes.txt").touch()
    tokenizer = tokenizer_files.load_tokenizer(source)
    return source, tokenizer, tokenizer_export.read_published(source, tokenizer)

  def _write(self, tokenizer, published=None):
    out = self.folder / "out"
    out.mkdir()
    tokenizer_export.write(out, tokenizer, published)
    return out, tokenizer_files.load_tokenizer(out)

  @parameterized.parameters(*shapes.SHAPES)
  def test_files_go_out_byte_for_byte(self, name):
    source, tokenizer, published = self._publish(name)
    before = _read(source)
    (source / "tokenizer.json").write_text("{}")  # It changes after loading.
    out, again = self._write(tokenizer, published)
    del before["config.json"], before["notes.txt"]
    self.assertEqual(_read(out), before)
    for text in shapes.TEXTS:
      self.assertEqual(again.encode(text), tokenizer.encode(text))

  def test_a_loaded_model_is_saved_with_them(self):
    source, *_ = self._publish("llama by GPT2Tokenizer")
    model = cases.make_model("llama", vocab_size=300)
    hub.save(self.folder / "plain", model)
    for path in (self.folder / "plain").iterdir():
      path.replace(source / path.name)
    before = _read(source)
    hub.save(self.folder / "out", hub.load(source))
    after = _read(self.folder / "out")
    del before["notes.txt"]
    self.assertEqual(after.keys(), before.keys())
    for name in before.keys() - {"config.json"}:
      self.assertEqual(after[name], before[name], name)

  @parameterized.parameters(
    lambda tokenizer: setattr(tokenizer, "chat_template", "{{ 2 }}"),
    lambda tokenizer: setattr(tokenizer, "pad_token", "<|end|>"),
    lambda tokenizer: tokenizer.add_tokens(["<new>"]),
    lambda tokenizer: setattr(
      tokenizer.backend_tokenizer,
      "pre_tokenizer",
      tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=True),
    ),
  )
  def test_a_tokenizer_that_was_changed_is_written_as_it_is(self, change):
    _, tokenizer, published = self._publish()
    change(tokenizer)
    _, again = self._write(tokenizer, published)
    self.assertEqual(
      tokenizer_export._describe_state(again),
      tokenizer_export._describe_state(tokenizer),
    )
    for text in (*shapes.TEXTS, "a<new>b"):
      self.assertEqual(again.encode(text), tokenizer.encode(text))

  @parameterized.parameters(*shapes.SHAPES)
  def test_one_in_memory_is_written_for_old_and_new_versions(self, name):
    _, tokenizer, _ = self._publish(name)
    tokenizer.add_special_tokens({"extra_special_tokens": ["<|tool|>"]})
    out, again = self._write(tokenizer)
    fields = json.loads((out / "tokenizer_config.json").read_text())
    # Version 4.57 has no TokenizersBackend, and reads lists under this name.
    self.assertEqual(fields["tokenizer_class"], "PreTrainedTokenizerFast")
    self.assertEqual(fields["additional_special_tokens"], ["<|tool|>"])
    for field in ("extra_special_tokens", "backend", "is_local"):
      self.assertNotIn(field, fields)
    self.assertEqual(again.special_tokens_map, tokenizer.special_tokens_map)
    self.assertEqual(again.chat_template, tokenizer.chat_template)
    for text in (*shapes.TEXTS, "a<|tool|>b"):
      self.assertEqual(again.encode(text), tokenizer.encode(text))

  def test_a_space_before_a_text_is_named(self):
    """Version 4.57 takes it away where no field names it."""
    _, tokenizer, _ = self._publish()
    tokenizer.backend_tokenizer.pre_tokenizer = (
      tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=True)
    )
    out, _ = self._write(tokenizer)
    fields = json.loads((out / "tokenizer_config.json").read_text())
    self.assertIs(fields["add_prefix_space"], True)

  def test_no_tokenizer_no_files(self):
    tokenizer_export.write(self.folder, None, None)
    self.assertEmpty(list(self.folder.iterdir()))
    self.assertIsNone(tokenizer_export.read_published(self.folder, None))


def _read(directory):
  """The bytes of all files, by their paths."""
  return {
    path.relative_to(directory).as_posix(): path.read_bytes()
    for path in directory.rglob("*")
    if path.is_file()
  }
