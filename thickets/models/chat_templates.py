"""Chat templates: from a conversation to the text that a model continues."""

from collections.abc import Mapping, Sequence
from typing import Any

from thickets.errors import UserError


def render_chat(tokenizer: Any, messages: Sequence[Mapping[str, str]]) -> str:
  """The text of a conversation up to where the model answers.

  Args:
    tokenizer: a tokenizer of `transformers` with a chat template.
    messages: the turns so far, with `role` and `content` each.

  Raises:
    UserError: if there is no template.
  """
  if getattr(tokenizer, "chat_template", None) is None:
    raise UserError(
      "A chat needs a tokenizer with a chat template, got one without. Turn the"
      " chat off, so that prompts are plain text."
    )
  return tokenizer.apply_chat_template(
    list(messages), tokenize=False, add_generation_prompt=True
  )
