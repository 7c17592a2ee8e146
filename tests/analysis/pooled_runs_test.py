"""Tests of runs that differ in their seed alone, pooled: on runs written by hand."""

import dataclasses
import functools
import pathlib
import shutil
import tempfile

import numpy as np
from absl.testing import parameterized

from configs import countdown_tiny, sweeps
from experiments import launch
from experiments.launch import pooling, sweep_summary
from thickets.analysis import pooled_runs, prompt_groups, randopt_results
from thickets.errors import UserError
from thickets.members import BASE, Member
from thickets.runs import json_files, record_log

MEMBERS = [Member(10 + p, 0.01) for p in range(4)]
CHOSEN = [3, 1, 0]
WORDS = ("good", "good", "bad", "bad", "dull", "fine", "fine", "dull")


class _Records(dict):
  def channels(self, split, position):
    return self[split, position]


def _make_channels(right):
  right = np.asarray(right, bool)
  return {
    **dict.fromkeys(("correct", "lenient", "format"), right),
    "score": right.astype(np.float32),
    "vote": np.where(right, "a", "b"),
  }


def make_run(folder, seed, *, groups=WORDS, temperature=0.5, **keys):
  """A finished run whose base errs on all prompts, and members on some.

  Args:
    folder: the directory to make.
    seed: the run's seed; of every member and sample so many answers are wrong.
    groups: [Q] groups of the prompts of judge.
    temperature: at which the base is sampled; with None it is not sampled.
    **keys: values of the config, by dotted key, that others do not have.
  """
  config = countdown_tiny.get_config("smoke").unlock()
  config.update_from_flattened_dict(
    {"seed": seed, "ensemble.top_k": 3, "population.size": 4, **keys}
  )
  json_files.write_json(
    _make(folder) / "config.json",
    {"config": launch.to_json(config), "environment": {}},
  )
  judge = {"size": 8, "sha256": f"of seed {seed}"}
  judge |= {"groups": [*groups]} if groups else {}
  log = record_log.open_log(folder / "records" / "process_0000.jsonl")
  log.write_header({"task": {"data": {"judge": judge}}})
  rng = np.random.default_rng(seed)
  found = _Records()

  def append(split, position, right):
    found[split, position] = _make_channels(right)
    member = MEMBERS[position] if position >= 0 else BASE
    channels = {
      k: np.asarray(v)[None] for k, v in found[split, position].items()
    }
    log.append(
      split, [position], [member], np.array([np.mean(right)]), channels
    )

  for position in range(-1, 4):
    for split in ("select", "judge"):
      append(split, position, (rng.random(8) < 0.7) & (position >= 0))
  for sample in range(3 if temperature else 0):
    append(f"judge sampled at {temperature}", sample, rng.random(8) < 0.3)
  log.close()
  results = randopt_results.summarise_randopt(
    MEMBERS,
    np.array([0.1, 0.2, 0.0, 0.3]),
    randopt_results.read_select(found, CHOSEN),
    CHOSEN,
    randopt_results.read_judged(found, CHOSEN, temperature, groups),
    top_k=(1,),
    primary_k=3,
  )
  json_files.write_json(folder / "results.json", results)
  return folder


def _make(folder):
  folder.mkdir(parents=True)
  return folder


_FOLDERS = []


@functools.cache
def _make_once(seed, **options):
  folder = tempfile.TemporaryDirectory()
  _FOLDERS.append(folder)  # Removed when the interpreter ends.
  return make_run(pathlib.Path(folder.name) / "run", seed, **options)


class PoolTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(
      self.enter_context(tempfile.TemporaryDirectory())
    )

  def make_runs(self, count=3, **options):
    """Copies of runs that are made once."""
    runs = [self.folder / str(seed) for seed in range(count)]
    for seed, path in enumerate(runs):
      shutil.copytree(_make_once(seed, **options), path)
    return runs

  def test_runs_say_what_their_own_tables_say(self):
    pool = pooled_runs.read_pool(self.make_runs()[::-1])
    self.assertEqual([run.seed for run in pool.runs], [0, 1, 2])
    for run in pool.runs:
      for name, told in run.differences.items():
        self.assertAlmostEqual(run.subtract(name).mean(), told["mean"])
    self.assertEqual(
      pool.names,
      [
        *("best member - base", "vote - base", "vote - random members"),
        "vote - self-consistency",
      ],
    )
    found = pool.estimate_gain("vote - base")
    self.assertEqual(found.over, "populations and groups of prompts")
    self.assertAlmostEqual(found.value, np.mean(pool.gains("vote - base")))
    counts = pool.count_signs("vote - base")
    self.assertEqual((counts["num_runs"], counts["num_above_zero"]), (3, 3))

  def test_a_file_of_a_pool_is_that_pool(self):
    pool = pooled_runs.read_pool(self.make_runs())
    table = pooling.write_pool(pool, _make(self.folder / "out"), "seeds")
    path = self.folder / "out" / "seeds.json"
    again = pooled_runs.read_pool([path])
    self.assertEqual(again.to_json(), pool.to_json())
    self.assertTrue((path.parent / "figures" / "seeds.png").is_file())
    self.assertIn("3 of 3", table)

  def test_without_samples_or_groups_the_rest_is_pooled(self):
    runs = self.make_runs(groups=None, temperature=None)
    pool = pooled_runs.read_pool(runs)
    self.assertNotIn("vote - self-consistency", pool.names)
    self.assertEqual(
      pool.estimate_gain("vote - base").over, "populations and prompts"
    )

  def test_prompts_recur_where_all_runs_ask_the_same(self):
    apart = pooled_runs.read_pool(self.make_runs(groups=None)).runs
    same = [dataclasses.replace(run, prompts="the same") for run in apart]
    labels = [
      [pooled_runs._label_prompts(run, are_same) for run in runs]
      for runs, are_same in ((apart, False), (same, True))
    ]
    counts = [len({x for run in found for x in run}) for found in labels]
    self.assertEqual(counts, [24, 8])

  def test_a_prompt_without_a_name_is_in_no_other_runs_group(self):
    data = {"judge": {"groups": [*WORDS[:7], "judge prompt 7"]}}
    groups = prompt_groups.read_groups(data, {"judge": 8})
    runs = pooled_runs.read_pool(self.make_runs(groups=tuple(groups))).runs
    labels = {x for run in runs for x in pooled_runs._label_prompts(run, False)}
    self.assertLen(labels, 4 + 3)

  def test_other_runs_are_refused(self):
    zero, one = self.make_runs(2)
    other = make_run(self.folder / "x", 2, **{"task.num_select": 7})
    with self.assertRaisesRegex(UserError, "seed alone.* task.num_select was"):
      pooled_runs.read_pool([zero, other])
    with self.assertRaisesRegex(
      UserError, r"of their own, got the .* \[0, 0\]"
    ):
      pooled_runs.read_pool([zero, zero])
    with self.assertRaisesRegex(UserError, "at least two, got 1"):
      pooled_runs.read_pool([zero])
    (one / "results.json").unlink()
    with self.assertRaisesRegex(UserError, "1 must hold a finished run"):
      pooled_runs.read_pool([zero, one])
    path = self.folder / "seeds.json"
    path.write_text("[]", encoding="utf-8")
    with self.assertRaisesRegex(UserError, "must be a file of pooled runs"):
      pooled_runs.read_pool([path])

  def test_layouts_of_the_work_may_differ(self):
    zero = make_run(self.folder / "0", 0)
    one = make_run(self.folder / "1", 1, **{"compute.rows": 3})
    self.assertLen(pooled_runs.read_pool([zero, one]).runs, 2)

  def test_a_sweep_pools_what_is_done(self):
    points = [sweeps.SweepPoint("seeds", {"seed": s}) for s in range(3)]
    runs = self.make_runs(2)
    text = sweep_summary.pool_sweep(points, {0: runs[0]}, self.folder)
    self.assertIn("pooling needs two", text)
    text = sweep_summary.pool_sweep(points, dict(enumerate(runs)), self.folder)
    self.assertRegex(text, "vote - base .* 2 of 2")
    self.assertTrue((self.folder / "seeds.json").is_file())
