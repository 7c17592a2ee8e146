"""Tests of how refusals of object stores are read."""

import errno

from absl.testing import absltest, parameterized

from thickets.runs import fsspec_objects


class _AnsweredError(Exception):
  """As botocore raises it: with what the server answered."""

  def __init__(self, status, code):
    super().__init__(code)
    self.response = {
      "Error": {"Code": code},
      "ResponseMetadata": {"HTTPStatusCode": status},
    }


class _Refusing:
  """A file system as s3fs, of a server that refuses every upload."""

  def __init__(self, status, code):
    self._answer = _AnsweredError(status, code)

  def pipe_file(self, key, data, mode="overwrite"):
    raise OSError(errno.EINVAL, str(self._answer)) from self._answer


class CreateTest(parameterized.TestCase):
  def _create(self, status, code):
    objects = fsspec_objects.FsspecObjects(_Refusing(status, code))
    objects.put("bucket/a", b"", new=True)

  # MinIO does not say which condition failed.
  @parameterized.parameters((412, "PreconditionFailed"), (412, "412"))
  def test_what_is_there_is_not_made_anew(self, status, code):
    with self.assertRaises(FileExistsError):
      self._create(status, code)

  @parameterized.parameters((503, "SlowDown"), (400, "InvalidDigest"))
  def test_other_refusals_stay_what_they_are(self, status, code):
    with self.assertRaisesRegex(OSError, code) as caught:
      self._create(status, code)
    self.assertNotIsInstance(caught.exception, FileExistsError)


if __name__ == "__main__":
  absltest.main()
