"""How long all estimators take on tables of a given size, and their memory.

    python -m experiments.benchmark_analysis [--members=5000] [--out=FILE]

The tables are synthetic, so no model and no run is needed. Seconds by part are of
the processor, since a loaded machine says little about a wall clock; memory is the
largest that the process has held, imports and tables included.
"""

import cProfile
import json
import pathlib
import pstats
import resource
import sys
import time
from typing import Any

import numpy as np
from absl import flags

from experiments import launch
from thickets.analysis import neighbourhood, synthetic
from thickets.analysis.measurement import Measurement, TaskScores
from thickets.analysis.neighbourhood import Settings
from thickets.members import Member
from thickets.runs import environment, json_files
from thickets.search.answers import Answers

_MEMBERS = flags.DEFINE_integer("members", 5000, "N, over all sigmas.")
_PROMPTS = flags.DEFINE_integer("prompts", 200, "Half of them choose members.")
_TASKS = flags.DEFINE_integer("tasks", 7, "How many there are.")
_SIGMAS = flags.DEFINE_integer("sigmas", 4, "Members are spread over them.")
_RESAMPLES = flags.DEFINE_integer("resamples", 1000, "Of each bootstrap.")
_SEED = flags.DEFINE_integer("seed", 0, "Of the tables.")

_WRONG = np.array(["", "12,5,81,7", "5,7,12,81", "94", "-17/3"])
# Functions whose time is a part's, with all that they call.
_PARTS = {
  "density": "solution_density",
  "discordance": "measure_discordance",
  "clusters": "embed_members",
  "rank_lines": "rank_lines",
  "overlap": "topk_overlap",
  "specialists": "specialist_table",
  "votes": "vote_of_best",
  "decomposition": "_decompose",
  "json": "to_json",
}


def main(_) -> None:
  """Reads the flags, measures, prints."""
  with launch.ending_plainly():
    tables = sample_tables(
      _SEED.value,
      num_members=_MEMBERS.value,
      num_prompts=_PROMPTS.value,
      num_tasks=_TASKS.value,
      num_sigmas=_SIGMAS.value,
    )
    found = measure(tables, Settings(num_resamples=_RESAMPLES.value))
    results = {
      "size": {
        "members": _MEMBERS.value,
        "prompts": _PROMPTS.value,
        "tasks": _TASKS.value,
        "sigmas": _SIGMAS.value,
        "resamples": _RESAMPLES.value,
      },
      **found,
      "environment": environment.describe(),
    }
    if launch.OUT.value:
      json_files.write_json(pathlib.Path(launch.OUT.value), results)
    print(json.dumps({k: results[k] for k in ("size", *found)}, indent=2))


def sample_tables(
  seed: int,
  *,
  num_members: int,
  num_prompts: int,
  num_tasks: int,
  num_sigmas: int,
) -> Measurement:
  """Members of true gains that differ, on tasks of unlike bases."""
  rng = np.random.default_rng(seed)
  tasks = {}
  for number, accuracy in enumerate(np.linspace(0.2, 0.8, num_tasks)):
    population = synthetic.SyntheticPopulation(
      synthetic.NormalGains(0.0, 0.03), base_accuracy=float(accuracy)
    )
    sample = population.sample(rng, num_members, num_prompts)
    name = f"task {number}"
    tasks[name] = TaskScores(
      name,
      _make_answers(sample.base_scores[None], rng),
      _make_answers(sample.scores, rng),
      num_select=num_prompts // 2,
    )
  members = tuple(
    Member(seed, 0.01 * (1 + seed % num_sigmas)) for seed in range(num_members)
  )
  return Measurement("synthetic", {}, members, tasks)


def _make_answers(scores, rng) -> Answers:
  """Wrong ones vote for one of a few answers, or for none."""
  right = scores > 0
  vote = _WRONG[rng.integers(len(_WRONG), size=scores.shape)]
  vote[right] = "7,5,12,81"
  in_form = right & (rng.random(scores.shape) < 0.9)
  return Answers(scores, in_form, right, vote != "", vote)


def measure(tables: Measurement, settings: Settings) -> dict[str, Any]:
  """Seconds of all estimators and of each, and the peak of memory."""
  # Without calls of built-in functions, which are many and cheap.
  profile = cProfile.Profile(time.process_time, builtins=False)
  start, cpu_start = time.perf_counter(), time.process_time()
  profile.enable()
  neighbourhood.analyse(tables, settings).to_json()
  profile.disable()
  wall_s, cpu_s = time.perf_counter() - start, time.process_time() - cpu_start
  by_function = pstats.Stats(profile).stats
  parts = {
    part: max(
      (row[3] for (_, _, name), row in by_function.items() if name == function),
      default=0.0,
    )
    for part, function in _PARTS.items()
  }
  return {
    "wall_s": round(wall_s, 2),
    "cpu_s": round(cpu_s, 2),
    "cpu_s_by_part": {part: round(taken, 2) for part, taken in parts.items()},
    "peak_memory_gb": round(_peak_bytes() / 1e9, 3),
  }


def _peak_bytes() -> int:
  """In kilobytes on Linux, and in bytes on macOS."""
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
  launch.run(main)
