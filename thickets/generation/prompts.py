"""From the messages of an example to the tokens that a model continues."""

from collections.abc import Sequence
from typing import Any

from thickets.models import chat_templates
from thickets.tasks.base import Message


def render_prompt(
  tokenizer: Any, messages: Sequence[Message], *, use_chat: bool = True
) -> list[int]:
  """Renders a prompt as token ids.

  The tokenizer's chat template renders it, where there is one, whatever the name
  of the model; otherwise it is plain text, with a blank line between messages.

  Args:
    tokenizer: a tokenizer of `transformers`.
    messages: the conversation so far.
    use_chat: whether to use the chat template; False for plain text in any case.
  """
  if use_chat and has_chat(tokenizer):
    turns = [{"role": m.role, "content": m.content} for m in messages]
    # The template writes the special tokens.
    text = chat_templates.render_chat(tokenizer, turns)
    return tokenizer.encode(text, add_special_tokens=False)
  return tokenizer.encode("\n\n".join(m.content for m in messages))


def has_chat(tokenizer: Any) -> bool:
  """Whether a tokenizer has a chat template."""
  return getattr(tokenizer, "chat_template", None) is not None
