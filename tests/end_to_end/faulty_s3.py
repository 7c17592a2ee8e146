"""A server of S3 on this machine that misbehaves as it is told.

It is `moto`'s. What goes wrong happens in the server, so that the client that is
tested is the one that users have.
"""

import io
import os
import re
import threading
import time
import urllib.request
from collections.abc import Callable, Sequence

BUCKET = "bucket"
FAULTS = ("503", "500", "slow", "lost")  # Every request can meet them.
_REFUSAL = "<?xml version='1.0'?><Error><Code>{code}</Code><Message>{text}</Message></Error>"


class FaultyS3:
  """The server, as a context manager that yields itself.

  Args:
    choose: called before each request, under a lock, with the faults that it may
      have: `FAULTS`, "torn" for an upload and "lag" for a list. Returns one of
      them, "denied" or None.

  Attributes:
    num_faults: faults that came to pass, by name.
  """

  def __init__(
    self, choose: Callable[[Sequence[str]], str | None] = lambda faults: None
  ):
    from moto.moto_server.werkzeug_app import (
      DomainDispatcherApplication,
      create_backend_app,
    )

    self.choose = choose
    self.num_faults: dict[str, int] = {}
    self._app = DomainDispatcherApplication(create_backend_app)
    self._lock = threading.Lock()

  def __enter__(self):
    from werkzeug import serving

    class Quiet(serving.WSGIRequestHandler):
      def log(self, *_):
        """Says nothing."""

    self._server = serving.make_server(
      "127.0.0.1", 0, self._answer, threaded=True, request_handler=Quiet
    )
    threading.Thread(target=self._server.serve_forever, daemon=True).start()
    self.url = f"http://127.0.0.1:{self._server.server_port}"
    for call, method in (("moto-api/reset", "POST"), (BUCKET, "PUT")):
      request = urllib.request.Request(f"{self.url}/{call}", method=method)
      urllib.request.urlopen(request).close()
    return self

  def __exit__(self, *_):
    self._server.shutdown()
    self._server.server_close()

  @property
  def environment(self) -> dict[str, str]:
    """The variables by which a client finds the server and an account."""
    return {
      "AWS_ENDPOINT_URL": self.url,
      "AWS_ACCESS_KEY_ID": "tests",
      "AWS_SECRET_ACCESS_KEY": "tests",
      "AWS_DEFAULT_REGION": "us-east-1",
      "AWS_EC2_METADATA_DISABLED": "true",
      "AWS_CONFIG_FILE": os.devnull,
      "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }

  def _answer(self, environ, start_response):
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(length)
    method = environ["REQUEST_METHOD"]
    is_list = method == "GET" and "list-type=2" in environ["QUERY_STRING"]
    is_upload = method == "PUT" and "HTTP_X_AMZ_COPY_SOURCE" not in environ
    fault = None
    if environ["PATH_INFO"].startswith(f"/{BUCKET}/") or is_list:
      own = ("torn",) if is_upload else ("lag",) if is_list else ()
      with self._lock:
        fault = self.choose((*FAULTS, *own))
    if fault is not None:
      with self._lock:
        self.num_faults[fault] = self.num_faults.get(fault, 0) + 1
    if fault in ("503", "500", "denied"):
      return self._refuse(fault, start_response)
    if fault == "slow":
      time.sleep(0.2)
    status, headers, found = self._pass_on(environ, body)
    if fault == "torn":
      self._pass_on(environ, body[: len(body) // 2])
    if fault == "lost":
      return self._refuse("500", start_response)
    if fault == "lag":
      found = _drop_half(found)
      headers = [h for h in headers if h[0].lower() != "content-length"]
    start_response(status, headers)
    return [found]

  def _pass_on(self, environ, body):
    """What `moto` answers; a body that was cut loses its checksums."""
    whole = int(environ.get("CONTENT_LENGTH") or 0)
    passed = dict(environ)
    if len(body) < whole:
      passed = {
        key: value
        for key, value in environ.items()
        if not key.startswith(("HTTP_X_AMZ_CHECKSUM", "HTTP_CONTENT_MD5"))
      }
      passed["CONTENT_LENGTH"] = str(len(body))
    passed["wsgi.input"] = io.BytesIO(body)
    answer = []
    found = self._app(passed, lambda *parts: answer.extend(parts[:2]))
    data = b"".join(found)
    return answer[0], answer[1], data

  def _refuse(self, fault, start_response):
    status, code = {
      "503": ("503 Slow Down", "SlowDown"),
      "500": ("500 Internal Error", "InternalError"),
      "denied": ("403 Forbidden", "AccessDenied"),
    }[fault]
    text = "Access Denied" if fault == "denied" else "Please try again."
    start_response(status, [("Content-Type", "application/xml")])
    return [_REFUSAL.format(code=code, text=text).encode()]


def _drop_half(listing: bytes) -> bytes:
  """A list of objects without the second half of them."""
  entries = re.findall(rb"<Contents>.*?</Contents>", listing, re.DOTALL)
  for entry in entries[len(entries) // 2 :]:
    listing = listing.replace(entry, b"")
  return listing
