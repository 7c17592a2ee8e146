"""Tests of prompts: by the tokenizer's template where it has one, else plain."""

import datetime

from absl.testing import parameterized
from golden import transformer_cases as cases

from thickets.errors import UserError
from thickets.generation import prompts
from thickets.generation.prompts import Chat
from thickets.models import byte_tokenizer
from thickets.tasks.base import Example, Message, ask

TEMPLATE = (
  "w9 {% for m in messages %}"
  "{{ {'system': 'w7', 'user': 'w8'}[m['role']] }} {{ m['content'] }} "
  "{% endfor %}{% if add_generation_prompt %}w6{% endif %}"
)
# Mistral's: the day is said where there is no system message.
DATED = (
  "{% set day = strftime_now('%d %m %Y') %}{% for m in messages %}"
  "{% if m.role == 'user' and loop.first %}w{{ day.split()[0] | int }} {% endif %}"
  "{{ m.content }} {% endfor %}{% if think is defined %}w2{% endif %}"
)
DAY, LATER = datetime.date(2026, 1, 7), datetime.date(2026, 1, 8)
EXAMPLES = [Example("a", ask("w3"), ""), Example("b", ask("w4"), "")]
SYSTEM = [Example("a", ask("w3", system="w5"), "")]


class PromptsTest(parameterized.TestCase):
  def _tokenizer(self, **options):
    return cases.make_tokenizer(**options)

  def test_a_template_frames_each_message_and_opens_the_answer(self):
    tokenizer = self._tokenizer(chat_template=TEMPLATE)
    self.assertEqual(
      prompts.render_prompt(tokenizer, ask("w3 w4", system="w5")),
      [9, 7, 5, 8, 3, 4, 6],
    )
    self.assertEqual(
      prompts.render_prompt(tokenizer, ask("w3 w4")), [9, 8, 3, 4, 6]
    )

  def test_no_template_or_none_wanted_is_plain_text(self):
    messages = ask("w3 w4", system="w5")
    plain = self._tokenizer()
    self.assertEqual(prompts.render_prompt(plain, messages), [5, 3, 4])
    chat = self._tokenizer(chat_template=TEMPLATE)
    self.assertEqual(
      prompts.render_prompt(chat, messages, Chat(False)), [5, 3, 4]
    )

  def test_special_tokens_are_written_once(self):
    """By the tokenizer in plain text, by the template in a chat."""
    tokenizer = byte_tokenizer.make_tokenizer()
    found = prompts.render_prompt(
      tokenizer, (Message("system", "a"), Message("user", "é"))
    )
    text = "a\n\né".encode()  # A blank line between messages.
    self.assertEqual(found, [1, *(3 + byte for byte in text)])
    tokenizer.chat_template = "{{ messages[0]['content'] }}"
    self.assertEqual(
      prompts.render_prompt(tokenizer, ask("ab")), [3 + 97, 3 + 98]
    )


class SettleTest(parameterized.TestCase):
  """Which day prompts say, and what of it a header keeps."""

  def settle(self, template=DATED, chat=None, examples=EXAMPLES, today=DAY):
    self.tokenizer = cases.make_tokenizer(chat_template=template)
    return prompts.settle_chat(
      self.tokenizer, examples, chat or Chat(), today=today, owner="M, task T"
    )

  def render(self, chat, examples=EXAMPLES):
    rendered = prompts.render_examples(
      self.tokenizer, examples, chat, owner="M, task T"
    )
    return [prompt.tokens for prompt in rendered]

  def test_a_new_run_says_today_and_keeps_it(self):
    chat = self.settle()
    self.assertEqual(
      chat.describe(), {"chat_template": True, "chat": {"date": "2026-01-07"}}
    )
    self.assertEqual(self.render(chat), [[7, 3], [7, 4]])
    again = self.settle(chat=prompts.read_chat(chat.describe()), today=LATER)
    self.assertEqual(again, chat)
    self.assertEqual(self.render(self.settle(today=LATER))[0], [8, 3])

  def test_the_day_of_a_config_counts(self):
    chat = self.settle(chat=Chat(date=LATER))
    self.assertEqual(self.render(chat)[0], [8, 3])

  def test_prompts_that_do_not_say_the_day_keep_none(self):
    """As runs of earlier versions, which are continued on any day."""
    for today in (DAY, LATER, None):
      chat = self.settle(examples=SYSTEM, today=today)
      self.assertEqual(chat.describe(), {"chat_template": True})
      self.assertEqual(self.render(chat, SYSTEM), [[5, 3]])

  def test_a_run_that_did_not_keep_its_day_is_refused(self):
    with self.assertRaisesRegex(
      UserError, "M, task T: the chat template prints the day.*another workdir"
    ):
      self.settle(today=None)

  def test_arguments_are_kept(self):
    chat = self.settle(chat=Chat(arguments={"think": [1, None]}))
    self.assertEqual(self.render(chat)[0], [7, 3, 2])
    self.assertEqual(prompts.read_chat(chat.describe()), chat)
    with self.assertRaisesRegex(UserError, "M, task T: .*Nearest: think"):
      self.settle(chat=Chat(arguments={"thinks": True}))

  @parameterized.parameters(
    (None, {"arguments": {"a": 1}}, "chat_arguments must be empty where no"),
    (None, {"date": DAY}, "chat_date must be empty where no chat template"),
    (
      "x",
      {"use_template": False, "date": DAY},
      "chat_date must be empty where",
    ),
    (
      "{{ date_string }}",
      {"date": DAY},
      r"chat_date must be empty .* prints no day, .*\(date_string\)",
    ),
  )
  def test_what_has_no_effect_is_refused(self, template, fields, message):
    with self.assertRaisesRegex(UserError, message):
      self.settle(template, Chat(**fields))

  def test_plain_text_is_settled_as_such(self):
    plain = {"chat_template": False}
    self.assertEqual(self.settle(None).describe(), plain)
    self.assertEqual(self.settle("x", Chat(False)).describe(), plain)

  def test_a_prompt_that_fails_is_named(self):
    chat = self.settle("{{ raise_exception('No ' ~ messages[0].role) }}")
    with self.assertRaisesRegex(
      UserError, '^M, task T, example a: .* user, got "No user"'
    ):
      self.render(chat)
    # Even where the day is looked for.
    with self.assertRaisesRegex(UserError, "^M, task T, example a: .* got"):
      self.settle("{{ strftime_now('%d') + 1 }}")

  def test_a_text_that_the_template_changes_is_said(self):
    chat = self.settle("{{ messages[-1].content.upper() }}")
    with self.assertLogs("absl", "WARNING") as logged:
      self.render(chat)
    self.assertRegex(logged.output[0], "changes what 2 .* user of example a")
    chat = self.settle("{{ messages[-1].content }}")
    with self.assertLogs("absl", "WARNING") as logged:
      self.render(chat, SYSTEM)
    self.assertRegex(logged.output[0], "changes what 1 .* system of example a")
    with self.assertNoLogs("absl", "WARNING"):
      self.render(chat)
