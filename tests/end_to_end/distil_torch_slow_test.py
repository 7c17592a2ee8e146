"""The loss of a distillation against that of `transformers`; needs torch."""

import pathlib
import tempfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized
from golden import transformer_cases as cases

from thickets.models import hub
from thickets.training import distillation, train
from thickets.training.distillation import Text

pytestmark = pytest.mark.slow

# The slow tier runs where the extra is installed, and must not pass without it.
torch = transformers = None


def setUpModule():
  global torch, transformers
  import torch
  import transformers


def _write_texts(rng, vocab_size):
  """Texts of prompts and responses of several lengths."""
  texts = []
  for number in range(5):
    lengths = rng.integers(1, 9, 2)
    tokens = rng.integers(3, vocab_size, lengths.sum())
    texts.append(Text(tuple(tokens.tolist()), int(lengths[0]), number))
  return texts


class LossTest(parameterized.TestCase):
  @parameterized.parameters("qwen3", "gpt2")
  def test_it_is_their_cross_entropy_with_a_masked_prompt(self, case):
    folder = self.enter_context(tempfile.TemporaryDirectory())
    fields = cases.CASES[case]
    model = hub.make_model(fields, jax.random.key(1))
    params = jax.tree.map(lambda leaf: 2 * leaf, model.params)
    hub.save(pathlib.Path(folder) / "model", model, params=params)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(
      pathlib.Path(folder) / "model", attn_implementation="eager"
    ).eval()
    texts = _write_texts(np.random.default_rng(0), fields["vocab_size"])
    rows = distillation.write_rows(texts)
    labels = torch.full(rows["tokens"].shape, -100)
    for row, text in enumerate(texts):
      response = text.tokens[text.num_prompt :]
      labels[row, text.num_prompt : len(text.tokens)] = torch.tensor(response)
    tokens = torch.tensor(rows["tokens"].astype(np.int64))
    with torch.no_grad():
      expected = float(theirs(tokens, labels=labels).loss)
    loss_fn = jax.jit(train.make_loss(model.config))
    found = loss_fn(params, jax.tree.map(jnp.asarray, rows))
    np.testing.assert_allclose(float(found), expected, rtol=1e-5)
