"""Tests of loading and saving models, from directories and from a hub."""

import contextlib
import dataclasses
import json
import pathlib
import tempfile
import tracemalloc
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized
from golden import transformer_cases as cases
from jax.sharding import Mesh

from thickets.errors import UserError
from thickets.models import (
  chat_templates,
  checkpoint,
  families,
  hub,
  streaming,
  transformer,
)

QWEN2 = cases.CASES["qwen2"]
TEMPLATE = (
  "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}"
  "{% if add_generation_prompt %}<assistant>{% endif %}"
)


class _Test(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    folder = self.enter_context(tempfile.TemporaryDirectory())
    self.folder = pathlib.Path(folder)
    self.directory = self.folder / "model"

  def _edit(self, file, **changes):
    path = self.directory / file
    fields = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(fields | changes))

  def _assert_same(self, found, expected):
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    self.assertEqual(
      jax.tree.map(lambda leaf: leaf.dtype, found),
      jax.tree.map(lambda leaf: leaf.dtype, expected),
    )


class DirectoryTest(_Test):
  @parameterized.parameters(
    ("qwen2", jnp.float32),
    ("llama", jnp.bfloat16),
    ("olmo3", jnp.float16),
    ("gpt2", jnp.bfloat16),
  )
  def test_what_is_saved_is_loaded_bit_for_bit(self, name, dtype):
    model = cases.make_model(name, dtype)
    hub.save(self.directory, model, max_shard_bytes=30_000)
    loaded = hub.load(self.directory, dtype=None)
    self._assert_same(loaded.params, model.params)
    self.assertEqual(loaded.identity, model.identity)
    self.assertEqual(loaded.config, model.config)
    self.assertEqual(loaded.dtype, dtype)
    self.assertEqual(loaded.fields["dtype"], np.dtype(dtype).name)
    self.assertEqual(loaded.source, str(self.directory))
    self.assertIsNone(loaded.revision)
    self.assertIsNone(loaded.tokenizer)

  def test_weights_are_as_readable_as_the_rest(self):
    hub.save(self.directory, cases.make_model())
    modes = {path.stat().st_mode for path in self.directory.iterdir()}
    self.assertLen(modes, 1)

  def test_weights_are_cast_but_the_identity_is_of_what_is_stored(self):
    model = cases.make_model(dtype=jnp.bfloat16)
    hub.save(self.directory, model)
    loaded = hub.load(self.directory)
    self.assertEqual(loaded.dtype, np.float32)
    self._assert_same(
      loaded.params,
      jax.tree.map(lambda leaf: leaf.astype(jnp.float32), model.params),
    )
    self.assertEqual(loaded.identity, model.identity)

  def test_a_mesh_divides_the_weights_as_they_come(self):
    model = cases.make_model(vocab_size=96)
    hub.save(self.directory, model)
    devices = np.array(jax.devices()).reshape(4, 2)
    mesh = Mesh(devices, ("population", "model"))
    loaded = hub.load(self.directory, mesh=mesh)
    self._assert_same(loaded.params, model.params)
    shardings = transformer.shardings(model.config, mesh)
    jax.tree.map(
      lambda leaf, sharding: self.assertTrue(
        leaf.sharding.is_equivalent_to(sharding, leaf.ndim)
      ),
      loaded.params,
      shardings,
    )
    matrix = loaded.params["layers"]["mlp"]["up_proj"]
    self.assertEqual(matrix.addressable_shards[0].data.shape, (3, 24, 32))

  def _save_deep_model(self):
    """Saves a model; returns its bytes, and those of its largest tensor."""
    model = cases.make_model(
      num_hidden_layers=12, hidden_size=64, intermediate_size=128
    )
    hub.save(self.directory, model)
    total = sum(leaf.nbytes for leaf in jax.tree.leaves(model.params))
    return total, max(64 * 128, 97 * 64) * 4

  def test_a_host_holds_weights_once_and_compiles_nothing(self):
    total, largest = self._save_deep_model()
    fields = json.loads((self.directory / "config.json").read_text())
    config = families.parse_config(fields)
    stored = checkpoint.Checkpoint(self.directory, config)
    streaming.read_params(config, stored, jnp.float32)
    with mock.patch.object(jax, "jit") as jit:
      tracemalloc.start()
      try:
        params, _ = streaming.read_params(config, stored, jnp.float32)
        held, most = tracemalloc.get_traced_memory()
      finally:
        tracemalloc.stop()
    jit.assert_not_called()
    with mock.patch.object(jax, "device_put", wraps=jax.device_put) as put:
      streaming.read_params(config, stored, jnp.float32)
    for array, _ in (call.args for call in put.call_args_list):
      self.assertFalse(array.flags.writeable)  # Devices read the same memory.
    self.assertGreater(held, total)  # The devices have no copies of their own.
    self.assertLess(most, total + 4 * largest)
    for leaf in jax.tree.leaves(params):
      self.assertEqual(leaf.unsafe_buffer_pointer() % 64, 0)

  @parameterized.parameters(jnp.float32, jnp.bfloat16, jnp.float16)
  def test_hosts_and_devices_hold_the_same_weights(self, dtype):
    model = cases.make_model()
    norm = np.array(model.params["norm"])
    norm[:3] = 1e-7, 1 + 2**-9, -65_519  # They are rounded.
    hub.save(self.directory, model, params={**model.params, "norm": norm})
    on_host = hub.load(self.directory, dtype=dtype)
    with mock.patch.object(streaming, "_lies_on_host", lambda _: False):
      on_device = hub.load(self.directory, dtype=dtype)
    self._assert_same(on_host.params, on_device.params)
    self.assertEqual(on_host.identity, on_device.identity)

  @parameterized.parameters(
    (np.nan, jnp.float32, "must be finite numbers, got nan in {}. Fetch"),
    (-np.inf, jnp.bfloat16, "must be finite numbers, got inf in {}"),
    (-65_520.0, jnp.float16, "within what float16 holds, got 65520 in {}"),
  )
  def test_weights_that_are_no_numbers_are_refused(self, value, dtype, message):
    stored = jnp.bfloat16 if dtype == jnp.bfloat16 else jnp.float32
    model = cases.make_model(dtype=stored)
    for at, name in ((np.s_[0], "layers.0"), (np.s_[-1], "layers.2")):
      up = np.array(model.params["layers"]["mlp"]["up_proj"])
      up[at][-1, -1] = value
      layers = model.params["layers"]
      layers = layers | {"mlp": layers["mlp"] | {"up_proj": up}}
      directory = self.folder / name
      hub.save(directory, model, params={**model.params, "layers": layers})
      expected = message.format(f"{name}.mlp.up_proj")
      with self.assertRaisesRegex(UserError, expected):
        hub.load(directory, dtype=dtype)

  def test_matrices_of_zeros_are_said(self):
    model = cases.make_model()
    embedding = jnp.zeros_like(model.params["embed_tokens"])
    params = {**model.params, "embed_tokens": embedding}
    hub.save(self.directory, model, params=params)
    with self.assertLogs("absl", level="WARNING") as logs:
      hub.load(self.directory)
    self.assertIn("embed_tokens hold nothing but zeros", logs.output[-1])

  @mock.patch.object(streaming, "_lies_on_host", lambda _: False)
  def test_devices_never_hold_weights_twice(self):
    total, largest = self._save_deep_model()
    before = sum(array.nbytes for array in jax.live_arrays())
    held = []
    read = checkpoint.Checkpoint.read

    def observe(stored, name):
      live = [array for array in jax.live_arrays() if not array.is_deleted()]
      held.append(sum(array.nbytes for array in live) - before)
      return read(stored, name)

    with mock.patch.object(checkpoint.Checkpoint, "read", observe):
      hub.load(self.directory)
    self.assertGreater(max(held), 0.9 * total)
    self.assertLess(max(held), total + 2 * largest)

  @mock.patch.object(streaming, "_lies_on_host", lambda _: False)
  def test_a_stack_is_filled_in_place(self):
    place, stacks = streaming._place, []

    def observe(array, leaf, *args):
      if array is not None:
        stacks.append(array)
      return place(array, leaf, *args)

    hub.save(self.directory, cases.make_model())
    with mock.patch.object(streaming, "_place", observe):
      hub.load(self.directory)
    self.assertLen(stacks, 2 * 12)  # The second and third of twelve leaves.
    for stack in stacks:
      self.assertTrue(stack.is_deleted())

  def test_experts_are_saved_in_place_of_the_base(self):
    model = cases.make_model()
    expert = jax.tree.map(lambda leaf: leaf + 1, model.params)
    hub.save(self.directory, model, params=expert)
    self._assert_same(hub.load(self.directory).params, expert)

  def test_a_config_says_what_is_saved_and_nothing_of_its_source(self):
    model = cases.make_model(
      architectures=["QwenModel"],
      auto_map={"AutoModelForCausalLM": "someone/code--modeling.Model"},
      quantization_config=None,
      transformers_weights="model.safetensors",
      _name_or_path="/home/someone",
      _attn_implementation="flash_attention_2",
      use_cache=False,
    )
    hub.save(self.directory, model)
    fields = json.loads((self.directory / "config.json").read_text())
    self.assertEqual(
      fields,
      QWEN2
      | {
        "architectures": ["Qwen2ForCausalLM"],
        "dtype": "float32",
        "use_cache": False,
      },
    )

  @parameterized.parameters("dtype", "torch_dtype", "both")
  def test_each_spelling_of_the_dtype_is_that_of_the_weights(self, spelling):
    names = ("dtype", "torch_dtype") if spelling == "both" else (spelling,)
    model = cases.make_model()
    model = dataclasses.replace(
      model, fields=model.fields | dict.fromkeys(names, "bfloat16")
    )
    hub.save(self.directory, model)
    fields = json.loads((self.directory / "config.json").read_text())
    found = {name: fields[name] for name in fields if name.endswith("dtype")}
    self.assertEqual(found, dict.fromkeys(names, "float32"))

  @parameterized.parameters(0, -1, float("nan"))
  def test_a_file_must_hold_some_bytes(self, max_shard_bytes):
    with self.assertRaisesRegex(UserError, "max_shard_bytes must be positive"):
      hub.save(
        self.directory, cases.make_model(), max_shard_bytes=max_shard_bytes
      )
    self.assertFalse(self.directory.exists())

  def test_of_files_of_one_byte_each_holds_one_tensor(self):
    model = cases.make_model()
    hub.save(self.directory, model, max_shard_bytes=1)
    self.assertLen(list(self.directory.glob("model-*.safetensors")), 38)
    self._assert_same(hub.load(self.directory).params, model.params)

  def test_weights_of_another_model_are_not_saved(self):
    model = cases.make_model()
    params = model.params | {"norm": jnp.ones(31)}
    with self.assertRaisesRegex(
      UserError, r"got norm of shape \(31,\) where the model has \(32,\)"
    ):
      hub.save(self.directory, model, params=params)
    self.assertFalse(self.directory.exists())

  def test_a_directory_in_use_is_not_saved_to(self):
    self.directory.mkdir()
    (self.directory / "notes.txt").touch()
    with self.assertRaisesRegex(UserError, "new or empty directory"):
      hub.save(self.directory, cases.make_model())
    with self.assertRaisesRegex(UserError, "new or empty directory"):
      hub.save(self.directory / "notes.txt", cases.make_model())

  def test_an_interrupted_save_is_not_a_model(self):
    tokenizer = mock.Mock()
    tokenizer.save_pretrained.side_effect = KeyboardInterrupt
    with contextlib.suppress(KeyboardInterrupt):
      hub.save(self.directory, cases.make_model(tokenizer=tokenizer))
    self.assertTrue((self.directory / checkpoint.WEIGHTS_FILE).exists())
    with self.assertRaisesRegex(UserError, "got none in .*interrupted"):
      hub.load(self.directory)

  @parameterized.parameters(
    ("config.json", "{", "must be JSON"),
    ("config.json", "[]", "must be a JSON object"),
    ("generation_config.json", "{", "must be JSON"),
    ("tokenizer.json", "{", "must be one that transformers"),
  )
  def test_broken_files_are_named(self, file, text, message):
    hub.save(self.directory, cases.make_model())
    (self.directory / file).write_text(text)
    with self.assertRaisesRegex(UserError, message):
      hub.load(self.directory)

  def test_dtypes(self):
    hub.save(self.directory, cases.make_model())
    with self.assertRaisesRegex(UserError, "dtype must be .*got int8"):
      hub.load(self.directory, dtype=jnp.int8)
    params = cases.make_model().params
    mixed = params | {"norm": params["norm"].astype(jnp.bfloat16)}
    hub.save(self.folder / "mixed", cases.make_model(), params=mixed)
    with self.assertRaisesRegex(UserError, r"\['bfloat16', 'float32'\]"):
      hub.load(self.folder / "mixed", dtype=None)
    self.assertEqual(hub.load(self.folder / "mixed").dtype, np.float32)

  def test_random_models(self):
    model = hub.make_model(QWEN2, jax.random.key(0), jnp.bfloat16)
    self.assertEqual(model.dtype, jnp.bfloat16)
    hub.save(self.directory, model)
    loaded = hub.load(self.directory, dtype=None)
    self.assertEqual(loaded.identity, model.identity)
    self._assert_same(loaded.params, model.params)


class TokenizerTest(_Test):
  def test_tokenizer_and_stop_tokens_come_along(self):
    model = cases.make_model(tokenizer=cases.make_tokenizer(), eos_token_id=5)
    hub.save(self.directory, model)
    loaded = hub.load(self.directory)
    self.assertEqual(loaded.tokenizer.encode("w3 w7"), [3, 7])
    self.assertEqual(loaded.stop_tokens, (1, 5))
    self._edit("generation_config.json", eos_token_id=[7, 9])
    loaded = hub.load(self.directory)
    self.assertEqual(loaded.stop_tokens, (1, 7, 9))
    hub.save(self.folder / "again", loaded)
    again = hub.load(self.folder / "again")
    self.assertEqual(again.generation, {"eos_token_id": [7, 9]})
    self.assertEqual(again.stop_tokens, (1, 7, 9))
    self.assertEqual(again.tokenizer.get_vocab(), model.tokenizer.get_vocab())

  def test_a_tokenizer_larger_than_the_model_is_refused_before_weights(self):
    hub.save(
      self.directory, cases.make_model(tokenizer=cases.make_tokenizer(98))
    )
    (self.directory / checkpoint.WEIGHTS_FILE).unlink()
    with self.assertRaisesRegex(UserError, "at most the model's 97.*got 98"):
      hub.load(self.directory)
    with self.assertRaisesRegex(UserError, "at most the model's 97.*got 98"):
      hub.make_model(
        QWEN2, jax.random.key(0), tokenizer=cases.make_tokenizer(98)
      )

  def test_chats(self):
    messages = [{"role": "user", "content": "w3"}]
    tokenizer = cases.make_tokenizer(chat_template=TEMPLATE)
    self.assertEqual(
      chat_templates.render_chat(tokenizer, messages), "<user>w3<assistant>"
    )
    for plain in (cases.make_tokenizer(), None):
      with self.assertRaisesRegex(
        UserError, "chat template.*Turn the chat off"
      ):
        chat_templates.render_chat(plain, messages)
