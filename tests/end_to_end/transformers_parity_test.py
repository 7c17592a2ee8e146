"""Live comparison with `transformers`, in both directions; needs torch."""

import json
import pathlib
import tempfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized
from golden import transformer_cases as cases

from thickets.models import checkpoint, hub, transformer

# The slow tier runs where the extra is installed, and must not pass without it.
torch = transformers = None


def setUpModule():
  global torch, transformers
  import torch
  import transformers


def _make_theirs(fields, dtype="float32"):
  """A model of transformers with random weights; none is 0 or 1."""
  fields = dict(fields)
  config = transformers.AutoConfig.for_model(
    fields.pop("model_type"), **fields, attn_implementation="eager"
  )
  model = transformers.AutoModelForCausalLM.from_config(config).eval()
  generator = torch.Generator().manual_seed(0)
  with torch.no_grad():
    for name, weight in model.named_parameters():
      is_norm = weight.ndim == 1 and name.endswith("weight")
      noise = torch.randn(weight.shape, generator=generator)
      weight.copy_(0.3 * noise + float(is_norm))
  return model.to(getattr(torch, dtype))


def _read_theirs(directory):
  return transformers.AutoModelForCausalLM.from_pretrained(
    directory, attn_implementation="eager"
  ).eval()


def _their_logits(model, text):
  with torch.no_grad():
    return model(torch.tensor(text.astype(np.int64))).logits.numpy()


def _published(directory):
  """All tensors of a directory's files, as bytes."""
  import safetensors

  found = {}
  for file in checkpoint.find_files(pathlib.Path(directory)):
    with safetensors.safe_open(pathlib.Path(directory) / file, "np") as opened:
      for key in opened.keys():  # noqa: SIM118 (not a dict)
        tensor = opened.get_tensor(key)
        found[key] = (tensor.dtype.name, tensor.shape, tensor.tobytes())
  return found


class TransformersParityTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    folder = self.enter_context(tempfile.TemporaryDirectory())
    self.folder = pathlib.Path(folder)

  def _publish(self, fields, dtype="float32", hub_format=False, **options):
    """Saves their model; with `hub_format` the config is as first written."""
    theirs = _make_theirs(fields, dtype)
    path = self.folder / "theirs"
    theirs.save_pretrained(path, **options)
    if hub_format:
      (path / "config.json").write_text(json.dumps(fields))
    return path, theirs

  @parameterized.product(case=tuple(cases.CASES), hub_format=(False, True))
  @pytest.mark.slow
  def test_logits_agree_both_ways(self, case, hub_format):
    fields = cases.CASES[case]
    path, theirs = self._publish(fields, hub_format=hub_format)
    model = hub.load(path)
    rng = np.random.default_rng(0)
    text = rng.integers(0, fields["vocab_size"], (2, 100), dtype=np.int32)
    expected = _their_logits(theirs, text)
    found = transformer.apply(model.config, model.params, jnp.asarray(text))
    difference = np.abs(found - expected).max()
    print(f"{case}: largest difference of logits {difference:.2g}")
    self.assertLess(difference, cases.TOLERANCE)
    self.assertGreater(np.std(expected), 0.5)  # Or it would show little.

    hub.save(self.folder / "ours", model, max_shard_bytes=30_000)
    exported = _read_theirs(self.folder / "ours")
    np.testing.assert_array_equal(_their_logits(exported, text), expected)

  @parameterized.parameters(*cases.CASES)
  @pytest.mark.slow
  def test_greedy_tokens_agree(self, case):
    fields = cases.CASES[case]
    path, theirs = self._publish(fields)
    model = hub.load(path)
    prompt = cases.make_prompt(fields)
    out = theirs.generate(
      torch.tensor(prompt[None].astype(np.int64)),
      attention_mask=torch.ones((1, len(prompt)), dtype=torch.int64),
      do_sample=False,
      max_new_tokens=cases.NUM_STEPS,
      eos_token_id=None,
      pad_token_id=0,
      output_logits=True,
      return_dict_in_generate=True,
    )
    expected = out.sequences[0, len(prompt) :].numpy()
    self.assertLen(expected, cases.NUM_STEPS)
    found = self._generate(model, prompt)
    different = np.flatnonzero(found != expected)
    if different.size:  # Only where their two best logits are next to equal.
      best = torch.topk(out.logits[different[0]][0], 2).values
      self.assertLess(float(best[0] - best[1]), cases.TOLERANCE)

  def _generate(self, model, prompt):
    apply = jax.jit(transformer.apply, static_argnums=0)
    text = np.zeros((1, len(prompt) + cases.NUM_STEPS), np.int32)
    text[0, : len(prompt)] = prompt
    for end in range(len(prompt), text.size):
      logits = apply(model.config, model.params, jnp.asarray(text))
      text[0, end] = np.argmax(logits[0, end - 1])
    return text[0, len(prompt) :]

  @parameterized.product(
    case=("qwen2", "llama", "olmo3", "gpt2"), dtype=("float32", "bfloat16")
  )
  @pytest.mark.slow
  def test_tensors_survive_load_and_save_bit_for_bit(self, case, dtype):
    path, _ = self._publish(cases.CASES[case], dtype, max_shard_size="30KB")
    self.assertGreater(len(checkpoint.find_files(path)), 1)
    model = hub.load(path, dtype=None)
    self.assertEqual(model.dtype.name, dtype)
    hub.save(self.folder / "ours", model, max_shard_bytes=30_000)
    self.assertEqual(_published(self.folder / "ours"), _published(path))
    again = hub.load(self.folder / "ours", dtype=None)
    self.assertEqual(again.identity, model.identity)
    self.assertEqual(again.config, model.config)
    exported = _read_theirs(self.folder / "ours")
    self.assertEqual(exported.dtype, getattr(torch, dtype))
