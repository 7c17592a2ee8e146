"""Cells of a table of models and machines: compiled once, and kept.

A cell is of a model, a kind of device and how many of them share a member.
Devices of different members exchange nothing, so machines that differ in their
number of devices alone have the same programs, and one cell serves them all.
"""

import dataclasses
import importlib.metadata
import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

from jax.sharding import Mesh

from experiments.launch.compiling import Case
from thickets.errors import NoRoomError, UserError
from thickets.generation import forecast as forecast_lib
from thickets.generation.batching import Batching
from thickets.generation.forecast import Forecast
from thickets.generation.rehearsal import Segments
from thickets.models import transformer
from thickets.runs import json_files
from thickets.search.targets import Target
from thickets.version import __version__

_KEYS = {"asked", "segments"}
# What the compiler of a platform consists of.
_COMPILERS = {
  "tpu": ("jax", "jaxlib", "libtpu"),
  "cuda": ("jax", "jaxlib", "jax-cuda12-plugin", "jax-cuda12-pjrt"),
}


@dataclasses.dataclass(frozen=True)
class Cells:
  """Forecasts in the files of a directory, and in memory without one.

  Attributes:
    folder: the directory, or None.
  """

  folder: pathlib.Path | None
  _known: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)

  def find(
    self,
    name: str,
    asked: Mapping[str, Any],
    segments: Segments,
    compute: Callable[[], Forecast],
  ) -> Forecast:
    """The forecast of a cell, computed unless as much of it was compiled.

    Args:
      name: names the cell.
      asked: what its forecast depends on, as JSON; from `describe`.
      segments: how much of it is to be compiled at least.
      compute: compiles so much.

    Raises:
      NoRoomError: if one of its programs is too large for the machine.
      UserError: if the file of the cell cannot be read.
    """
    content = self._read(name)
    is_known = (
      content is not None
      and content["asked"] == _as_json(asked)
      and Segments(content["segments"]).includes(segments)
    )
    if content is None or not is_known:
      content = {"asked": _as_json(asked), "segments": segments.value}
      try:
        content["forecast"] = compute().to_json()
      except NoRoomError as error:
        content["refused"] = [str(error), error.needed_bytes, error.size_bytes]
      if segments is not Segments.NONE:  # That takes no time.
        self._write(name, content)
    if "refused" in content:
      raise NoRoomError(*content["refused"])
    return Forecast.from_json(content["forecast"])

  def _write(self, name: str, content: dict[str, Any]) -> None:
    self._known[name] = _as_json(content)
    if self.folder is not None:
      self.folder.mkdir(parents=True, exist_ok=True)
      json_files.write_json(self.folder / f"{name}.json", content)

  def _read(self, name: str) -> dict[str, Any] | None:
    if name in self._known or self.folder is None:
      return self._known.get(name)
    path = self.folder / f"{name}.json"
    if not path.exists():
      return None
    try:
      content = json.loads(path.read_text(encoding="utf-8"))
      if not isinstance(content, dict) or not content.keys() >= _KEYS:
        raise ValueError(f"it lacks one of the keys {sorted(_KEYS)}")
    except ValueError as error:
      raise UserError(
        f"{path} must hold a compiled cell, got: {error}. Delete the file, and"
        " the same command compiles the cell anew."
      ) from error
    return content


def forecast(
  name: str,
  case: Case,
  target: Target,
  mesh: Mesh,
  cells: Cells,
  *,
  segments: Segments,
  noise_operations: int,
) -> Forecast:
  """What a machine would do, from its cell.

  Args:
    name: what the model is called.
    case: the model and what it has to do.
    target: the machine.
    mesh: its devices, from `Case.place`.
    cells: what was compiled so far.
    segments: which segments of decoding are compiled at least.
    noise_operations: what the noise of one weight takes.

  Raises:
    NoRoomError: if a program turns out to be too large for the machine.
  """
  devices = transformer.count_model_devices(mesh)

  def compute() -> Forecast:
    return forecast_lib.make_forecast(
      case.rehearse(mesh, target, segments=segments),
      case.workload,
      case.dtype,
      target.chip,
      noise_operations=noise_operations,
    )

  return cells.find(
    f"{name}-{target.chip.name}-{devices}",
    describe(case, case.plan(mesh, target), target, devices),
    segments,
    compute,
  )


def describe(
  case: Case, plan: Batching, target: Target, devices: int
) -> dict[str, Any]:
  """What a cell depends on, as JSON.

  Args:
    case: the model and what it has to do.
    plan: lanes and rows.
    target: a machine with the devices.
    devices: how many of them share a member.
  """
  chip = dataclasses.asdict(target.chip)
  del chip["cloud"], chip["shapes"]  # They change no program.
  return {
    "case": case.describe(),
    "plan": dataclasses.asdict(plan),
    "chip": chip,
    "devices_per_member": devices,
    "versions": _read_versions(target.chip.platform),
  }


def _read_versions(platform: str) -> dict[str, str]:
  """Versions of the package and of a compiler, as far as they are known."""
  versions = {"thickets": __version__}
  for name in _COMPILERS[platform]:
    try:
      versions[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
      continue  # A plugin on the path, without the record of an installation.
  return versions


def _as_json(content: Mapping[str, Any]) -> dict[str, Any]:
  """What is read back of content that was written."""
  return json.loads(json.dumps(content))
