"""Runs in object stores, against servers of S3 and of Google Cloud Storage."""

import importlib.util
import logging
import os
import tempfile
import unittest
from unittest import mock

import pytest
from absl.testing import parameterized

from tests.end_to_end import store_trial
from tests.end_to_end.faulty_s3 import BUCKET, FaultyS3
from tests.runs import object_runs_test
from thickets.errors import UserError
from thickets.runs import (
  directory,
  environment,
  fsspec_objects,
)

_EXTRAS = ("s3fs", "gcsfs", "moto", "gcp_storage_emulator")
pytestmark = [
  pytest.mark.slow,
  pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in _EXTRAS),
    reason="s3fs, gcsfs and their servers are extras",
  ),
]


class _StoreTest(parameterized.TestCase):
  def start_s3(self, *arguments):
    server = self.enterContext(FaultyS3(*arguments))
    self.speak_with(server.environment)
    return server

  def speak_with(self, variables):
    self.enterContext(mock.patch.dict(os.environ, variables))
    fsspec_objects.connect.cache_clear()
    self.addCleanup(fsspec_objects.connect.cache_clear)


class FaultsTest(_StoreTest):
  def test_kills_and_faults_end_with_the_experts_of_an_unbroken_run(self):
    self.enterContext(mock.patch.dict(os.environ))
    found = store_trial.hold_trial(4, 30, num_signals=1)
    self.assertEqual(found["difference"], "")
    self.assertEqual(found["faults"], 30)
    self.assertLen(found["by kind"], 6)


class RefusalsTest(_StoreTest):
  def assert_refused(self, place, expected):
    for open_it in (
      lambda: directory.check_config(place, object_runs_test.CONFIG),
      lambda: object_runs_test.work(place),
    ):
      with self.assertRaisesRegex(UserError, expected):
        open_it()

  def test_a_bucket_that_does_not_exist(self):
    self.start_s3()
    self.assert_refused(
      "s3://another/run", "The bucket s3://another must exist, got none"
    )

  def test_a_bucket_without_permission(self):
    self.start_s3(lambda faults: "denied")
    self.assert_refused(
      f"s3://{BUCKET}/run", "must be allowed to be read and .*Access Denied"
    )

  def test_credentials_that_are_missing(self):
    server = self.start_s3()
    gone = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    self.speak_with(server.environment | {"HOME": "/nonexistent"})
    for name in gone:
      os.environ.pop(name)
    self.assert_refused(
      f"s3://{BUCKET}/run", "must be opened with credentials.*AWS_PROFILE"
    )

  def test_a_name_that_no_bucket_has(self):
    self.start_s3()
    self.assert_refused(
      "s3://Not_One!/run", "must be an address that its store"
    )


class GoogleTest(_StoreTest):
  def test_a_run_is_begun_continued_and_the_same(self):
    from gcp_storage_emulator import server as emulator

    logging.getLogger("gcp_storage_emulator").setLevel(logging.ERROR)
    server = emulator.create_server(
      "127.0.0.1", 0, in_memory=True, default_bucket=BUCKET
    )
    server.start()
    self.addCleanup(server.stop)
    port = server._api._httpd.server_address[1]
    self.speak_with({"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}"})
    self.enterContext(
      mock.patch.object(environment, "describe", return_value={})
    )
    folder = self.enterContext(tempfile.TemporaryDirectory())
    unbroken = object_runs_test.work(folder)
    place = f"gs://{BUCKET}/a run/of mine, group 0"
    self.assertEqual(object_runs_test.work(place), unbroken)
    fsspec_objects.connect.cache_clear()  # As a new process.
    self.assertEqual(object_runs_test.work(place), unbroken)
    with self.assertRaisesRegex(UserError, "bucket gs://another must exist"):
      object_runs_test.work("gs://another/run")


if __name__ == "__main__":
  unittest.main()
