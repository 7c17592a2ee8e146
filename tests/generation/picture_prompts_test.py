"""Tests of prompts with pictures: order of parts, what is typed, what is refused."""

import functools
import io

import numpy as np
import pytest
from golden import transformer_cases as cases
from golden import vision_cases
from PIL import Image

from thickets.errors import UserError
from thickets.generation import prompts
from thickets.generation.pictures import PictureStore
from thickets.generation.prompts import Chat
from thickets.models import families
from thickets.models.vision import processor_files
from thickets.tasks import pictures
from thickets.tasks.base import Example, Message

# As the published templates do it: parts in the order given, no line between.
TEMPLATE = (
  "{% for m in messages %}w9 {% if m.content is string %}{{ m.content }}"
  "{% else %}{% for part in m.content %}{% if part.type == 'image' %}"
  "<start><pad><end>{% else %} {{ part.text }} {% endif %}{% endfor %}"
  "{% endif %}{% endfor %} w8"
)
START, END, PAD, VIDEO = 20, 21, 22, 23


@functools.cache
def make_tokenizer(template=TEMPLATE):
  tokenizer = cases.make_tokenizer(20, chat_template=template)
  names = ["<start>", "<end>", "<pad>", "<video>"]
  tokenizer.add_special_tokens({"additional_special_tokens": names})
  assert tokenizer.convert_tokens_to_ids(names) == [START, END, PAD, VIDEO]
  return tokenizer


def make_store(tokenizer):
  fields = vision_cases.QWEN2_5_VL | {
    "vision_start_token_id": START,
    "vision_end_token_id": END,
    "image_token_id": PAD,
    "video_token_id": VIDEO,
  }
  return PictureStore(
    processor_files.make_vision_model(
      fields,
      families.parse_vision(fields),
      300,
      tokenizer,
      processor_files.write_file(vision_cases.PREPROCESSOR),
    )
  )


@functools.cache
def make_picture(height, width):
  file = io.BytesIO()
  Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(file, "PNG")
  return pictures.from_bytes(file.getvalue(), f"{height} by {width}")


WIDE, HIGH = (
  make_picture(16, 24),
  make_picture(24, 8),
)  # 2 x 3 and 3 x 1 tokens.


def render(*parts, template=TEMPLATE, chat=None, store=True):
  tokenizer = make_tokenizer(template)
  example = Example("7", (Message("user", parts),), None)
  (prompt,) = prompts.render_examples(
    tokenizer,
    [example],
    chat or Chat(),
    owner="M, task T",
    pictures=make_store(tokenizer) if store else None,
  )
  return prompt


def show(count):
  return [START, *[PAD] * count, END]


def test_parts_keep_their_order_and_pictures_their_size():
  prompt = render(WIDE, "w3", HIGH, "w4")
  assert prompt.tokens == [9, *show(6), 3, *show(3), 4, 8]
  assert prompt.digests == (WIDE.digest, HIGH.digest)
  assert render("w3", HIGH).tokens == [9, 3, *show(3), 8]


def test_what_is_typed_is_text():
  typed = render(HIGH, "w3 <pad> w4 <end>")
  assert typed.tokens.count(PAD) == 3
  assert typed.tokens.count(END) == 1
  # The words around it are there.
  assert [t for t in typed.tokens if t in (3, 4)] == [3, 4]
  # Characters by which texts are protected are themselves typed.
  strange = render(HIGH, "w3 \ue000\ue001 w4")
  assert [t for t in strange.tokens if t in (3, 4, PAD)] == [PAD] * 3 + [3, 4]
  assert render("w3 <pad>").tokens.count(PAD) == 0


def test_without_a_template_there_is_a_plain_form():
  expected = [*show(6), 3, *show(3)]
  assert render(WIDE, "w3", HIGH, template=None).tokens == expected
  assert render(WIDE, "w3", HIGH, chat=Chat(False)).tokens == expected


def test_text_is_that_of_a_model_of_text():
  for chat in (Chat(), Chat(False)):
    seen = render("w3 w4", chat=chat)
    assert seen == render("w3 w4", chat=chat, store=False)


def test_image_tokens_are_as_many_as_pictures():
  for template in ("w1 {{ messages[0].content[1].text }}", "<pad>" + TEMPLATE):
    with pytest.raises(
      UserError, match=r"M, task T, example 7: .* image token for each"
    ):
      render(HIGH, "w3", template=template)


def test_a_template_that_takes_no_parts_is_refused():
  with pytest.raises(UserError, match="example 7: The chat template must"):
    render(HIGH, "w3", template="{{ 'w1' + messages[0].content }}")


def test_a_model_of_text_is_shown_no_picture():
  for chat in (Chat(), Chat(False)):
    with pytest.raises(UserError, match=r"example 7: .*reads text alone"):
      render(HIGH, "w3", chat=chat, store=False)


def test_a_picture_that_cannot_be_read_is_named_with_its_example(tmp_path):
  path = tmp_path / "it.png"
  path.write_bytes(WIDE.read())
  picture = pictures.from_path(path)
  path.unlink()
  with pytest.raises(UserError, match=r"it\.png"):
    render(picture, "w3")
  thin = make_picture(1, 300)
  with pytest.raises(UserError, match="task T, example 7, picture 1 by 300"):
    render(thin, "w3")
