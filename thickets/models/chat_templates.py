"""Chat templates: from a conversation to the text that a model continues.

A template is a program that was published with a tokenizer. It is run by
`transformers`, and reads no more than its arguments here: the day that some
templates print is one of them, and those that draw random values are refused.
"""

import dataclasses
import datetime
import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from thickets import errors
from thickets.errors import UserError

# The function by which a template asks for the day, and the variable from which
# the macro in its place reads it.
_NOW, _DATES = "strftime_now", "thickets_dates"
# Written in front of a template. The line's end is part of the tag (transformers
# sets trim_blocks), so that the template begins at the beginning of a line.
_MACRO = (
  f"{{% macro {_NOW}(format) %}}"
  f"{{% if format not in {_DATES} %}}"
  f"{{{{ raise_exception('{_NOW} takes a constant format, got ' ~ format) }}}}"
  f"{{% endif %}}{{{{ {_DATES}[format] }}}}{{% endmacro %}}\n"
)
# What `render_chat` says itself, and what it cannot pass on: arguments of
# `apply_chat_template` that are not the template's.
_OWN = frozenset(("messages", "add_generation_prompt"))
_NOT_PASSED = frozenset(
  (
    "conversation",
    "chat_template",
    "continue_final_message",
    "tokenize",
    "sanitize_control_tokens",
    "padding",
    "truncation",
    "max_length",
    "return_tensors",
    "return_dict",
    "return_assistant_tokens_mask",
    "tokenizer_kwargs",
  )
)
_RANDOM = ("random", "lipsum")  # A filter and a function of Jinja.
# A conversation that ends with what the model said, and a day on which it is held.
_SAID = "It is five."
_ANSWERED = (
  {"role": "user", "content": "What is 2 + 3?"},
  {"role": "assistant", "content": _SAID},
)
_SOME_DAY = datetime.date(2000, 1, 1)


@dataclasses.dataclass(frozen=True)
class ChatTemplate:
  """A chat template, and what it reads besides the messages.

  Attributes:
    text: its source.
    arguments: the names of what it can be told.
    formats: the formats in which it may print the day, as of `strftime`.
    asks_date: whether it can print the day.
  """

  text: str
  arguments: frozenset[str]
  formats: frozenset[str]
  asks_date: bool


def has_template(tokenizer: Any) -> bool:
  """Whether a tokenizer has a chat template."""
  return getattr(tokenizer, "chat_template", None) is not None


def read_template(
  tokenizer: Any, arguments: Mapping[str, Any] | None = None
) -> ChatTemplate:
  """Reads the chat template of a tokenizer.

  Of several templates it is the one that `transformers` takes: that named
  `default`, or `tool_use` where the arguments hold tools.

  Args:
    tokenizer: a tokenizer of `transformers` with a chat template.
    arguments: what the template is told.

  Raises:
    UserError: if there is none, or none of several is the default, if it is no
      program, draws random values, or does not read one of the arguments.
  """
  if not has_template(tokenizer):
    raise UserError(
      "A chat needs a tokenizer with a chat template, got one without. Turn the"
      " chat off, so that prompts are plain text."
    )
  arguments = arguments or {}
  templates = tokenizer.chat_template
  try:
    text = tokenizer.get_chat_template(tools=arguments.get("tools"))
  except ValueError as error:
    raise UserError(
      "Of several chat templates one must be named default, got"
      f" {sorted(templates)}. Leave the one that is meant in the tokenizer's"
      " files, or turn the chat off with task.use_chat_template=False."
    ) from error
  if not isinstance(text, str):
    raise UserError(
      f"A chat template must be a text, got {text!r}. Correct it in the"
      " tokenizer's files, or turn the chat off with"
      " task.use_chat_template=False."
    )
  template = _analyse(text)
  for name in arguments:
    if name not in template.arguments:
      raise UserError(_refuse_argument(name, template))
  return template


def render_chat(
  tokenizer: Any,
  messages: Sequence[Mapping[str, Any]],
  *,
  date: datetime.date | None = None,
  arguments: Mapping[str, Any] | None = None,
  is_answered: bool = False,
) -> str:
  """The text of a conversation, by default up to where the model answers.

  Args:
    tokenizer: a tokenizer of `transformers` with a chat template.
    messages: the turns so far, with `role` and `content` each: a text, or a list
      of parts that have a `type`, `text` or `image`.
    date: the day that the template prints, if it prints one; the time of day is
      midnight.
    arguments: what else the template reads, by name, such as `enable_thinking`.
    is_answered: whether the last message is the model's, so that no other is
      begun.

  Raises:
    UserError: if there is no template, it does not read one of the arguments,
      prints the day and none is given, or refuses the conversation.
  """
  arguments = dict(arguments or {})
  template = read_template(tokenizer, arguments)
  text = template.text
  if template.asks_date:
    if date is None:
      raise UserError(
        "A chat template that prints the day must be given one, got none. Pass"
        " date=datetime.date.today(), or a fixed day."
      )
    text = _MACRO + text
    arguments[_DATES] = _format_date(date, template.formats)
  try:
    return tokenizer.apply_chat_template(
      list(messages),
      chat_template=text,
      tokenize=False,
      add_generation_prompt=not is_answered,
      **arguments,
    )
  except Exception as error:  # Jinja's, and whatever an expression raises.
    roles = ", ".join(str(message["role"]) for message in messages)
    raise UserError(
      f"The chat template must render a conversation of {roles}, got"
      f" {_say(error)} Ask in messages that it takes, give what it reads with"
      " task.chat_arguments, or turn the chat off with"
      " task.use_chat_template=False."
    ) from error


def find_turn_end(tokenizer: Any) -> int | None:
  """The special token that a chat template writes behind what a model said.

  Returns:
    Its id; None if there is no template, it writes none, or it does not render
    a plain conversation.
  """
  if not has_template(tokenizer):
    return None
  try:
    text = render_chat(tokenizer, _ANSWERED, date=_SOME_DAY, is_answered=True)
  except UserError:  # It is said where a conversation is rendered.
    return None
  _, said, rest = text.rpartition(_SAID)
  ends = {
    token.content: number
    for number, token in tokenizer.added_tokens_decoder.items()
    if said and token.special and rest.lstrip().startswith(token.content)
  }
  return ends[max(ends, key=len)] if ends else None


@functools.cache
def _analyse(text: str) -> ChatTemplate:
  """Parses a template, as `transformers` would."""
  import jinja2.ext
  import jinja2.meta
  import jinja2.sandbox
  from jinja2 import nodes

  class Generation(jinja2.ext.Extension):
    """Marks what models write, which changes no text."""

    tags = {"generation"}  # noqa: RUF012 -- As Jinja declares it.

    def parse(self, parser: Any) -> Any:
      next(parser.stream)
      return parser.parse_statements(("name:endgeneration",), drop_needle=True)

  environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
    trim_blocks=True,
    lstrip_blocks=True,
    extensions=[Generation, jinja2.ext.loopcontrols],
  )
  environment.globals |= {_NOW: None, "raise_exception": None}
  try:
    tree = environment.parse(text)
    names = jinja2.meta.find_undeclared_variables(tree)
  except (jinja2.TemplateError, RecursionError) as error:
    raise UserError(
      f"A chat template must be a program in Jinja, got {_say(error)}"
      " Mend it in the tokenizer's files, or turn the chat off with"
      " task.use_chat_template=False."
    ) from error
  used = {name.name for name in tree.find_all(nodes.Name)}
  drawn = used | {call.name for call in tree.find_all(nodes.Filter)}
  for name in _RANDOM:
    if name in drawn:
      raise UserError(
        "A chat template must render a conversation always alike, got one that"
        f" draws random values with {name!r}. Mend it in the tokenizer's files,"
        " or turn the chat off with task.use_chat_template=False."
      )
  # A format may stand elsewhere than in the call, as in a variable.
  formats = {
    constant.value
    for constant in tree.find_all(nodes.Const)
    if isinstance(constant.value, str) and "%" in constant.value
  }
  for call in tree.find_all(nodes.Call):
    if isinstance(call.node, nodes.Name) and call.node.name == _NOW:
      formats |= _fold(call.args)
  return ChatTemplate(
    text,
    arguments=frozenset(names) - _OWN - _NOT_PASSED,
    formats=frozenset(formats),
    asks_date=_NOW in used,
  )


def _format_date(date: datetime.date, formats: Iterable[str]) -> dict[str, str]:
  """The day in several formats, at midnight."""
  moment = datetime.datetime.combine(date, datetime.time())
  written = {}
  for text in formats:
    try:
      written[text] = moment.strftime(text)
    except ValueError:  # It is some other text with a percent sign.
      continue
  return written


def _fold(expressions: Sequence[Any]) -> set[str]:
  """The values of those expressions that are constant texts."""
  from jinja2 import nodes

  values = []
  for expression in expressions:
    try:
      values.append(expression.as_const())
    except nodes.Impossible:
      continue
  return {value for value in values if isinstance(value, str)}


def _say(error: Exception) -> str:
  """What a template or Jinja says of it, as the end of a sentence."""
  import jinja2

  text, place = errors.describe_error(error), ""
  if isinstance(error, jinja2.TemplateSyntaxError):
    text, place = error.message or text, f" in line {error.lineno}"
  elif type(error) is jinja2.TemplateError:  # As raise_exception raises it.
    text = str(error)
  return f'"{" ".join(text.split())[:300].rstrip(".")}"{place}.'


def _refuse_argument(name: str, template: ChatTemplate) -> str:
  known = sorted(template.arguments)
  reads = f"what it reads ({', '.join(known)})" if known else "nothing"
  near = f" Nearest: {errors.nearest(name, known, count=1)}." if known else ""
  return (
    f"The chat template must be told {reads}, got {name!r}.{near} Correct"
    " task.chat_arguments."
  )
