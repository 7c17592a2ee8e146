"""Tests of searches: what the log holds is not done again, or is refused."""

import pathlib
import tempfile
import threading
from unittest import mock

import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from thickets.errors import UserError
from thickets.members import BASE
from thickets.perturbation import perturb
from thickets.runs import directory, record_log, stopping
from thickets.runs.run_config import RunConfig
from thickets.search import engine, population, randopt, traced

WIDTH, SIZE = 4, 10
WEIGHTS = {"w": np.eye(3, dtype=np.float32)}
BATCH = {"x": np.linspace(-1, 1, 15, dtype=np.float32).reshape(5, 3)}
CONFIG = RunConfig({"seed": 0})


def _score(params, batch):
  prediction = batch["x"] @ params["w"]
  return {"score": -jnp.sum(prediction**2, axis=1), "prediction": prediction}


TRACED = traced.traced(_score)  # One for all tests: it compiles once.


class _Counting:
  """Delegates to `TRACED`, and keeps the members it was asked to evaluate."""

  compile_s = 0.0
  team = TRACED.team

  def __init__(self):
    self.chunks = []

  def find_width(self, base, batch, num_members):
    raise AssertionError("The population has a width.")

  def place(self, base, batch, num_members):
    return TRACED.place(base, batch, num_members)

  def __call__(self, base, members, batch):
    self.chunks.append(tuple(members))
    return TRACED(base, members, batch)


class SearchTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    self.workdir = pathlib.Path(folder.name) / "run"

  def open(self):
    return directory.open_run(self.workdir, CONFIG)

  @property
  def log(self):
    return self.workdir / "records" / "process_0000.jsonl"

  def search(
    self, size=SIZE, *, seed=0, base=WEIGHTS, task="rank", chunk=WIDTH
  ):
    """Scores a population; returns its scores and what was evaluated for them."""
    evaluator = _Counting()
    spec = population.PopulationSpec(size, (0.1, 0.3), seed, chunk=chunk)
    select = randopt.Evaluation("select", evaluator, BATCH)
    with self.open() as run:
      search = randopt.start_search(
        run,
        randopt.Base(base, precision={}),
        spec,
        first=select,
        task={"name": task},
      )
      scores = randopt.score_members(search, select)
      randopt.save_experts(search, np.argsort(-scores)[:3], scores, primary_k=2)
    return scores, evaluator.chunks

  def test_scores_and_channels_are_those_of_the_members(self):
    scores, _ = self.search()
    members = population.PopulationSpec(SIZE, (0.1, 0.3), 0).sample()
    outputs = [_score(perturb(WEIGHTS, member), BATCH) for member in members]
    expected_PQ = np.stack([output["score"] for output in outputs])
    np.testing.assert_allclose(scores, expected_PQ.mean(axis=1), rtol=1e-5)
    with self.open() as run:
      np.testing.assert_allclose(
        run.channel("select", [7, 2], "prediction"),
        np.stack([outputs[7]["prediction"], outputs[2]["prediction"]]),
        rtol=1e-5,
        atol=1e-6,  # One is nearly 0: a difference of products of order 1.
      )

  def test_the_base_is_a_record_at_minus_one(self):
    self.search()
    with self.open() as run:
      record = run.record("select", directory.BASE_POSITION)
    self.assertEqual((record.position, record.member), (-1, BASE))
    expected = _score(WEIGHTS, BATCH)["score"].mean()
    np.testing.assert_allclose(record.score, expected, rtol=1e-5)

  def test_a_finished_run_evaluates_nothing(self):
    scores, chunks = self.search()
    self.assertEqual([len(chunk) for chunk in chunks], [1, 4, 4, 4])
    before = self.log.read_bytes()
    again, chunks = self.search()
    self.assertEmpty(chunks)
    np.testing.assert_array_equal(again, scores)
    self.assertEqual(self.log.read_bytes(), before)

  @parameterized.parameters(
    (0, 0),  # Lines lost from the end, chunks to compute again.
    (1, 1),
    (2, 1),  # The last chunk has two members ...
    (3, 2),  # ... and the one before it four.
    (6, 2),
    (7, 3),
    (11, 4),  # The base as well.
    (12, 4),  # And the header.
  )
  def test_lost_records_cost_their_chunks_and_change_nothing(self, lost, cost):
    scores, chunks = self.search()
    experts = (self.workdir / "experts.json").read_bytes()
    lines = self.log.read_bytes().splitlines(keepends=True)
    self.log.write_bytes(b"".join(lines[: len(lines) - lost]))
    again, redone = self.search()
    self.assertEqual(redone, chunks[len(chunks) - cost :])
    np.testing.assert_array_equal(again, scores)
    self.assertEqual((self.workdir / "experts.json").read_bytes(), experts)

  @parameterized.parameters(0, 1, 2, 3)
  def test_a_chunk_that_lacks_a_member_is_evaluated_whole(self, member):
    scores, chunks = self.search()
    lines = self.log.read_bytes().splitlines(keepends=True)
    del lines[2 + WIDTH + member]  # Behind header, base and the first chunk.
    self.log.write_bytes(b"".join(lines))
    again, redone = self.search()
    self.assertEqual(redone, chunks[2:3])
    np.testing.assert_array_equal(again, scores)

  @parameterized.parameters((5, 13, 3), (8, 13, 2), (10, 6, 0))
  def test_another_size_continues(self, first, second, num_chunks):
    first_scores, _ = self.search(first)
    scores, chunks = self.search(second)
    # Five members end inside a chunk, which is computed again whole.
    self.assertLen(chunks, num_chunks)
    both = min(first, second)
    np.testing.assert_array_equal(scores[:both], first_scores[:both])
    self.assertLen(scores, second)

  def test_failed_members_are_recorded_and_not_tried_again(self):
    def score(params, batch):
      outputs = _score(params, batch)
      fails = outputs["score"][0] < -2.0
      return jnp.where(fails, jnp.nan, outputs["score"])

    members = population.PopulationSpec(SIZE, (0.1, 0.3), 0).sample()

    def evaluate(run):
      return engine.evaluate_members(
        run,
        traced.traced(score),
        WEIGHTS,
        members,
        BATCH,
        split="select",
        width=WIDTH,
      )

    with (
      self.open() as run,
      self.assertLogs("thickets.progress", "INFO") as logs,
    ):
      run.write_header({"base": "a"})
      scores = evaluate(run)
    num_failed = int(np.isnan(scores).sum())
    self.assertBetween(num_failed, 1, SIZE - 1)
    self.assertIn(f"failed {num_failed}", logs.output[-1])
    before = self.log.read_bytes()
    with self.open() as run:
      np.testing.assert_array_equal(evaluate(run), scores)
    self.assertEqual(self.log.read_bytes(), before)

  @parameterized.parameters(
    ({"base": {"w": np.full((3, 3), 0.5, np.float32)}}, r"base\.identity was"),
    ({"task": "order"}, r"task\.name was 'rank', now 'order'"),
    ({"chunk": 5}, r"width was 4, now 5"),
    ({"seed": 1}, r"population\.seed was 0, now 1"),
  )
  def test_records_that_mean_something_else_are_refused(self, change, message):
    self.search()
    with self.assertRaisesRegex(UserError, message):
      self.search(**change)

  def test_a_run_keeps_its_width(self):
    self.search()
    _, chunks = self.search(SIZE + WIDTH, chunk=None)
    self.assertEqual([len(chunk) for chunk in chunks], [WIDTH, WIDTH])

  def test_another_member_at_the_same_position_is_refused(self):
    def evaluate(run, seed):
      return engine.evaluate_members(
        run,
        TRACED,
        WEIGHTS,
        population.PopulationSpec(SIZE, (0.1,), seed).sample(),
        BATCH,
        split="select",
        width=WIDTH,
      )

    with self.open() as run:
      run.write_header({"base": "a"})
      evaluate(run, 0)
      with self.assertRaisesRegex(UserError, "sampled in another way"):
        evaluate(run, 1)

  def test_told_to_end_it_finishes_what_is_under_way_and_begins_no_more(self):
    start_chunk = _Counting.__call__

    def start_and_ask(evaluator, base, members, batch):
      handle = start_chunk(evaluator, base, members, batch)
      if len(evaluator.chunks) == 2:  # The base, and the first members.
        stopping.ask()
      return handle

    with (
      mock.patch.object(stopping, "_asked", threading.Event()),
      mock.patch.object(_Counting, "__call__", start_and_ask),
      self.assertRaises(stopping.StoppedError),
    ):
      self.search()
    found = [record.position for record in record_log.read_log(self.log)]
    self.assertEqual(found, [-1, *range(WIDTH)])
    _, chunks = self.search()
    self.assertEqual([len(chunk) for chunk in chunks], [WIDTH] * 2)

  def test_records_of_several_processes_are_one_run(self):
    scores, _ = self.search()
    lines = self.log.read_bytes().splitlines(keepends=True)
    other = self.log.with_name("process_0001.jsonl")
    other.write_bytes(lines[0] + b"".join(lines[6:]))
    self.log.write_bytes(b"".join(lines[:6]))
    again, chunks = self.search()
    self.assertEmpty(chunks)
    np.testing.assert_array_equal(again, scores)
