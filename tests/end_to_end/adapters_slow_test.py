"""Adapters and merged weights as `peft` and `transformers` open them."""

import pathlib
import tempfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized
from golden import transformer_cases as cases

from thickets.models import hub, transformer
from thickets.training import lora, peft_export
from thickets.training.lora import LoraSpec

pytestmark = pytest.mark.slow

# The slow tier runs where the extra is installed, and must not pass without it.
peft = torch = transformers = None


def setUpModule():
  global peft, torch, transformers
  import peft
  import torch
  import transformers


class PeftTest(parameterized.TestCase):
  @parameterized.parameters(
    ("qwen2", ("*_proj",)),
    ("qwen3", ("layers.1.*", "layers.0.mlp.*")),
    ("olmo3", ("*.q_proj", "*.down_proj", "lm_head")),
    ("gpt2", ("*_proj",)),
    ("gpt2", ("*.v_proj", "*.q_proj")),
  )
  def test_an_adapter_answers_as_merged_weights_do(self, case, targets):
    folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))
    fields = cases.CASES[case]
    model = hub.make_model(fields, jax.random.key(1))
    spec = LoraSpec(2, 3.0, targets)
    names = transformer.tensor_names(model.params)
    rng = np.random.default_rng(0)
    adapters = jax.tree.map(
      lambda leaf: leaf + 0.3 * rng.normal(size=leaf.shape).astype(np.float32),
      lora.init(spec, model.params, names),
    )
    merged = lora.merge(spec, model.params, adapters, names)
    peft_export.save(folder / "adapter", spec, model, adapters)
    hub.save(folder / "base", model)
    hub.save(folder / "merged", model, params=merged)
    text = rng.integers(0, fields["vocab_size"], (2, 20))

    def read(path):
      return transformers.AutoModelForCausalLM.from_pretrained(path).eval()

    def answer(theirs):
      with torch.no_grad():
        return theirs(torch.tensor(text)).logits.numpy()

    base = read(folder / "base")
    before = answer(base)
    theirs = peft.PeftModel.from_pretrained(base, folder / "adapter").eval()
    found = answer(theirs)
    tokens = jnp.asarray(text, jnp.int32)
    ours = transformer.apply(model.config, merged, tokens)
    np.testing.assert_allclose(found, ours, atol=cases.TOLERANCE)
    np.testing.assert_allclose(
      answer(read(folder / "merged")), ours, atol=cases.TOLERANCE
    )
    self.assertGreater(np.abs(found - before).max(), 0.01)
