"""Tests of the resumable training, on problems with known answers."""

import pathlib
import tempfile

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl.testing import parameterized
from golden import transformer_cases as cases

from thickets.errors import UserError
from thickets.models import transformer
from thickets.training import train as train_lib

START = {"w": jnp.array([3.0, -2.0]), "b": jnp.array(0.5)}
TARGET = np.array([1.0, 4.0], np.float32)


def _loss(params, batch):
  """Its minimum is at `TARGET` and 0, whatever the batch."""
  error = jnp.sum((params["w"] - TARGET) ** 2) + params["b"] ** 2
  return jnp.mean(batch["x"]) * error


def _batch(step):
  rng = np.random.default_rng(step)
  return {"x": rng.uniform(0.5, 1.5, 4).astype(np.float32)}


def _schedule(num_steps, save_every=100, report_every=100):
  return train_lib.Schedule(num_steps, save_every, report_every)


class _StopError(Exception):
  pass


class TrainTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    self.directory = pathlib.Path(folder.name)
    # Adam counts its steps in int32.
    promotion = jax.numpy_dtype_promotion("standard")
    promotion.__enter__()
    self.addCleanup(promotion.__exit__, None, None, None)
    self.reports = []

  def train(self, schedule, *, name="run", optimizer=None, stop_at=None, **kw):
    def report(step, metrics, params):
      self.reports.append((step, metrics["loss"], jax.device_get(params)))
      if step == stop_at:
        raise _StopError

    return train_lib.train(
      kw.get("params", START),
      kw.get("loss_fn", _loss),
      kw.get("make_batch", _batch),
      optax.adam(0.1) if optimizer is None else optimizer,
      schedule,
      directory=self.directory / name,
      report=report,
    )

  def test_agrees_with_a_plain_loop(self):
    params, state = START, optax.adam(0.1).init(START)
    losses = []
    for step in range(5):
      loss, gradients = jax.value_and_grad(_loss)(params, _batch(step))
      updates, state = optax.adam(0.1).update(gradients, state)
      params = optax.apply_updates(params, updates)
      losses.append(loss)
    trained = self.train(_schedule(5, report_every=2))
    np.testing.assert_allclose(trained["w"], params["w"], rtol=1e-5, atol=1e-6)
    self.assertEqual([step for step, *_ in self.reports], [2, 4, 5])
    np.testing.assert_allclose(
      [loss for _, loss, _ in self.reports],
      [np.mean(losses[:2]), np.mean(losses[2:4]), losses[4]],
      rtol=1e-5,
    )

  def test_finds_the_minimum(self):
    trained = self.train(_schedule(300))
    np.testing.assert_allclose(trained["w"], TARGET, atol=1e-2)
    np.testing.assert_allclose(trained["b"], 0, atol=1e-2)

  def test_the_caller_keeps_its_weights(self):
    before = jax.device_get(START)
    self.train(_schedule(2))
    np.testing.assert_array_equal(START["w"], before["w"])

  @parameterized.parameters(3, 4, 5)
  def test_continued_it_ends_with_the_same_bits(self, stop_at):
    """Stopped before, at and behind a checkpoint, which is after step 4."""
    schedule = _schedule(9, save_every=4, report_every=1)
    whole = self.train(schedule, name="whole")
    with self.assertRaises(_StopError):
      self.train(schedule, stop_at=stop_at)
    self.reports.clear()
    continued = self.train(schedule)
    for name in START:
      np.testing.assert_array_equal(continued[name], whole[name])
    first = 5 if stop_at > 4 else 1
    self.assertEqual(self.reports[0][0], first)

  def test_finished_it_does_nothing_more(self):
    trained = self.train(_schedule(3))
    self.reports.clear()
    again = self.train(_schedule(3))
    np.testing.assert_array_equal(again["w"], trained["w"])
    self.assertEmpty(self.reports)

  def test_checkpoints_of_another_model_are_refused(self):
    self.train(_schedule(2))
    with self.assertRaisesRegex(UserError, "must hold checkpoints of this"):
      self.train(
        _schedule(4),
        params={"v": jnp.zeros(3)},
        loss_fn=lambda params, batch: jnp.sum(params["v"] ** 2),
      )

  def test_a_loss_that_is_no_number_is_refused(self):
    with self.assertRaisesRegex(UserError, "got nan before step 2. Lower"):
      self.train(
        _schedule(2), loss_fn=lambda params, batch: params["b"] * jnp.nan
      )

  def test_what_diverged_is_not_kept(self):
    """Between two reports as well: a checkpoint of it could not be continued."""

    def diverge(params, batch):
      return _loss(params, batch) + jnp.where(batch["x"][0] == 7, jnp.nan, 0)

    def make_batch(step):
      batch = _batch(step)
      return batch | {"x": np.full_like(batch["x"], 7)} if step == 3 else batch

    with self.assertRaisesRegex(UserError, "must stay finite"):
      self.train(
        _schedule(9, save_every=2), loss_fn=diverge, make_batch=make_batch
      )
    kept = {path.name for path in (self.directory / "run").iterdir()}
    self.assertEqual(kept & {"2", "4", "6", "8"}, {"2"})

  def test_stages_are_reported_beside_the_rest(self):
    schedule = train_lib.Schedule(9, 4, 5, stages=(0, 3, 5, 7))
    self.assertEqual(
      [step for step in range(1, 10) if schedule.is_reported(step)],
      [3, 5, 7, 9],
    )
    self.assertEqual(
      [step for step in range(1, 10) if schedule.is_saved(step)], [4, 8, 9]
    )
    self.train(schedule)
    self.assertEqual([step for step, *_ in self.reports], [3, 5, 7, 9])

  def test_weights_of_a_stage_are_those_of_a_training_that_passes_it(self):
    """Reporting in between changes no step."""
    plain = self.train(_schedule(6, report_every=3), name="plain")
    before = {step: params for step, _, params in self.reports}
    self.reports.clear()
    schedule = train_lib.Schedule(6, 100, 100, stages=(2, 3))
    staged = self.train(schedule)
    for name in START:
      np.testing.assert_array_equal(staged[name], plain[name])
      np.testing.assert_array_equal(self.reports[1][2][name], before[3][name])

  @parameterized.parameters(-1, 4)
  def test_stages_are_within_the_training(self, stage):
    with self.assertRaisesRegex(
      UserError, f"within 0 and num_steps=3, got {stage}"
    ):
      train_lib.Schedule(3, 3, 3, stages=(1, stage))

  @parameterized.parameters("num_steps", "save_every", "report_every")
  def test_a_schedule_counts_from_one(self, name):
    counts = {"num_steps": 3, "save_every": 3, "report_every": 3, name: 0}
    with self.assertRaisesRegex(UserError, f"{name} must be at least 1, got 0"):
      train_lib.Schedule(**counts)


class OptimizerTest(parameterized.TestCase):
  def test_the_rate_rises_to_the_peak_and_falls_to_a_tenth(self):
    _, rate = train_lib.make_optimizer(
      peak=0.5, num_steps=100, warmup=10, weight_decay=0.0
    )
    rates = [float(rate(step)) for step in range(101)]
    self.assertEqual(rates[0], 0)
    self.assertAlmostEqual(rates[5], 0.25, places=6)
    self.assertAlmostEqual(rates[10], 0.5, places=6)
    self.assertAlmostEqual(rates[100], 0.05, places=6)
    self.assertEqual(rates[10:], sorted(rates[10:], reverse=True))

  def test_matrices_decay_and_vectors_do_not(self):
    params = {
      "embed_tokens": jnp.ones((3, 2)),
      "norm": jnp.ones(2),
      "layers": {"mlp": jnp.ones((4, 3, 2)), "norm": jnp.ones((4, 2))},
    }
    optimizer, _ = train_lib.make_optimizer(
      peak=0.1, num_steps=10, warmup=0, weight_decay=0.5
    )
    with jax.numpy_dtype_promotion("standard"):
      updates, _ = optimizer.update(
        jax.tree.map(jnp.zeros_like, params), optimizer.init(params), params
      )
    decayed = jax.tree.map(lambda leaf: bool((leaf != 0).all()), updates)
    self.assertEqual(
      decayed,
      {
        "embed_tokens": True,
        "norm": False,
        "layers": {"mlp": True, "norm": False},
      },
    )


class LossTest(parameterized.TestCase):
  def test_is_the_weighted_mean_of_what_each_token_costs(self):
    model = cases.make_model("llama", num_hidden_layers=1)
    rng = np.random.default_rng(0)
    tokens = jnp.asarray(rng.integers(0, model.config.vocab_size, (2, 6)))
    weights = np.array([[1, 0, 0.5, 1, 0], [0, 0, 2, 0, 1]], np.float32)
    logits = np.asarray(
      transformer.apply(model.config, model.params, tokens[:, :-1])
    ).astype(np.float64)
    shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    picked = np.take_along_axis(shares, np.asarray(tokens)[:, 1:, None], -1)[
      ..., 0
    ]
    expected = -(np.log(picked) * weights).sum() / weights.sum()
    loss = train_lib.make_loss(model.config)(
      model.params, {"tokens": tokens, "weights": weights}
    )
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
