"""Tests of pictures before an evaluator: encoded once, or by each member's tower."""

import dataclasses
import functools
import io
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import unoptimised
from golden import vision_cases
from PIL import Image

from thickets.errors import UserError
from thickets.generation import language_evaluator, towers
from thickets.generation.batching import Batching
from thickets.generation.decoding import Decoding
from thickets.generation.generator import Generator
from thickets.generation.grading_workers import Grading
from thickets.generation.language_evaluator import LanguageEvaluator
from thickets.generation.pictures import PictureStore
from thickets.generation.questions import Questions
from thickets.members import BASE, Member
from thickets.models import transformer
from thickets.models.layout import Layout
from thickets.models.vision import pixels, tower
from thickets.models.vision.images import Images
from thickets.models.vision.joined import VISUAL, take_text
from thickets.models.vision.positions import find_positions
from thickets.perturbation import Gaussian, perturb
from thickets.runs import packed_arrays
from thickets.search import meshes
from thickets.tasks import pictures

STEPS = 4
PAD = vision_cases.IDS["image_token_id"]
TEXT_ALONE = Gaussian(exclude=("visual.*",))
MEMBERS = [Member(3, 0.05), Member(4, 0.05)]


@pytest.fixture(autouse=True, scope="module")
def _compile_fast():
  with unoptimised.compiling_towers():
    yield


@functools.cache
def model():
  fields = vision_cases.QWEN3_VL
  return vision_cases.make_model(
    fields
    | {
      "text_config": fields["text_config"] | {"num_hidden_layers": 2},
      "vision_config": fields["vision_config"]
      | {"depth": 2, "deepstack_visual_indexes": [0]},
    }
  )


@functools.cache
def shown():
  """Three pictures of noise, of one size."""
  found = []
  for seed in range(3):
    values = np.random.default_rng(seed).integers(0, 256, (16, 24, 3))
    file = io.BytesIO()
    Image.fromarray(values.astype(np.uint8)).save(file, "PNG")
    found.append(pictures.from_bytes(file.getvalue(), f"picture {seed}"))
  return found


def make_store(**options):
  store = PictureStore(model().vision, **options)
  for picture in shown():
    store.add(picture, owner="M, task T")
  return store


def make_prompts(store, numbers):
  """The same question about each of some pictures, and one about none."""
  prompts = []
  for number in numbers:
    grid = store.grid(shown()[number].digest)
    image = [292, *[PAD] * (grid[0] * grid[1]), 293]
    prompts.append([5, 6, *image, 7, 8])
  digests = [[shown()[number].digest] for number in numbers]
  return [*prompts, [5, 9]], [*digests, []]


def make_evaluator(store, kind, *, devices=1):
  generator = Generator(
    model().config,
    Decoding(STEPS, num_tokens=PAD),
    mesh=meshes.make_mesh(jax.devices()[:devices]),
    batching=Batching(lanes=2),
    layout=Layout.STACKED,
  )
  return LanguageEvaluator(
    generator, Grading(lambda *_: {}), kind=kind, pictures=store
  )


@functools.cache
def apply():
  return jax.jit(
    functools.partial(transformer.apply, model().config),
    compiler_options=unoptimised.OPTIONS,
  )


def expect(params, visual, store, prompts, digests):
  """[Q, STEPS] greedy tokens of texts that are read as a whole each time."""
  spec = model().vision.pixels
  found = []
  for prompt, of_prompt in zip(prompts, digests, strict=True):
    by_digest = {picture.digest: picture for picture in shown()}
    prepared = [
      pixels.prepare(by_digest[digest].read(), spec, owner="it")
      for digest in of_prompt
    ]
    features = tower.encode(model().vision.config, visual, prepared)
    table = [np.zeros((6, 64), np.float32), np.zeros((1, 6, 64), np.float32)]
    if features:
      table = [features[0].tokens, features[0].deepstack]
    text = np.zeros((1, 20), np.int32)
    text[0, : len(prompt)] = prompt
    places = np.full((1, 20), -1, np.int32)
    places[text == PAD] = np.arange((text == PAD).sum())
    grids = [store.grid(digest) for digest in of_prompt]
    positions, _ = find_positions(text[0], grids, image_token=PAD)
    images = Images(places, positions[:, None], *map(jnp.asarray, table))
    for end in range(len(prompt), len(prompt) + STEPS):
      logits = np.asarray(apply()(params, text, images))[0, end - 1, :PAD]
      text[0, end] = logits.argmax()
    found.append(text[0, len(prompt) : len(prompt) + STEPS])
  return np.array(found)


@functools.cache
def frozen():
  """(store, evaluator) whose members share the base's tower."""
  store = make_store()
  return store, make_evaluator(store, TEXT_ALONE)


def respond(evaluator, members, prompts, digests):
  batch = language_evaluator.make_batch(prompts, pictures=digests)
  base, batch = evaluator.place(model().params, batch, len(members))
  return evaluator.respond(base, members, batch)


def rebuild(member, kind):
  params = model().params
  names = transformer.tensor_names(params)
  # With the bits of programs that are optimised, and those that are not.
  make = jax.jit(
    functools.partial(perturb, kind=kind, names=names),
    compiler_options=unoptimised.OPTIONS,
  )
  return make(params, member.arrays)


def test_pictures_are_encoded_once_for_all_members_and_batches():
  store, evaluator = frozen()
  prompts, digests = make_prompts(store, (0, 1, 2, 0))
  read = store.num_encoded
  responses = respond(evaluator, MEMBERS, prompts, digests)
  assert store.num_encoded - read <= 3
  read = store.num_encoded
  respond(evaluator, MEMBERS[:1], prompts[2:], digests[2:])
  respond(evaluator, [BASE], prompts, digests)
  assert store.num_encoded == read
  visual = model().params[VISUAL]
  for row, member in enumerate(MEMBERS):
    params = rebuild(member, TEXT_ALONE)
    for name, leaf in naming_leaves(params[VISUAL]).items():
      np.testing.assert_array_equal(leaf, naming_leaves(visual)[name])
    np.testing.assert_array_equal(
      responses.tokens[row],
      expect(take_text(params), visual, store, prompts, digests),
    )
  assert (responses.tokens[0] != responses.tokens[1]).any()


def naming_leaves(tree):
  return dict(jax.tree_util.tree_leaves_with_path(tree))


@pytest.mark.slow
@pytest.mark.parametrize("devices", [1, 2])
def test_a_kind_of_the_tower_encodes_for_each_member(devices):
  kind = Gaussian(include=("*", "visual.*"))
  store = make_store()
  evaluator = make_evaluator(store, kind, devices=devices)
  assert evaluator.moves_tower
  prompts, digests = make_prompts(store, (0, 2))
  members = [*MEMBERS, Member(5, 0.05)]  # A fourth one only fills up.
  responses = respond(evaluator, members, prompts, digests)
  assert store.num_encoded == len(members) * 2
  for row, member in enumerate(members):
    params = rebuild(member, kind)
    visual = params[VISUAL]
    assert (visual["pos_embed"] != model().params[VISUAL]["pos_embed"]).any()
    np.testing.assert_array_equal(
      responses.tokens[row],
      expect(take_text(params), visual, store, prompts, digests),
    )


@pytest.mark.slow
def test_members_of_no_sigma_are_the_base():
  store, evaluator = frozen()
  prompts, digests = make_prompts(store, (0, 2))
  base = respond(evaluator, [BASE], prompts, digests)
  none = respond(evaluator, [Member(5, 0.0)] * 2, prompts, digests)
  for row in range(2):
    np.testing.assert_array_equal(none.tokens[row], base.tokens[0])


def test_equal_questions_about_different_pictures_have_their_own_answers():
  store, evaluator = frozen()
  prompts, digests = make_prompts(store, (0, 1))
  assert prompts[0] == prompts[1]
  distinct, places = Questions.read(
    language_evaluator.make_batch(prompts * 2, pictures=digests * 2)
  ).find_distinct()
  assert places == [0, 1, 2, 0, 1, 2]
  assert [len(row) for row in distinct.shown] == [1, 1, 0]
  right = respond(evaluator, [BASE], prompts, digests).tokens[0]
  wrong = respond(
    evaluator, [BASE], prompts, [digests[1], digests[0], []]
  ).tokens[0]
  np.testing.assert_array_equal(right, wrong[[1, 0, 2]])
  assert (right[0] != right[1]).any()


def test_other_pictures_are_another_run():
  prompts, digests = make_prompts(make_store(), (0, 1))
  others = [digests[1], digests[0], []]
  hashes = {
    packed_arrays.hash_arrays(
      language_evaluator.make_batch(prompts, pictures=shown)
    )["sha256"]
    for shown in (digests, others, None)
  }
  assert len(hashes) == 3
  # Where no prompt shows one, the hash is that of runs before there were any.
  alone = language_evaluator.make_batch([[1, 2]], pictures=[[]])
  assert {*alone} == {"tokens", "index"}


def test_features_are_kept_on_the_disk_by_tower_picture_and_preparation(
  tmp_path,
):
  store = make_store(directory=tmp_path)
  visual = jax.tree.map(
    lambda leaf: leaf.astype(jnp.bfloat16), model().params[VISUAL]
  )
  digests = [picture.digest for picture in shown()]
  first = store.keep(visual, digests[:2])
  again = make_store(directory=tmp_path)
  second = again.keep(visual, digests)
  assert (store.num_encoded, again.num_encoded) == (2, 1)
  for digest in digests[:2]:
    np.testing.assert_array_equal(first[digest].tokens, second[digest].tokens)
    assert second[digest].tokens.dtype == jnp.bfloat16
    np.testing.assert_array_equal(
      first[digest].deepstack, second[digest].deepstack
    )
  other = make_store(directory=tmp_path)
  other.keep(jax.tree.map(lambda leaf: leaf * 2, visual), digests[:1])
  assert other.num_encoded == 1


def test_a_moved_tower_is_told_from_the_one_before():
  store = make_store()
  visual, digest = model().params[VISUAL], shown()[0].digest
  first = store.keep(visual, [digest])[digest]
  with mock.patch("thickets.naming.identify") as identify:
    assert store.keep(visual, [digest])[digest] is first
  identify.assert_not_called()
  moved = jax.tree.map(lambda leaf: leaf * 1.5, visual)
  assert np.any(store.keep(moved, [digest])[digest].tokens != first.tokens)


def test_pictures_without_a_tower_are_refused():
  prompts, digests = make_prompts(make_store(), (0,))
  evaluator = make_evaluator(None, Gaussian())
  batch = language_evaluator.make_batch(prompts, pictures=digests)
  base, batch = evaluator.place(take_text(model().params), batch, 1)
  with pytest.raises(ValueError, match="need `pictures`"):
    evaluator.respond(base, [BASE], batch)


def test_the_tower_is_left_alone_unless_a_pattern_speaks_of_it():
  assert towers.settle_kind(Gaussian()).exclude == ("visual.*",)
  layers = towers.settle_kind(Gaussian(("layers.*",), ("layers.0.*",)))
  assert layers.exclude == ("layers.0.*", "visual.*")
  for kind in (
    Gaussian(("*", "visual.*")),
    Gaussian(exclude=("visual.merger.*",)),
  ):
    assert towers.settle_kind(kind) is kind


def test_a_picture_that_cannot_be_shown_is_refused_by_whose_it_is():
  store = PictureStore(model().vision)
  broken = pictures.from_bytes(b"no picture", "row 7")
  with pytest.raises(UserError, match="example 7 of T, picture row 7"):
    store.add(broken, owner="example 7 of T")


def test_models_with_towers_are_refused_where_texts_are_read_alone():
  with pytest.raises(UserError, match=r"text model for distil, .* has a tower"):
    towers.refuse_tower(model(), "distil")
  towers.refuse_tower(dataclasses.replace(model(), vision=None), "distil")
