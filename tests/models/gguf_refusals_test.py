"""Tests of GGUF files that are no models, or whose values do not fit together."""

import functools
import pathlib
import struct
import tempfile
from unittest import mock

import gguf
import numpy as np
from absl.testing import parameterized
from golden import gguf_cases
from golden import transformer_cases as cases

from thickets.errors import UserError
from thickets.models import sources
from thickets.models.gguf_files import model_file

LLAMA = cases.CASES["llama"] | gguf_cases.WIDE | {"rope_scaling": None}
_HUGE = 2**32 - 1


class GgufRefusalsTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    folder = self.enter_context(tempfile.TemporaryDirectory())
    self.folder = pathlib.Path(folder)
    self.path = self.folder / "model.gguf"

  def _assert_refused(self, message):
    with self.assertRaisesRegex(UserError, message) as caught:
      model_file.open_file(self.path).load_tokenizer()
    self.assertNotIn("\n", str(caught.exception))

  def _write_bare(self, architecture, add=None):
    writer = gguf.GGUFWriter(self.path, architecture or "llama")
    if not architecture:
      writer.kv_data[0].clear()
    if add:
      add(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

  @parameterized.parameters(
    ("llama", "adapter", "LoRA"),
    ("clip", "mmproj", "encoder of images"),
    (None, "imatrix", "statistics for quantising"),
    ("controlvector", None, "control vector"),
    ("clip", None, "mmproj"),
  )
  def test_what_is_no_model_is_refused_by_what_it_is(self, name, kind, what):
    self._write_bare(name, kind and (lambda writer: writer.add_type(kind)))
    self._assert_refused(f"must hold a model, got .*{what}")

  def test_a_file_without_architecture_is_refused(self):
    self._write_bare(None)
    self._assert_refused("must say its general.architecture, got None")

  @parameterized.parameters(
    ({"block_count": 2}, "block_count must be 3, as its tensors are, got 2"),
    ({"block_count": _HUGE}, "block_count must be 3, as its tensors are"),
    ({"block_count": None}, "block_count must be a whole number, got 'none'"),
    ({"embedding_length": _HUGE}, "embedding_length must be 64, as its"),
    ({"attention.head_count": 0}, "head_count must be at least 1, got 0"),
    ({"attention.head_count": 3}, "heads of 21 have 64 queries, got 3"),
    ({"attention.key_length": _HUGE, "attention.value_length": _HUGE}, "have"),
    ({"rope.freq_base": float("nan")}, "freq_base must be a number, got nan"),
    ({"rope.scaling.type": "longrope"}, "must be none, linear or yarn"),
    ({"attention.max_alibi_bias": 8.0}, "got also llama.attention.max_alibi"),
    ({"attention.causal": False}, "attention.causal must be true"),
  )
  def test_values_that_are_not_the_tensors_are_refused(self, changes, message):
    gguf_cases.write(self.path, LLAMA, metadata=changes)
    self._assert_refused(message)

  @parameterized.product(
    name=("bos", "eos", "eot", "padding"), value=([1, 2], True)
  )
  def test_an_id_that_is_no_number_is_refused(self, name, value):
    gguf_cases.write(self.path, LLAMA, **{f"{name}_token_id": value})
    self._assert_refused("special tokens must be numbers, got")

  @parameterized.parameters("2", ["x"])
  def test_a_number_of_pieces_that_is_none_is_refused(self, count):
    add = "add_string" if isinstance(count, str) else "add_array"
    gguf_cases.write(
      self.path,
      LLAMA,
      edit=lambda writer: getattr(writer, add)("split.count", count),
    )
    self._assert_refused("split.count must be a number of pieces")

  @parameterized.parameters(1.5, "abc", [[True, False]])
  def test_a_pattern_of_windows_that_is_none_is_refused(self, pattern):
    gguf_cases.write(
      self.path,
      cases.CASES["gemma3"],
      metadata={"attention.sliding_window_pattern": pattern},
    )
    self._assert_refused("sliding_window_pattern must be a number, or a value")

  def test_the_file_is_not_hashed_before_it_is_loaded(self):
    gguf_cases.write(self.path, LLAMA)
    with mock.patch.object(model_file, "_hash_files") as hash_files:
      source = sources.find(str(self.path))
      hash_files.assert_not_called()
      hash_files.return_value = "0"
      self.assertEqual(source.describe_file()["sha256"], "0")

  def test_a_claim_of_many_experts_is_refused(self):
    fields = cases.CASES["qwen3_moe"]
    gguf_cases.write(self.path, fields, metadata={"expert_count": _HUGE})
    self._assert_refused("expert_count must be 8, as its tensors are")

  @parameterized.parameters(
    ({"tokens": [1] * 97}, "tokens must be a list of texts, got 1"),
    ({"merges": [1, 2]}, "merges must be a list of texts, got 1"),
    ({"merges": ["he"]}, "merges must be pairs of tokens that .* got 'he'"),
    ({"merges": ["h e l"]}, "merges must be pairs of tokens .* got 'h e l'"),
    ({"merges": ["h t"]}, "merges must be pairs of tokens .* got 'h t'"),
    # At which the library panics.
    ({"tokens": ["a"] * 97}, "merges must be pairs of tokens .* got 'h e'"),
    ({"token_type": [1]}, "token_type must have a value for each of the 97"),
    ({"eos_token_id": 97}, "eos_token_id must be below the 97 tokens, got 97"),
    (
      {"model": "llama", "scores": [0.0]},
      "scores must have a value for each of the 97",
    ),
    ({"token_type": 5}, "token_type must be a list of numbers, got 5"),
    ({"model": "llama", "scores": ["x"]}, "scores must be a list of numbers"),
    ({"model": "llama", "scores": [float("nan")]}, "numbers, got nan"),
    ({"eos_token_id": 96}, "eos_token_id must be a token of another type"),
    ({"add_bos_token": "false"}, "add_bos_token must be true or false"),
    ({"add_space_prefix": "no"}, "add_space_prefix must be true or false"),
    ({"pre": ["smollm"]}, r"pre must be one of .*, got \['smollm'\]"),
  )
  def test_tokenizers_that_do_not_fit_are_refused(self, values, message):
    gguf_cases.write(self.path, LLAMA, **values)
    self._assert_refused(f"tokenizer.ggml.*{message}")

  def test_a_chat_template_that_is_no_text_is_refused(self):
    gguf_cases.write(
      self.path,
      LLAMA,
      edit=lambda writer: writer.add_array("tokenizer.chat_template", ["x"]),
    )
    self._assert_refused("chat_template must be a text, got a list")

  def test_types_without_numbers_are_refused_by_name(self):
    for number, name in ((9999, "unknown type 9999"), (26, "got I32")):
      self._write_bare(
        "llama",
        lambda writer: writer.add_tensor("x", np.zeros((2, 32), np.float32)),
      )
      content = self.path.read_bytes()
      shape = struct.pack("<QQI", 32, 2, 0)  # Before the offset.
      self.assertEqual(content.count(shape), 1)
      changed = struct.pack("<QQI", 32, 2, number)
      self.path.write_bytes(content.replace(shape, changed))
      self._assert_refused(f"must store its tensors as .*{name} for 'x'")

  def test_tensors_that_do_not_follow_one_another_are_refused(self):
    """As in llama.cpp: a type that was changed is seen by its length."""
    gguf_cases.write(self.path, LLAMA)
    content = self.path.read_bytes()
    name = b"blk.1.attn_q.weight"
    shape = name + struct.pack("<IQQ", 2, 64, 64)
    self.assertEqual(content.count(shape), 1)
    stored = shape + struct.pack("<I", gguf_cases.KINDS.F32)
    for kind in (gguf_cases.KINDS.BF16, gguf_cases.KINDS.Q8_0):
      changed = shape + struct.pack("<I", kind)
      self.path.write_bytes(content.replace(stored, changed))
      self._assert_refused("a whole GGUF file, got .* at offset")

  @parameterized.parameters(
    (b"GG", "of 2 bytes that begins with b'GG'"),
    (b"GGML" + bytes(99), "begins with b'GGML'"),
    (b"<!DOCTYPE html>", "got a page of HTML. Fetch the file itself"),
    (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
    (b"GGUF", "has 4 bytes where its header needs 8"),
    (bytes(4096), "got a file of zeros, as a torn download leaves it"),
    (b"", "got an empty file. Fetch it again"),
  )
  def test_what_is_another_file_is_said(self, content, message):
    self.path.write_bytes(content)
    self._assert_refused(f"must be a whole GGUF file, .*{message}")

  def test_counts_beyond_the_file_are_refused(self):
    head = b"GGUF" + struct.pack("<I", 3)
    key = struct.pack("<Q", 1) + b"k"
    for rest in (
      struct.pack("<QQ", 2**60, 0),
      struct.pack("<QQ", 0, 2**60),
      struct.pack("<QQQ", 0, 1, 2**60),  # A key's length.
      struct.pack("<QQ", 0, 1) + key + struct.pack("<IIQ", 9, 8, 2**60),
      struct.pack("<QQ", 0, 1) + key + struct.pack("<IIQ", 9, 0, 2**60),
      struct.pack("<QQ", 1, 0)
      + key
      + struct.pack("<I4QIQ", 4, *[2**60] * 4, 0, 0),
      struct.pack("<QQ", 1, 0) + key + struct.pack("<I", 2**32 - 1),
    ):
      self.path.write_bytes(head + rest)
      self._assert_refused("must be a whole GGUF file")

  def test_names_that_are_no_file_are_refused(self):
    self.path.mkdir()
    for name in ("a", "b"):
      (self.folder / f"{name}.gguf").write_bytes(b"GGUF")
    for name, message in (
      (self.path, "which is a directory"),
      (self.folder / "c.gguf", "which is not there"),
      (self.folder, "must be named by its file.*a.gguf, b.gguf"),
    ):
      with self.assertRaisesRegex(UserError, message):
        sources.find(str(name))

  def test_pieces_must_all_be_there_and_belong_together(self):
    split = functools.partial(gguf.GGUFWriter, split_max_tensors=20)
    with mock.patch.object(gguf, "GGUFWriter", split):
      gguf_cases.write(self.path, LLAMA)
    pieces = sorted(self.folder.glob("model-*.gguf"))
    self.assertGreater(len(pieces), 2)
    whole = model_file.open_file(pieces[0])
    self.assertEqual(whole.paths, tuple(pieces))
    self.path = pieces[1]
    self._assert_refused("must be named by its first")
    self.path = pieces[0]
    pieces[2].write_bytes(pieces[1].read_bytes())
    self._assert_refused("must be piece 3 of the")
    pieces[2].unlink()
    self._assert_refused(f"got none of {pieces[2].name}")
    pieces[0].rename(self.folder / "renamed.gguf")
    self.path = self.folder / "renamed.gguf"
    self._assert_refused("must be named by its first")


if __name__ == "__main__":
  parameterized.absltest.main()
