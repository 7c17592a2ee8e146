"""From the messages of an example to the tokens that a model continues."""

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from absl import logging

from thickets.errors import UserError
from thickets.generation.picture_prompts import Speller
from thickets.generation.pictures import PictureStore
from thickets.models import chat_templates
from thickets.models.vision.config import VisionModel
from thickets.runs.json_files import JsonObject
from thickets.tasks.base import Example, Message
from thickets.tasks.pictures import Picture

# By another year, month, day of the month and day of the week.
_LATER = datetime.timedelta(days=398)
# Given to a template that asks for the day, where no prompt says it.
_UNSAID = datetime.date(2000, 1, 1)


@dataclasses.dataclass(frozen=True)
class Prompt:
  """What a model reads.

  Attributes:
    tokens: the token ids; an image token for each feature of a picture.
    pictures: the pictures, in their order.
  """

  tokens: list[int]
  pictures: tuple[Picture, ...] = ()

  @property
  def digests(self) -> tuple[str, ...]:
    """By what the pictures are known."""
    return tuple(picture.digest for picture in self.pictures)


@dataclasses.dataclass(frozen=True)
class Chat:
  """How conversations become text.

  Attributes:
    use_template: whether the tokenizer's chat template renders them, if it has
      one; otherwise they are plain text.
    arguments: what the template is told, by name, as JSON values.
    date: the day that the template prints, if it asks for one; None where that is
      not settled.
    says_date: whether a prompt depends on the day.
  """

  use_template: bool = True
  arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  date: datetime.date | None = None
  says_date: bool = True

  def describe(self) -> JsonObject:
    """The fields as JSON values, for the header of a run.

    Arguments, and a day that no prompt says, are left out, as in runs of earlier
    versions.
    """
    chat: JsonObject = {}
    if self.arguments:
      chat["arguments"] = dict(self.arguments)
    if self.date is not None and self.says_date:
      chat["date"] = self.date.isoformat()
    return {"chat_template": self.use_template} | (
      {"chat": chat} if chat else {}
    )


def read_chat(task: JsonObject) -> Chat:
  """Reads back what `Chat.describe` wrote into the header of a run."""
  chat = task.get("chat", {})
  date = chat.get("date")
  return Chat(
    task["chat_template"],
    chat.get("arguments", {}),
    None if date is None else datetime.date.fromisoformat(date),
  )


def settle_chat(
  tokenizer: Any,
  examples: Sequence[Example],
  chat: Chat,
  *,
  today: datetime.date | None,
  owner: str,
  vision: VisionModel | None = None,
) -> Chat:
  """Finds whether a template renders the prompts, and which day they say.

  Args:
    tokenizer: a tokenizer of `transformers`.
    examples: what the prompts ask.
    chat: what is wished.
    today: the day that the prompts say, if they say one and `chat` names none.
    owner: whose prompts they are, for messages, such as a model and a task.
    vision: how a vision-language model sees; None for a text model.

  Returns:
    The chat as it is used.

  Raises:
    UserError: if the template cannot render them, or there is none that reads
      the arguments or the day.
  """
  if not (chat.use_template and chat_templates.has_template(tokenizer)):
    for name, value in (("arguments", chat.arguments), ("date", chat.date)):
      if value:
        raise UserError(
          f"task.chat_{name} must be empty where no chat template renders the"
          f" prompts, got {value}. Leave it out, or use a tokenizer with a"
          " template and task.use_chat_template=True."
        )
    return Chat(use_template=False)
  try:
    template = chat_templates.read_template(tokenizer, chat.arguments)
  except UserError as error:
    raise UserError(f"{owner}: {error}") from error
  if not template.asks_date:
    if chat.date is not None:
      raise UserError(
        "task.chat_date must be empty where the chat template prints no day, got"
        f" {chat.date}. Leave it out; what the template reads"
        f" ({', '.join(sorted(template.arguments)) or 'nothing'}) is given with"
        " task.chat_arguments."
      )
    return chat
  date = chat.date or today or _UNSAID
  dated, later = (
    dataclasses.replace(chat, date=day) for day in (date, date + _LATER)
  )
  speller = vision and Speller(tokenizer, vision)
  if all(
    _render_example(tokenizer, example, dated, owner, speller)
    == _render_example(tokenizer, example, later, owner, speller)
    for example in examples
  ):
    return dataclasses.replace(dated, says_date=False)
  if chat.date is None and today is None:
    raise UserError(
      f"{owner}: the chat template prints the day, and must be given the day on"
      " which the run was begun, got none: an earlier version, which did not keep"
      " it, began the run. It cannot be continued; choose another workdir."
    )
  logging.info("%s: the chat template prints the day, %s", owner, date)
  return dated


def render_examples(
  tokenizer: Any,
  examples: Sequence[Example],
  chat: Chat,
  *,
  owner: str,
  pictures: PictureStore | None = None,
) -> list[Prompt]:
  """Renders the prompts of examples as token ids.

  A warning says if the template leaves out or changes what a message says. All
  pictures are opened and checked.

  Args:
    tokenizer: a tokenizer of `transformers`.
    examples: [Q] what the prompts ask.
    chat: how they become text, as `settle_chat` returns it.
    owner: whose prompts they are, for messages, such as a model and a task.
    pictures: where the pictures of a vision-language model are gathered; None for
      a text model.

  Returns:
    [Q] the prompts.

  Raises:
    UserError: if the template does not render one, or a picture cannot be shown;
      it names the example.
  """
  rendered, changed = [], []
  speller = pictures and Speller(tokenizer, pictures.vision)
  for example in examples:
    text = _render_example(tokenizer, example, chat, owner, speller)
    changed += [
      f"{message.role} of example {example.id}"
      for message in example.messages
      for part in message.parts
      if isinstance(part, str)
      and (speller.protect(part) if speller else part).strip() not in text
    ]
    ids = _encode(tokenizer, text, chat, speller)
    if pictures is not None and speller is not None:
      named = f"{owner}, example {example.id}"
      grids = [pictures.add(p, owner=named) for p in example.pictures]
      ids = speller.expand(ids, grids, owner=named)
    rendered.append(Prompt(ids, example.pictures))
  if changed:
    logging.warning(
      "%s: the chat template leaves out or changes what %d messages say, first"
      " that of %s",
      owner,
      len(changed),
      changed[0],
    )
  return rendered


def render_prompt(
  tokenizer: Any, messages: Sequence[Message], chat: Chat | None = None
) -> list[int]:
  """Renders a prompt as token ids.

  The tokenizer's chat template renders it, where there is one, whatever the name
  of the model; otherwise it is plain text, with a blank line between messages.

  Args:
    tokenizer: a tokenizer of `transformers`.
    messages: the conversation so far.
    chat: how it becomes text, by default by the template without arguments.

  Raises:
    UserError: if the template does not render the conversation.
  """
  chat = chat or Chat()
  return _encode(tokenizer, render_text(tokenizer, messages, chat), chat)


def render_text(
  tokenizer: Any,
  messages: Sequence[Message],
  chat: Chat,
  speller: Speller | None = None,
) -> str:
  """Renders a prompt as text.

  Args:
    tokenizer: a tokenizer of `transformers`.
    messages: the conversation so far.
    chat: how it becomes text.
    speller: protects what people wrote, for a vision-language model; the text is
      then for its `encode` to read.
  """
  if not speller and any(message.pictures for message in messages):
    raise UserError(
      "A prompt with pictures needs a vision-language model, got one that reads"
      " text alone. Choose another with model.name, or a task without pictures."
    )

  def spell(part: str | Picture) -> str:
    if isinstance(part, Picture):
      return speller.picture if speller else ""
    return speller.protect(part) if speller else part

  if not _uses_template(tokenizer, chat):
    return "\n\n".join("".join(map(spell, m.parts)) for m in messages)
  contents = [
    spell(message.content)
    if isinstance(message.content, str)
    else [
      {"type": "image"}
      if isinstance(part, Picture)
      else {"type": "text", "text": spell(part)}
      for part in message.content
    ]
    for message in messages
  ]
  return chat_templates.render_chat(
    tokenizer,
    [
      {"role": message.role, "content": content}
      for message, content in zip(messages, contents, strict=True)
    ],
    date=chat.date,
    arguments=chat.arguments,
  )


def _render_example(
  tokenizer: Any,
  example: Example,
  chat: Chat,
  owner: str,
  speller: Speller | None,
) -> str:
  """Renders one prompt as text, and names it where that fails."""
  try:
    return render_text(tokenizer, example.messages, chat, speller)
  except UserError as error:
    raise UserError(f"{owner}, example {example.id}: {error}") from error


def _encode(
  tokenizer: Any, text: str, chat: Chat, speller: Speller | None = None
) -> list[int]:
  """The ids of a rendered prompt; a template writes the special tokens."""
  is_plain = not _uses_template(tokenizer, chat)
  if speller is None:
    return tokenizer.encode(text, add_special_tokens=is_plain)
  first = tokenizer.encode("", add_special_tokens=True) if is_plain else []
  return first + speller.encode(text)


def _uses_template(tokenizer: Any, chat: Chat) -> bool:
  return chat.use_template and chat_templates.has_template(tokenizer)
