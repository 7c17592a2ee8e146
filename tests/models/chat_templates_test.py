"""Tests of chat templates: as transformers renders them, but on a given day."""

import datetime
from unittest import mock

import transformers
from absl.testing import parameterized
from golden import transformer_cases as cases

from thickets.errors import UserError
from thickets.models import chat_templates

DAY = datetime.date(2024, 2, 29)
USER = {"role": "user", "content": "w3"}
SYSTEM = {"role": "system", "content": "w5"}
# What published templates do with the day, shortened.
DATED = {
  # Llama 3.2 and 3.3.
  "if_not_given": (
    "{{- bos_token }}\n{%- if not date_string is defined %}\n"
    "    {%- if strftime_now is defined %}\n"
    '        {%- set date_string = strftime_now("%d %b %Y") %}\n'
    "    {%- else %}\n        {%- set date_string = '26 Jul 2024' %}\n"
    "    {%- endif %}\n{%- endif %}\n"
    '{{- "Today Date: " + date_string + "\\n\\n" }}'
    "{%- for m in messages %}{{ m.content | trim }}{%- endfor %}"
  ),
  # gpt-oss: in a macro.
  "macro": (
    "{#-\n  A comment. #}\n{%- macro system() -%}\n"
    '{{- "Current date: " + strftime_now("%Y-%m-%d") + "\\n" }}\n'
    "{%- endmacro -%}\n{{ system() }}{{ messages[0].content }}"
  ),
  # Mistral Small 3: always asked for, said without a system message only.
  "default_system": (
    '\n    {%- set today = strftime_now("%Y-%m-%d") %}\n'
    '    {%- set default = "The date is " + today + ".\\n" %}\n'
    "    {%- if messages[0].role == 'system' %}{{ messages[0].content }}\n"
    "    {%- else %}{{ default }}{%- endif %}\n    [INST]"
  ),
  # Begins with what lstrip_blocks and trim_blocks remove, and asks by a name.
  "spaces": (
    '  {% set f = strftime_now %}\n{% set how = "%A" %}\n'
    '{% generation %}{{ f(how) }} {{ f(format="%H:%M") }}{% endgeneration %}\n'
    '{{ strftime_now("%-d " ~ "%B") }} 100% {{ "100%" }}\n'
  ),
  "lines": '\n\n{{ strftime_now("%j") }}\n\n',
}
PLAIN = {
  # Qwen3.
  "thinking": (
    "{%- for m in messages %}<{{ m.role }}>{{ m.content }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<assistant>' }}"
    "{%- if enable_thinking is defined and enable_thinking is false %}"
    "{{- '<think></think>' }}{%- endif %}{%- endif %}"
  ),
  "tools": (
    "{% for tool in tools or [] %}{{ tool | tojson }}{% endfor %}"
    "{{ eos_token }}{% set ns = namespace(n=0) %}{% for m in messages %}"
    "{% set ns.n = ns.n + 1 %}{{ ns.n }}{% break %}{% endfor %}"
  ),
}


class _OnDay(datetime.datetime):
  @classmethod
  def now(cls, tz=None):
    del tz
    return cls.combine(DAY, datetime.time())


def _tokenizer(template, **options):
  return cases.make_tokenizer(chat_template=template, bos_token="w2", **options)


def _render_as_transformers(template, messages, **arguments):
  with mock.patch.object(
    transformers.utils.chat_template_utils, "datetime", _OnDay
  ):
    return _tokenizer(template).apply_chat_template(
      messages, tokenize=False, add_generation_prompt=True, **arguments
    )


class RenderTest(parameterized.TestCase):
  @parameterized.product(
    template=list(DATED.values()), messages=([USER], [SYSTEM, USER])
  )
  def test_the_day_is_the_one_that_is_given(self, template, messages):
    expected = _render_as_transformers(template, messages)
    found = chat_templates.render_chat(_tokenizer(template), messages, date=DAY)
    self.assertEqual(found, expected)
    other = chat_templates.render_chat(
      _tokenizer(template), messages, date=datetime.date(2025, 4, 3)
    )
    is_said = template != DATED["default_system"] or messages[0] == USER
    self.assertEqual(other != expected, is_said)

  def test_a_template_that_prints_the_day_must_be_given_one(self):
    for template in DATED.values():
      with self.assertRaisesRegex(UserError, "prints the day .*date=datetime"):
        chat_templates.render_chat(_tokenizer(template), [USER])

  @parameterized.parameters(
    ("thinking", {}),
    ("thinking", {"enable_thinking": False}),
    ("thinking", {"enable_thinking": True}),
    ("tools", {}),
    ("tools", {"tools": [{"type": "function", "function": {"name": "é<"}}]}),
    ("tools", {"eos_token": "w9"}),
  )
  def test_all_else_is_as_transformers_renders_it(self, name, arguments):
    template = PLAIN[name]
    self.assertEqual(
      chat_templates.render_chat(
        _tokenizer(template), [SYSTEM, USER], arguments=arguments
      ),
      _render_as_transformers(template, [SYSTEM, USER], **arguments),
    )

  def test_an_argument_may_take_the_place_of_the_day(self):
    found = chat_templates.render_chat(
      _tokenizer(DATED["if_not_given"]),
      [USER],
      date=DAY,
      arguments={"date_string": "26 Jul 2024"},
    )
    self.assertEqual(found, "w2Today Date: 26 Jul 2024\n\nw3")

  def test_of_several_templates_the_default_counts(self):
    several = {"rag": "rag", "default": "plain", "tool_use": "{{ tools }}"}
    tokenizer = _tokenizer(several)
    self.assertEqual(chat_templates.render_chat(tokenizer, [USER]), "plain")
    found = chat_templates.render_chat(
      tokenizer, [USER], arguments={"tools": [{"a": 1}]}
    )
    self.assertEqual(found, "[{'a': 1}]")
    del several["default"]
    with self.assertRaisesRegex(
      UserError, r"one must be named default, got \['rag', 'tool_use'\]"
    ):
      chat_templates.render_chat(_tokenizer(several), [USER])


class TurnEndTest(parameterized.TestCase):
  @parameterized.parameters(
    # ChatML, which goes on with a line's end.
    ("{% for m in messages %}w4{{ m.content }}w5\n{% endfor %}", 5),
    # Llama 2: spaces around the answer, and the tokenizer's own token.
    ("{% for m in messages %} {{ m.content }} {{ eos_token }}{% endfor %}", 1),
    # gpt-oss: one token where the conversation ends, another where it goes on.
    (
      "{{ messages[-1].content }}{{ 'w5' if add_generation_prompt else 'w4' }}",
      4,
    ),
    ("{{ strftime_now('%d') }}{{ messages[1].content }}w4w5", 4),
    ("{{ messages[1].content }}w44", 44),  # The longest token of several.
    ("{{ messages[1].content }}", None),
    ("{{ messages[1].content }}w6", None),  # A token as others.
    ("{{ messages[0].content }}w5", None),  # It leaves out what was said.
    ("{{ raise_exception('No answers') }}", None),
    ("{% if %}", None),
    (None, None),
  )
  def test_it_is_the_special_token_behind_an_answer(self, template, expected):
    tokenizer = _tokenizer(
      template, num_tokens=50, extra_special_tokens=["w4", "w5", "w44"]
    )
    self.assertEqual(chat_templates.find_turn_end(tokenizer), expected)


class RefuseTest(parameterized.TestCase):
  @parameterized.parameters(
    # In the template's own words.
    (
      "{{ raise_exception('System role\nnot supported') }}",
      'a conversation of system, user, got "System role not supported"',
    ),
    ("{{ now() }}", "got \"UndefinedError: 'now' is undefined\""),
    ("{{ messages[7].content }}", "got .UndefinedError: list object has no"),
    ("{{ 'a' + 1 }}", "got .TypeError: can only concatenate str"),
    (
      "{{ messages | nothing }}",
      "Jinja, got \"No filter named 'nothing'\" in line 1",
    ),
    ("\n{% if %}", r"a program in Jinja, got .*Expected an expr.* in line 2"),
    ("{% endfor %}", "a program in Jinja, got .*unknown tag 'endfor'"),
    ("{{ [1, 2] | random }}", "draws random values with 'random'"),
    ("{{ lipsum() }}", "draws random values with 'lipsum'"),
    (
      "{{ strftime_now('%d' + messages[0].content) }}",
      "got .strftime_now takes a constant format, got %dw5.",
    ),
  )
  def test_a_template_that_fails_says_why_in_one_line(self, template, message):
    with self.assertRaisesRegex(UserError, message) as caught:
      chat_templates.render_chat(_tokenizer(template), [SYSTEM, USER], date=DAY)
    text = str(caught.exception)
    self.assertNotIn("\n", text)
    self.assertIn("task.use_chat_template=False", text)

  @parameterized.parameters(
    ("thinking", "enable_thinkin", "reads .enable_thinking.*Nearest: enable_t"),
    ("thinking", "add_generation_prompt", "got 'add_generation_prompt'"),
    ("thinking", "messages", "got 'messages'"),
    (
      "tools",
      "tokenize",
      r"what it reads \(eos_token, tools\), got 'tokenize'",
    ),
  )
  def test_what_a_template_does_not_read_is_refused(self, name, key, message):
    with self.assertRaisesRegex(UserError, message):
      chat_templates.render_chat(
        _tokenizer(PLAIN[name]), [USER], arguments={key: True}
      )

  def test_a_template_must_be_a_text(self):
    with self.assertRaisesRegex(UserError, "must be a text, got 5"):
      chat_templates.render_chat(_tokenizer(5), [USER])

  def test_a_template_that_reads_nothing_is_told_nothing(self):
    with self.assertRaisesRegex(UserError, "must be told nothing, got 'a'"):
      chat_templates.render_chat(_tokenizer("x"), [USER], arguments={"a": True})
