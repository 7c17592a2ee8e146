"""Laws of a text model that reads images."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pictured
import pytest
import unoptimised

from thickets.models import attention, transformer
from thickets.models.contexts import make_contexts
from thickets.models.layout import take_apart

_GRIDS = ((2, 3), (3, 2))
_TEXT = pictured.make_text([5, 6], _GRIDS[0], [7], _GRIDS[1], [8, 9])
_FIRST = 3  # The place of the first image's first token.


@functools.cache
def _run(axes="contiguous"):
  config, params = pictured.make_model(axes)
  apply = functools.partial(transformer.apply, config)
  return params, jax.jit(apply, compiler_options=unoptimised.OPTIONS)


def _make_images(num_deepstack=0, seed=0):
  features, deepstack = pictured.make_features(
    _GRIDS, num_deepstack=num_deepstack, seed=seed
  )
  return pictured.make_images([_TEXT], [_GRIDS], features, deepstack)


def _apply(images, axes="contiguous"):
  params, apply = _run(axes)
  return np.asarray(apply(params, jnp.asarray([_TEXT]), images)[0])


def test_without_features_it_is_the_text_model():
  images = _make_images()
  plain = jnp.broadcast_to(jnp.arange(len(_TEXT)), (3, 1, len(_TEXT)))
  none = dataclasses.replace(
    images, places=jnp.full_like(images.places, -1), positions=plain
  )
  np.testing.assert_allclose(_apply(none), _apply(None), atol=1e-5)
  assert np.abs(_apply(images) - _apply(None)).max() > 0.1


def test_a_token_of_an_image_sees_no_later_one():
  # All tokens of an image share a time, which must not count as what they see.
  images = _make_images(num_deepstack=2)
  last = int(images.places.max())
  changed = dataclasses.replace(
    images,
    features=images.features.at[last].add(1.0),
    deepstack=images.deepstack.at[:, last].add(1.0),
  )
  place = int(np.argmax(np.asarray(images.places[0])))
  before, after = _apply(images), _apply(changed)
  np.testing.assert_allclose(before[:place], after[:place], atol=1e-5)
  assert (np.abs(before[place:] - after[place:]).max(axis=1) > 1e-3).all()


@pytest.mark.parametrize("axes", pictured.AXES)
def test_each_frequency_is_turned_by_its_own_position(axes):
  images = _make_images()
  found = _apply(images, axes)
  other = {"contiguous": "interleaved", "interleaved": "contiguous"}[axes]
  assert np.abs(found - _apply(images, other)).max() > 1e-2
  for axis in range(3):
    moved = images.positions.at[axis, 0, _FIRST + 1].add(1)
    moved = dataclasses.replace(images, positions=moved)
    assert np.abs(found - _apply(moved, axes)).max() > 1e-3, axis


def test_deepstack_is_added_behind_the_first_layers_at_the_images_places():
  """Against a loop that adds what each layer needs by hand."""
  config, params = pictured.make_model()
  images = _make_images(num_deepstack=2)
  positions = jnp.arange(len(_TEXT))[None]
  is_image = np.asarray(_TEXT) == pictured.IMAGE
  layers = take_apart(params)["layers"]
  one = dataclasses.replace(config, num_layers=1, layer_kinds=(0,))

  def attend(cache, layer, context, query, key, value):
    piece = (key.transpose(0, 2, 1, 3), value.transpose(0, 2, 1, 3))
    return attention.attend(query, [(*piece, context.visible[0])]), cache

  def add_by_hand(x, contexts):
    for number, layer in enumerate(layers):
      x, _ = transformer.run_layers(one, (layer,), x, contexts, attend, None)
      if number < 2:
        x = x.at[0, np.flatnonzero(is_image)].add(images.deepstack[number])
    return x

  def run_apart(x, contexts):
    return transformer.run_layers(
      config, layers, x, contexts, attend, None, images
    )[0]

  x = np.array(params["embed_tokens"])[np.asarray(_TEXT)]
  x[is_image] = images.features  # In the order of the text, by construction.
  for run in (add_by_hand, run_apart):

    @functools.partial(jax.jit, compiler_options=unoptimised.OPTIONS)
    def compute(x, run=run):
      contexts = make_contexts(
        config,
        positions,
        (positions,),
        num_positions=len(_TEXT),
        rope_positions=images.positions,
      )
      return transformer.unembed(config, params, run(x, contexts))[0]

    found = compute(jnp.asarray(x[None]))
    np.testing.assert_allclose(_apply(images), found, atol=1e-4)


def test_features_can_be_learned():
  config, params = pictured.make_model()
  images = _make_images(num_deepstack=1)

  def loss(features, deepstack):
    given = dataclasses.replace(images, features=features, deepstack=deepstack)
    logits = transformer.apply(config, params, jnp.asarray([_TEXT]), given)
    return jax.nn.log_softmax(logits)[0, -1, 7]

  differentiate = jax.jit(
    jax.grad(loss, (0, 1)), compiler_options=unoptimised.OPTIONS
  )
  gradients = differentiate(images.features, images.deepstack)
  # Every feature bears on the last token, and so does what is added to it.
  for gradient in gradients:
    assert (np.abs(gradient).max(axis=-1) > 0).all()
