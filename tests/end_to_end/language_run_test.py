"""Tests of RandOpt on language models as users start it, from search to export.

On a tiny model of random weights and a task of the user's own, both made here.
"""

import collections
import functools
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from unittest import mock

import jax
import matplotlib.image
import numpy as np
import pytest
from absl.testing import parameterized

from configs import countdown_tiny
from experiments import launch, regrade
from experiments.launch import ending, randopt_run, specs
from thickets.errors import UserError
from thickets.generation import grading, subject
from thickets.models import byte_tokenizer, hub, transformer
from thickets.report import randopt_table
from thickets.runs import experts, record_log
from thickets.search import ensemble, meshes
from thickets.tasks.grader import TaskGrader
from thickets.training import evolution, updates_file

ROOT = pathlib.Path(__file__).parents[2]
FIELDS = {
  "model_type": "llama",
  "vocab_size": byte_tokenizer.NUM_TOKENS,
  "hidden_size": 32,
  "intermediate_size": 48,
  "num_hidden_layers": 1,
  "num_attention_heads": 2,
  "num_key_value_heads": 1,
  "max_position_embeddings": 64,
  "rms_norm_eps": 1e-6,
  "rope_theta": 10000.0,
  "tie_word_embeddings": True,
  "bos_token_id": 1,
  "eos_token_id": 2,
  "pad_token_id": 0,
}
# Graded by a checksum, of which a random model reaches all values.
TASK = """
  from thickets.tasks.base import Example, Grade, Task, ask


  def grade(modulus, example, response):
    total = sum(response.encode("utf-8", "replace")) % 5
    vote = None if total == 4 else str(total % modulus)
    is_right = vote == str(int(example.reference) % modulus)
    is_short = len(response) < 6
    return Grade(
      float(is_right), is_right and is_short, is_right, vote, is_short
    )


  def standard(example, response):
    return grade(4, example, response)


  def parity(example, response):
    return grade(2, example, response)


  TASK = Task(
    name="checksum",
    fields=("question", "answer"),
    make_example=lambda row, number: Example(
      str(number), ask(row["question"]), row["answer"]
    ),
    graders={"standard": standard, "parity": parity},
    max_new_tokens=6,
    question="question",
    blank={"answer": "0"},
  )
"""
OVERRIDES = {
  "task.num_select": 8,
  "task.num_dev": 8,
  "task.num_judge": 8,
  "population.size": 12,
  "population.chunk": 2,
  "population.sigmas": (0.2,),
  "ensemble.top_k": 3,
  "ensemble.also": (1, 2, 4),
  "consistency.temperatures": (0.5, 1.0),
}


@functools.cache
def _world():
  """A folder with a model, a task and its data."""
  folder = tempfile.TemporaryDirectory()
  _FOLDERS.append(folder)  # Removed when the interpreter ends.
  world = pathlib.Path(folder.name)
  _save_model(world / "model", seed=0)
  (world / "task.py").write_text(textwrap.dedent(TASK))
  rows = [
    {"question": f"checksum {n:03}", "answer": str(n % 4)} for n in range(40)
  ]
  (world / "data.jsonl").write_text("\n".join(map(json.dumps, rows)))
  return world


def _save_model(path, seed):
  tokenizer = byte_tokenizer.make_tokenizer()
  key = jax.random.key(seed)
  hub.save(path, hub.make_model(FIELDS, key, tokenizer=tokenizer))


def _overrides(world, **changes):
  return (
    OVERRIDES
    | {
      "model.name": str(world / "model"),
      "task.name": str(world / "task.py"),
      "task.train": str(world / "data.jsonl"),
    }
    | changes
  )


def _start(program, *flags, **options):
  kept = {k: v for k, v in os.environ.items() if k != "JAX_NUM_CPU_DEVICES"}
  return subprocess.Popen(
    [sys.executable, "-m", f"experiments.{program}", *flags],
    cwd=ROOT,
    env=kept | {"JAX_PLATFORMS": "cpu"},
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
    **options,
  )


def _start_run(workdir, world=None, **changes):
  overrides = _overrides(world or _world(), **changes)
  return _start(
    "randopt",
    "--config=configs/countdown_tiny.py:smoke",
    f"--workdir={workdir}",
    *(f"--config.{key}={value}" for key, value in overrides.items()),
  )


def _finish(process, stdin=None):
  out, errors = process.communicate(stdin, timeout=300)
  return subprocess.CompletedProcess(
    process.args, process.returncode, out, errors
  )


@functools.cache
def _unbroken_run():
  """The workdir of a run that nothing disturbed, for comparison."""
  workdir = _world() / "unbroken"
  done = _finish(_start_run(workdir))
  assert done.returncode == 0, done.stderr
  (workdir / "printed").write_text(done.stdout)
  return workdir


_FOLDERS = []


def _experts(workdir):
  return (workdir / "experts.json").read_bytes()


def _read(workdir, name="results.json"):
  return json.loads((workdir / name).read_text())


def _results(workdir):
  """What a run found, without the seconds it took."""
  results = _read(workdir)
  del results["timing"]
  return results


def _log(workdir):
  return workdir / "records" / "process_0000.jsonl"


def _counts(workdir):
  """Number of records by split."""
  if not _log(workdir).exists():
    return collections.Counter()
  return collections.Counter(
    r.split for r in record_log.read_log(_log(workdir))
  )


class _EndToEndTestCase(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    folder = self.enter_context(tempfile.TemporaryDirectory())
    self.folder = pathlib.Path(folder)
    self.workdir = self.folder / "run"

  def run_well(self, process, stdin=None):
    done = _finish(process, stdin)
    self.assertEqual(done.returncode, 0, msg=done.stderr[-5000:])
    return done

  def assert_same(self, workdir, other):
    self.assertEqual(_experts(workdir), _experts(other))
    self.assertEqual(_results(workdir), _results(other))

  def assert_refused(self, process, message):
    """One line, no traceback, and a status that scripts can see."""
    done = _finish(process, "" if process.stdin else None)
    lines = [
      line
      for line in done.stderr.splitlines()
      if not re.match(r"\d\d:\d\d:\d\d ", line)  # Logged on the way.
    ]
    self.assertLen(lines, 1, msg=done.stderr)
    self.assertRegex(lines[0], f"^error: .*{message}")
    self.assertEqual((done.returncode, done.stdout), (1, ""))

  def copy_world(self):
    """A world that a test may change, and the paths in a run of it."""
    world = self.folder / "world"
    shutil.copytree(
      _world(), world, ignore=shutil.ignore_patterns("unbroken", "__pycache__")
    )
    return world


class FastTest(_EndToEndTestCase):
  """In this process, with one stage of generation that compiles once."""

  def test_a_run_leaves_all_it_found_and_repeating_it_changes_nothing(self):
    one_device = meshes.make_mesh(jax.devices()[:1])
    self.enter_context(
      mock.patch.object(subject, "spread_over", return_value=one_device)
    )
    # A thread grades, which starts sooner than a process.
    self.enter_context(mock.patch.object(TaskGrader, "is_of_a_file", False))
    config = countdown_tiny.get_config("smoke")
    config.update_from_flattened_dict(
      _overrides(_world(), **{"consistency.temperatures": ()})
    )
    spec = specs.read_randopt(config)
    results = randopt_run.run(spec, str(self.workdir))
    results.pop("timing")
    self.assertEqual(results, _results(self.workdir))
    before = _experts(self.workdir), _log(self.workdir).read_bytes()
    again = randopt_run.run(spec, str(self.workdir))
    again.pop("timing")
    self.assertEqual(again, results)
    self.assertEqual(
      (_experts(self.workdir), _log(self.workdir).read_bytes()), before
    )
    by_method = {row["method"]: row for row in results["ledger"]}
    search = by_method["vote, K=3"]["search"]
    self.assertEqual(search["num_responses"], 12 * 8)
    self.assertEqual(search, by_method["best member"]["search"])
    self.assertEqual(by_method["vote, K=3"]["answer"]["num_responses"], 3)
    self.assertEqual(by_method["base"]["search"]["flops"], 0)
    for name in ("summary", "scores", "vote", "selection"):
      picture = matplotlib.image.imread(
        self.workdir / "figures" / f"{name}.png"
      )
      self.assertGreater(np.ptp(picture), 0, msg=name)
    names = [row["name"] for row in results["table"]]
    self.assertContainsSubset(
      ["base", "best member", "vote, K=3 (primary)", "vote, K=4"], names
    )
    whole = results["population"]
    self.assertGreater(whole["best_score"], whole["mean_score"])
    # Graded anew by the same rules, without a model, it is the same.
    again, path = regrade.run(spec, str(self.workdir), "standard")
    self.assertRegex(again.pop("note"), "^Graded anew")
    results.pop("note")
    self.assertEqual(again, results | {"rules": "standard"})
    self.assertEqual(path.name, "results_standard.json")
    with self.assertRaisesRegex(UserError, "seed was 0, now 1"):
      with config.unlocked():
        config.seed = 1
      randopt_run.run(specs.read_randopt(config), str(self.workdir))


class EndingTest(parameterized.TestCase):
  """How binaries without a run directory end."""

  def end(self, error):
    """What `os._exit` was called with."""
    with (
      mock.patch.object(os, "_exit") as leave,
      ending.ending_in_one_line(launch.BinaryFlags("", "")),
    ):
      raise error
    return leave.call_args.args

  def test_a_users_error_is_one_line(self):
    with self.assertRaisesRegex(SystemExit, "^error: k must be 3.$"):
      self.end(UserError("k must be 3."))

  @parameterized.parameters(
    # A reader that has enough, as `head`, is no error of ours.
    (BrokenPipeError(), 141),
    (KeyboardInterrupt(), 130),
  )
  def test_others_end_at_once_with_the_status_of_shells(self, error, status):
    self.assertEqual(self.end(error), (status,))

  def test_a_fault_of_ours_keeps_its_traceback(self):
    with self.assertRaises(ZeroDivisionError):
      self.end(ZeroDivisionError())


@pytest.mark.slow
class RunTest(_EndToEndTestCase):
  def test_what_is_printed_is_what_is_saved(self):
    printed = (_unbroken_run() / "printed").read_text()
    results = _results(_unbroken_run())
    self.assertStartsWith(
      printed, randopt_table.format_randopt_results(results)
    )
    self.assertLen(results["dev"], 2)
    self.assertEqual(
      _counts(_unbroken_run()),
      {
        "select": 13,
        "dev sampled at 0.5": 4 - 1,
        "dev sampled at 1.0": 4 - 1,
        "judge": 1 + len(_judged(_unbroken_run())),
        f"judge sampled at {_temperature(results)}": 4,
      },
    )

  def test_killed_in_every_stage_it_ends_with_the_same_files(self):
    splits = ("select", "dev sampled at 1.0", "judge", "judge sampled")
    for split in splits:
      process = _start_run(self.workdir)
      while process.poll() is None and not self.has(split):
        time.sleep(0.002)
      process.kill()
      _, errors = process.communicate()
      self.assertEqual(process.returncode, -signal.SIGKILL, msg=errors)
      self.assertFalse((self.workdir / "results.json").exists())
    self.run_well(_start_run(self.workdir))
    self.assert_same(self.workdir, _unbroken_run())
    # Nothing was computed twice but what was under way.
    once, twice = _counts(_unbroken_run()), _counts(self.workdir)
    for split, count in once.items():
      self.assertBetween(twice[split], count, count + 2, msg=split)

  def has(self, split):
    """Whether the log has a member's record on a split of that name."""
    if not _log(self.workdir).exists():
      return False
    return any(
      record.split.startswith(split)
      and (split != "judge" or " " not in record.split)
      and record.position >= 0
      for record in record_log.read_log(_log(self.workdir))
    )

  def test_a_population_grown_later_is_the_same(self):
    grown = {"population.size": 20, "ensemble.also": (1, 6)}
    shutil.copytree(_unbroken_run(), self.workdir)
    self.run_well(_start_run(self.workdir, **grown))
    other = self.folder / "other"
    self.run_well(_start_run(other, **grown))
    self.assert_same(self.workdir, other)
    self.assertNotEqual(_results(other), _results(_unbroken_run()))

  def test_workers_grade_as_a_thread_does(self):
    self.run_well(_start_run(self.workdir, **{"compute.num_workers": 2}))
    self.assert_same(self.workdir, _unbroken_run())

  def test_responses_need_not_be_logged(self):
    self.run_well(_start_run(self.workdir, log_responses=False))
    self.assertEqual(_experts(self.workdir), _experts(_unbroken_run()))
    whole = _results(_unbroken_run())
    self.assertNotEmpty(whole["examples"])
    self.assertEqual(_results(self.workdir), whole | {"examples": []})
    log, whole = _log(self.workdir), _log(_unbroken_run())
    self.assertLess(log.stat().st_size, whole.stat().st_size)
    self.assert_refused(
      _start("regrade", f"--workdir={self.workdir}"),
      "must have logged its responses.*log_responses=True",
    )


@pytest.mark.slow
class MisbehavingTest(_EndToEndTestCase):
  """A first start that fails, and the corrected command in its directory."""

  @parameterized.parameters(
    ("sys.exit(0)", "must not raise, got SystemExit: 0 for the example 0"),
    ("os._exit(0)", "example 0 .* its process ended with status 0"),
    ("return 1", "must return a thickets.tasks.base.Grade, got int 1"),
  )
  def test_a_grader_is_named_and_the_directory_stays_new(self, line, message):
    world = self.copy_world()
    text = (world / "task.py").read_text()
    broken = text.replace("  total =", f"  import os, sys; {line}\n  total =")
    (world / "task.py").write_text(broken)
    self.assert_refused(
      _start_run(self.workdir, world),
      rf"The grader of {world}/task.py \(standard, rules .*{message}",
    )
    self.assertFalse(self.workdir.exists())

  def test_what_was_scored_is_kept_when_a_grader_ends_the_process(self):
    world = self.copy_world()
    text = (world / "task.py").read_text()
    broken = text.replace(
      "  total =",
      "  if len(response) == 6: __import__('os')._exit(0)\n  total =",
    )
    self.assertNotEqual(broken, text)
    (world / "task.py").write_text(broken)
    done = _finish(_start_run(self.workdir, world))
    self.assertEqual(done.returncode, 1, msg=done.stderr)
    self.assertIn("its process ended with status 0", done.stderr)
    self.assertNotIn("Traceback", done.stderr)

  @parameterized.parameters(
    {"population.include": "('nosuch',)"},
    {"task.num_select": 999},
    {"compute.devices_per_member": 64},
    {"ensemble.top_k": 13},
    {"task.rules": "papr"},
  )
  def test_a_typing_error_leaves_nothing_behind(self, **changes):
    done = _finish(_start_run(self.workdir, **changes))
    self.assertEqual(done.returncode, 1, msg=done.stderr)
    self.assertFalse(self.workdir.exists())


@pytest.mark.slow
class CheckTest(_EndToEndTestCase):
  def test_it_says_what_the_run_would_do_and_writes_nothing(self):
    overrides = _overrides(_world())
    flags = [
      "--config=configs/countdown_tiny.py:smoke",
      "--check",
      *(f"--config.{key}={value}" for key, value in overrides.items()),
    ]
    done = self.run_well(_start("randopt", *flags, f"--workdir={self.workdir}"))
    for line in (
      f"Directory: {self.workdir} is new.",
      "Prompts: select 8, dev 8, judge 8.",
      "Patterns: they match 11 of 11 tensors",
      "Grader: the reference '0' of the example 0 is",
      "Grader: an empty response '' of the example 0 is",
      "Memory: 2 members make a chunk",
      "Time: 256 responses at ",
    ):
      self.assertIn(line, done.stdout)
    self.assertFalse(self.workdir.exists())
    before = _log(_unbroken_run()).read_bytes()
    done = self.run_well(
      _start("randopt", *flags, f"--workdir={_unbroken_run()}")
    )
    self.assertRegex(done.stdout, r"holds a run of \d+ records to continue")
    self.assertEqual(_log(_unbroken_run()).read_bytes(), before)


@pytest.mark.slow
class ContinueTest(_EndToEndTestCase):
  """A finished run that is continued with something else."""

  @parameterized.parameters(
    ({"task.rules": "parity"}, "task.rules was 'standard', now 'parity'"),
    ({"decoding.max_new_tokens": 5}, "max_new_tokens was 0, now 5"),
    ({"ensemble.top_k": 2}, "ensemble.top_k was 3, now 2"),
    ({"model.dtype": "bfloat16"}, "model.dtype was 'float32'"),
  )
  def test_another_config_is_refused(self, changes, message):
    shutil.copytree(_unbroken_run(), self.workdir)
    self.assert_refused(_start_run(self.workdir, **changes), message)

  def test_other_contents_under_the_same_names_are_refused(self):
    world = self.copy_world()
    changes = {"consistency.temperatures": (), "population.size": 4}
    self.run_well(_start_run(self.workdir, world, **changes))
    before = _experts(self.workdir)

    def assert_refused(message):
      self.assert_refused(
        _start_run(self.workdir, world, **changes),
        f"mean something else: .*{message}",
      )
      self.assertEqual(_experts(self.workdir), before)

    for file, old, new, message in (
      (
        "data.jsonl",
        '"answer": "3"',
        '"answer": "2"',
        r"task\.data\.select\.sha256 was",
      ),
      (
        "data.jsonl",
        "checksum 020",
        "checksum xyz",
        r"task\.prompts\.judge\.sha256 was",
      ),
      ("task.py", "blank=", "version=2, blank=", r"version was 1, now 2"),
      ("task.py", "tokens=6", "tokens=5", r"max_new_tokens was 6, now 5"),
    ):
      text = (world / file).read_text()
      self.assertIn(old, text)
      (world / file).write_text(text.replace(old, new, 1))
      assert_refused(message)
      (world / file).write_text(text)
    shutil.rmtree(world / "model")
    _save_model(world / "model", seed=1)
    assert_refused(r"base\.identity was")


@pytest.mark.slow
class RegradeTest(_EndToEndTestCase):
  def setUp(self):
    super().setUp()
    shutil.copytree(_unbroken_run(), self.workdir)

  def regrade(self, *flags):
    return _start("regrade", f"--workdir={self.workdir}", *flags)

  def test_the_same_rules_give_the_same_table(self):
    done = self.run_well(self.regrade())
    again = _read(self.workdir, "results_standard.json")
    self.assertEqual(again.pop("rules"), "standard")
    self.assertRegex(again["note"], "^Graded anew")
    again["note"] = ""
    self.assertEqual(again, _results(self.workdir))
    self.assertStartsWith(
      done.stdout, randopt_table.format_randopt_results(again)
    )

  def test_other_rules_judge_the_same_members_otherwise(self):
    files = {"experts.json", "results.json", "config.json"}
    before = {name: (self.workdir / name).read_bytes() for name in files}
    self.run_well(self.regrade("--rules=parity"))
    after = {name: (self.workdir / name).read_bytes() for name in files}
    self.assertEqual(after, before)
    ours = _results(self.workdir)
    theirs = _read(self.workdir, "results_parity.json")
    # Scores of selection stay those that the members were chosen by.
    self.assertEqual(theirs["population"], ours["population"])
    self.assertEqual(theirs["dev"], ours["dev"])
    for row, other in zip(ours["table"], theirs["table"], strict=True):
      self.assertEqual(row["name"], other["name"])
      self.assertEqual(row.get("select_score"), other.get("select_score"))
      # A checksum that is right is right modulo two as well.
      if row["responses"] == 1:
        self.assertGreaterEqual(other["judge"]["mean"], row["judge"]["mean"])
    self.assertNotEqual(theirs["table"], ours["table"])

  def test_what_cannot_be_graded_is_refused(self):
    self.assert_refused(
      self.regrade("--rules=papr"), "rule set of checksum, got 'papr'"
    )
    data = _world() / "data.jsonl"
    text = data.read_text()
    self.addCleanup(data.write_text, text)
    data.write_text(text.replace("checksum 016", "checksum xyz"))
    self.assert_refused(self.regrade(), "prompts of judge must be those of the")
    data.write_text(text)
    results = _read(self.workdir)
    results["population"]["size"] = 11  # As of before it was enlarged.
    (self.workdir / "results.json").write_text(json.dumps(results))
    self.assert_refused(self.regrade(), "it has not reached 12 members")
    (self.workdir / "results.json").unlink()
    self.assert_refused(self.regrade(), "must hold a finished run")
    self.assert_refused(
      _start("regrade", f"--workdir={self.folder / 'none'}"),
      "must name a run of experiments.randopt",
    )


@pytest.mark.slow
class SavedTest(_EndToEndTestCase):
  """What is done with the experts of a finished run."""

  def load(self):
    model = hub.load(_world() / "model")
    return model, experts.load_experts(
      _unbroken_run() / "experts.json",
      model.params,
      names=transformer.tensor_names(model.params),
      identity=model.identity,
    )

  def test_an_expert_is_exported_bit_for_bit(self):
    model, chosen = self.load()
    out = self.folder / "expert"
    flags = (f"--experts={_unbroken_run()}/experts.json", f"--out={out}")
    self.run_well(_start("export", *flags, "--rank=2"))
    exported = hub.load(out)
    jax.tree.map(
      np.testing.assert_array_equal,
      exported.params,
      chosen.rebuild(model.params, 2),
    )
    self.assertEqual(exported.config, model.config)
    self.assertEqual(exported.tokenizer.encode("ab"), [1, 100, 101])
    self.assert_refused(_start("export", *flags), "--out must be a new or")
    file = self.folder / "file"
    file.touch()
    self.assert_refused(
      _start("export", flags[0], f"--out={file}"),
      "--out must be a directory, got the name of a file",
    )
    self.assert_refused(
      _start("export", flags[0], f"--out={file}2", "--rank=4"),
      "rank must be within 0 and 3, got 4",
    )

  def test_one_model_is_made_without_training(self):
    flags = (f"--run={_unbroken_run()}", f"--workdir={self.workdir}")
    done = self.run_well(_start("consolidate", *flags, "--scales=0.5,2"))
    results = _results(self.workdir)
    names = [row["name"] for row in results["watched"]]
    self.assertEqual(
      names,
      [
        *("base", "best member", *(f"mean of the best {k}" for k in (2, 3, 4))),
        *("weighted step × 0.5", "weighted step × 2"),
      ],
    )
    scores = [row["score"] for row in results["watched"]]
    best = names[int(np.argmax(scores))]  # The first of those that tie.
    self.assertEqual(results["chosen"], None if best == "base" else best)
    self.assertIn("consolidation", done.stdout)
    searched = _results(_unbroken_run())["ledger"][1]["search"]
    self.assertEqual(results["ledger"][0]["search"], searched)
    if best != "base":
      model = hub.load(_world() / "model")
      kind, updates = updates_file.read_updates(
        self.workdir / "updates.json", model.identity
      )
      tensor_names = transformer.tensor_names(model.params)
      jax.tree.map(
        np.testing.assert_array_equal,
        evolution.replay(model.params, updates, kind, tensor_names),
        hub.load(self.workdir / "model").params,
      )
    self.assert_refused(
      _start("consolidate", *flags, "--scales=0.5"), "config differs"
    )

  def test_predictions_are_the_votes_of_the_run(self):
    results = _results(_unbroken_run())
    positions = [row["position"] for row in results["chosen"]][:3]
    channels = _channels(_unbroken_run(), "judge", positions)
    lines = (_world() / "data.jsonl").read_text().splitlines()[16:24]
    questions = [json.loads(line)["question"] for line in lines]
    flag = f"--experts={_unbroken_run()}/experts.json"
    done = self.run_well(
      _start("predict", flag, stdin=subprocess.PIPE), "\n".join(questions)
    )
    answers = list(map(json.loads, done.stdout.splitlines()))
    self.assertEqual([a["question"] for a in answers], questions)
    self.assertEqual(
      [a["place"] for a in answers],
      [f"line {number}" for number in range(1, len(questions) + 1)],
    )
    for index, answer in enumerate(answers):
      cast = [c["vote"][index] for c in channels]
      said = [grading.read_responses(c)[index] for c in channels]
      self.assertEqual(answer["answer"], ensemble.majority_vote(cast))
      self.assertEqual(answer["votes"], collections.Counter(filter(None, cast)))
      voter = 0 if answer["answer"] is None else cast.index(answer["answer"])
      self.assertEqual(answer["response"], said[voter])
      silent = [text for text, vote in zip(said, cast, strict=True) if not vote]
      self.assertEqual(answer["no_vote"], collections.Counter(silent))
    # Rows in a file, from whose answers no vote depends, say the same.
    path = self.folder / "questions.jsonl"
    path.write_text("\n".join(lines))
    rows = self.run_well(_start("predict", flag, f"--questions={path}"))
    self.assertEqual(rows.stdout, done.stdout)

  def test_predictions_that_cannot_be_made_are_refused(self):
    flag = f"--experts={_unbroken_run()}/experts.json"
    for flags, message in (
      (("--k=5",), "--k must be within 1 and 4"),
      ((), "must hold at least one question"),
      (("--questions=none.txt",), "--questions must be readable"),
    ):
      self.assert_refused(
        _start("predict", flag, *flags, stdin=subprocess.PIPE), message
      )
    self.assert_refused(_start("predict"), "--experts must name")


def _judged(workdir):
  """Positions of the members that were judged."""
  return {
    record.position
    for record in record_log.read_log(_log(workdir))
    if record.split == "judge" and record.position >= 0
  }


def _channels(workdir, split, positions):
  found = {
    record.position: record
    for record in record_log.read_log(_log(workdir))
    if record.split == split
  }
  return [found[position].channels() for position in positions]


def _temperature(results):
  """The best on dev, the lowest at a tie."""
  best = max(row["accuracy"] for row in results["dev"])
  return min(
    row["temperature"] for row in results["dev"] if row["accuracy"] == best
  )
