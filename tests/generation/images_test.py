"""Tests of prompts with images: whole texts, read anew, say what must come out."""

import dataclasses
import functools
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pictured
import pytest
import unoptimised

from thickets.generation import batching as batching_lib
from thickets.generation import texts as texts_lib
from thickets.generation.batching import Batching
from thickets.generation.decode_step import NO_TOKEN
from thickets.generation.decoding import Decoding
from thickets.generation.generator import Generator
from thickets.generation.texts import PromptImages
from thickets.models import transformer
from thickets.models.layout import Layout, stack_weights
from thickets.models.vision.images import FeatureTable, Images
from thickets.models.vision.positions import find_positions
from thickets.search import meshes

STEPS = 10
TEXT = 64  # The oracle's texts are filled up to so many tokens.
TOLERANCE = 1e-4
GRIDS = ((2, 3), (4, 2), (2, 3), (1, 5))
FEATURES = pictured.make_features(GRIDS, num_deepstack=2)
# Texts, and images by number: with none, with one, with two of different size, the
# same question about two images of one size, and a question before its image.
SHOWN = (
  ([5, 6, 7], 0, [8, 9]),
  ([3, 4, 5, 6],),
  ([5, 6, 7], 2, [8, 9]),
  ([7], 1, [2], 3, [8]),
  ([5, 6, 7], 0, [9, 3, 11]),
  ([60, 61, 62], 3, [4]),
)


def make_prompts(shown=SHOWN):
  """Token ids of prompts, and the images of each."""
  prompts = [
    pictured.make_text(
      *(GRIDS[part] if isinstance(part, int) else part for part in parts)
    )
    for parts in shown
  ]
  numbers = [[p for p in parts if isinstance(p, int)] for parts in shown]
  return prompts, numbers


def make_images(numbers, features=FEATURES):
  table = FeatureTable(*map(jnp.asarray, features))
  return PromptImages(numbers, GRIDS, table, pictured.IMAGE)


@functools.cache
def model(axes="contiguous", **changes):
  config, params = pictured.make_model(axes, num_hidden_layers=2, **changes)
  apply = jax.jit(
    functools.partial(transformer.apply, config),
    compiler_options=unoptimised.OPTIONS,
  )
  return config, params, apply


def expect(
  prompts, numbers, *, params=None, features=FEATURES, axes="contiguous"
):
  """(tokens, gaps) [Q, STEPS]: every text is read as a whole for each token."""
  _, base, apply = model(axes)
  params = base if params is None else params
  starts = np.cumsum([0, *(rows * columns for rows, columns in GRIDS)])
  count = len(prompts)
  texts = np.zeros((8, TEXT), np.int32)
  ends = np.array([len(prompt) for prompt in prompts])
  places = np.full((8, TEXT), -1, np.int32)
  for row, (prompt, shown) in enumerate(zip(prompts, numbers, strict=True)):
    texts[row, : len(prompt)] = prompt
    rows = [np.arange(starts[i], starts[i + 1]) for i in shown]
    is_image = np.flatnonzero(np.asarray(prompt) == pictured.IMAGE)
    places[row, is_image] = np.concatenate(rows) if rows else []
  tokens, gaps = np.zeros((2, count, STEPS))
  for step in range(STEPS):
    positions = np.zeros((3, 8, TEXT), np.int32)
    for row, shown in enumerate(numbers):
      positions[:, row] = find_positions(
        texts[row], [GRIDS[i] for i in shown], image_token=pictured.IMAGE
      )[0]
    images = Images(places, positions, *map(jnp.asarray, features))
    logits = np.asarray(apply(params, texts, images), np.float64)
    logits = logits[np.arange(count), ends - 1][:, : pictured.IMAGE]
    tokens[:, step] = logits.argmax(axis=1)
    best = np.sort(logits, axis=1)
    gaps[:, step] = best[:, -1] - best[:, -2]
    texts[np.arange(count), ends] = tokens[:, step]
    ends += 1
  return tokens.astype(np.int32), gaps


@functools.cache
def expected(axes="contiguous"):
  return expect(*make_prompts(), axes=axes)


def check(responses, tokens, gaps, rows=None):
  """Rows are those of the oracle, up to a place where two logits tie."""
  for place, row in enumerate(range(len(tokens)) if rows is None else rows):
    differing = np.flatnonzero(responses.tokens[place] != tokens[row])
    first = differing[0] if differing.size else 0
    assert not differing.size or gaps[row, first] < TOLERANCE, f"row {row}"


def make_generator(
  axes="contiguous", *, devices=1, layout=Layout.STACKED, **options
):
  config = model(axes)[0]
  decoding = options.pop("decoding", None) or Decoding(
    STEPS, num_tokens=pictured.IMAGE
  )
  return Generator(
    config,
    decoding,
    mesh=meshes.make_mesh(jax.devices()[:devices]),
    layout=layout,
    batching=Batching(**options),
  )


@functools.cache
def shared_generator():
  return make_generator(segment=4)


@pytest.mark.slow
@pytest.mark.parametrize(
  ("axes", "layout", "rows", "devices"),
  [
    ("contiguous", Layout.STACKED, 6, 1),
    ("interleaved", Layout.APART, 4, 1),
    ("contiguous", Layout.APART, None, 2),
  ],
)
def test_responses_are_those_of_whole_texts_read_anew(
  axes, layout, rows, devices
):
  prompts, numbers = make_prompts()
  generator = make_generator(
    axes, layout=layout, rows=rows, segment=4, devices=devices
  )
  responses = generator.generate(
    model(axes)[1], prompts, images=make_images(numbers)
  )
  check(responses, *expected(axes))
  assert len(np.unique(expected(axes)[0])) > 12


def test_images_follow_their_prompts_and_no_call_leaves_a_trace():
  prompts, numbers = make_prompts()
  order = [3, 0, 5, 1, 4, 2]
  generator = shared_generator()
  for rows in (range(6), order, [1, 3], range(6)):
    responses = generator.generate(
      model()[1],
      [prompts[row] for row in rows],
      images=make_images([numbers[row] for row in rows]),
    )
    check(responses, *expected(), rows=rows)


def test_rows_that_stop_leave_the_others_as_they_are():
  prompts, numbers = make_prompts()
  tokens, gaps = expected()
  stop = int(tokens[0, 2])
  generator = make_generator(
    segment=3,
    decoding=Decoding(STEPS, stop_tokens=(stop,), num_tokens=pictured.IMAGE),
  )
  responses = generator.generate(
    model()[1], prompts, images=make_images(numbers)
  )
  assert gaps.min() > TOLERANCE
  for row, text in enumerate(tokens):
    ends = np.flatnonzero(text == stop)
    length = int(ends[0]) + 1 if len(ends) else STEPS
    np.testing.assert_array_equal(responses.tokens[row, :length], text[:length])
    assert (responses.tokens[row, length:] == NO_TOKEN).all()
  assert len({*responses.lengths.tolist()}) > 1


def test_another_image_changes_the_answer():
  # Rows 0 and 2 ask the same about images of one size: only features differ.
  prompts, _ = make_prompts()
  assert prompts[0] == prompts[2]
  tokens, _ = expected()
  assert (tokens[0] != tokens[2]).any()


@pytest.mark.parametrize(
  ("first", "second"), [(0, 2), pytest.param(0, 0, marks=pytest.mark.slow)]
)
def test_a_prefix_ends_before_images_that_differ(first, second):
  before = list(range(20, 40))
  prompts, numbers = make_prompts(
    ((before, first, [8, 9]), (before, second, [8, 10, 11]))
  )
  generator = shared_generator()
  with mock.patch.object(
    generator.programs, "run_prefix", wraps=generator.programs.run_prefix
  ) as run:
    responses = generator.generate(
      model()[1], prompts, images=make_images(numbers)
    )
  check(responses, *expect(prompts, numbers))
  (call,) = run.call_args_list
  width = call.args[1].tokens.shape[1]
  # What both begin with: the text, and the image where it is one.
  assert width == (21 if first != second else 21 + 6 + 2)


def _ask_about(images, count):
  """Questions about each of some images."""
  rng = np.random.default_rng(3)
  shown = [
    ([5, 6], image, [7, *rng.integers(0, 80, 1 + n % 3).tolist()])
    for n in range(count)
    for image in images
  ]
  return make_prompts(shown)


@pytest.mark.parametrize(
  "devices", [1, pytest.param(2, marks=pytest.mark.slow)]
)
def test_what_questions_begin_with_is_read_once(devices):
  prompts, numbers = _ask_about((0, 1, 2), 2)
  prompts, numbers = [*prompts, [4, 5, 6]], [*numbers, []]
  generator = make_generator(segment=4, devices=devices)
  images = make_images(numbers)
  with mock.patch.object(
    generator.programs, "prefill", wraps=generator.programs.prefill
  ) as fill:
    together = generator.generate(model()[1], prompts, images=images)
  (call,) = fill.call_args_list
  begun = call.args[1].beginnings
  read = begun.reading.places
  # [G, U, T] each feature is read by one row; a group has images of its own, but
  # for those whose questions it shares with another.
  for group in read:
    seen = group[group >= 0]
    assert len(seen) == len(np.unique(seen))
  if devices == 1:
    assert (read >= 0).sum() == 6 + 8 + 6
  assert (call.args[1].reading.places < 0).all()
  check(together, *expect(prompts, numbers))
  with mock.patch.object(batching_lib, "find_beginnings", return_value=None):
    alone = generator.generate(model()[1], prompts, images=images)
  np.testing.assert_array_equal(together.tokens, alone.tokens)
  np.testing.assert_allclose(together.log_probs, alone.log_probs, atol=1e-4)


@pytest.mark.slow
def test_rows_beyond_one_batch_begin_alike_too():
  prompts, numbers = _ask_about((0, 1), 3)
  generator = make_generator(rows=4, segment=4)
  responses = generator.generate(
    model()[1], prompts, images=make_images(numbers)
  )
  check(responses, *expect(prompts, numbers))


@pytest.mark.slow
def test_members_read_images_each_for_itself():
  prompts, numbers = _ask_about((0, 2), 2)
  base = model()[1]
  other = jax.tree.map(lambda leaf: leaf * 1.25, base)
  features = [FEATURES, pictured.make_features(GRIDS, seed=9, num_deepstack=2)]
  generator = make_generator(segment=4)
  stacked = stack_weights([generator.layout.arrange(p) for p in (base, other)])
  shared = make_images(numbers)
  own = dataclasses.replace(
    shared,
    table=FeatureTable(
      *(jnp.stack(leaves) for leaves in zip(*features, strict=True))
    ),
    has_own_tables=True,
  )
  for images, given in ((shared, [FEATURES] * 2), (own, features)):
    responses = generator.generate_members(stacked, prompts, images=images)
    for member, params in enumerate((base, other)):
      one = jax.tree.map(lambda leaf, m=member: leaf[m], responses)
      found = expect(prompts, numbers, params=params, features=given[member])
      check(one, *found)


def test_texts_know_which_tokens_are_read_alike():
  prompts, numbers = make_prompts()
  texts = texts_lib.make_texts(prompts, make_images(numbers))
  assert texts[0].keys[:4] == texts[2].keys[:4] == [5, 6, 7, pictured.START]
  assert not {*texts[0].keys[4:10]} & {*texts[2].keys[4:10]}
  assert texts[1].delta == 0
  assert [text.delta for text in texts] == [-3, 0, -3, -4, -3, 0]
  part = texts[0].cut(4, 10)
  assert part.places.tolist() == list(range(6))
  assert part.positions[1].tolist() == [4, 4, 4, 5, 5, 5]


def test_image_tokens_must_be_those_of_the_images():
  prompts, numbers = make_prompts()
  generator = shared_generator()
  numbers[0] = [1]
  with pytest.raises(ValueError, match="Prompt 0: Image 0 must have 4 x 2"):
    generator.generate(model()[1], prompts, images=make_images(numbers))
