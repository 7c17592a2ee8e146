"""Tests of pure functions compiled whole: widths, lanes and devices leave scores alone."""

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized
from jax.sharding import NamedSharding, PartitionSpec

from thickets.members import BASE, Member
from thickets.perturbation import Gaussian, perturb
from thickets.search import (
  engine,
  meshes,
  population,
  selection,
  traced,
)

NUM_PROMPTS = 13  # A prime: it divides among no number of devices.
MEMBERS = population.sample_members(0, 70, (0.1, 0.3))
COLLECTIVES = (
  "all-gather",
  "all-reduce",
  "all-to-all",
  "collective-permute",
  "reduce-scatter",
)


def _model():
  rng = np.random.default_rng(0)
  draw = lambda *shape: rng.normal(size=shape).astype(np.float32)  # noqa: E731
  base = {"w": draw(4, 8), "v": draw(8)}
  return base, {"x": draw(NUM_PROMPTS, 4), "y": draw(NUM_PROMPTS)}


PARAMS, BATCH = _model()


def _score(params, batch):
  prediction = jnp.tanh(batch["x"] @ params["w"]) @ params["v"]
  return -((prediction - batch["y"]) ** 2)


def _evaluate(evaluator, members=MEMBERS, *, width, base=PARAMS, **kwargs):
  """[P, Q] scores of a whole stream."""
  chunks = engine.stream_chunks(
    evaluator, base, members, BATCH, width=width, **kwargs
  )
  return np.concatenate([chunk.channels["score"] for chunk in chunks])


def _programs(evaluator):
  return [program.as_text() for program in evaluator._programs]


class TracedTest(parameterized.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    score = jax.jit(_score)
    cls.expected_PQ = np.stack(
      [score(perturb(PARAMS, member), BATCH) for member in MEMBERS]
    )

  def assert_close(self, got, expected):
    # Weights agree to the bit; scores are sums in an order that may differ.
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)

  @parameterized.parameters(
    {"width": 1},
    {"width": 7},
    {"width": 7, "num_devices": 1},
    {"width": 64},
    {"width": 64, "lanes": 1},
    {"width": 64, "lanes": 3},
    {"width": 64, "num_devices": 1, "lanes": 5},
    {"width": 70, "lanes": 100},
  )
  def test_widths_lanes_and_devices_leave_scores_alone(
    self, width, lanes=None, num_devices=8
  ):
    mesh = meshes.make_mesh(jax.devices()[:num_devices])
    evaluator = traced.traced(_score, mesh=mesh, lanes=lanes)
    scores_PQ = _evaluate(evaluator, width=width)
    self.assert_close(scores_PQ, self.expected_PQ)
    np.testing.assert_array_equal(
      selection.select_top_k(scores_PQ.mean(axis=1), 20),
      selection.select_top_k(self.expected_PQ.mean(axis=1), 20),
    )

  def test_one_trace_serves_all_chunks_and_the_base_takes_one_more(self):
    num_traces = 0

    def score_fn(params, batch):
      nonlocal num_traces
      num_traces += 1
      return _score(params, batch)

    evaluator = traced.traced(score_fn, lanes=2)
    for _ in range(2):
      _evaluate(evaluator, width=16)
    self.assertEqual((num_traces, evaluator.num_compilations), (1, 1))
    seconds = evaluator.compile_s
    self.assertGreater(seconds, 0)
    for _ in range(2):
      _evaluate(evaluator, [BASE], width=1)
    self.assertEqual((num_traces, evaluator.num_compilations), (2, 2))
    self.assertGreater(evaluator.compile_s, seconds)

  @parameterized.parameters(
    (1, (2, 8, 13)), (2, (1, 16, 13)), (None, (1, 16, 13))
  )
  def test_members_are_spread_over_devices_and_lanes(self, lanes, shape):
    evaluator = traced.traced(_score, lanes=lanes)
    placed = evaluator.place(PARAMS, BATCH, 16)
    outputs = evaluator(placed[0], MEMBERS[:16], placed[1]).outputs["score"]
    self.assertEqual(outputs.shape, shape)  # Steps, members at once, prompts.
    shards = {shard.data.shape for shard in outputs.addressable_shards}
    self.assertEqual(shards, {(shape[0], shape[1] // 8, 13)})

  @parameterized.parameters(16, 3)
  def test_programs_have_no_collectives(self, width):
    evaluator = traced.traced(_score, lanes=1)
    _evaluate(evaluator, width=width)
    (program,) = _programs(evaluator)
    for collective in COLLECTIVES:
      self.assertNotIn(collective, program)

  @parameterized.parameters((1, False), (2, True))
  def test_a_device_has_a_batch_of_members_only_where_it_has_several(
    self, lanes, is_batched
  ):
    """Convolutions take far longer with a batch axis, even one of length one."""
    evaluator = traced.traced(_score, lanes=lanes)
    _evaluate(evaluator, width=16)
    (program,) = _programs(evaluator)
    self.assertEqual("vmap(" in program, is_batched)

  @parameterized.parameters(1, 5, 7)
  def test_prompts_are_spread_where_members_are_few(self, num_members):
    evaluator = traced.traced(_score)
    _, placed = evaluator.place(PARAMS, BATCH, num_members)
    shards = placed.prompts["x"].addressable_shards
    self.assertEqual([shard.data.shape for shard in shards], [(2, 4)] * 8)
    few = MEMBERS[:num_members]
    scores_PQ = _evaluate(evaluator, few, width=num_members)
    self.assert_close(scores_PQ, self.expected_PQ[:num_members])

  def test_prompts_that_no_one_spread_serve_few_members_too(self):
    evaluator = traced.traced(_score)
    base, placed = evaluator.place(PARAMS, BATCH, 16)
    found = evaluator(base, MEMBERS[:3], placed).result()["score"]
    self.assert_close(found, self.expected_PQ[:3])

  def test_the_base_is_a_member_like_any_other(self):
    scores_PQ = _evaluate(traced.traced(_score), [BASE], width=1)
    self.assert_close(scores_PQ[0], _score(PARAMS, BATCH))

  def test_named_channels_of_any_shape(self):
    def score_fn(params, batch):
      hidden_QH = jnp.tanh(batch["x"] @ params["w"])
      return {"score": _score(params, batch), "hidden": hidden_QH}

    *_, last = engine.stream_chunks(
      traced.traced(score_fn), PARAMS, MEMBERS, BATCH, width=16
    )
    self.assertEqual((last.start, last.members), (64, tuple(MEMBERS[64:])))
    self.assert_close(last.channels["score"], self.expected_PQ[64:])
    expected = np.tanh(BATCH["x"] @ perturb(PARAMS, MEMBERS[-1])["w"])
    self.assert_close(last.channels["hidden"][-1], expected)

  def test_chunks_are_fixed_by_position(self):
    evaluator = traced.traced(_score)
    whole = _evaluate(evaluator, width=16)
    parts = engine.stream_chunks(
      evaluator, PARAMS, MEMBERS, BATCH, width=16, chunks=[4, 1]
    )
    for part, start in zip(parts, (64, 16), strict=True):
      self.assertEqual(part.start, start)
      self.assertEqual(part.members, tuple(MEMBERS[start : start + 16]))
      # The same program on the same chunk: the same bits.
      np.testing.assert_array_equal(
        part.channels["score"], whole[start : start + 16]
      )

  @parameterized.parameters(
    (lambda params, x: x @ params, r"\[Q\] = \(4,\), got \(4, 2\)"),
    (lambda params, x: jnp.sum(x @ params), r"\[Q\] = \(4,\), got \(\)"),
    (lambda params, x: {"loss": x[:, 0]}, r"got channels \['loss'\]"),
    (
      lambda params, x: {"score": x[:, 0], "vote": params},
      r"'vote' must have the prompts as its first axis, \(4, ...\), got \(3, 2\)",
    ),
  )
  def test_scores_that_are_not_one_per_prompt_are_refused(self, score, message):
    with self.assertRaisesRegex(ValueError, message):
      engine.score_population(
        lambda params, x: score(params["w"], x),
        {"w": jnp.ones((3, 2))},
        MEMBERS[:8],
        jnp.ones((4, 3)),
      )

  def test_a_failed_member_is_not_finite_and_alone(self):
    evaluator = traced.traced(_score)
    members = list(MEMBERS[:16])
    members[5] = Member(5, 3e38)  # Infinite weights of either sign.
    scores_P = _evaluate(evaluator, members, width=16).mean(axis=1)
    self.assertEqual(np.flatnonzero(~np.isfinite(scores_P)).tolist(), [5])
    healthy = _evaluate(evaluator, MEMBERS[:16], width=16).mean(axis=1)
    np.testing.assert_array_equal(np.delete(scores_P, 5), np.delete(healthy, 5))
    self.assertNotIn(5, selection.select_top_k(scores_P, 15))

  def test_a_chunk_scores_its_failures_as_not_finite(self):
    scores_PQ = np.float32([[1, 3], [np.nan, 1], [np.inf, 1], [2, 2]])
    chunk = engine.Chunk(0, tuple(MEMBERS[:4]), {"score": scores_PQ})
    np.testing.assert_array_equal(chunk.scores, [2, np.nan, np.inf, 2])

  @parameterized.parameters(None, 16)
  def test_score_population_is_all_of_it_in_one_call(self, width):
    kind = Gaussian(include=("v",))
    scores_P = engine.score_population(
      _score, PARAMS, MEMBERS, BATCH, kind=kind, width=width
    )
    expected = [
      np.mean(_score(perturb(PARAMS, member, kind=kind), BATCH))
      for member in MEMBERS
    ]
    self.assert_close(scores_P, expected)

  def test_shared_weights_stay_shared(self):
    mesh = meshes.make_mesh(model=2)
    self.assertEqual(dict(mesh.shape), {"population": 4, "model": 2})
    place = lambda w, *axes: jax.device_put(  # noqa: E731
      w, NamedSharding(mesh, PartitionSpec(*axes))
    )
    base = {
      "w": place(PARAMS["w"], None, "model"),
      "v": place(PARAMS["v"], "model"),
    }
    evaluator = traced.traced(_score, mesh=mesh, lanes=2)
    scores_PQ = _evaluate(evaluator, width=16, base=base)
    self.assert_close(scores_PQ, self.expected_PQ)
    # The halves of the hidden units are summed, and no weight is gathered.
    (program,) = _programs(evaluator)
    self.assertIn("all-reduce", program)
    for collective in ("all-gather", "all-to-all", "collective-permute"):
      self.assertNotIn(collective, program)

  def test_shared_weights_of_like_sizes_are_moved_apart(self):
    mesh = meshes.make_mesh(model=2)
    rng = np.random.default_rng(1)
    base = {
      name: jax.device_put(
        rng.normal(size=shape).astype(np.float32),
        NamedSharding(mesh, PartitionSpec(*axes)),
      )
      for name, shape, axes in (
        ("up", (4, 8), (None, "model")),
        ("down", (8, 4), ("model", None)),
      )
    }

    def score(params, batch):
      hidden = jnp.tanh(batch["x"] @ params["up"])
      return jnp.sum(hidden @ params["down"], axis=-1)

    evaluator = traced.traced(score, mesh=mesh, lanes=1)
    _evaluate(evaluator, width=16, base=base)
    (program,) = _programs(evaluator)
    for collective in ("all-gather", "all-to-all", "collective-permute"):
      self.assertNotIn(collective, program)

  @parameterized.parameters((3, "got 3 of 8"), (0, "got 0"), (16, "got 16"))
  def test_meshes_that_do_not_fit_are_refused(self, model, message):
    with self.assertRaisesRegex(ValueError, message):
      meshes.make_mesh(model=model)

  @parameterized.parameters(([], 4), (MEMBERS, 0))
  def test_empty_streams_are_refused(self, members, width):
    message = f"got {len(members)} members and width {width}"
    with self.assertRaisesRegex(ValueError, message):
      _evaluate(traced.traced(_score), members, width=width)
