"""Tests of what programs are said to move: recorded ones, by hand, and ours."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized
from golden import program_texts

from thickets.search import program_costs, program_text

_WEIGHTS = 2 * 512 * 256  # Bytes of a layer.
_INDEX = 4  # Which layer it is.


class RecordedTest(parameterized.TestCase):
  @functools.cached_property
  def tpu(self):
    return program_text.parse(program_texts.TPU_STEP)

  @functools.cached_property
  def gpu(self):
    return program_text.parse(program_texts.GPU_LAYER)

  def test_loops_are_counted_by_their_limits(self):
    step = self.tpu.computations[program_costs.find_step(self.tpu)]
    self.assertEqual(step.name, "step")
    self.assertEqual(self.tpu.trip_count(step.root), 36)
    (loop,) = (i for i in self.gpu.computations["main"] if i.opcode == "while")
    self.assertEqual(self.gpu.trip_count(loop), 36)
    with self.assertRaisesRegex(
      ValueError, "one loop that ends by itself, got 0"
    ):
      program_costs.find_step(self.gpu)

  def test_slices_within_a_fusion_are_read_in_place(self):
    moves = {
      move.instruction.name: move
      for move in program_costs.find_moves(self.tpu, "step")
    }
    # The product reads one layer of 36, and leaves its result beside the cores.
    self.assertEqual(moves["fusion.2"].read, _WEIGHTS + _INDEX)
    self.assertEqual(moves["fusion.2"].written, 0)
    self.assertEqual(moves["fusion.2"].num_bytes, 36 * (_WEIGHTS + _INDEX))
    # One token of 100 is written, which takes a whole tile of 8.
    self.assertEqual(moves["fusion.3"].read, _INDEX)
    self.assertEqual(moves["fusion.3"].written, 2 * 64 * 2 * 8 * 128)
    self.assertNotIn("all-reduce.1", moves)

  def test_what_is_taken_of_masked_values_is_read_of_no_others(self):
    module = program_text.parse(program_texts.GPU_CHOICE)
    (move,) = program_costs.find_moves(module)
    # A value and its mask for each of 200 rows, and two coordinates.
    self.assertEqual(move.read, 200 * (4 + 1 + 2 * 4))
    self.assertEqual(move.written, 200 * 4)

  def test_what_is_loaded_ahead_is_read_once(self):
    moves = {
      move.instruction.name: (move.read, move.written)
      for move in program_costs.find_moves(self.tpu)
    }
    self.assertEqual(moves["copy-start.1"], (2 * 64 * 256, 0))
    self.assertEqual(moves["slice-start.1"], (9 * _WEIGHTS, 0))

  def test_what_lies_in_tiles_is_filled_up(self):
    array = self.tpu.computations["layer"].instructions["keys"].arrays[0]
    self.assertEqual(array.dims, (36, 64, 2, 100, 128))
    self.assertEqual(array.held, (36, 64, 2, 104, 128))

  def test_layers_copied_out_of_their_stack_are_moved_three_times(self):
    moves = program_costs.find_moves(self.gpu, "layer")
    moved = {move.instruction.name: (move.read, move.written) for move in moves}
    self.assertEqual(
      moved["dynamic_slice_fusion"], (_WEIGHTS + _INDEX, _WEIGHTS)
    )
    # The product's memory to work in is no result.
    self.assertEqual(moved["gemm"], (_WEIGHTS + 2 * 64 * 256, 2 * 64 * 512))
    whole = program_costs.find_moves(self.gpu)
    self.assertEqual(
      sum(move.num_bytes for move in whole),
      36 * sum(move.num_bytes for move in moves),
    )

  def test_a_cache_holds_what_was_just_made_and_no_weights(self):
    moves = program_costs.find_moves(self.gpu, "layer", cache_bytes=2**20)
    moved = {move.instruction.name: (move.read, move.written) for move in moves}
    self.assertEqual(moved["dynamic_slice_fusion"], (_WEIGHTS + _INDEX, 0))
    self.assertEqual(moved["gemm"], (2 * 64 * 256, 2 * 64 * 512))

  @parameterized.parameters(
    ("replica_groups={{0,1},{2,3},{4,5},{6,7}}", ("model",)),
    ("replica_groups=[2,4]<=[4,2]T(1,0)", ("population",)),
    ("replica_groups=[4,2]<=[8]", ("model",)),
    ("replica_groups=mesh['axis_0'=4,'axis_1'=2] {'axis_1'}", ("model",)),
    ("replica_groups=mesh['a'=8] {'a':(1)4}", ("population",)),
    ("replica_groups=mesh['a'=8] {'a':(4)2}", ("model",)),
    ("replica_groups={}", ("population", "model")),
    ("replica_groups=[1,8]<=[8]", ("population", "model")),
    ("source_target_pairs={{0,2},{2,4},{4,6},{6,0}}", ("population",)),
  )
  def test_exchanges_have_axes(self, attributes, axes):
    mesh_shape = {"population": 4, "model": 2}
    found = program_costs.find_axes(f", {attributes}, more={{}}", mesh_shape)
    self.assertEqual(found, axes)

  def test_exchanges_of_a_step_are_counted(self):
    (found,) = program_costs.find_collectives(
      self.tpu, {"population": 2, "model": 2}, "step"
    )
    self.assertEqual(
      (found.opcode, found.axes, found.times), ("all-reduce", ("model",), 36)
    )
    self.assertEqual(found.num_bytes, 2 * 64 * 512)

  def test_what_is_no_program_is_refused(self):
    with self.assertRaisesRegex(ValueError, "must have an entry"):
      program_text.parse("nothing")


class CompiledTest(parameterized.TestCase):
  """What the compiler of this machine writes is read, too."""

  def test_a_step_over_layers_reads_each_weight_once(self):
    layers, width, steps = 3, 64, 5

    def decode(stack, x, most):
      def advance(carry):
        count, x = carry
        x, _ = jax.lax.scan(lambda x, w: (jnp.tanh(x @ w), None), x, stack)
        return count + 1, x

      def goes_on(carry):
        return (carry[0] < most) & jnp.any(carry[1] > 0)

      return jax.lax.while_loop(goes_on, advance, (jnp.int32(0), x))

    shape = jax.ShapeDtypeStruct
    compiled = (
      jax.jit(decode)
      .lower(
        shape((layers, width, width), jnp.float32),
        shape((8, width), jnp.float32),
        shape((), jnp.int32),
      )
      .compile()
    )
    module = program_text.parse(compiled.as_text())
    body = program_costs.find_step(module)
    read = sum(
      move.read * move.times for move in program_costs.find_moves(module, body)
    )
    weights = 4 * layers * width * width
    self.assertBetween(read, weights, 4 * weights)
    del steps

  def test_sums_over_devices_go_along_their_axis(self):
    mesh = jax.make_mesh((4, 2), ("population", "model"))
    spread = jax.NamedSharding(mesh, jax.P("population", "model"))
    sums = jax.jit(
      lambda x: jnp.sum(x, axis=1),
      out_shardings=jax.NamedSharding(mesh, jax.P("population")),
    )
    compiled = sums.lower(
      jax.ShapeDtypeStruct((8, 8), np.float32, sharding=spread)
    ).compile()
    module = program_text.parse(compiled.as_text())
    (found,) = program_costs.find_collectives(module, dict(mesh.shape))
    self.assertEqual((found.opcode, found.axes), ("all-reduce", ("model",)))
