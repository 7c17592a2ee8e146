"""An object store that can be relied on, made of requests that cannot.

A request may be refused for a while, time out, or report an upload of which only a
part has arrived. Each is tried again, with growing pauses, and an upload counts
once it has been read back. What no second try can mend (no bucket, no permission,
no credentials) ends with one message.
"""

import concurrent.futures
import random
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, TypeVar, runtime_checkable

from absl import logging

from thickets.errors import UserError

_Found = TypeVar("_Found")

_ATTEMPTS = 12  # With the pauses between them, a little more than a minute.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 15.0
_NUM_THREADS = 16  # Objects that are read at once.
# How the errors of buckets without an account are called. They belong to libraries
# that are extras, so that they are told by their names.
_NO_CREDENTIALS = (
  *("NoCredentialsError", "PartialCredentialsError", "NoAuthTokenError"),
  *("CredentialRetrievalError", "TokenRetrievalError", "SSOTokenLoadError"),
  *("DefaultCredentialsError", "ProfileNotFound", "UnauthorizedSSOTokenError"),
)
# Answers of S3 that blame the request, though the way there is to blame.
_PASSING = (
  *("BadDigest", "IncompleteBody", "RequestTimeout"),
  *("XAmzContentSHA256Mismatch", "InvalidDigest"),
)
_REMEDIES = {
  "s3": "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or"
  " give the machine a role",
  "gs": "Run gcloud auth application-default login, set"
  " GOOGLE_APPLICATION_CREDENTIALS, or give the machine a service account",
}


@runtime_checkable
class Objects(Protocol):
  """The requests of an object store; keys begin with the bucket.

  Each may fail with any error. `FileNotFoundError` means that there is no such
  object, or for an upload no such bucket.
  """

  def get(self, key: str) -> bytes:
    """Returns the content of an object."""
    ...

  def put(self, key: str, data: bytes, *, new: bool = False) -> None:
    """Writes an object; a `new` one must not be there, else FileExistsError."""
    ...

  def copy(self, source: str, target: str) -> None:
    """Copies an object inside the store, whole or not at all."""
    ...

  def delete(self, key: str) -> None:
    """Deletes an object, if it is there."""
    ...

  def list(self, prefix: str) -> list[str]:
    """Lists the keys of all objects that begin with `prefix`."""
    ...


class ObjectStore:
  """Objects that are written whole, and read as they were written.

  Args:
    objects: the requests of the store.
    scheme: how its addresses begin, "s3" or "gs".
    pause: waits for a number of seconds between two attempts.
  """

  def __init__(
    self,
    objects: Objects,
    scheme: str,
    pause: Callable[[float], None] = time.sleep,
  ):
    self.scheme = scheme
    self._objects, self._pause = objects, pause

  def get(self, key: str) -> bytes:
    """Returns the content of an object.

    Raises:
      FileNotFoundError: if there is none.
      UserError: if the store refuses it.
    """
    return self._try(key, lambda: self._objects.get(key))

  def get_all(self, keys: Iterable[str]) -> dict[str, bytes]:
    """Returns the content of several objects, without those that are gone."""

    def find(key: str) -> bytes | None:
      try:
        return self.get(key)
      except FileNotFoundError:
        return None

    keys = list(keys)
    with concurrent.futures.ThreadPoolExecutor(_NUM_THREADS) as pool:
      found = zip(keys, pool.map(find, keys), strict=True)
      return {key: data for key, data in found if data is not None}

  def put(self, key: str, data: bytes) -> None:
    """Writes an object, and reads it back until it is what was written.

    Raises:
      UserError: if the store refuses it.
    """

    def upload() -> None:
      self._objects.put(key, data)
      self._check(key, data)

    self._upload(key, upload)

  def create(self, key: str, data: bytes) -> bool:
    """Writes an object if there is none; says whether it is there as written.

    A store that does not know such a condition lets the last of two win.

    Raises:
      UserError: if the store refuses it.
    """

    def upload() -> bool:
      try:
        self._objects.put(key, data, new=True)
      except FileExistsError:
        # It may be our own, of an attempt of which the answer was lost.
        try:
          return self._objects.get(key) == data
        except FileNotFoundError as error:
          raise OSError("it was there, and is no longer") from error
      self._check(key, data)
      return True

    return self._upload(key, upload)

  def replace(self, key: str, data: bytes) -> None:
    """Replaces an object once all of the new one is there; readers see either.

    Raises:
      UserError: if the store refuses it.
    """
    folder, _, name = key.rpartition("/")
    part = f"{folder}/.{name}.{random.randrange(2**64):016x}"
    try:
      self.put(part, data)
      self._try(key, lambda: self._objects.copy(part, key))
    finally:
      self.delete(part)

  def delete(self, key: str) -> None:
    """Deletes an object, if it is there."""
    self._try(key, lambda: self._objects.delete(key))

  def list(self, prefix: str) -> list[str]:
    """Lists the keys that begin with `prefix`, in order."""
    try:
      return sorted(self._try(prefix, lambda: self._objects.list(prefix)))
    except FileNotFoundError:  # As some say of a folder without objects.
      return []

  def _check(self, key: str, data: bytes) -> None:
    try:
      found = self._objects.get(key)
    except FileNotFoundError as error:
      raise OSError("what was written cannot be read yet") from error
    if found != data:
      raise OSError(f"{len(found)} of {len(data)} bytes arrived")

  def _upload(self, key: str, upload: Callable[[], _Found]) -> _Found:
    try:
      return self._try(key, upload)
    except FileNotFoundError as error:
      raise UserError(
        f"The bucket {self.scheme}://{key.partition('/')[0]} must exist, got none"
        " of that name. Make it, or correct the address."
      ) from error

  def _try(self, key: str, request: Callable[[], _Found]) -> _Found:
    """Repeats a request while it fails for a reason that may pass."""
    pause_s = _FIRST_PAUSE_S
    for attempt in range(1, _ATTEMPTS + 1):
      try:
        return request()
      except FileNotFoundError:
        raise
      except Exception as error:
        address = f"{self.scheme}://{key}".rstrip("/")
        if (refusal := _explain(error, self.scheme, address)) is not None:
          raise UserError(refusal) from error
        if isinstance(error, TypeError | AttributeError | AssertionError):
          raise  # A bug, which no second attempt mends.
        reason = _shorten(error)
        if attempt == _ATTEMPTS:
          raise UserError(
            f"{address} must answer, got {reason} in {attempt} attempts. What was"
            " finished is there; start the same command again later."
          ) from error
        logging.debug("%s: attempt %d: %s", address, attempt, reason)
        # Pauses differ in length, so that many hosts do not come back at once.
        self._pause(pause_s * random.uniform(0.5, 1))
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
    raise AssertionError("The last attempt returns or raises.")


def _explain(error: Exception, scheme: str, address: str) -> str | None:
  """Says what no second attempt can mend; None for what may pass."""
  code, name = _find_code(error)
  names = {type(part).__name__ for part in _causes(error)}
  anonymous = "anonymous caller" in str(error).lower()
  if names & set(_NO_CREDENTIALS) or code == "401" or anonymous:
    return (
      f"{address} must be opened with credentials, got none that can be used"
      f" ({_shorten(error)}). {_REMEDIES.get(scheme, 'Set them')}."
    )
  if (
    isinstance(error, PermissionError)
    or code == "403"
    or str(error).startswith("Forbidden")
  ):
    return (
      f"{address} must be allowed to be read and written, got a refusal:"
      f" {_shorten(error)}. Give this account the right to list, read, write and"
      " delete objects there, or name another bucket."
    )
  if name not in _PASSING and (
    code in ("301", "307", "400", "405")
    or isinstance(error, ValueError)
    or "ParamValidationError" in names
  ):
    return (
      f"{address} must be an address that its store accepts, got a refusal:"
      f" {_shorten(error)}. Correct the address, or the region and endpoint of"
      " the store."
    )
  return None


def _find_code(error: Exception) -> tuple[str, str]:
  """The number and the name that a server answered with, as far as it did."""
  for part in _causes(error):
    response = getattr(part, "response", None)
    if isinstance(response, Mapping):  # As botocore keeps it.
      meta = response.get("ResponseMetadata") or {}
      name = (response.get("Error") or {}).get("Code", "")
      return str(meta.get("HTTPStatusCode", "")), str(name)
    if (code := getattr(part, "code", None)) is not None:  # As gcsfs does.
      return str(code), ""
  return "", ""


def _causes(error: BaseException | None) -> Iterable[BaseException]:
  while error is not None:
    yield error
    error = error.__cause__


def _shorten(error: Exception) -> str:
  text = " ".join(str(error).split()) or type(error).__name__
  return (text if len(text) <= 200 else f"{text[:200]} …").rstrip(".")
