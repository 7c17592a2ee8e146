"""How long all estimators take on tables of a given size, and their memory.

    python -m experiments.benchmark_analysis [--members=5000] [--out=FILE]

The tables are synthetic, so no model and no run is needed. Seconds by part are of
the processor, since a loaded machine says little about a wall clock; memory is the
largest that the process has held, imports and tables included.
"""

import cProfile
import inspect
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from absl import flags

from experiments import launch
from experiments.launch import measured_runs
from experiments.validation import synthetic_tables
from thickets.analysis import (
  clusters,
  decomposition,
  density,
  diversity,
  neighbourhood,
  specialists,
  votes_by_sigma,
)
from thickets.analysis.measurement import Measurement
from thickets.analysis.neighbourhood import Settings
from thickets.runs import environment, json_files, process_memory

FLAGS = launch.BinaryFlags(
  __doc__,
  "python -m experiments.benchmark_analysis --members=500 --out=analysis.json",
)
_MEMBERS = flags.DEFINE_integer(
  "members",
  5000,
  "The number of members, over all sigmas.",
  flag_values=FLAGS.values,
)
_PROMPTS = flags.DEFINE_integer(
  "prompts",
  200,
  "The number of prompts; half of them choose members.",
  flag_values=FLAGS.values,
)
_TASKS = flags.DEFINE_integer(
  "tasks",
  7,
  "The number of tasks.",
  flag_values=FLAGS.values,
)
_SIGMAS = flags.DEFINE_integer(
  "sigmas",
  4,
  "The number of sigmas that members are spread over.",
  flag_values=FLAGS.values,
)
_RESAMPLES = flags.DEFINE_integer(
  "resamples",
  1000,
  "The number of draws of each bootstrap.",
  flag_values=FLAGS.values,
)
_OUT = flags.DEFINE_string(
  "out",
  None,
  "The JSON file to write; by default none is written.",
  flag_values=FLAGS.values,
)
_SEED = flags.DEFINE_integer(
  "seed",
  0,
  "The seed of the tables.",
  flag_values=FLAGS.values,
)

# The function whose time is a part's, with all that it calls.
_PARTS = {
  "density": density.solution_density,
  "discordance": diversity.measure_discordance,
  "clusters": clusters.embed_members,
  "rank_lines": specialists.rank_lines,
  "overlap": specialists.topk_overlap,
  "specialists": specialists.specialist_table,
  "votes": votes_by_sigma.vote_of_best,
  "decomposition": decomposition.decompose_run,
  "json": neighbourhood.Analysis.to_json,
}


def main(_: list[str]) -> None:
  """Reads the flags, measures, prints."""
  path = measured_runs.make_out_file(_OUT.value) if _OUT.value else None
  tables = synthetic_tables.sample_tables(
    _SEED.value,
    num_members=_MEMBERS.value,
    num_prompts=_PROMPTS.value,
    num_tasks=_TASKS.value,
    num_sigmas=_SIGMAS.value,
  )
  found = time_analysis(tables, Settings(num_resamples=_RESAMPLES.value))
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
  if path is not None:
    json_files.write_json(path, results)
  print(json.dumps({k: results[k] for k in ("size", *found)}, indent=2))


def time_analysis(tables: Measurement, settings: Settings) -> dict[str, Any]:
  """Returns seconds of all estimators and of each, and the peak of memory.

  A part that these tables do not call for has no seconds: it is None.
  """
  # Without calls of built-in functions, which are many and cheap.
  profile = cProfile.Profile(time.process_time, builtins=False)
  start, cpu_start = time.perf_counter(), time.process_time()
  profile.enable()
  neighbourhood.analyse(tables, settings).to_json()
  profile.disable()
  wall_s, cpu_s = time.perf_counter() - start, time.process_time() - cpu_start
  return {
    "wall_s": round(wall_s, 2),
    "cpu_s": round(cpu_s, 2),
    "cpu_s_by_part": find_parts(profile, _PARTS),
    "peak_memory_gb": round(process_memory.peak_host_bytes() / 1e9, 3),
  }


def find_parts(
  profile: cProfile.Profile, parts: Mapping[str, Callable[..., Any]]
) -> dict[str, float | None]:
  """Returns the seconds of each part's function, with all that it calls.

  Functions are found by their code and not by their names, so that one which is
  renamed or moved is an error and not a part that takes no time.
  """
  taken = {entry.code: entry.totaltime for entry in profile.getstats()}
  codes = {
    part: inspect.unwrap(function).__code__ for part, function in parts.items()
  }
  return {
    part: round(taken[code], 2) if code in taken else None
    for part, code in codes.items()
  }


if __name__ == "__main__":
  launch.run(main, FLAGS)
