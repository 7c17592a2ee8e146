"""The requests of S3 and of Google Cloud Storage, by fsspec.

Nothing is kept between requests: a list that was right a minute ago may lack what
another process has written since.
"""

import contextlib
import errno
import functools
import importlib
from typing import Any

from thickets.errors import UserError
from thickets.runs.object_store import ObjectStore

# The library that reads an address, by how that begins, and the extra that has it.
_LIBRARIES = {"s3": ("s3fs", "s3"), "gs": ("gcsfs", "gcs")}
SCHEMES = tuple(_LIBRARIES)


@functools.cache
def connect(scheme: str) -> ObjectStore:
  """Returns the object store whose addresses begin with `scheme`.

  Credentials, region and endpoint are found as the store's own tools find them.

  Raises:
    UserError: if the library that speaks with it is not installed.
  """
  library, extra = _LIBRARIES[scheme]
  try:
    importlib.import_module(library)
  except ImportError as error:
    raise UserError(
      f"Addresses that begin with {scheme}:// need {library}, got {error}. In a"
      f" clone, install it with: .venv/bin/pip install -e '.[{extra}]'."
    ) from error
  return ObjectStore(FsspecObjects(open_filesystem(scheme)), scheme)


def open_filesystem(scheme: str) -> Any:
  """Opens the file system of fsspec whose addresses begin with `scheme`."""
  import fsspec  # Only runs on a store need it.

  # `connect` keeps the one that runs use, and lists must not be kept.
  options: dict[str, Any] = {
    "skip_instance_cache": True,
    "use_listings_cache": False,
  }
  if scheme == "s3":
    options["max_concurrency"] = 1  # One request reads an object, not two.
    # `ObjectStore` repeats what fails; repeats inside would multiply with it.
    options["config_kwargs"] = {
      "connect_timeout": 10,
      "read_timeout": 60,
      "retries": {"max_attempts": 0},
    }
  found = fsspec.filesystem(scheme, **options)
  if scheme == "s3":
    found.retries = 1  # Its own, beside those of botocore.
  return found


class FsspecObjects:
  """`object_store.Objects` of a file system, as `open_filesystem` returns it."""

  def __init__(self, filesystem: Any):
    self._filesystem = filesystem

  def get(self, key: str) -> bytes:
    return self._filesystem.cat_file(key)

  def put(self, key: str, data: bytes, *, new: bool = False) -> None:
    if not new:
      self._filesystem.pipe_file(key, data)
      return
    try:
      self._filesystem.pipe_file(key, data, mode="create")
    except OSError as error:
      if _is_there(error):
        raise FileExistsError(key) from error
      if error.errno != errno.ENOSYS:
        raise
      # A server that speaks S3 without conditions: the nearest that it can do.
      if self._filesystem.exists(key):
        raise FileExistsError(key) from error
      self._filesystem.pipe_file(key, data)

  def copy(self, source: str, target: str) -> None:
    self._filesystem.cp_file(source, target)

  def delete(self, key: str) -> None:
    with contextlib.suppress(FileNotFoundError):  # As Google's answers it.
      self._filesystem.rm_file(key)

  def list(self, prefix: str) -> list[str]:
    return list(self._filesystem.find(prefix))


def _is_there(error: BaseException) -> bool:
  """Whether a store refused an object since there is one, as S3 says it.

  Servers other than Amazon's leave out which condition failed, and s3fs then
  raises an error like any other.
  """
  cause: BaseException | None = error
  while cause is not None:
    answer = getattr(cause, "response", None)
    if isinstance(answer, dict):
      status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
      code = answer.get("Error", {}).get("Code")
      return status == 412 or code in ("PreconditionFailed", "412")
    cause = cause.__cause__ or cause.__context__
  return False
