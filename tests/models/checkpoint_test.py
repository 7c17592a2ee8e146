"""Tests of published weights: names, files, and what is refused about them."""

import json
import pathlib
import re
import tempfile

import jax.numpy as jnp
import numpy as np
import safetensors.numpy
from absl.testing import parameterized
from golden import logical_tensors
from golden import transformer_cases as cases

from thickets.errors import UserError
from thickets.models import checkpoint, families, published_names, transformer

QWEN2 = cases.CASES["qwen2"]  # Tied.
LLAMA = cases.CASES["llama"]
GPT2 = cases.CASES["gpt2"]


class CheckpointTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.directory = pathlib.Path(
      self.enter_context(tempfile.TemporaryDirectory())
    )

  def _write(self, fields, change=lambda tensors: tensors, **options):
    """Writes the case's weights after a change of the published tensors."""
    checkpoint.write_weights(
      self.directory,
      families.parse_config(fields),
      cases.make_params(fields),
      **({"max_shard_bytes": 1e9} | options),
    )
    path = self.directory / checkpoint.WEIGHTS_FILE
    if path.exists():
      tensors = change(safetensors.numpy.load_file(path))
      safetensors.numpy.save_file(tensors, path)

  def _open(self, fields):
    return checkpoint.Checkpoint(self.directory, families.parse_config(fields))

  @parameterized.parameters(
    ("qwen2", "embed_tokens", "model.embed_tokens.weight"),
    ("llama", "lm_head", "lm_head.weight"),
    ("olmo2", "norm", "model.norm.weight"),
    ("qwen3", "layers.3.mlp.up_proj", "model.layers.3.mlp.up_proj.weight"),
    (
      "qwen2",
      "layers.31.self_attn.q_proj_bias",
      "model.layers.31.self_attn.q_proj.bias",
    ),
    ("gpt2", "norm_bias", "transformer.ln_f.bias"),
    ("gpt2", "embed_positions", "transformer.wpe.weight"),
    ("gpt2", "layers.3.input_layernorm_bias", "transformer.h.3.ln_1.bias"),
    (
      "gpt2",
      "layers.3.self_attn.v_proj",
      "transformer.h.3.attn.c_attn.weight",
    ),
    ("gpt2", "layers.3.mlp.down_proj_bias", "transformer.h.3.mlp.c_proj.bias"),
  )
  def test_published_names(self, family, name, key):
    self.assertEqual(published_names.find_place(family, name).key, key)

  def test_fused_transposed_matrices_come_apart(self):
    self._write(GPT2)
    stored = self._open(GPT2)
    published = safetensors.numpy.load_file(
      self.directory / checkpoint.WEIGHTS_FILE
    )
    fused = published["transformer.h.1.attn.c_attn.weight"]
    self.assertEqual(fused.shape, (32, 96))
    for i, name in enumerate(("q_proj", "k_proj", "v_proj")):
      np.testing.assert_array_equal(
        stored.read(f"layers.1.self_attn.{name}"),
        fused[:, 32 * i : 32 * i + 32].T,
      )

  @parameterized.parameters(*cases.CASES)
  def test_what_is_written_is_read(self, case):
    fields = cases.CASES[case]
    self._write(fields, max_shard_bytes=20_000)
    self.assertGreater(len(checkpoint.find_files(self.directory)), 2)
    stored = self._open(fields)
    tensors = cases.make_tensors(fields)
    self.assertEqual(list(stored.names), sorted(tensors))
    for name, tensor in tensors.items():
      np.testing.assert_array_equal(stored.read(name), tensor)
    total = sum(tensor.nbytes for tensor in tensors.values())
    self.assertEqual(stored.num_bytes, total)
    index = json.loads((self.directory / checkpoint.INDEX_FILE).read_text())
    self.assertEqual(index["metadata"]["total_size"], total)

  def test_a_logical_name_for_every_tensor_and_no_other(self):
    for fields in cases.CASES.values():
      params = cases.make_params(fields)
      names = transformer.tensor_names(params)
      shapes = {
        name: tensor.shape
        for name, tensor in logical_tensors.list_tensors(params, names)
      }
      config = families.parse_config(fields)
      self.assertEqual(shapes, checkpoint.logical_shapes(config))

  @parameterized.parameters(("gpt2", "transformer."), ("qwen2", "model."))
  def test_the_prefix_may_be_missing(self, case, prefix):
    fields = cases.CASES[case]
    self._write(
      fields,
      lambda tensors: {
        key.removeprefix(prefix): tensor for key, tensor in tensors.items()
      },
    )
    np.testing.assert_array_equal(
      self._open(fields).read("layers.0.mlp.up_proj"),
      cases.make_tensors(fields)["layers.0.mlp.up_proj"],
    )

  @parameterized.parameters(
    (GPT2, "transformer.h.0.attn.bias"),
    (GPT2, "h.0.attn.masked_bias"),
    (GPT2, "transformer.position_ids"),
    (LLAMA, "model.layers.0.self_attn.rotary_emb.inv_freq"),
    (LLAMA, "model.rotary_emb.inv_freq"),
    (LLAMA, "model.layers.0.self_attn.rotary_emb.cos_cached"),
  )
  def test_known_buffers_are_ignored(self, fields, key):
    self._write(fields, lambda tensors: tensors | {key: np.zeros((2, 2))})
    self.assertNotIn(key, self._open(fields).names)

  @parameterized.parameters("module.", "base_model.model.", "model.")
  def test_a_prefix_of_all_names_is_taken_off(self, prefix):
    self._write(
      LLAMA,
      lambda tensors: {prefix + key: tensor for key, tensor in tensors.items()},
    )
    stored = self._open(LLAMA)
    for name, tensor in cases.make_tensors(LLAMA).items():
      np.testing.assert_array_equal(stored.read(name), tensor)

  @parameterized.parameters(
    ("qwen2", "model.embed_tokens.weight"), ("gpt2", "transformer.wte.weight")
  )
  def test_a_tied_model_may_store_its_head_alone(self, case, embedding):
    fields = cases.CASES[case]
    self._write(
      fields,
      lambda tensors: {
        "lm_head.weight" if key == embedding else key: tensor
        for key, tensor in tensors.items()
      },
    )
    np.testing.assert_array_equal(
      self._open(fields).read("embed_tokens"),
      cases.make_tensors(fields)["embed_tokens"],
    )

  def test_the_head_of_a_tied_model_may_have_another_dtype(self):
    half = cases.make_tensors(QWEN2)["embed_tokens"].astype(np.float16)
    for head in (half.astype(np.float32), half):
      self._write(
        QWEN2,
        lambda tensors, head=head: (
          tensors | {"model.embed_tokens.weight": half, "lm_head.weight": head}
        ),
      )
      stored = self._open(QWEN2).read("embed_tokens")
      np.testing.assert_array_equal(stored, half)

  def test_an_untied_model_without_a_head_is_told_from_a_tied_one(self):
    self._write(LLAMA, lambda tensors: _without(tensors, "lm_head.weight"))
    with self.assertRaisesRegex(
      UserError, "no lm_head.weight, and .*Set tie_word_embeddings to true"
    ):
      self._open(LLAMA)

  @parameterized.parameters("whole", "without shards", "empty")
  def test_beside_an_index_the_file_of_all_weights_is_read(self, index):
    self._write(LLAMA, max_shard_bytes=20_000)
    if index == "without shards":
      for shard in checkpoint.find_files(self.directory):
        (self.directory / shard).unlink()
    if index == "empty":
      (self.directory / checkpoint.INDEX_FILE).write_text("")
    self._write(
      LLAMA,
      lambda tensors: {key: 2 * tensor for key, tensor in tensors.items()},
    )
    stored = self._open(LLAMA)
    np.testing.assert_array_equal(
      stored.read("norm"), 2 * cases.make_tensors(LLAMA)["norm"]
    )

  def test_the_head_of_a_tied_model_must_be_the_embedding(self):
    embedding = cases.make_tensors(QWEN2)["embed_tokens"]
    self._write(QWEN2, lambda tensors: tensors | {"lm_head.weight": embedding})
    self.assertNotIn("lm_head", self._open(QWEN2).names)
    self._write(
      QWEN2, lambda tensors: tensors | {"lm_head.weight": embedding + 1}
    )
    with self.assertRaisesRegex(
      UserError, "lm_head.weight .* must equal model.embed_tokens.weight"
    ):
      self._open(QWEN2)

  @parameterized.parameters(
    (
      lambda tensors: _without(tensors, "model.layers.2.mlp.up_proj.bias"),
      r"got none for model.layers.2.mlp.up_proj.bias \(our"
      r" layers.2.mlp.up_proj_bias\)",
    ),
    (
      lambda tensors: {f"layer.{i}": t for i, t in enumerate(tensors.values())},
      r"got none for model.embed_tokens.weight .*\(51 in all\). Found were"
      r" layer.0, layer.1, layer.10, layer.11, … \(51 in all\)",
    ),
    (
      lambda tensors: tensors | {"model.norm.weight": np.zeros(0, "f4")},
      r"must have shape \[32\] by config.json, got \[0\]",
    ),
    (
      lambda tensors: tensors | {"model.norm.weight": np.zeros(32, "i1")},
      r"model.norm.weight .* one of \['BF16', 'F16', 'F32'\], got I8",
    ),
    (
      lambda tensors: tensors | {"model.norm.weight_scale": np.zeros(1, "f4")},
      "got weights in 8 bits or fewer in .*: model.norm.weight_scale",
    ),
    (
      lambda tensors: tensors | {"model.extra.weight": np.zeros((2, 3))},
      r"unexpected model.extra.weight \(2, 3\) \(model.safetensors\)",
    ),
    (
      lambda tensors: tensors | {"model.norm.weight": np.zeros(31, "f4")},
      r"model.norm.weight \(model.safetensors\) must have shape \[32\] by"
      r" config.json, got \[31\]",
    ),
    (
      lambda tensors: tensors | {"model.norm.weight": np.zeros(32, "f8")},
      r"model.norm.weight .* one of \['BF16', 'F16', 'F32'\], got F64",
    ),
  )
  def test_tensors_that_do_not_fit_are_refused(self, change, message):
    self._write(LLAMA, change)
    with self.assertRaisesRegex(UserError, message):
      self._open(LLAMA)

  def test_a_torn_file_is_refused(self):
    self._write(LLAMA)
    path = self.directory / checkpoint.WEIGHTS_FILE
    path.write_bytes(path.read_bytes()[:-1])
    with self.assertRaisesRegex(
      UserError, f"{re.escape(str(path))} must be a whole safetensors file"
    ):
      self._open(LLAMA)

  def test_a_missing_shard_is_named(self):
    self._write(LLAMA, max_shard_bytes=20_000)
    files = checkpoint.find_files(self.directory)
    (self.directory / files[1]).unlink()
    with self.assertRaisesRegex(
      UserError, rf"lists {len(files)} files, but 1 must .*{files[1]}"
    ):
      self._open(LLAMA)

  @parameterized.parameters(
    ("{", "must be JSON that maps tensors to files"),
    ("[]", "must be JSON that maps tensors to files"),
    ('{"weight_map": {"a": "../b"}}', "files beside it, got '../b'"),
    ("", "got an empty file"),
    ('{"weight_map": {}}', "must list the files of the weights, got none"),
    (
      '{"weight_map": {"a.qweight": "b"}}',
      "got weights quantised by GPTQ or AWQ in .*index.json: a.qweight",
    ),
    ('{"weight_map": {"a": 3}}', "must be JSON that maps tensors to files"),
  )
  def test_a_broken_index_is_refused(self, text, message):
    (self.directory / checkpoint.INDEX_FILE).write_text(text)
    with self.assertRaisesRegex(UserError, message):
      self._open(LLAMA)

  def test_a_directory_with_other_weights_says_what_it_has(self):
    (self.directory / "pytorch_model.bin").touch()
    with self.assertRaisesRegex(
      UserError, "must have model.safetensors.*got pytorch_model.bin"
    ):
      self._open(LLAMA)

  def test_a_tensor_in_two_shards_is_refused(self):
    self._write(LLAMA, max_shard_bytes=20_000)
    first, second = checkpoint.find_files(self.directory)[:2]
    (self.directory / second).write_bytes((self.directory / first).read_bytes())
    with self.assertRaisesRegex(UserError, "must be in one file"):
      self._open(LLAMA)

  @parameterized.parameters(jnp.bfloat16, jnp.float16)
  def test_half_precision_is_read_as_stored(self, dtype):
    dtype = np.dtype(dtype)
    self._write(
      LLAMA,
      lambda tensors: {key: t.astype(dtype) for key, t in tensors.items()},
    )
    stored = self._open(LLAMA)
    tensor = stored.read("layers.1.mlp.up_proj")
    self.assertEqual(tensor.dtype, dtype)
    self.assertEqual(stored.dtype("layers.1.mlp.up_proj"), dtype)
    np.testing.assert_array_equal(
      tensor, cases.make_tensors(LLAMA)["layers.1.mlp.up_proj"].astype(dtype)
    )


def _without(tensors, key):
  return {other: tensor for other, tensor in tensors.items() if other != key}
