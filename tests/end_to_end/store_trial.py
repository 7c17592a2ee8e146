"""A search in S3 whose workers are killed, over a server that misbehaves.

    python -m tests.end_to_end.store_trial --kills=30 --faults=200

prints what happened, and fails unless `experts.json` is that of an unbroken run
on a disk. It needs the extras `s3` and `test`.
"""

import argparse
import collections
import difflib
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from tests.end_to_end.faulty_s3 import BUCKET, FaultyS3
from tests.runs.unreliable_store import KilledError
from thickets.runs import directory, fsspec_objects
from thickets.runs.locations import StorePath
from thickets.runs.object_store import ObjectStore
from thickets.runs.run_config import RunConfig
from thickets.search import population, randopt, traced

ADDRESS = f"s3://{BUCKET}/run"
_WEIGHTS = {"w": np.eye(3, dtype=np.float32)}
_BATCH = {"x": np.linspace(-1, 1, 15, dtype=np.float32).reshape(5, 3)}
_SIZE, _WIDTH = 48, 4


def _score(params, batch):
  prediction = batch["x"] @ params["w"]
  return {"score": -jnp.sum(prediction**2, axis=1), "prediction": prediction}


_EVALUATOR = traced.traced(_score)  # One for all workers: it compiles once.


def work(place) -> None:
  """One worker: starts or continues the search, up to experts.json."""
  with directory.open_run(place, RunConfig({"seed": 0})) as run:
    select = randopt.Evaluation("select", _EVALUATOR, _BATCH)
    search = randopt.start_search(
      run,
      randopt.Base(_WEIGHTS, precision={}),
      population.PopulationSpec(_SIZE, (0.1, 0.3), seed=0, chunk=_WIDTH),
      first=select,
      task={"name": "rank"},
    )
    scores = randopt.score_members(search, select)
    chosen = np.argsort(-scores)[:5]
    randopt.save_experts(search, chosen, scores, primary_k=3)


def hold_trial(num_kills: int, num_faults: int, *, num_signals: int) -> dict:
  """Holds a trial.

  Args:
    num_kills: workers that die, each at a request chosen at random.
    num_faults: requests that go wrong, of each kind about as many.
    num_signals: how many of the workers are processes that get SIGKILL; others end
      in this process, from where no request of theirs comes through any more.

  Returns:
    What happened, and under "difference" the lines in which experts.json is not
    that of an unbroken run.
  """
  with tempfile.TemporaryDirectory() as folder:
    work(folder)
    unbroken = (pathlib.Path(folder) / "experts.json").read_text("utf-8")
  draw = random.Random(0)
  chosen = _Chooser(draw, num_faults)
  with FaultyS3(chosen) as server:
    os.environ.update(server.environment)
    num_killed = 0
    start = time.monotonic()
    while num_killed < num_kills:
      after = draw.randrange(5, 60)
      if num_killed < num_signals:
        died = _kill_process(server, chosen, after)
      else:
        died = _kill_worker(after)
      if not died:  # It was done before: all begins again.
        _empty()
      num_killed += died
    while chosen.num_left:  # All begins again until everything has gone wrong.
      _empty()
      work(_locate())
    work(_locate())
    found = (_locate() / "experts.json").read_text("utf-8")
    return {
      "killed": num_killed,
      "by SIGKILL": num_signals,
      "faults": sum(server.num_faults.values()),
      "by kind": dict(server.num_faults),
      "requests": chosen.num_requests,
      "seconds": round(time.monotonic() - start, 1),
      "difference": "\n".join(
        difflib.unified_diff(
          unbroken.splitlines(), found.splitlines(), lineterm=""
        )
      ),
    }


class _Chooser:
  """What goes wrong with each request, and whom it kills."""

  def __init__(self, draw: random.Random, num_faults: int):
    self.num_requests = 0
    self.victim: subprocess.Popen | None = None
    self.kill_at = 0
    self.num_left = num_faults
    self._draw = draw
    self._num_chosen: collections.Counter[str] = collections.Counter()

  def __call__(self, faults: Sequence[str]) -> str | None:
    self.num_requests += 1
    if self.victim is not None and self.num_requests >= self.kill_at:
      self.victim.send_signal(signal.SIGKILL)
      self.victim = None
    if not self.num_left or self._draw.random() > 0.25:
      return None
    self.num_left -= 1
    chosen = min(faults, key=lambda fault: self._num_chosen[fault])
    self._num_chosen[chosen] += 1
    return chosen


class _Mortal:
  """Requests of a worker that dies with one of them."""

  def __init__(self, objects, after: float):
    self._objects, self._left = objects, after

  def __getattr__(self, name):
    self._left -= 1
    if self._left < 0:
      raise KilledError
    return getattr(self._objects, name)


def _locate(after: float = float("inf")) -> StorePath:
  """The run as a new process sees it, which waits a tenth as long."""
  objects = fsspec_objects.FsspecObjects(fsspec_objects.open_filesystem("s3"))
  store = ObjectStore(
    _Mortal(objects, after),
    "s3",
    pause=lambda seconds: time.sleep(seconds / 10),
  )
  return StorePath(store, f"{BUCKET}/run")


def _kill_worker(after: int) -> bool:
  try:
    work(_locate(after))
  except KilledError:
    return True
  return False


def _kill_process(server: FaultyS3, chosen: _Chooser, after: int) -> bool:
  with subprocess.Popen(
    [sys.executable, "-m", "tests.end_to_end.store_trial", "--worker"],
    cwd=pathlib.Path(__file__).parents[2],
    env=os.environ | server.environment,
    stderr=subprocess.DEVNULL,
  ) as process:
    chosen.kill_at, chosen.victim = chosen.num_requests + after, process
    return process.wait() == -signal.SIGKILL


def _empty() -> None:
  """Empties the bucket, so that the next worker begins the run."""
  place = _locate()
  for key in place.store.list(f"{BUCKET}/"):
    place.store.delete(key)


def main() -> None:
  """Reads the flags, and holds a trial or is one of its workers."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--kills", type=int, default=30)
  parser.add_argument("--faults", type=int, default=200)
  parser.add_argument("--signals", type=int, default=3)
  parser.add_argument("--worker", action="store_true")
  flags = parser.parse_args()
  if flags.worker:
    work(ADDRESS)
    return
  found = hold_trial(flags.kills, flags.faults, num_signals=flags.signals)
  for name, value in found.items():
    print(f"{name}: {value}")
  if found["difference"]:
    sys.exit("experts.json is not that of the unbroken run.")


if __name__ == "__main__":
  main()
