"""Laws of a run in an object store: whatever goes wrong, resumed it is the same."""

import contextlib
import pathlib
import tempfile
import time
import unittest
from unittest import mock

import hypothesis
import numpy as np
from absl.testing import absltest, parameterized
from hypothesis import strategies as st

from tests.runs.unreliable_store import (
  FAULTS,
  Bucket,
  KilledError,
  start_process,
)
from thickets.errors import UserError
from thickets.members import Member
from thickets.runs import (
  directory,
  environment,
  locations,
  log_repair,
  record_files,
)
from thickets.runs.run_config import RunConfig

HEADER = {"base": "a", "width": 2}
CONFIG = RunConfig({"seed": 0})
WIDTH, NUM_MEMBERS = 2, 4
MEMBERS = [Member(seed, 0.1) for seed in range(NUM_MEMBERS)]


def evaluate(position):
  """What a member scores on three prompts, which depends on it alone."""
  return np.cos(np.arange(3) + position)


def work(place):
  """One start of a run: evaluates the chunks that the records lack."""
  with directory.open_run(place, CONFIG) as run:
    run.write_header(HEADER)
    for split in ("select", "judge, group 0"):
      for start in range(0, NUM_MEMBERS, WIDTH):
        positions = range(start, start + WIDTH)
        if any(run.find(split, position) is None for position in positions):
          channels = {"score": np.stack([*map(evaluate, positions)])}
          scores = channels["score"].mean(axis=1)
          members = [MEMBERS[position] for position in positions]
          run.append(split, positions, members, scores, channels)
    run.save_json("experts.json", {"best": summarise(run)})
    return summarise(run)


def setUpModule():
  describe = mock.patch.object(environment, "describe", return_value={})
  unittest.addModuleCleanup(describe.stop)
  describe.start()  # Which asks git for the commit.


def summarise(run):
  return [
    [
      split,
      p,
      run.record(split, p).score,
      run.channels(split, p)["score"].sum(),
    ]
    for split in ("select", "judge, group 0")
    for p in range(NUM_MEMBERS)
  ]


class LawsTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    self.folder = pathlib.Path(folder.name)
    self.found = work(self.folder)

  @hypothesis.settings(max_examples=15, deadline=None, database=None)
  @hypothesis.given(
    st.lists(
      st.lists(st.sampled_from([None, None, None, *FAULTS]), max_size=50),
      max_size=3,
    )
  )
  def test_any_faults_and_kills_then_a_start_give_the_same_run(self, starts):
    bucket = Bucket()
    for faults in [*starts, []]:
      with contextlib.suppress(KilledError):
        work(start_process(bucket, faults))
    unbroken = (self.folder / "experts.json").read_bytes()
    self.assertEqual(bucket.objects["bucket/run/experts.json"], unbroken)

  def test_nothing_is_evaluated_twice_and_nothing_changes(self):
    bucket = Bucket()
    work(start_process(bucket))
    before = dict(bucket.objects)
    work(start_process(bucket))
    self.assertEqual(bucket.objects, before)
    chunks = [key for key in before if key.endswith(".jsonl")]
    self.assertLen(chunks, 1 + 2 * NUM_MEMBERS // WIDTH)

  def test_a_list_that_lags_loses_nothing_that_this_process_has_seen(self):
    bucket = Bucket()
    place = start_process(bucket, [None] * 200 + ["lagging list"] * 50)
    work(place)
    place.store.list("x")  # Whatever is left before the lists lag.
    for _ in range(200):
      place.store.list("x")
    logs = record_files.list_logs(place)
    self.assertLen(logs, 1 + 2 * NUM_MEMBERS // WIDTH)

  def test_what_others_have_written_is_waited_for(self):
    bucket, plan, pauses = Bucket(), [], []
    work(start_process(bucket))
    key = next(k for k in bucket.objects if "/select/000002-" in k)
    late = bucket.objects.pop(key)
    place = start_process(bucket, iter(lambda: plan and plan.pop(0), 0))
    with (
      directory.open_run(place, CONFIG) as run,
      mock.patch.object(time, "sleep", pauses.append),
    ):
      with self.assertRaisesRegex(
        UserError, "no record of 2 members on select"
      ):
        run.await_records("select", range(NUM_MEMBERS))
      bucket.objects[key], plan[:] = late, ["lagging list"] * 2
      del pauses[:]
      run.await_records("select", range(NUM_MEMBERS))
      self.assertNotEmpty(pauses)

  def test_a_torn_object_is_left_out_and_evaluated_again(self):
    bucket = Bucket()
    work(start_process(bucket))
    key = next(k for k in bucket.objects if "/select/000002-" in k)
    whole = bucket.objects[key]
    # Torn between two lines, so that each line is sound.
    bucket.objects[key] = whole[: whole[:-1].rindex(b"\n") + 1]
    with self.assertLogs("absl", level="WARNING") as logs:
      work(start_process(bucket))
    self.assertIn(key, "".join(logs.output))
    self.assertEqual(bucket.objects[key], whole)

  def test_a_copy_on_a_disk_is_read_and_continued(self):
    bucket = Bucket()
    work(start_process(bucket))
    folder = self.folder / "copy"
    for key, data in bucket.objects.items():
      path = folder / key.removeprefix("bucket/run/")
      path.parent.mkdir(parents=True, exist_ok=True)
      path.write_bytes(data)
    before = sorted(folder.rglob("*.jsonl"))
    self.assertEqual(work(folder), self.found)
    self.assertEqual(sorted(folder.rglob("*.jsonl")), before)

  def test_a_run_of_a_disk_goes_on_in_a_store(self):
    bucket = Bucket()
    for path in self.folder.rglob("*.json*"):
      name = path.relative_to(self.folder).as_posix()
      bucket.objects[f"bucket/run/{name}"] = path.read_bytes()
    names = set(bucket.objects)
    self.assertEqual(work(start_process(bucket)), self.found)
    self.assertEqual(set(bucket.objects), names)

  def test_another_run_is_refused(self):
    bucket = Bucket()
    work(start_process(bucket))
    with self.assertRaisesRegex(UserError, "config differs: seed was 0"):
      directory.check_config(start_process(bucket), RunConfig({"seed": 1}))
    place = start_process(bucket)
    with (
      self.assertRaisesRegex(UserError, "mean something else: width was 2"),
      directory.open_run(place, CONFIG) as run,
    ):
      run.write_header(HEADER | {"width": 3})

  def test_a_start_that_failed_refuses_no_other_header(self):
    bucket = Bucket()
    with directory.open_run(start_process(bucket), CONFIG) as run:
      run.write_header(HEADER | {"width": 3})
    self.assertTrue(directory.is_new(start_process(bucket)))
    work(start_process(bucket))
    self.assertEqual(directory.read_header(start_process(bucket)), HEADER)


class UploadTest(absltest.TestCase):
  def test_an_upload_that_was_torn_is_made_again(self):
    bucket = Bucket()
    place = start_process(bucket, ["torn", None])
    (place / "experts.json").store.put("bucket/run/a", b"0123456789")
    self.assertEqual(bucket.objects["bucket/run/a"], b"0123456789")
    self.assertEqual(bucket.num_faults, 1)


class RepairTest(absltest.TestCase):
  def test_damaged_objects_are_dropped_and_kept_beside(self):
    bucket = Bucket()
    found = work(start_process(bucket))
    key = next(k for k in bucket.objects if "/select/000002-" in k)
    bucket.objects[key] = damaged = bucket.objects[key][:-9] + b"         "
    before = dict(bucket.objects)
    would = log_repair.repair_logs(start_process(bucket), dry_run=True)
    self.assertEqual(bucket.objects, before)
    self.assertEqual([str(r.path) for r in would if r.dropped], [f"s3://{key}"])
    done = log_repair.repair_logs(start_process(bucket))
    self.assertEqual(sum(repair.num_records for repair in done), 6)
    self.assertNotIn(key, bucket.objects)
    self.assertEqual(bucket.objects[f"{key}.before_repair_1"], damaged)
    self.assertEqual(work(start_process(bucket)), found)

  def test_lines_of_an_uploaded_log_are_dropped(self):
    with tempfile.TemporaryDirectory() as folder:
      found = work(folder)
      log = pathlib.Path(folder) / "records" / "process_0000.jsonl"
      lines = log.read_bytes().splitlines(keepends=True)
    bucket = Bucket()
    key = "bucket/run/records/process_0000.jsonl"
    lines[2] = lines[2][:-9] + b"\n"
    bucket.objects[key] = b"".join(lines)
    with self.assertRaisesRegex(UserError, "is corrupt: line 3"):
      work(start_process(bucket))
    (repair,) = log_repair.repair_logs(start_process(bucket))
    self.assertEqual([line.number for line in repair.dropped], [3])
    self.assertEqual(bucket.objects[key], b"".join(lines[:2] + lines[3:]))
    self.assertEqual(work(start_process(bucket)), found)

  def test_what_is_no_run_is_refused(self):
    with self.assertRaisesRegex(UserError, "must be the directory of a run"):
      log_repair.repair_logs(start_process(Bucket()))


class LocateTest(parameterized.TestCase):
  @parameterized.parameters(
    "s3://",
    "s3:/bucket/run",
    "S3://bucket",
    "gcs://bucket",
    "az://b/c",
    "s3://bucket/../other",
    "file:///tmp/x",
    "gs:/b",
  )
  def test_what_is_no_address_is_refused_and_made_nowhere(self, place):
    with self.assertRaisesRegex(UserError, "must begin with s3:// or gs://"):
      locations.locate(place)

  @parameterized.parameters("runs/a", "/tmp/x:/y", "a:b", "./s3:/x")
  def test_paths_stay_paths(self, place):
    self.assertEqual(locations.locate(place), pathlib.Path(place))

  def test_a_binary_that_needs_a_disk_refuses_an_address(self):
    with self.assertRaisesRegex(UserError, "--out must be a path of this"):
      locations.locate_on_disk("s3://bucket/x", "--out", "Models need a disk.")


if __name__ == "__main__":
  absltest.main()
