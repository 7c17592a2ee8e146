"""How often a model answers held-out questions about scenes, with and without them.

An answer is the likeliest token behind the question, which is what greedy decoding
begins with; every right answer is one token. Beside the accuracy of each kind of
question stand that of all kinds, and two controls of it: with the picture of another
question, and with none.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from thickets.analysis import intervals
from thickets.models import transformer
from thickets.models.hub import Model
from thickets.models.vision import joined, pixels
from thickets.naming import Params
from thickets.tasks.scenes import kinds, questions, scene
from thickets.training import corpora, scene_corpora, scene_losses
from thickets.training.dev_accuracy import MeasureAccuracy, TaskAccuracy

ALL = "all"
ANOTHERS, NO_PICTURE = "all/anothers-picture", "all/no-picture"


@dataclasses.dataclass(frozen=True)
class _Asked:
  """Questions of one kind.

  Attributes:
    name: name of the kind.
    patches: [Q, N, P] the pictures.
    texts: the tokens of each question.
    answers: the tokens of each answer, by convention.
  """

  name: str
  patches: np.ndarray
  texts: Sequence[list[int]]
  answers: Sequence[tuple[int, ...]]


def make_accuracy(
  model: Model, names: Sequence[str], num_prompts: int
) -> MeasureAccuracy:
  """Makes a function that measures models on questions of development.

  Args:
    model: the model whose weights are measured.
    names: names of the kinds of questions.
    num_prompts: questions of each kind.

  Returns:
    A function that maps weights to accuracy by name: of each kind and convention,
    such as `row/from-top`, of `row/either`, and of all kinds by either convention.
  """
  assert model.vision is not None
  asked = [_draw(model, name, num_prompts) for name in names]
  read = jax.jit(scene_losses.make_reader(model.config, model.vision))
  read_text = jax.jit(
    lambda params, tokens: transformer.apply(
      model.config, joined.take_text(params), tokens
    )
  )
  shown, blind = (
    scene_corpora.make_prefix(model),
    [model.tokenizer.bos_token_id],
  )

  texts = [text for part in asked for text in part.texts]
  # Each about the picture of the next question of its kind.
  others = np.concatenate([np.roll(part.patches, 1, axis=0) for part in asked])
  patches = np.concatenate([part.patches for part in asked])
  tokens, last = _lay_out(shown, texts)
  blind_tokens, blind_last = _lay_out(blind, texts)

  def measure_accuracy(params: Params) -> dict[str, TaskAccuracy]:
    chosen = _choose(read(params, tokens, patches), last)
    swapped = _choose(read(params, tokens, others), last)
    unseen = _choose(read_text(params, blind_tokens), blind_last)
    found: dict[str, TaskAccuracy] = {}
    for part, answers in zip(asked, np.split(chosen, len(asked)), strict=True):
      found |= _count_kind(part, answers)
    answers = [answer for part in asked for answer in part.answers]
    for name, given in (
      (ALL, chosen),
      (ANOTHERS, swapped),
      (NO_PICTURE, unseen),
    ):
      found[name] = _accuracy(_count(answers, given))
    return found

  return measure_accuracy


def _draw(model: Model, name: str, num_prompts: int) -> _Asked:
  """Draws questions of development of one kind."""
  assert model.vision is not None
  rows = questions.generate_rows(
    (name,), questions.DEVELOPMENT, num_prompts, seed=0
  )
  patches, texts, answers = [], [], []
  for row in rows:
    picture = scene.draw_picture(scene.parse_scene(row["picture"]))
    patches.append(pixels.cut_patches(picture, model.vision.pixels).patches)
    words = [row["answer"], row["other"]] if row["other"] else [row["answer"]]
    asked, _ = corpora.encode_text(model.tokenizer, row["question"], "")
    texts.append(asked[1:])
    answers.append(tuple(model.tokenizer.convert_tokens_to_ids(words)))
  return _Asked(name, np.stack(patches), texts, answers)


def _lay_out(
  prefix: Sequence[int], texts: Sequence[list[int]]
) -> tuple[np.ndarray, np.ndarray]:
  """[Q, T] tokens behind a beginning, padded, and [Q] the place of each last one."""
  longest = max(map(len, texts))
  tokens = np.zeros((len(texts), len(prefix) + longest), np.int32)
  tokens[:, : len(prefix)] = prefix
  for row, text in enumerate(texts):
    tokens[row, len(prefix) : len(prefix) + len(text)] = text
  return tokens, np.array([len(prefix) + len(text) - 1 for text in texts])


def _choose(logits: Float[Any, "Q T V"], last: np.ndarray) -> np.ndarray:
  """[Q] the likeliest token behind the last one of each text."""
  return np.asarray(logits)[np.arange(len(last)), last].argmax(-1)


def _count(
  answers: Sequence[tuple[int, ...]], chosen: np.ndarray
) -> list[bool]:
  """Which of the chosen tokens are right by either convention."""
  return [
    int(token) in right for token, right in zip(chosen, answers, strict=True)
  ]


def _count_kind(part: _Asked, chosen: np.ndarray) -> dict[str, TaskAccuracy]:
  conventions = [*kinds.find_kind(part.name).conventions]
  if len(conventions) == 1:
    return {part.name: _accuracy(_count(part.answers, chosen))}
  found = {
    f"{part.name}/{name}": _accuracy(
      _count([(answers[place],) for answers in part.answers], chosen)
    )
    for place, name in enumerate(conventions)
  }
  either = _accuracy(_count(part.answers, chosen))
  return found | {f"{part.name}/either": either}


def _accuracy(right: Sequence[bool]) -> TaskAccuracy:
  count = sum(right)
  return {
    "accuracy": count / len(right),
    "n": len(right),
    "interval": intervals.wilson_interval(count, len(right)),
  }
