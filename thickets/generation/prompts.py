"""From the messages of an example to the tokens that a model continues."""

from collections.abc import Sequence
from typing import Any

from thickets.models import hub
from thickets.tasks.base import Message


def render_prompt(
  tokenizer: Any, messages: Sequence[Message], *, use_chat: bool = True
) -> list[int]:
  """Renders a prompt as token ids.

  By the tokenizer's chat template where it has one, whatever the model is
  called; else as plain text, the messages with a blank line between them.

  Args:
    tokenizer: of `transformers`.
    messages: the conversation so far.
    use_chat: False for plain text in any case.
  """
  if use_chat and has_chat(tokenizer):
    turns = [{"role": m.role, "content": m.content} for m in messages]
    # The template writes the special tokens itself.
    text = hub.render_chat(tokenizer, turns)
    return tokenizer.encode(text, add_special_tokens=False)
  return tokenizer.encode("\n\n".join(m.content for m in messages))


def has_chat(tokenizer: Any) -> bool:
  """Whether a tokenizer has a chat template."""
  return getattr(tokenizer, "chat_template", None) is not None
