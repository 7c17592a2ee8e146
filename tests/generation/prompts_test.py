"""Tests of prompts: by the tokenizer's template where it has one, else plain."""

from absl.testing import parameterized
from golden import transformer_cases as cases

from thickets.generation import prompts
from thickets.models import byte_tokenizer
from thickets.tasks.base import Message, ask

TEMPLATE = (
  "w9 {% for m in messages %}"
  "{{ {'system': 'w7', 'user': 'w8'}[m['role']] }} {{ m['content'] }} "
  "{% endfor %}{% if add_generation_prompt %}w6{% endif %}"
)


class PromptsTest(parameterized.TestCase):
  def _tokenizer(self, **options):
    return cases.make_tokenizer(**options)

  def test_a_template_frames_each_message_and_opens_the_answer(self):
    tokenizer = self._tokenizer(chat_template=TEMPLATE)
    self.assertTrue(prompts.has_chat(tokenizer))
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
    self.assertFalse(prompts.has_chat(plain))
    self.assertEqual(prompts.render_prompt(plain, messages), [5, 3, 4])
    chat = self._tokenizer(chat_template=TEMPLATE)
    self.assertEqual(
      prompts.render_prompt(chat, messages, use_chat=False), [5, 3, 4]
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
