"""Laws of members and ensembles that draw, on a denoiser of a few weights."""

import dataclasses
import functools
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from thickets.errors import UserError
from thickets.generation.images import evaluators, pipelines
from thickets.generation.images.evaluators import EnsembleEvaluator
from thickets.generation.images.pipelines import Pipeline
from thickets.members import BASE, Member, stack_members
from thickets.models.diffusion import schedule, shapes_model
from thickets.perturbation import Gaussian
from thickets.search import chunk_width, engine, population

KIND = Gaussian(include=("unet.*",))
MEMBERS = population.sample_members(0, 5, (0.3,))
COUNT = 3


def make_base():
  rng = np.random.default_rng(0)
  draw = lambda *shape: rng.normal(size=shape).astype(np.float32)  # noqa: E731
  return {
    "unet": {"mix": draw(3, 3), "see": draw(3, 3)},
    "words": {"table": draw(4, 3)},
  }


BASE_PARAMS = make_base()


def predict(params, x, t, conditioning):
  """Mixes channels by weights, time and what the prompt says."""
  unet = params["unet"]
  told = conditioning["context"] @ unet["see"]
  shift = told[:, None, None] * jnp.cos(t)[:, None, None, None]
  return jnp.tanh(jnp.einsum("bhwc,cd->bhwd", x, unet["mix"]) + shift)


def make_pipeline(guidance=2.0, num_steps=4):
  return Pipeline(
    predict=predict,
    decode=lambda params, x: jax.nn.sigmoid(x),
    schedule=schedule.make_schedule(
      schedule.parse_config(shapes_model.SCHEDULER_FIELDS), num_steps
    ),
    guidance=guidance,
    negative={"context": np.zeros((1, 3), np.float32)},
  )


def make_batch(count=COUNT, seed=1):
  rng = np.random.default_rng(seed)
  context = rng.normal(size=(16, 3)).astype(np.float32)[:count]
  return {
    "noise": pipelines.make_starting_noise(
      7, "select", [f"prompt {i}" for i in range(count)], 1, (4, 4, 3)
    ),
    "conditioning": {"context": context},
  }


def score(params, pictures, batch):
  del params, batch
  return {
    "score": jnp.mean(pictures, axis=(1, 2, 3)),
    "picture": pictures,
  }


def draw_by_members(members, *, guidance=2.0, batch=None):
  """[P, Q, ...] pictures of single members, through the engine."""
  evaluator = evaluators.make_member_evaluator(
    make_pipeline(guidance), score, kind=KIND
  )
  chunks = engine.stream_chunks(
    evaluator,
    BASE_PARAMS,
    members,
    make_batch() if batch is None else batch,
    width=len(members),
  )
  return next(iter(chunks)).channels["picture"]


def join(members):
  terms = [term for member in members for term in member.terms]
  return Member(*zip(*terms, strict=True))


def draw_together(ensembles, *, holds_weights=None, guidance=2.0, batch=None):
  """[V, Q, ...] pictures of ensembles, through the engine."""
  evaluator = EnsembleEvaluator(
    make_pipeline(guidance), score, kind=KIND, holds_weights=holds_weights
  )
  chunks = engine.stream_chunks(
    evaluator,
    BASE_PARAMS,
    [join(members) for members in ensembles],
    make_batch() if batch is None else batch,
    width=len(ensembles),
  )
  return next(iter(chunks)).channels["picture"]


class EnsemblesTest(parameterized.TestCase):
  def test_an_ensemble_of_one_is_the_member(self):
    together = draw_together([MEMBERS[:1]])
    np.testing.assert_array_equal(together, draw_by_members(MEMBERS[:1]))

  def test_copies_of_a_member_are_the_member(self):
    together = draw_together([MEMBERS[:1] * 4])
    np.testing.assert_allclose(
      together, draw_by_members(MEMBERS[:1]), atol=1e-6
    )

  def test_the_order_of_members_does_not_matter(self):
    forwards = draw_together([MEMBERS])
    np.testing.assert_allclose(
      draw_together([MEMBERS[::-1]]), forwards, atol=1e-6
    )

  def test_an_ensemble_is_not_a_member_with_mean_weights(self):
    terms = [(seed, sigma / 2) for m in MEMBERS[:2] for seed, sigma in m.terms]
    averaged = draw_by_members([Member(*zip(*terms, strict=True))])
    together = draw_together([MEMBERS[:2]])
    self.assertGreater(np.abs(together - averaged).max(), 1e-3)

  def test_prefixes_drawn_together_are_those_drawn_alone(self):
    sizes = (1, 2, 5)
    together = draw_together([MEMBERS[:k] for k in sizes])
    for place, k in enumerate(sizes):
      alone = draw_together([MEMBERS[:k]])[0]
      np.testing.assert_allclose(together[place], alone, atol=1e-6)

  def test_the_places_of_ensembles_are_those_that_were_asked_for(self):
    rising = draw_together([MEMBERS[:2], MEMBERS[:4]])
    falling = draw_together([MEMBERS[:4], MEMBERS[:2]])
    np.testing.assert_array_equal(falling, rising[::-1])
    mixed = draw_together([MEMBERS[:2], MEMBERS, MEMBERS[:4], MEMBERS[:2]])
    alone = draw_together([MEMBERS])
    np.testing.assert_allclose(mixed[1:2], alone, atol=1e-6)
    for place, expected in ((0, 0), (2, 1), (3, 0)):
      np.testing.assert_allclose(mixed[place], rising[expected], atol=1e-6)

  def test_weights_held_are_weights_rebuilt(self):
    ensembles = [MEMBERS[:2], MEMBERS]
    np.testing.assert_array_equal(
      draw_together(ensembles, holds_weights=True),
      draw_together(ensembles, holds_weights=False),
    )

  def test_weights_are_held_only_where_the_machine_has_room(self):
    base = jax.tree.map(jnp.asarray, BASE_PARAMS)
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(base))
    for limit, has_room in ((12 * size, True), (11 * size, False)):
      with mock.patch.object(
        evaluators.memory, "host_memory_bytes", return_value=limit
      ):
        self.assertEqual(evaluators._find_room(base, 5), has_room)

  def test_the_mean_is_of_guided_predictions_at_every_step(self):
    """Against a loop without scans, members and guidance written out."""
    from thickets.perturbation import perturb

    pipeline, batch = make_pipeline(), make_batch()
    steps = pipeline.schedule
    x = batch["noise"] * steps.init_scale
    for step in range(steps.num_steps):
      sigma, after = steps.sigmas[step], steps.sigmas[step + 1]
      t = jnp.full((COUNT,), steps.timesteps[step])
      predictions = []
      for member in MEMBERS[:3]:
        params = perturb(BASE_PARAMS, member, kind=KIND)
        scaled = x / np.sqrt(sigma**2 + 1)
        nothing = {"context": jnp.zeros((COUNT, 3))}
        without = predict(params, scaled, t, nothing)
        told = predict(params, scaled, t, batch["conditioning"])
        predictions.append(without + 2.0 * (told - without))
      x = x + (after - sigma) * np.mean(predictions, axis=0)
    np.testing.assert_allclose(
      draw_together([MEMBERS[:3]])[0], jax.nn.sigmoid(x), atol=1e-5
    )

  def test_others_than_first_members_are_refused(self):
    with self.assertRaisesRegex(ValueError, "first members of the largest"):
      draw_together([MEMBERS[1:3], MEMBERS])

  def test_an_ensemble_of_nobody_is_refused(self):
    with self.assertRaisesRegex(ValueError, "first members of the largest"):
      evaluators._order_prefixes([BASE, join(MEMBERS)])


class GroupsTest(parameterized.TestCase):
  @parameterized.parameters("members", "ensembles")
  def test_pictures_scored_one_by_one_are_those_scored_together(self, kind):
    together = make_pipeline()
    alone, sizes = _decode_one_by_one(together)
    # More than a device has by itself where they are spread.
    batch = make_batch(16) | {"labels": {"place": np.arange(16)}}
    found = [_evaluate(kind, pipeline, batch) for pipeline in (together, alone)]
    self.assertEqual(set(sizes), {1})
    self.assertEqual(found[0]["picture"].shape, (2, 16, 4, 4, 3))
    np.testing.assert_array_equal(found[1]["place"], [np.arange(16)] * 2)
    jax.tree.map(
      functools.partial(np.testing.assert_allclose, atol=1e-6), *found
    )

  @parameterized.parameters((1, 1), (3, 3), (5, 4), (20, 16))
  def test_pictures_drawn_in_groups_are_those_drawn_together(
    self, at_once, size
  ):
    rows = []

    def watch(params, x, t, conditioning):
      rows.append(x.shape[0])
      return predict(params, x, t, conditioning)

    together = make_pipeline()
    groups = dataclasses.replace(
      together, predict=watch, pictures_at_once=at_once
    )
    drawn = [
      jax.jit(functools.partial(pipelines.draw_pictures, pipeline))(
        BASE_PARAMS, make_batch(16)
      )
      for pipeline in (together, groups)
    ]
    np.testing.assert_allclose(*drawn, atol=1e-6)
    # Two of each picture, since they are guided. Groups have one size, the least
    # that their number allows.
    self.assertEqual(set(rows), {2 * size})

  def test_pictures_decoded_one_by_one_are_those_decoded_together(self):
    together = make_pipeline()
    alone, sizes = _decode_one_by_one(together)
    drawn = [
      jax.jit(functools.partial(pipelines.draw_pictures, pipeline))(
        BASE_PARAMS, make_batch()
      )
      for pipeline in (together, alone)
    ]
    self.assertEqual(set(sizes), {1})
    np.testing.assert_allclose(*drawn, atol=1e-6)


def _decode_one_by_one(pipeline):
  """The pipeline that decodes so, and the numbers of pictures that it decodes."""
  sizes = []

  def decode(params, x):
    sizes.append(x.shape[0])
    return pipeline.decode(params, x)

  alone = dataclasses.replace(pipeline, decode=decode, decoded_at_once=1)
  return alone, sizes


def _evaluate(kind, pipeline, batch):
  """The channels of two members, or of two ensembles."""

  def score_places(params, pictures, batch):
    return {
      **score(params, pictures, batch),
      "place": batch["labels"]["place"],
    }

  if kind == "members":
    evaluator = evaluators.make_member_evaluator(
      pipeline, score_places, kind=KIND
    )
    members = MEMBERS[:2]
  else:
    evaluator = EnsembleEvaluator(pipeline, score_places, kind=KIND)
    members = [MEMBERS[0], join(MEMBERS)]
  chunks = engine.stream_chunks(evaluator, BASE_PARAMS, members, batch, width=2)
  return next(iter(chunks)).channels


class MembersTest(parameterized.TestCase):
  def test_sigma_zero_is_the_base(self):
    drawn = draw_by_members([Member(3, 0.0), BASE])
    np.testing.assert_array_equal(drawn[0], drawn[1])
    evaluator = evaluators.make_member_evaluator(
      make_pipeline(), score, kind=KIND
    )
    np.testing.assert_array_equal(
      drawn[0],
      next(
        iter(
          engine.stream_chunks(
            evaluator, BASE_PARAMS, [BASE], make_batch(), width=1
          )
        )
      ).channels["picture"][0],
    )

  def test_guidance_of_one_asks_the_prompt_alone(self):
    def unguided(params, x, t, conditioning):
      self.assertEqual(x.shape[0], COUNT)  # The negative prompt is not asked.
      return predict(params, x, t, conditioning)

    for guidance in (0.0, 1.0):
      pipeline = Pipeline(
        unguided,
        lambda params, x: jax.nn.sigmoid(x),
        make_pipeline().schedule,
        guidance,
      )
      alone = jax.jit(functools.partial(pipelines.draw_pictures, pipeline))(
        BASE_PARAMS, make_batch()
      )
      barely = draw_by_members([BASE], guidance=1.0 + 1e-7)[0]
      np.testing.assert_allclose(alone, barely, atol=1e-5)

  @parameterized.parameters(1.0, 2.0)
  def test_predictions_of_half_precision_are_float32(self, guidance):
    def predict_half(params, x, t, conditioning):
      return predict(params, x, t, conditioning).astype(jnp.bfloat16)

    batch = make_batch()
    predicted = jax.eval_shape(
      functools.partial(
        pipelines.predict_guided,
        dataclasses.replace(make_pipeline(guidance), predict=predict_half),
      ),
      BASE_PARAMS,
      batch["noise"],
      np.float32(1),
      batch["conditioning"],
    )
    self.assertEqual(predicted.dtype, jnp.float32)

  def test_guidance_needs_a_negative_prompt(self):
    with self.assertRaisesRegex(UserError, "guidance must be at most 1"):
      Pipeline(predict, lambda params, x: x, make_pipeline().schedule, 2.0)

  def test_a_picture_does_not_depend_on_its_neighbours(self):
    whole = draw_by_members(MEMBERS[:1], batch=make_batch(COUNT))
    alone = draw_by_members(MEMBERS[:1], batch=make_batch(1))
    np.testing.assert_allclose(whole[:, :1], alone, atol=1e-6)

  def test_members_differ_in_the_denoiser_alone(self):
    def see_words(params, x, t, conditioning):
      return predict(params, x, t, conditioning) + jnp.mean(
        params["words"]["table"] - BASE_PARAMS["words"]["table"]
      )

    pipeline = make_pipeline()
    changed = Pipeline(
      see_words, pipeline.decode, pipeline.schedule, 2.0, pipeline.negative
    )
    arrays = stack_members(MEMBERS[:2])
    found = [
      evaluators.draw_by_ensembles(
        p, BASE_PARAMS, arrays, make_batch(), sizes=(2,), kind=KIND
      )
      for p in (pipeline, changed)
    ]
    np.testing.assert_allclose(*found, atol=1e-6)


class LanesTest(parameterized.TestCase):
  def test_a_device_draws_one_member_at_a_time_whatever_its_memory(self):
    evaluator = evaluators.make_member_evaluator(
      make_pipeline(), score, kind=KIND
    )
    count = jax.local_device_count()
    with mock.patch.object(
      chunk_width, "memory_budget_bytes", return_value=2**50
    ):
      width = evaluator.find_width(BASE_PARAMS, make_batch(), 3 * count)
    # Two members at a time would make chunks of twice as many.
    self.assertEqual(width, count)


class StartingNoiseTest(parameterized.TestCase):
  def test_it_depends_on_seed_split_prompt_and_sample_alone(self):
    make = functools.partial(pipelines.make_starting_noise, shape=(4, 4, 3))
    whole = make(0, "judge", ["a", "b"], 3)
    np.testing.assert_array_equal(make(0, "judge", ["b"], 2), whole[3:5])
    self.assertLen(np.unique(whole[:, 0, 0, 0]), 6)
    for other in (
      make(1, "judge", ["a"], 1),
      make(0, "select", ["a"], 1),
    ):
      self.assertGreater(np.abs(other[0] - whole[0]).max(), 0.1)

  def test_it_is_standard_normal(self):
    noise = pipelines.make_starting_noise(0, "dev", ["a"], 50, (8, 8, 3))
    self.assertAlmostEqual(noise.mean(), 0, delta=0.05)
    self.assertAlmostEqual(noise.std(), 1, delta=0.03)
