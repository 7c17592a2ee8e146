"""The prompts of a run whose programs are compiled, as a run reads them."""

import dataclasses
from typing import Any

import jax.numpy as jnp

from experiments.launch.specs import RandOptSpec
from thickets.generation import prompts, subject
from thickets.generation.pictures import PictureStore
from thickets.generation.questions import list_distinct
from thickets.models import families, sources
from thickets.models.vision import processor_files
from thickets.models.vision.images import FeatureTable


@dataclasses.dataclass(frozen=True)
class Shown:
  """The pictures of prompts.

  Attributes:
    table: the shapes of the table of their features; None where there are none.
    num_bytes: bytes of it.
    num_tokens: tokens of all distinct pictures.
    placeholders: ids that no response holds.
  """

  table: FeatureTable | None = None
  num_bytes: int = 0
  num_tokens: int = 0
  placeholders: tuple[int, ...] = ()


def render_prompts(
  tokenizer: Any, spec: RandOptSpec, source: sources.Source, vocab_size: int
) -> tuple[list[list[int]], Shown]:
  """The tokens of the prompts that choose members, and their pictures.

  Args:
    tokenizer: that of the model.
    spec: the run.
    source: where the model is.
    vocab_size: rows of its embedding.

  Raises:
    UserError: as the run itself.
  """
  _, examples = subject.load_examples(spec.task)
  owner = f"{spec.model.name}, task {spec.task.name}"
  tower, pictures = families.parse_vision(source.fields), None
  if tower is not None:
    pictures = PictureStore(
      processor_files.make_vision_model(
        source.fields, tower, vocab_size, tokenizer, source.read_processor()
      )
    )
  asked = examples.examples
  chat = prompts.settle_chat(
    tokenizer,
    asked,
    spec.task.chat,
    today=None,
    owner=owner,
    vision=pictures and pictures.vision,
  )
  rendered = prompts.render_examples(
    tokenizer, asked, chat, owner=owner, pictures=pictures
  )
  chosen = [rendered[index] for index in examples.indices("select")]
  tokens = [prompt.tokens for prompt in chosen]
  digests = list_distinct([prompt.digests for prompt in chosen])
  if pictures is None or not digests:
    return tokens, Shown()
  dtype = jnp.dtype(spec.model.dtype)
  return tokens, Shown(
    pictures.describe_table(digests, dtype),
    pictures.count_bytes(digests, dtype),
    pictures.count_tokens(digests),
    pictures.vision.tokens,
  )
