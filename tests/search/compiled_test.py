"""Tests of the store of compiled programs: what is compiled anew, and counted."""

from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest

from thickets.errors import NoRoomError
from thickets.search.compiled import AbsentPrograms, Programs


def _double(x):
  return x + x


class ProgramsTest(absltest.TestCase):
  def test_compiles_once_per_name_shape_dtype_and_sharding(self):
    programs = Programs()
    x = jnp.arange(4)
    spread = jax.device_put(
      x,
      jax.NamedSharding(
        jax.make_mesh((4,), ("a",), devices=jax.devices()[:4]),
        jax.P("a"),
      ),
    )
    for expected, (name, argument) in enumerate(
      [
        ("double", x),
        ("double", jnp.arange(5)),
        ("double", x.astype(jnp.float32)),
        ("double", spread),
        ("other", x),
      ],
      start=1,
    ):
      for _ in range(2):
        program = programs.get(name, _double, (argument,))
        np.testing.assert_array_equal(program(argument), 2 * argument)
      self.assertEqual(programs.num_compilations, expected)
    self.assertLen(list(programs), 5)
    self.assertGreater(programs.compile_s, 0)

  def test_compiles_from_shapes_alone(self):
    programs = Programs()
    x = jnp.arange(4)
    shape = jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding)
    program = programs.get("double", _double, (shape,))
    self.assertIs(programs.get("double", _double, (x,)), program)

  def test_donated_buffers_are_taken(self):
    programs = Programs()
    x = jnp.arange(4.0)
    programs.get("double", _double, (x,), donate=(0,))(x)
    self.assertTrue(x.is_deleted())


class AbsentProgramsTest(absltest.TestCase):
  def _refuse(self, text):
    error = jax.errors.JaxRuntimeError(text)
    shape = jax.ShapeDtypeStruct((4,), jnp.float32)
    with mock.patch.object(Programs, "get", side_effect=error):
      AbsentPrograms().get(("segment", 3), _double, (shape,))

  def test_what_a_compiler_has_no_room_for_is_said_in_bytes(self):
    with self.assertRaisesRegex(
      NoRoomError, "'segment' must fit .* needs 24.80 GiB, got 15.75 GiB"
    ) as caught:
      self._refuse(
        "RESOURCE_EXHAUSTED: XLA:TPU compile permanent error. Ran out of memory"
        " in memory space hbm. Used 24.80G of 15.75G hbm. Exceeded by 9.05G."
      )
    self.assertEqual(caught.exception.needed_bytes, 24.8 * 2**30)
    self.assertEqual(caught.exception.size_bytes, 15.75 * 2**30)

  def test_without_numbers_the_compiler_has_the_word(self):
    with self.assertRaisesRegex(NoRoomError, "is too large: RESOURCE_EXH"):
      self._refuse("RESOURCE_EXHAUSTED: out of something")

  def test_the_compiler_is_given_its_options(self):
    sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    shape = jax.ShapeDtypeStruct((4,), jnp.float32, sharding=sharding)
    known = AbsentPrograms({"xla_cpu_enable_fast_math": False})
    known.get("double", _double, (shape,))
    self.assertEqual(known.num_compilations, 1)
    with self.assertRaisesRegex(jax.errors.JaxRuntimeError, "xla_no_such"):
      AbsentPrograms({"xla_no_such": True}).get("double", _double, (shape,))

  def test_other_failures_are_bugs(self):
    with self.assertRaises(jax.errors.JaxRuntimeError):
      self._refuse("INTERNAL: out of ideas")
