"""Tests of run directories: what is on disk is not done again, or is refused."""

import json
import pathlib
import tempfile
from unittest import mock

import jax.numpy as jnp
import ml_dtypes
import numpy as np
from absl.testing import parameterized

from thickets.search import engine
from thickets.search import randopt
from thickets.search import population
from thickets.search import traced
from thickets.runs import directory
from thickets.errors import UserError
from thickets.perturbation import perturb
from thickets.members import BASE

WIDTH, SIZE = 4, 10
WEIGHTS = {"w": np.eye(3, dtype=np.float32)}
BATCH = {"x": np.linspace(-1, 1, 15, dtype=np.float32).reshape(5, 3)}
CONFIG = {"population": {"size": SIZE, "sigmas": [0.1]}, "seed": 0}


def _score(params, batch):
  prediction = batch["x"] @ params["w"]
  return {"score": -jnp.sum(prediction**2, axis=1), "prediction": prediction}


TRACED = traced.traced(_score)  # One for all tests: it compiles once.


class _Counting:
  """Delegates to `TRACED`, and keeps the members it was asked to evaluate."""

  def __init__(self):
    self.chunks = []

  def place(self, base, batch, num_members):
    return TRACED.place(base, batch, num_members)

  def __call__(self, base, members, batch):
    self.chunks.append(tuple(members))
    return TRACED(base, members, batch)


class _RunTestCase(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    self.workdir = pathlib.Path(folder.name) / "run"

  def open(self, config=None, **kwargs):
    return directory.Run(
      self.workdir, CONFIG if config is None else config, **kwargs
    )

  @property
  def log(self):
    return self.workdir / "records" / "process_0000.jsonl"


class EvaluateTest(_RunTestCase):
  def search(
    self, size=SIZE, *, seed=0, base=WEIGHTS, task="rank", chunk=WIDTH
  ):
    """Scores a population; returns its scores and what was evaluated for them."""
    evaluator = _Counting()
    spec = population.PopulationSpec(size, (0.1, 0.3), seed, chunk=chunk)
    with self.open() as folder:
      found = randopt.Search(
        folder,
        base,
        spec,
        find_width=lambda: self.fail("It has a width."),
        task={"name": task},
        precision={},
      )
      scores = found.evaluate(evaluator, BATCH, split="select")
      found.save_experts(np.argsort(-scores)[:3], scores, primary_k=2)
    return scores, evaluator.chunks

  def test_scores_and_channels_are_those_of_the_members(self):
    scores, _ = self.search()
    members = population.PopulationSpec(SIZE, (0.1, 0.3), 0).sample()
    outputs = [_score(perturb(WEIGHTS, member), BATCH) for member in members]
    expected_PQ = np.stack([output["score"] for output in outputs])
    np.testing.assert_allclose(scores, expected_PQ.mean(axis=1), rtol=1e-5)
    with self.open() as folder:
      np.testing.assert_allclose(
        folder.channel("select", [7, 2], "prediction"),
        np.stack([outputs[7]["prediction"], outputs[2]["prediction"]]),
        rtol=1e-5,
      )

  def test_the_base_is_a_record_at_minus_one(self):
    self.search()
    with self.open() as folder:
      record = folder.record("select", directory.BASE_POSITION)
    self.assertEqual((record.position, record.member), (-1, BASE))
    expected = _score(WEIGHTS, BATCH)["score"].mean()
    np.testing.assert_allclose(record.score, expected, rtol=1e-6)

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
    evaluate = lambda folder: engine.evaluate_members(folder,   # noqa: E731
      traced.traced(score),
      WEIGHTS,
      members,
      BATCH,
      split="select",
      width=WIDTH,
    )
    with self.open() as folder, self.assertLogs("absl", "INFO") as logs:
      folder.write_header({"base": "a"})
      scores = evaluate(folder)
    num_failed = int(np.isnan(scores).sum())
    self.assertBetween(num_failed, 1, SIZE - 1)
    self.assertIn(f"failed {num_failed}", logs.output[-1])
    before = self.log.read_bytes()
    with self.open() as folder:
      np.testing.assert_array_equal(evaluate(folder), scores)
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
    evaluate = lambda folder, seed: engine.evaluate_members(folder,   # noqa: E731
      TRACED,
      WEIGHTS,
      population.PopulationSpec(SIZE, (0.1,), seed).sample(),
      BATCH,
      split="select",
      width=WIDTH,
    )
    with self.open() as folder:
      folder.write_header({"base": "a"})
      evaluate(folder, 0)
      with self.assertRaisesRegex(UserError, "sampled in another way"):
        evaluate(folder, 1)

  def test_records_of_several_processes_are_one_run(self):
    scores, _ = self.search()
    lines = self.log.read_bytes().splitlines(keepends=True)
    other = self.log.with_name("process_0001.jsonl")
    other.write_bytes(lines[0] + b"".join(lines[6:]))
    self.log.write_bytes(b"".join(lines[:6]))
    again, chunks = self.search()
    self.assertEmpty(chunks)
    np.testing.assert_array_equal(again, scores)


class ConfigTest(_RunTestCase):
  def test_another_config_is_refused_by_key_and_values(self):
    self.open().__exit__()
    changed = {"population": {"size": 20, "sigmas": [0.2]}, "seed": 0}
    with self.assertRaisesRegex(
      UserError,
      r"config differs: population\.sigmas was \[0\.1\], now \[0\.2\]\. Choose",
    ):
      self.open(changed, extendable=["population.size"])

  def test_extendable_keys_may_change(self):
    self.open().__exit__()
    larger = {"population": {"size": 20, "sigmas": [0.1]}, "seed": 0}
    path = self.workdir / "config.json"
    before = path.read_bytes()
    with self.open(larger, extendable=["population.size"]) as folder:
      # Not before the records, too, are found to mean the same.
      self.assertEqual(path.read_bytes(), before)
      folder.write_header({"base": "a"})
    self.assertEqual(json.loads(path.read_text())["config"], larger)

  def test_a_refused_config_leaves_the_old_one(self):
    self.open().__exit__()
    before = (self.workdir / "config.json").read_bytes()
    with self.assertRaises(UserError):
      self.open({"seed": 1})
    self.assertEqual((self.workdir / "config.json").read_bytes(), before)

  @parameterized.parameters("", "{", "[]", "{}", "null", "\xff")
  def test_a_corrupt_config_is_refused_by_path(self, text):
    self.open().__exit__()
    path = self.workdir / "config.json"
    path.write_bytes(text.encode("latin-1"))
    with self.assertRaisesRegex(UserError, rf"{path} is corrupt"):
      self.open()

  def test_a_run_in_use_is_refused(self):
    with self.open(), self.assertRaisesRegex(UserError, "is in use"):
      self.open()

  @parameterized.parameters("run", "run/below", "/proc")
  def test_a_workdir_that_cannot_be_written_is_refused(self, path):
    self.workdir.touch()  # A file. Root may write into any other directory,
    path = self.workdir.parent / path  # except for those of the kernel.
    with self.assertRaisesRegex(
      UserError, rf"workdir must be a directory that can be written, got {path}"
    ):
      directory.Run(path, CONFIG)


class FilesTest(_RunTestCase):
  @parameterized.parameters(float("nan"), float("inf"), object())
  def test_json_is_written_whole_or_not_at_all(self, value):
    with self.open() as folder:
      path = folder.save_json("results.json", {"mse": 0.25})
      before = path.read_bytes()
      with self.assertRaises((ValueError, TypeError)):
        folder.save_json("results.json", {"mse": 0.5, "se": value})
    self.assertEqual(path.read_bytes(), before)

  def test_json_never_replaces_a_file_by_a_part(self):
    with self.open() as folder:
      path = folder.save_json("results.json", {"mse": 0.25})
      with (
        mock.patch.object(pathlib.Path, "replace", side_effect=OSError),
        self.assertRaises(OSError),  # As if killed before the last step.
      ):
        folder.save_json("results.json", {"mse": 0.5})
    self.assertEqual(json.loads(path.read_text()), {"mse": 0.25})

  @parameterized.parameters(np.float32, ml_dtypes.bfloat16)
  def test_the_base_comes_back_bit_for_bit(self, dtype):
    weights = np.random.default_rng(0).normal(size=(3, 5)).astype(dtype)
    weights[0, :2] = -0.0, np.nan
    base = {"layer": {"w": weights, "b": np.zeros(2, dtype)}}
    with self.open() as folder:
      self.assertIsNone(folder.load_base(base))
      folder.save_base(base)
      got = folder.load_base(base)
    self.assertEqual(got["layer"]["w"].dtype, dtype)
    self.assertEqual(np.asarray(got["layer"]["w"]).tobytes(), weights.tobytes())
    self.assertEqual(
      np.asarray(got["layer"]["b"]).tobytes(), base["layer"]["b"].tobytes()
    )
