"""Tests of where models come from: directories, a hub, its cache, its failures."""

import functools
import http.server
import json
import pathlib
import shutil
import socket
import tempfile
import threading
import time
from unittest import mock

import huggingface_hub
import jax.numpy as jnp
from absl.testing import parameterized
from golden import transformer_cases as cases
from huggingface_hub import constants

from thickets import huggingface
from thickets.errors import UserError
from thickets.models import checkpoint, hub, hub_files

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class _Hub(http.server.BaseHTTPRequestHandler):
  """A hub with one model (org/model), one gated and one of another format."""

  def __init__(self, directory, *args):
    self._directory = directory
    super().__init__(*args)

  def do_HEAD(self):
    self.do_GET()

  def do_GET(self):
    path = self.path.split("?")[0]
    known = ("main", COMMIT)
    files = sorted(
      file.relative_to(self._directory).as_posix()
      for file in self._directory.rglob("*")
      if file.is_file()
    )
    if path.startswith("/api/models/org/gated"):
      self._answer(403, {}, {"X-Error-Code": "GatedRepo"})
    elif path.startswith("/api/models/org/bin"):
      self._answer(200, _info("org/bin", ["config.json", "weights.bin"]))
    elif path.startswith("/api/models/org/model/tree/"):
      sizes = {f: (self._directory / f).stat().st_size for f in files}
      listing = [
        {"type": "file", "path": f, "size": sizes[f], "oid": f} for f in files
      ]
      self._answer(200, listing)
    elif path == "/api/models/org/model" or path.startswith(
      tuple(f"/api/models/org/model/revision/{name}" for name in known)
    ):
      self._answer(200, _info("org/model", files))
    elif path.startswith("/api/models/org/model/"):
      self._answer(404, {}, {"X-Error-Code": "RevisionNotFound"})
    elif path.startswith(resolved := f"/org/model/resolve/{COMMIT}/"):
      body = (self._directory / path.removeprefix(resolved)).read_bytes()
      name = path.rsplit("/", 1)[1]
      self._answer(200, body, {"ETag": f'"{name}"', "X-Repo-Commit": COMMIT})
    else:
      self._answer(404, {}, {"X-Error-Code": "RepoNotFound"})

  def _answer(self, status, body, headers=None):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    self.send_response(status)
    for name, value in (headers or {}).items():
      self.send_header(name, value)
    self.send_header("Content-Length", str(len(data)))
    self.end_headers()
    if self.command != "HEAD":
      self.wfile.write(data)

  def log_message(self, *args):
    """Stays silent."""


def _info(name, files):
  return {
    "id": name,
    "sha": COMMIT,
    "siblings": [{"rfilename": file} for file in files],
  }


class HubTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    folder = self.enter_context(tempfile.TemporaryDirectory())
    self.folder = pathlib.Path(folder)
    self.directory = self.folder / "model"

  def _use(self, endpoint, *, is_offline=False):
    url = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    for name, value in {
      "ENDPOINT": endpoint,
      "HUGGINGFACE_CO_URL_TEMPLATE": url,
      "HF_HUB_CACHE": str(self.folder / "cache"),
      "HF_HUB_OFFLINE": is_offline,
      "HF_HUB_DISABLE_XET": True,
    }.items():
      self.enter_context(mock.patch.object(constants, name, value))

  def _serve(self):
    hub.save(
      self.directory,
      cases.make_model(tokenizer=cases.make_tokenizer()),
      max_shard_bytes=30_000,
    )
    server = http.server.ThreadingHTTPServer(
      ("127.0.0.1", 0), functools.partial(_Hub, self.directory)
    )
    self.addCleanup(server.server_close)
    self.addCleanup(server.shutdown)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    self._use(f"http://127.0.0.1:{server.server_port}")

  def test_a_model_of_the_hub_is_one_of_a_directory(self):
    self._serve()
    extra = self.directory / "additional_chat_templates" / "rag.jinja"
    extra.parent.mkdir()
    extra.write_text("{{ 1 }}", encoding="utf-8")
    loaded = hub.load("org/model", revision="main")
    local = hub.load(self.directory)
    self.assertEqual(loaded.identity, local.identity)
    self.assertEqual(loaded.revision, COMMIT)
    self.assertEqual(loaded.source, "org/model")
    self.assertEqual(loaded.tokenizer.encode("w3"), [3])
    self.assertEqual(loaded.tokenizer.chat_template, {"rag": "{{ 1 }}"})
    self.assertEqual(
      loaded.published_tokenizer.contents, local.published_tokenizer.contents
    )

  def test_offline_the_cache_serves_and_nothing_is_asked(self):
    self._serve()
    online = hub.load("org/model")
    self._use("http://127.0.0.1:9", is_offline=True)
    for revision in (None, "main", COMMIT):
      cached = hub.load("org/model", revision=revision)
      self.assertEqual(cached.identity, online.identity)
      self.assertEqual(cached.revision, COMMIT)
    for name, revision in (("org/other", None), ("org/model", "v2")):
      with self.assertRaisesRegex(UserError, f"in the cache, got '{name}'"):
        hub.load(name, revision=revision)

  def test_an_unsupported_model_is_refused_before_its_weights_are_fetched(self):
    self._serve()
    path = self.directory / "config.json"
    fields = json.loads(path.read_text())
    path.write_text(json.dumps(fields | {"model_type": "mamba"}))
    with self.assertRaisesRegex(UserError, "got 'mamba'"):
      hub.load("org/model")
    fetched = list((self.folder / "cache").rglob("*.safetensors"))
    self.assertEqual(fetched, [])

  def test_beside_an_index_the_file_of_all_weights_is_fetched(self):
    self._serve()
    whole = self.folder / "whole"
    hub.save(whole, cases.make_model("qwen2", jnp.bfloat16))
    name = checkpoint.WEIGHTS_FILE
    shutil.copy(whole / name, self.directory / name)
    files = hub_files.locate("org/model")
    files.fetch_weights()
    self.assertEqual(
      (files.directory / name).read_bytes(), (whole / name).read_bytes()
    )
    fetched = (self.folder / "cache").rglob("*.safetensors")
    self.assertEqual({path.name for path in fetched}, {name})

  def test_an_adapter_is_refused_before_its_files_are_fetched(self):
    self._serve()
    (self.directory / "adapter_config.json").write_text("{}")
    with self.assertRaisesRegex(UserError, "adapter_config.json .*'org/model'"):
      hub.load("org/model")
    self.assertFalse((self.folder / "cache").exists())

  def test_an_index_of_quantised_weights_is_refused_before_they_are_fetched(
    self,
  ):
    self._serve()
    index = self.directory / checkpoint.INDEX_FILE
    index.write_text(index.read_text().replace("proj.weight", "proj.qweight"))
    with self.assertRaisesRegex(UserError, "GPTQ or AWQ .*proj.qweight"):
      hub.load("org/model")
    fetched = list((self.folder / "cache").rglob("*.safetensors"))
    self.assertEqual(fetched, [])

  @parameterized.parameters(
    ("org/other", None, "does not show such a model"),
    ("org/gated", None, "got a gated model"),
    ("org/bin", None, r"must have model.safetensors.*weights.bin \(PyTorch\)"),
    ("org/model", "v2", "revision must be .* got 'v2'"),
    ("org/-.-", None, "A model must be a directory or the id"),
  )
  def test_what_the_hub_refuses_is_said(self, name, revision, message):
    self._serve()
    with self.assertRaisesRegex(UserError, message):
      hub.load(name, revision=revision)

  def test_a_hub_that_never_answers_is_given_up_within_seconds(self):
    server = socket.create_server(("127.0.0.1", 0))
    self.addCleanup(server.close)
    self._use(f"http://127.0.0.1:{server.getsockname()[1]}")
    self.enter_context(mock.patch.object(huggingface, "DEADLINE_S", 1.0))
    start = time.monotonic()
    with self.assertRaisesRegex(
      UserError, "must be reachable.*Pass a directory, or set HF_HUB_OFFLINE=1"
    ):
      hub.load("org/model")
    self.assertLess(time.monotonic() - start, 3)

  def test_a_closed_port_is_given_up_at_once(self):
    with socket.create_server(("127.0.0.1", 0)) as server:
      port = server.getsockname()[1]
    self._use(f"http://127.0.0.1:{port}")
    start = time.monotonic()
    with self.assertRaisesRegex(UserError, f"reachable.*127.0.0.1:{port}"):
      hub.load("org/model")
    self.assertLess(time.monotonic() - start, 5)

  def test_a_name_server_that_hangs_is_given_up_too(self):
    self._use("http://hub.invalid")
    self.enter_context(mock.patch.object(huggingface, "DEADLINE_S", 0.5))
    done = threading.Event()
    self.addCleanup(done.set)
    self.enter_context(
      mock.patch.object(
        huggingface_hub.HfApi, "model_info", lambda *_, **__: done.wait(60)
      )
    )
    with self.assertRaisesRegex(UserError, "no answer within 0.5 s"):
      hub.load("org/model")

  @parameterized.parameters(
    "/no/such/place", "./model", "../model", "~/no/such/model", "a/b/c", ""
  )
  def test_a_path_that_does_not_exist_is_not_looked_up(self, name):
    self._use("http://127.0.0.1:9")
    with self.assertRaisesRegex(
      UserError, "must be a directory that exists or the id"
    ):
      hub.load(name)

  def test_revisions_are_of_the_hub(self):
    self.directory.mkdir()
    with self.assertRaisesRegex(UserError, "revision must not be given"):
      hub.load(self.directory, revision="main")
    file = self.directory / "model.safetensors"
    file.touch()
    with self.assertRaisesRegex(UserError, "got the file"):
      hub.load(file)


class ShippedTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    folder = self.enter_context(tempfile.TemporaryDirectory())
    self.assets = pathlib.Path(folder) / "assets"
    self.enter_context(
      mock.patch.object(hub_files, "_SHIPPED_DIR", self.assets)
    )
    # A hub that is asked all the same would be waited for.
    self.enter_context(mock.patch.object(constants, "HF_HUB_OFFLINE", True))

  def test_a_shipped_model_is_a_directory_of_the_package(self):
    model = cases.make_model(tokenizer=cases.make_tokenizer())
    hub.save(self.assets / "toy", model)
    loaded = hub.load("shipped/toy")
    self.assertEqual(loaded.identity, model.identity)
    self.assertIsNone(loaded.revision)
    self.assertEqual(loaded.source, "shipped/toy")
    with self.assertRaisesRegex(UserError, "revision must not be given.*'v1'"):
      hub.load("shipped/toy", revision="v1")

  @parameterized.parameters("toys", "", "../assets/toy", "toy/x", "README")
  def test_others_are_refused_with_those_that_there_are(self, name):
    for known in ("drills", "toy"):
      (self.assets / known).mkdir(parents=True)
    (self.assets / "README").touch()
    with self.assertRaisesRegex(
      UserError, "one of shipped/drills, shipped/toy, got 'shipped/"
    ):
      hub.load(f"shipped/{name}")

  def test_a_package_without_assets_says_so(self):
    with self.assertRaisesRegex(UserError, "one of none, without assets"):
      hub.load("shipped/toy")


class OwnModelsTest(parameterized.TestCase):
  def test_every_model_of_the_package_loads_with_its_tokenizer(self):
    directories = [
      path for path in hub_files._SHIPPED_DIR.glob("*") if path.is_dir()
    ]
    self.assertNotEmpty(directories)
    # What the tokens of scenes are: whole words, of which it has few.
    texts = {"scenes": "is there a red circle ?"}
    for directory in directories:
      model = hub.load(f"shipped/{directory.name}")
      text = texts.get(directory.name, "3 5 7=22?")
      ids = model.tokenizer.encode(text)
      self.assertEqual(
        model.tokenizer.decode(ids, skip_special_tokens=True), text
      )
      self.assertNotEmpty(model.stop_tokens)
