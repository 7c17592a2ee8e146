"""Runs the code of the documentation, on a small model with random weights."""

import os
import pathlib
import re
import tempfile
from unittest import mock

import jax
import numpy as np
import pytest
from absl.testing import absltest
from golden import transformer_cases as cases

from thickets.models import hub, transformer

ROOT = pathlib.Path(__file__).parents[2]
_TEMPLATE = (
  "{% for message in messages %}{{ message['content'] }}{% endfor %}"
  "{% if add_generation_prompt %} {% endif %}"
)


def _load(name, *, dtype, mesh):
  """Stands for the hub: the same arguments, a small random model."""
  assert name.startswith("Qwen/")
  tokenizer = cases.make_tokenizer()
  tokenizer.chat_template = _TEMPLATE
  model = cases.make_model("qwen2", np.dtype(dtype), tokenizer)
  shardings = transformer.shardings(model.config, mesh)
  params = jax.device_put(model.params, shardings)
  return type(model)(**{**vars(model), "params": params})


class DocsTest(absltest.TestCase):
  @pytest.mark.slow
  def test_language_models(self):
    text = (ROOT / "docs" / "language_models.md").read_text("utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    self.assertLen(blocks, 2)
    here = os.getcwd()
    self.addCleanup(os.chdir, here)
    os.chdir(self.enterContext(tempfile.TemporaryDirectory()))
    names = {}
    with mock.patch.object(hub, "load", _load):
      for block in blocks:
        exec(block, names)  # Our own documentation.
    self.assertLen(names["scores"], 16)
    found = hub.load("expert", dtype=None)
    jax.tree.map(np.testing.assert_array_equal, found.params, names["expert"])
