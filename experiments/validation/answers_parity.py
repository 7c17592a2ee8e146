"""A real model that answers chat prompts, here and in transformers: do they agree?"""

import dataclasses
import pathlib
import tempfile
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
import transformers

from thickets.generation.decoding import Decoding
from thickets.generation.generator import Generator, choose_layout
from thickets.generation.prompts import render_prompt
from thickets.models import hub, transformer
from thickets.search import meshes
from thickets.tasks.base import Message

TIE = 1e-4  # Two logits as near as this are equal but for rounding.
# Of logits behind 30 layers whose standard deviation is 4 to 6: up to
# 1.1e-4 was seen.
LOGITS_TOLERANCE = 1.5e-4
MOST_PROMPTS = 100
_BATCH = 10  # Prompts whose logits are held at once.
_QUESTIONS = (
  "What is {}? Answer in one sentence.",
  "Explain {} to a child.",
  "Write a short poem about {}.",
  "List three facts about {}.",
  "Translate the name {} into French and German.",
  "Write a Python function about {} with a comment.",
  "How old is {}? Say how sure you are.",
  "How many letters are in {}? Count them one by one.",
  "What would you say to someone who does not like {}?",
  "Is {} larger than 100? Answer with yes or no, and a reason.",
)
_TOPICS = (
  "water",
  "the moon",
  "Paris",
  "17 + 25",
  "bread",
  "JavaScript",
  "a résumé",
  "an octopus 🐙",
  "3.14159",
  "<b>HTML</b>",
)
assert len(_QUESTIONS) * len(_TOPICS) == MOST_PROMPTS


@dataclasses.dataclass(frozen=True)
class Parting:
  """A response in which the two leave each other.

  Attributes:
    prompt: which prompt.
    position: at which of its tokens they first differ.
    tokens: the token here, and that of transformers.
    gap: by how much the logit of the second is above that of the first, in
      transformers.
  """

  prompt: int
  position: int
  tokens: tuple[int, int]
  gap: float

  @property
  def is_tie(self) -> bool:
    """Whether rounding alone can have chosen between the tokens."""
    return self.gap < TIE


@dataclasses.dataclass(frozen=True)
class AnswersParity:
  """What came of a comparison.

  Attributes:
    num_prompts: how many prompts were answered.
    num_tokens: how many tokens the responses have in all, as far as they agree.
    logits_difference: the largest difference of logits behind a prompt.
    logits_std: the standard deviation of these logits.
    partings: the responses that differ.
  """

  num_prompts: int
  num_tokens: int
  logits_difference: float
  logits_std: float
  partings: tuple[Parting, ...]


def make_prompts(tokenizer: Any, count: int) -> list[list[int]]:
  """Chat prompts on various matters, as token ids; at most `MOST_PROMPTS`."""
  assert 1 <= count <= MOST_PROMPTS
  prompts = []
  for i in range(count):
    row, column = divmod(i, len(_QUESTIONS))
    topic = _TOPICS[(row + column) % len(_TOPICS)]
    message = Message("user", _QUESTIONS[column].format(topic))
    prompts.append(render_prompt(tokenizer, [message]))
  return prompts


def compare(
  model: hub.Model, prompts: Sequence[Sequence[int]], num_steps: int
) -> AnswersParity:
  """Compares logits behind the prompts, and greedy responses, in float32.

  transformers opens what `hub.save` writes. Both answer all prompts at once.

  Args:
    model: the model, in float32.
    prompts: [Q] token ids of each prompt.
    num_steps: how many tokens a response has at most.
  """
  with tempfile.TemporaryDirectory() as folder:
    hub.save(pathlib.Path(folder) / "model", model)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(
      pathlib.Path(folder) / "model", dtype=torch.float32
    ).eval()
  difference, std = _compare_logits(model, theirs, prompts)
  mesh = meshes.make_mesh(jax.local_devices()[:1])
  ours = Generator(
    model.config,
    Decoding.for_model(model, num_steps),
    mesh=mesh,
    layout=choose_layout(model.config, mesh, len(prompts)),
  ).generate(model.params, prompts)
  expected = _answer(theirs, prompts, num_steps, model.stop_tokens)
  num_tokens, partings = 0, []
  for i, (prompt, length) in enumerate(zip(prompts, ours.lengths, strict=True)):
    found = ours.tokens[i]
    # So that an answer that ends too early differs from one that goes on.
    most = max(int(length), _find_length(expected[i], model.stop_tokens))
    same = found[:most] == expected[i, :most]
    at = int(most if same.all() else np.argmin(same))
    num_tokens += at
    if at < most:
      tokens = int(found[at]), int(expected[i, at])
      logits = _their_logits(theirs, [[*prompt, *found[:at].tolist()]])[0]
      gap = float(logits[tokens[1]] - logits[tokens[0]])
      partings.append(Parting(i, at, tokens, gap))
  return AnswersParity(
    len(prompts), num_tokens, difference, std, tuple(partings)
  )


def _find_length(tokens: np.ndarray, stop_tokens: Sequence[int]) -> int:
  """How many of the tokens [T] belong to a response, its stop token included."""
  ends = np.flatnonzero(np.isin(tokens, stop_tokens))
  return int(ends[0]) + 1 if len(ends) else len(tokens)


def _compare_logits(
  model: hub.Model, theirs: Any, prompts: Sequence[Sequence[int]]
) -> tuple[float, float]:
  """The largest difference of logits behind a prompt, and their spread."""
  width = max(map(len, prompts))
  apply = jax.jit(_logits_behind, static_argnums=0)
  differences, spreads = [], []
  for start in range(0, len(prompts), _BATCH):
    batch = prompts[start : start + _BATCH]
    ids, lengths = _pad_right(batch, width)
    ours = np.asarray(
      apply(model.config, model.params, jnp.asarray(ids), jnp.asarray(lengths))
    )
    expected = _their_logits(theirs, batch)
    differences.append(np.abs(ours - expected).max())
    spreads.append(expected.std())
  return float(max(differences)), float(np.mean(spreads))


def _logits_behind(config, params, ids, lengths):
  logits = transformer.apply(config, params, ids)
  return jnp.take_along_axis(logits, lengths[:, None, None] - 1, 1)[:, 0]


def _their_logits(model: Any, texts: Sequence[Sequence[int]]) -> np.ndarray:
  """[Q, V] logits behind texts, of transformers."""
  ids, lengths = _pad_right(texts, max(map(len, texts)))
  with torch.inference_mode():
    logits = model(torch.tensor(ids.astype(np.int64))).logits
  return logits[torch.arange(len(ids)), torch.tensor(lengths) - 1].numpy()


def _pad_right(
  texts: Sequence[Sequence[int]], width: int
) -> tuple[np.ndarray, np.ndarray]:
  """[Q, T] ids, of which no text sees those behind it, and [Q] lengths."""
  ids = np.zeros((len(texts), width), np.int32)
  for row, text in enumerate(texts):
    ids[row, : len(text)] = text
  return ids, np.array([len(text) for text in texts], np.int32)


def _answer(
  model: Any,
  prompts: Sequence[Sequence[int]],
  num_steps: int,
  stop_tokens: Sequence[int],
) -> np.ndarray:
  """[Q, T] greedy tokens of transformers, with 0 behind the ends of responses."""
  width = max(map(len, prompts))
  ids = np.zeros((len(prompts), width), np.int64)
  mask = np.zeros_like(ids)
  for row, prompt in enumerate(prompts):  # On the left, as it asks for.
    ids[row, width - len(prompt) :] = prompt
    mask[row, width - len(prompt) :] = 1
  with torch.inference_mode():
    texts = model.generate(
      torch.tensor(ids),
      attention_mask=torch.tensor(mask),
      do_sample=False,
      repetition_penalty=1.0,
      max_new_tokens=num_steps,
      eos_token_id=list(stop_tokens) or None,
      pad_token_id=0,
    ).numpy()
  answers = np.zeros((len(prompts), num_steps), np.int64)
  answers[:, : texts.shape[1] - width] = texts[:, width:]
  return answers
