"""Small finished runs for the tests of reports: files, and no model."""

import base64
import functools
import json
import pathlib
import tempfile

import numpy as np

from configs import measure
from experiments import launch
from thickets.analysis import landscape, measurement, neighbourhood
from thickets.members import BASE, Member
from thickets.report import run_files
from thickets.runs import directory, json_files, record_log
from thickets.runs.split_labels import Split

TASKS = ("drills/sums", "drills/words")
MEMBERS = [Member(10 + p, (0.01, 0.02)[p % 2]) for p in range(8)]
GRID, COORDINATES = landscape.slice_members(3, 4, 0.02, 3)
DENSITY_ROW = {
  **{"sigma": 0.01, "margin": 0.02, "ratio": None, "num_members": 40},
  **{"num_failed": 3, "num_prompts": 50, "base_score": 0.5, "repeated": 0.5},
  **{"plain": 0.25, "plain_low": 0.125, "plain_high": 0.5},
  **{"confirmed": 0.1, "confirmed_low": 0.05, "confirmed_high": 0.3},
  **{"corrected": None, "corrected_low": 0.0, "corrected_high": 1.0},
  **{"null": 0.2, "null_low": 0.0, "null_high": 0.4},
}
PIXEL = base64.b64decode(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAG7buVgAA"
  "AABJRU5ErkJggg=="
)


def make_run(folder: pathlib.Path, tasks=TASKS, **overrides) -> pathlib.Path:
  """A finished measurement on few prompts: config, records, results, a figure.

  Args:
    folder: the directory to make.
    tasks: names of the tasks that were measured.
    **overrides: fields to change in what the header says about each task.
  """
  config = launch.to_json(measure.get_config("smoke"))
  config["tasks"]["names"] = list(tasks)
  environment = {"commit": "abc1234", "versions": {"jax": "0.10.0"}}
  environment |= {"num_devices": 2, "platform": "cpu", "device_kind": "cpu"}
  folder.mkdir(parents=True)
  json_files.write_json(
    folder / "config.json", {"config": config, "environment": environment}
  )
  _write_records(folder, tasks, overrides)
  levels = [
    {"sigma": s, "num_members": 4, "num_failed": 0, "mean": 0.5, "best": 0.7}
    for s in (0.01, 0.02)
  ]
  results = {"num_prompts": 10, "base": 0.4, "by_sigma": levels}
  content = {"num_members": 8, "relative_norms": {"0.01": 0.1, "0.02": 0.2}}
  content["tasks"] = dict.fromkeys(tasks, results)
  json_files.write_json(folder / "results.json", content)
  (folder / "figures").mkdir()
  (folder / "figures" / "density.png").write_bytes(PIXEL)
  return folder


def _write_records(folder, tasks, overrides) -> None:
  """Ten prompts per task, six of them of select; one slice of nine members."""
  prompts = {s: {"size": 6, "sha256": "5"} for s in ("select", "dev")}
  described = {
    name: {
      **{"name": name, "version": 1, "rules": "standard", "group": 0},
      **{"prompts": prompts, **overrides},
      "rows": {
        "select": [6 * place, 6 * place + 6],
        "dev": [4 * place, 4 * place + 4],
      },
    }
    for place, name in enumerate(tasks)
  }
  base = {"identity": "f" * 64, "num_weights": 1234}
  header = {"base": base, "kind": {}, "noise": {}, "task": {"tasks": described}}
  log = record_log.open_log(folder / "records" / "process_0000.jsonl")
  log.write_header(header)
  rng = np.random.default_rng(0)
  for split, members, width in (
    ("select", [BASE, *MEMBERS], 6),
    ("dev", [BASE, *MEMBERS], 4),
    ("slice", GRID, 6),
  ):
    right = rng.random((len(members), width * len(tasks))) < 0.5
    channels = dict.fromkeys(("correct", "lenient", "format"), right)
    channels["score"] = right.astype(np.float32)
    channels["vote"] = np.where(right, "a", "b")
    first = 0 if split == "slice" else directory.BASE_POSITION
    positions = range(first, first + len(members))
    name = Split(split, 0).label
    log.append(name, positions, members, right.mean(axis=1), channels)
  log.close()


def analyse(folder: pathlib.Path) -> pathlib.Path:
  """Adds density.json and landscape.json, of few draws."""
  text = json.dumps(_analyse_once())
  # The numbers do not depend on the tasks' names.
  for old, new in zip(TASKS, run_files.read_run(folder).tasks, strict=True):
    text = text.replace(json.dumps(old), json.dumps(new))
  for name, content in json.loads(text).items():
    json_files.write_json(folder / name, content)
  return folder


@functools.cache
def _analyse_once():
  with tempfile.TemporaryDirectory() as parent:
    return _analyse(make_run(pathlib.Path(parent) / "run"))


def _analyse(folder: pathlib.Path):
  found = measurement.read_measurement(folder)
  settings = neighbourhood.Settings(num_resamples=20, num_splits=4)
  made = neighbourhood.analyse(found, settings).to_json()
  members, sliced = measurement.read_slice(folder)
  explained = {"share": -0.1, "p_value": 0.5, "num_members": 8}
  rng = np.random.default_rng(1)
  plane = rng.normal(size=(len(found.members), 2))
  content = {"slices": {}, "projections": {}}
  for name, task in found.tasks.items():
    seen = landscape.make_landscape(
      name, found.members, plane, task.scores, task.base_scores
    )
    content["projections"][name] = seen.to_json() | {"explained": explained}
    task = sliced[name]
    cut = landscape.make_landscape(
      name, members, COORDINATES, task.scores, task.base_scores
    )
    content["slices"][name] = cut.to_json()
  return {"density.json": made, "landscape.json": content}
