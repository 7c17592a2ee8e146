"""Tests of evolution strategies: their steps by oracles, and runs that are killed."""

import dataclasses
import functools
import pathlib
import shutil
import tempfile

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from thickets import noise
from thickets.errors import UserError
from thickets.members import BASE, Member, MemberArrays
from thickets.perturbation import Gaussian, Kind, perturb
from thickets.runs import directory, json_files
from thickets.runs.run_config import RunConfig
from thickets.search import population, randopt, traced
from thickets.training import (
  checkpoints,
  evolution,
  evolution_run,
  trained_weights,
  updates_file,
)
from thickets.training.evolution import EvolutionSpec
from thickets.training.spec_checks import SpecError
from thickets.training.step_schedule import StepSchedule

WEIGHTS = {
  "w": np.linspace(-1, 1, 8, dtype=np.float32),
  "b": np.array([0.5, -2.0], np.float32),
}
TARGET = np.array([1.0, -1.0], np.float32)
BATCH = {"x": np.linspace(0.5, 1.5, 3, dtype=np.float32)}
SPEC = EvolutionSpec(size=6, sigma=0.1, alpha=0.2, seed=3)
EVERY_TWO = StepSchedule("evolution", save_every=2, watch_every=2)


def _score(params, batch):
  """A quadratic whose maximum is at ones and `TARGET`, scaled by prompts."""
  error = jnp.sum((params["w"] - 1.0) ** 2)
  error += jnp.sum((params["b"] - TARGET) ** 2)
  return -batch["x"] * error


TRACED = traced.traced(_score)  # One for all tests: it compiles once.


@jax.jit
def _draw_noise(seeds):
  """The noise of several seeds by the public function alone, [P, D]."""
  zeros = jax.tree.map(np.zeros_like, WEIGHTS)
  one = np.ones(1, np.float32)
  drawn = jax.vmap(lambda seed: perturb(zeros, MemberArrays(seed[None], one)))(
    seeds
  )
  return jnp.concatenate([drawn["b"], drawn["w"]], axis=1)


def _directions(members):
  """[P, D] what each member adds to the weights, over sigma."""
  seeds = np.array([member.seed for member in members], np.uint32)
  sides = np.array([np.sign(member.sigma) for member in members])
  return sides[:, None] * np.asarray(_draw_noise(seeds), np.float64)


def _flatten(params):
  return np.concatenate([np.asarray(params[name]) for name in ("b", "w")])


@dataclasses.dataclass(frozen=True)
class _Scaled(Kind):
  """Noise of the weight's own size, so that it depends on the weights."""

  name = "scaled_of_a_test"

  def direction(self, seed, name_hash, weight):
    noise = Gaussian().direction(seed, name_hash, weight)
    return noise * jnp.sqrt(jnp.mean(weight**2))


class StepTest(parameterized.TestCase):
  @parameterized.parameters(False, True)
  def test_a_step_points_along_the_gradient(self, is_antithetic):
    size, sigma, dim = 2400, 1e-3, 10
    spec = EvolutionSpec(size, sigma, 1.0, 0, is_antithetic)
    members = spec.draw_members(0)
    base = _flatten(WEIGHTS).astype(np.float64)
    goal = np.concatenate([TARGET, np.ones(8)])
    points = base + sigma * _directions(members)
    update = spec.make_update(members, -((points - goal) ** 2).sum(axis=1))
    moved = _flatten(perturb(WEIGHTS, update)) - base
    gradient = 2 * (goal - base)
    # In expectation alpha times the gradient over its norm; each weight has the
    # sampling error alpha / sqrt(P).
    error = moved - gradient / np.linalg.norm(gradient)
    self.assertLess(np.linalg.norm(error), 2 * np.sqrt(dim / size))
    self.assertLess(2 * np.sqrt(dim / size), 0.15)

  @parameterized.parameters(False, True)
  def test_steps_are_those_of_open_es_in_numpy(self, is_antithetic):
    spec = dataclasses.replace(SPEC, is_antithetic=is_antithetic)
    theta = _flatten(WEIGHTS).astype(np.float64)
    goal = np.concatenate([TARGET, np.ones(8)])
    weights, updates = WEIGHTS, []
    for step in range(4):
      members = spec.draw_members(step)
      noise = _directions(members)
      rewards = -((theta + 0.1 * noise - goal) ** 2).sum(axis=1)
      z = (rewards - rewards.mean()) / (rewards.std() + 1e-8)
      theta = theta + 0.2 / 6 * (z[:, None] * noise).sum(axis=0)
      updates.append(spec.make_update(members, rewards))
      self.assertLen(updates[-1].terms, 3 if is_antithetic else 6)
      weights = evolution.replay(WEIGHTS, updates, Gaussian())
      # Coefficients have 12 significant bits.
      np.testing.assert_allclose(_flatten(weights), theta, atol=3e-4)
    self.assertGreater(np.abs(theta - _flatten(WEIGHTS)).max(), 0.2)

  def test_members_depend_on_seed_and_step_and_come_in_pairs(self):
    self.assertEqual(SPEC.draw_members(2), SPEC.draw_members(2))
    larger = dataclasses.replace(SPEC, size=9)
    self.assertEqual(larger.draw_members(2)[:6], SPEC.draw_members(2))
    other = dataclasses.replace(SPEC, seed=4)
    drawn = [
      member
      for spec in (SPEC, other)
      for step in range(50)
      for member in spec.draw_members(step)
    ]
    self.assertLen({member.seed for member in drawn}, len(drawn))
    pairs = dataclasses.replace(SPEC, is_antithetic=True).draw_members(5)
    self.assertEqual(pairs[1::2], [member.antithetic for member in pairs[::2]])

  @parameterized.parameters(
    (np.zeros(6),),
    (np.full(6, 0.7),),  # Their mean is rounded to another number.
    (np.full(6, np.nan),),
    (np.array([np.nan, 0.5, 0.5, np.inf, 0.5, 0.5]),),
  )
  def test_scores_that_are_alike_move_nothing(self, scores):
    np.testing.assert_array_equal(evolution.standardise_scores(scores), 0.0)
    update = SPEC.make_update(SPEC.draw_members(0), scores)
    self.assertEqual(update, BASE)

  def test_pairs_that_score_alike_cancel_out(self):
    spec = dataclasses.replace(SPEC, is_antithetic=True)
    scores = np.array([1.0, 1.0, 0.5, 0.5, 0.0, 0.0])
    self.assertEqual(spec.make_update(spec.draw_members(0), scores), BASE)

  def test_a_failed_member_counts_as_the_lowest_score(self):
    found = evolution.standardise_scores(np.array([np.nan, 0.25, 1.0, np.inf]))
    expected = evolution.standardise_scores(np.array([0.25, 0.25, 1.0, 0.25]))
    np.testing.assert_array_equal(found, expected)
    self.assertAlmostEqual(float(found.std()), 1.0, places=6)

  @parameterized.parameters(
    ({"size": 1}, "population.size must be at least 2, got 1"),
    ({"size": 5, "is_antithetic": True}, "size must be even .* got 5"),
    ({"sigma": 0.0}, "population.sigma must be at least"),
    ({"alpha": float("nan")}, "evolution.alpha must be finite"),
    ({"seed": 2**32}, "seed must be at most"),
  )
  def test_what_cannot_be_a_step_is_refused(self, changes, message):
    with self.assertRaisesRegex(SpecError, message):
      dataclasses.replace(SPEC, **changes)


class RunTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    self.folder = pathlib.Path(folder.name)

  def evolve(
    self, name, num_steps, *, spec=SPEC, base=WEIGHTS, evaluator=TRACED, stop=()
  ):
    """A run to its end, or to where `goes_on` is asked about a step of `stop`."""

    def goes_on(step):
      if step in stop:
        raise KeyboardInterrupt
      return step < num_steps

    select = randopt.Evaluation("select", evaluator, BATCH)
    dev = randopt.Evaluation("dev", evaluator, BATCH)
    members = population.PopulationSpec(
      spec.size, (spec.sigma,), spec.seed, kind=spec.kind, chunk=4
    )
    config = RunConfig({"seed": spec.seed})
    with directory.open_run(self.folder / name, config) as run:
      search = randopt.start_search(
        run,
        randopt.Base(base, precision={}),
        members,
        first=select,
        task={"name": "quadratic"},
        method=spec.describe(),
      )
      randopt.score_base(search, select)
      evolved = evolution_run.evolve(
        search, spec, EVERY_TWO, select, dev, goes_on=goes_on
      )
      watched = [
        run.record("dev", trained_weights.find_position(step)).score
        for step in trained_weights.list_watched(num_steps, 2)
      ]
      scores = evolution_run.read_scores(run, spec, num_steps)
    return evolved, watched, scores

  def log(self, name):
    return self.folder / name / "records" / "process_0000.jsonl"

  @functools.cached_property
  def whole(self):
    return self.evolve("whole", 5)

  def assert_same(self, found, expected):
    jax.tree.map(
      np.testing.assert_array_equal, found[0].weights, expected[0].weights
    )
    self.assertEqual(found[0].updates, expected[0].updates)
    self.assertEqual(found[1], expected[1])

  def test_the_score_rises_and_the_weights_are_those_of_its_updates(self):
    before = TRACED.num_compilations
    evolved, watched, scores = self.whole
    self.assertLessEqual(TRACED.num_compilations - before, 2)
    self.assertEqual(scores.shape, (5, 6))
    self.assertLen(watched, 4)  # After 0, 2, 4 and 5 steps.
    self.assertGreater(watched[-1], watched[0] + 1)
    replayed = evolution.replay(WEIGHTS, evolved.updates, SPEC.kind)
    jax.tree.map(np.testing.assert_array_equal, replayed, evolved.weights)
    # All terms at once give the same sums, up to their rounding.
    pairs = [term for update in evolved.updates for term in update.terms]
    together = perturb(WEIGHTS, Member(*zip(*pairs, strict=True)))
    for name in WEIGHTS:
      np.testing.assert_allclose(
        together[name], evolved.weights[name], atol=1e-5
      )

  def test_members_are_scored_around_the_weights_of_their_step(self):
    evolved, _, scores = self.whole
    for step in (0, 3):
      here = evolution.replay(WEIGHTS, evolved.updates[:step], SPEC.kind)
      expected = [
        np.mean(_score(perturb(here, member), BATCH))
        for member in SPEC.draw_members(step)
      ]
      np.testing.assert_allclose(scores[step], expected, rtol=1e-5)

  def test_lost_records_and_checkpoints_change_nothing(self):
    whole, before = self.whole, self.log("whole").read_bytes()
    lines = before.splitlines(keepends=True)
    # Within a step, between two, and where the checkpoints know more than the log.
    for kept, has_checkpoints in ((7, False), (17, True), (25, True)):
      name = f"cut_{kept}"
      shutil.copytree(self.folder / "whole", self.folder / name)
      self.log(name).write_bytes(b"".join(lines[:kept]))
      if not has_checkpoints:
        shutil.rmtree(self.folder / name / "checkpoints")
      self.assert_same(self.evolve(name, 5), whole)
      self.assertEqual(
        {*self.log(name).read_bytes().splitlines(True)}, {*lines}
      )

  @parameterized.parameters(3, 5)
  def test_stopped_after_a_step_it_ends_with_the_same_bytes(self, step):
    with self.assertRaises(KeyboardInterrupt):
      self.evolve("stopped", 5, stop=(step,))
    self.assert_same(self.evolve("stopped", 5), self.whole)
    self.assertEqual(
      self.log("stopped").read_bytes(), self.log("whole").read_bytes()
    )

  def test_finished_it_evaluates_nothing_and_goes_on_for_more(self):
    before = (self.whole, self.log("whole").read_bytes())[1]
    self.assert_same(self.evolve("whole", 5), self.whole)
    self.assertEqual(self.log("whole").read_bytes(), before)
    longer = self.evolve("whole", 8)
    self.assert_same(longer, self.evolve("other", 8))
    # And with fewer steps it is the shorter run, whose checkpoint is gone.
    self.assert_same(self.evolve("whole", 3), self.evolve("shorter", 3))

  def test_pairs_and_kinds_of_noise_that_depend_on_the_weights(self):
    spec = EvolutionSpec(6, 0.1, 0.2, 1, True, _Scaled(include=("w",)))
    evaluator = traced.traced(_score, kind=spec.kind)
    evolved, watched, _ = self.evolve("kind", 3, spec=spec, evaluator=evaluator)
    self.assertGreater(watched[-1], watched[0])
    np.testing.assert_array_equal(evolved.weights["b"], WEIGHTS["b"])
    replayed = evolution.replay(WEIGHTS, evolved.updates, spec.kind)
    jax.tree.map(np.testing.assert_array_equal, replayed, evolved.weights)

  def test_half_weights_gather_steps_that_each_round_to_nothing(self):
    base = {
      "w": jnp.full(8, 1.0, jnp.bfloat16),
      "b": jnp.zeros(2, jnp.bfloat16),
    }
    update = Member(1, 2.0**-11)  # Far below the spacing of 2**-8 around 1.
    moved = evolution.replay(base, [update] * 64, Gaussian())
    self.assertEqual(moved["w"].dtype, jnp.float32)
    expected = perturb(
      {"w": np.ones(8, np.float32), "b": np.zeros(2, np.float32)},
      Member(1, 2.0**-5),
    )
    np.testing.assert_allclose(moved["w"], expected["w"], atol=1e-5)
    rounded = evolution.narrow(moved, base)
    self.assertEqual(rounded["w"].dtype, jnp.bfloat16)
    self.assertTrue((rounded["w"] != base["w"]).any())
    once = evolution.narrow(evolution.replay(base, [update], Gaussian()), base)
    self.assertFalse((once["w"] != base["w"]).all())

  def test_scores_that_are_alike_are_said_and_the_run_ends(self):
    evaluator = traced.traced(lambda _, batch: batch["x"])
    with self.assertLogs("absl", level="WARNING") as logged:
      evolved, _, scores = self.evolve("alike", 2, evaluator=evaluator)
    self.assertEqual(evolved.updates, (BASE, BASE))
    self.assertEqual(np.ptp(scores), 0)
    self.assertIn("step 1 moves nothing: its 6 members", "".join(logged.output))
    jax.tree.map(np.testing.assert_array_equal, evolved.weights, WEIGHTS)

  def test_a_step_in_which_all_fail_is_refused(self):
    def fail_off_the_base(params, batch):
      is_base = jnp.all(params["w"] == WEIGHTS["w"])
      return jnp.where(is_base, batch["x"], jnp.nan)

    with self.assertRaisesRegex(UserError, "got none of 6 in step 1. Lower"):
      self.evolve("failed", 2, evaluator=traced.traced(fail_off_the_base))

  def test_the_file_of_updates_makes_the_weights_again(self):
    evolved, _, _ = self.whole
    header = {
      "base": {"identity": "a base"},
      "noise": {"version": noise.NOISE_VERSION, "prng": noise.PRNG},
      "kind": SPEC.kind.to_json(),
    }
    path = self.folder / "updates.json"

    def write(**changes):
      content = updates_file.describe_updates(
        header | changes, evolved.updates, None
      )
      json_files.write_json(path, content)

    write()
    kind, updates = updates_file.read_updates(path, "a base")
    jax.tree.map(
      np.testing.assert_array_equal,
      evolution.replay(WEIGHTS, updates, kind),
      evolved.weights,
    )
    with self.assertRaisesRegex(UserError, "belongs to the base a base"):
      updates_file.read_updates(path, "another base")
    write(noise={"version": 99, "prng": noise.PRNG})
    with self.assertRaisesRegex(UserError, "was drawn by noise .*99"):
      updates_file.read_updates(path, "a base")
    for text in ("", "[]", "{}", '{"format": "x", "version": 1}'):
      path.write_text(text)
      with self.assertRaisesRegex(UserError, "must hold the updates of a run"):
        updates_file.read_updates(path, "a base")

  def test_checkpoints_behind_the_last_are_left_out(self):
    state = {"w": np.arange(3.0)}
    with checkpoints.open_checkpoints(self.folder / "steps") as manager:
      checkpoints.save_checkpoint(manager, 4, state)
      checkpoints.save_checkpoint(manager, 2, {"w": np.zeros(3)})
      self.assertEqual(manager.all_steps(), [4])
      step, found = checkpoints.restore_checkpoint(manager, state, most=3)
      self.assertEqual((step, found), (0, state))
      self.assertEqual(checkpoints.restore_checkpoint(manager, state)[0], 4)
