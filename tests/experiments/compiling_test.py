"""Tests of what is to be compiled: read from configs, and placed on machines."""

from unittest import mock

import jax
from absl.testing import parameterized
from tasks.drills import small_pools

from configs import benchmark_language, randopt
from configs import compile as shapes
from experiments.launch import compiling
from thickets.errors import NoRoomError, UserError
from thickets.search import targets
from thickets.search.targets import Target


def _shape(variant, **changes):
  config = shapes.get_config(variant).unlock()
  config.update(changes)
  return compiling.read_case(config, None)


def _place(case, name):
  """The sizes of the mesh on a machine, for which these devices stand."""
  target = targets.parse(name)
  devices = jax.devices()[: target.num_devices]
  with mock.patch.object(Target, "make_devices", lambda self: devices):
    return dict(case.place(target).shape)


class ReadTest(parameterized.TestCase):
  def test_a_shape_of_the_benchmark_is_one_too(self):
    case = compiling.read_case(
      benchmark_language.get_config("qwen2_5_3b"), None
    )
    self.assertEqual(case.workload.num_prompts, 200)
    self.assertEqual(case.devices, 1)
    self.assertEqual(case.dtype.name, "bfloat16")

  def test_a_run_says_what_it_asks(self):
    case = compiling.read_case(
      randopt.get_config("qwen2_5_0_5b-gsm8k-smoke"), 90
    )
    self.assertEqual(
      (case.workload.num_prompts, case.workload.prompt_tokens), (4, 90)
    )
    self.assertEqual(case.workload.new_tokens, 16)
    self.assertEqual((case.devices, case.prefix_tokens), (1, 0))

  def test_the_prompts_of_a_run_are_read_where_none_are_said(self):
    small_pools.use(self)
    config = randopt.get_config().unlock()
    config.task.num_select, config.task.num_dev = 5, 4
    config.task.num_judge = 3
    case = compiling.read_case(config, None)
    self.assertEqual(case.workload.num_prompts, 5)
    self.assertGreater(case.workload.prompt_tokens, 5)

  def test_masks_are_those_of_a_model_with_a_tokenizer(self):
    case = _shape("qwen2_5_3b")
    self.assertLen(case.decoding.stop_tokens, 1)
    self.assertLess(case.decoding.num_tokens, case.config.vocab_size)
    small_pools.use(self)
    config = randopt.get_config().unlock()
    config.task.num_select, config.task.num_dev = 5, 4
    config.task.num_judge = 3
    config.decoding.max_new_tokens = 1
    case = compiling.read_case(config, None)
    self.assertNotEmpty(case.decoding.stop_tokens)
    self.assertEqual(case.workload.new_tokens, 1)

  def test_several_shapes_are_one_case_each(self):
    config = shapes.get_config("all")
    cases = compiling.read_cases(config, "all", None)
    self.assertEqual(list(cases), list(shapes.SHAPES))
    self.assertEqual(
      cases["qwen2_5_7b"].describe(), _shape("qwen2_5_7b").describe()
    )
    # Others are as they always were.
    alone = shapes.get_config("small")
    self.assertEqual(
      list(compiling.read_cases(alone, "small", None)), ["small"]
    )
    for name in config.targets:
      self.assertEqual(targets.parse(name).name, name)

  @parameterized.parameters(
    ({"rows": -1, "num_prompts": 0}, "num_prompts must be .*rows must be"),
    ({"dtype": "int8"}, "dtype must be one of"),
    ({"new_tokens": 40000}, "context of 32768, got 128 [+] 40000"),
  )
  def test_wrong_values_are_refused_together(self, changes, message):
    with self.assertRaisesRegex(UserError, f"(?s){message}"):
      _shape("qwen2_5_3b", **changes)

  def test_what_is_no_run_of_a_language_model_is_refused(self):
    config = benchmark_language.get_config("tiny").unlock()
    config.subject = "signals"
    with self.assertRaisesRegex(UserError, "must be a bare shape"):
      compiling.read_case(config, None)
    with self.assertRaisesRegex(UserError, "got it with a bare shape"):
      compiling.read_case(benchmark_language.get_config("tiny"), 3)


class PlaceTest(parameterized.TestCase):
  @parameterized.parameters(
    ("qwen2_5_0_5b", "v5e:2x4", 1),
    ("qwen2_5_3b", "v5e:2x4", 2),  # One has room for 88 of 200 rows.
    ("qwen2_5_7b", "h100:8", 1),
    ("qwen2_5_32b", "h100:8", 4),
  )
  def test_the_fewest_devices_on_which_weights_are_read_once_are_found(
    self, variant, machine, count
  ):
    shape = _place(_shape(variant), machine)
    member = shape["model"] * shape.get("model_rest", 1)
    self.assertEqual(member, count)

  def test_a_mesh_that_does_not_divide_the_machine_is_refused(self):
    with self.assertRaisesRegex(
      UserError,
      "--config.model_devices must divide .* got 3 of the 8 of v5e:2x4. Write"
      " one of 1, 2, 4, 8",
    ):
      _place(_shape("qwen2_5_3b", model_devices=3), "v5e:2x4")

  def test_what_does_not_fit_is_told_how_it_would(self):
    with self.assertRaisesRegex(
      UserError, "needs 12. GiB.*write --config.model_devices=4"
    ):
      _place(_shape("qwen2_5_32b", model_devices=1), "h100:8")
    with self.assertRaisesRegex(
      NoRoomError, "not even all of it suffices"
    ) as caught:
      _place(_shape("qwen2_5_32b"), "h100:1")
    # 32.8e9 weights of two bytes, twice.
    self.assertBetween(caught.exception.needed_bytes, 1.3e11, 1.35e11)
