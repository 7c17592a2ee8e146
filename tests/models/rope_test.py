"""Tests that each frequency of a rotary embedding turns by its own position."""

import jax.numpy as jnp
import numpy as np
import pytest

from thickets.models.rope import Rope

_FREQUENCIES = (1.0, 0.5, 0.25, 0.125)


def test_equal_positions_turn_as_one_does():
  plain = Rope(_FREQUENCIES)
  apart = Rope(_FREQUENCIES, axes=(0, 1, 2, 0))
  positions = jnp.asarray([[0, 3, -1], [4, 1, 2]])
  three = jnp.broadcast_to(positions, (3, 2, 3))
  expected = plain.angles(positions, 5)
  for found in (apart.angles(three, 5), apart.angles(positions, 5)):
    np.testing.assert_array_equal(found, expected)


def test_each_frequency_turns_by_the_position_of_its_axis():
  rope = Rope(_FREQUENCIES, scale=2.0, axes=(0, 1, 2, 1))
  positions = np.array([[[7, 1]], [[2, 5]], [[3, 4]]])  # [3, 1, 2]
  cosines, sines = rope.angles(jnp.asarray(positions), 8)
  angles = positions[list(rope.axes), 0].T * np.array(_FREQUENCIES)  # [2, half]
  np.testing.assert_allclose(cosines[0], 2 * np.cos(angles), atol=1e-6)
  np.testing.assert_allclose(sines[0], 2 * np.sin(angles), atol=1e-6)


def test_axes_fit_the_frequencies():
  with pytest.raises(ValueError, match="for each of 4 frequencies"):
    Rope(_FREQUENCIES, axes=(0, 1, 2))
  with pytest.raises(ValueError, match="one of 0, 1 and 2"):
    Rope(_FREQUENCIES, axes=(0, 1, 2, 3))


def test_a_plain_rope_refuses_three_positions():
  with pytest.raises(ValueError, match="three positions"):
    Rope(_FREQUENCIES).angles(jnp.zeros((3, 1, 1), jnp.int32), 1)
