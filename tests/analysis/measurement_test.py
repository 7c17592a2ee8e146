"""Tests of reading runs back from their logs, which are written here by hand."""

import json
import pathlib
import tempfile

import numpy as np
from absl.testing import parameterized

from experiments.launch import measured_runs
from thickets.analysis import joined_measurements, measurement
from thickets.errors import UserError
from thickets.members import BASE, Member
from thickets.runs import directory, record_log

SIGMAS = (0.1, 0.2)
MEMBERS = [Member(10 + i, SIGMAS[i % 2]) for i in range(6)]
GRID = [
  Member((10, 11), (x, y)) for y in (-0.3, 0.0, 0.3) for x in (-0.3, 0.0, 0.3)
]
HEADER = {
  "base": {"identity": "b0", "num_weights": 7},
  "noise": {"version": 1},
  "kind": {"name": "gaussian"},
  "precision": {"dtype": "float32"},
}
# Two tasks that are asked together, and one that is not.
TASKS = {
  "sums": {"group": 0, "rows": {"select": [0, 3], "dev": [0, 2]}},
  "words": {"group": 0, "rows": {"select": [3, 5], "dev": [2, 6]}},
  "alone": {"group": 1, "rows": {"select": [0, 2], "dev": [0, 2]}},
}
SIZES = {"select, group 0": 5, "dev, group 0": 6} | {
  "select, group 1": 2,
  "dev, group 1": 2,
}


def _score(split, position, prompt):
  """A score that says where it is from; exact in float64."""
  others = ("select", "dev", "judge", "slice, group 0", "slice, group 1")
  place = [*SIZES, *others].index(split)
  return place + (position + 1) / 16 + prompt / 256


def _channels(split, position, size):
  score = np.array([_score(split, position, q) for q in range(size)])
  parity = np.arange(size) % 2 == position % 2
  return {
    "score": score,
    "correct": parity,
    "lenient": ~parity,
    "format": np.arange(size) > position,
    "vote": np.array([f"{position}/{q}" for q in range(size)]),
    "tokens": np.zeros((size, 3), np.int32),  # Others are left alone.
  }


class _LogTestCase(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    folder = self.enter_context(tempfile.TemporaryDirectory())
    self.folder = pathlib.Path(folder)

  def log(self, run="run", process=0):
    return self.folder / run / "records" / f"process_{process:04d}.jsonl"

  def write(self, content, *, header, run="run", process=0):
    """Writes a log: for each split its size, and members by position."""
    log = record_log.open_log(self.log(run, process))
    log.write_header(header)
    for split, (size, members) in content.items():
      for position, member in members.items():
        channels = _channels(split, position, size)
        log.append(
          split,
          [position],
          [member],
          channels["score"].mean(keepdims=True),
          {name: array[None] for name, array in channels.items()},
        )
    log.close()
    return self.folder / run

  def everyone(self, members=MEMBERS):
    return {directory.BASE_POSITION: BASE} | dict(enumerate(members))

  def write_randopt(self, *, run="run", task="sums", header=None, **content):
    """As RandOpt does: all members on select, some of them on judge."""
    task = {"name": task, "prompts": {"select": {"size": 4}}}
    content = {"select": (4, self.everyone())} | content
    header = (HEADER if header is None else header) | {"task": task}
    return self.write(content, header=header, run=run)

  def write_measure(self, changes=None, *, tasks=TASKS, run="run", **options):
    """As experiments.measure does, in three splits of records or more."""
    content = {s: (size, self.everyone()) for s, size in SIZES.items()}
    content = {k: v for k, v in (content | (changes or {})).items() if v}
    header = HEADER | {"task": {"tasks": tasks}}
    return self.write(content, header=header, run=run, **options)


class ReadTest(_LogTestCase):
  def assert_answers(self, answers, positions, where):
    """Each prompt's row of each split, in this order; `where` has both."""
    for row, position in enumerate(positions):
      for column, (split, prompt) in enumerate(where):
        channels = _channels(split, position, 9)
        for name in ("score", "correct", "lenient", "format", "vote"):
          self.assertEqual(
            getattr(answers, name)[row, column], channels[name][prompt]
          )
    self.assertEqual(answers.score.shape, (len(positions), len(where)))

  def test_a_randopt_run(self):
    judged = (2, {-1: BASE, 3: MEMBERS[3]})
    workdir = self.write_randopt(judge=judged, dev=judged)
    found = measurement.read_measurement(workdir)
    self.assertEqual((found.name, found.base_identity), (str(workdir), "b0"))
    self.assertEqual(found.members, tuple(MEMBERS))
    self.assertEqual(found.sigmas.tolist(), [0.1, 0.2] * 3)
    task = found.task("sums")
    where = [("select", q) for q in range(4)]
    self.assert_answers(task.members, range(6), where)
    self.assert_answers(task.base, [-1], where)
    self.assertEqual((task.name, task.num_select), ("sums", 4))
    np.testing.assert_array_equal(task.scores, task.members.score)
    np.testing.assert_array_equal(task.base_scores, task.base.score[0])
    with self.assertRaisesRegex(
      UserError, r"\['sums'\], got 'sum' \(\S*/run\)"
    ):
      found.task("sum")

  def test_groups_of_prompts_are_those_of_the_header(self):
    self.assertIsNone(
      measurement.read_measurement(self.write_randopt()).task("sums").groups
    )
    data = {"select": {"size": 3}, "dev": {"size": 2, "groups": ["t", "t"]}}
    tasks = TASKS | {"sums": TASKS["sums"] | {"data": data}}
    found = measurement.read_measurement(
      self.write_measure(tasks=tasks, run="named")
    )
    sums = found.task("sums")
    alone = [f"select prompt {q}" for q in range(3)]
    self.assertEqual(sums.groups, [*alone, "t", "t"])
    self.assertEqual(sums.dev_groups, ["t", "t"])
    self.assertIsNone(found.task("words").groups)

  def test_a_measurement_of_several_tasks(self):
    with self.assertNoLogs("absl", "WARNING"):
      found = measurement.read_measurement(self.write_measure())
    self.assertEqual([*found.tasks], [*TASKS])
    for name, fields in TASKS.items():
      where = [
        (f"{split}, group {fields['group']}", prompt)
        for split in ("select", "dev")
        for prompt in range(*fields["rows"][split])
      ]
      self.assert_answers(found.task(name).members, range(6), where)
      self.assert_answers(found.task(name).base, [-1], where)
      low, high = fields["rows"]["select"]
      self.assertEqual(found.task(name).num_select, high - low)

  def test_one_of_the_splits(self):
    found = measurement.read_measurement(self.write_measure(), splits=("dev",))
    self.assertEqual(found.task("words").scores.shape, (6, 4))
    self.assertEqual(found.task("words").num_select, 0)

  def test_logs_of_several_processes_are_one(self):
    """Members in the order of drawing; of two records the first process's."""
    half = lambda start: dict(list(enumerate(MEMBERS))[start::2])  # noqa: E731
    header = HEADER | {
      "task": {"name": "sums", "prompts": {"select": {"size": 4}}}
    }
    first = {"select": (4, {-1: BASE} | half(1))}
    self.write(first, header=header)
    again = {"select": (4, half(0) | {1: Member(99, 0.1)})}
    workdir = self.write(again, header=header, process=1)
    found = measurement.read_measurement(workdir)
    self.assertEqual(found.members, tuple(MEMBERS))

  def test_sigmas_of_several_terms_and_of_twins(self):
    members = [Member(1, -0.3), Member((1, 2), (0.3, -0.4)), Member(2, 0.006)]
    workdir = self.write_randopt(select=(4, self.everyone(members)))
    sigmas = measurement.read_measurement(workdir).sigmas
    self.assertEqual(sigmas.tolist(), [0.3, 0.5, 0.006])

  def test_failed_members_stay(self):
    path = self.write_randopt()
    log = record_log.open_log(self.log())
    channels = _channels("select", 2, 4)
    channels["score"][1] = np.nan
    failed = {name: array[None] for name, array in channels.items()}
    log.append("select", [2], MEMBERS[2:3], np.array([np.nan]), failed)
    log.close()
    found = measurement.read_measurement(path).task("sums")
    self.assertEqual(np.argwhere(np.isnan(found.scores)).tolist(), [[2, 1]])

  def test_a_slice(self):
    grid = {
      f"slice, group {group}": (size, dict(enumerate(GRID)))
      for group, size in ((0, 5), (1, 2))
    }
    workdir = self.write_measure(grid)
    members, tasks = measurement.read_slice(workdir)
    self.assertEqual(members, tuple(GRID))
    words = tasks["words"]
    self.assert_answers(
      words.members, range(9), [("slice, group 0", 3), ("slice, group 0", 4)]
    )
    self.assert_answers(
      words.base, [-1], [("select, group 0", 3), ("select, group 0", 4)]
    )
    self.assertEqual(words.num_select, 2)
    # The members of the population are others.
    found = measurement.read_measurement(workdir)
    self.assertEqual(found.members, tuple(MEMBERS))

  def test_without_a_slice_there_is_none(self):
    self.assertIsNone(measurement.read_slice(self.write_measure()))

  def test_config(self):
    (self.folder / "config.json").write_text(json.dumps({"config": {"a": 1}}))
    self.assertEqual(
      measurement.read_run_config(self.folder), {"config": {"a": 1}}
    )
    for broken in (self.folder / "none", self.folder):
      (self.folder / "config.json").write_text("{")
      with self.assertRaisesRegex(UserError, "config.json must be the config"):
        measurement.read_run_config(broken)


class BadRunTest(_LogTestCase):
  def assert_refused(self, message, workdir=None, read=None):
    read = measurement.read_measurement if read is None else read
    with self.assertRaisesRegex(UserError, message):
      read(self.folder / "run" if workdir is None else workdir)

  def test_a_torn_log_loses_its_last_record_and_says_so(self):
    self.write_randopt()
    path = self.log()
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    with self.assertLogs("absl", "WARNING") as logs:
      found = measurement.read_measurement(self.folder / "run")
    self.assertEqual(found.members, tuple(MEMBERS[:-1]))
    self.assertRegex(logs.output[0], f"{path}: left out a torn record of")
    self.assertEqual(path.read_bytes(), whole[:-20])  # Reading mends nothing.

  def test_a_damaged_log_is_refused(self):
    self.write_randopt()
    text = self.log().read_bytes()
    self.log().write_bytes(text.replace(b'"position": 2', b'"position": 7'))
    self.assert_refused(f"{self.log()} is corrupt: line 5")

  def test_members_that_are_not_finished_are_left_out_and_counted(self):
    members = self.everyone()
    for position in (0, 4):
      del members[position]
    self.write_measure({"dev, group 1": (2, members)})
    with self.assertLogs("absl", "WARNING") as logs:
      found = measurement.read_measurement(self.folder / "run")
    self.assertEqual(found.members, tuple(MEMBERS[i] for i in (1, 2, 3, 5)))
    self.assertEqual(found.task("sums").scores.shape, (4, 5))
    self.assertEqual(
      found.task("sums").scores[:, 0].tolist(),
      [_score("select, group 0", i, 0) for i in (1, 2, 3, 5)],
    )
    self.assertRegex(logs.output[0], "run: left out 2 of 6 members that lack")

  def test_a_split_that_was_not_begun_is_left_out_and_named(self):
    self.write_measure({"dev, group 1": None})
    with self.assertLogs("absl", "WARNING") as logs:
      found = measurement.read_measurement(self.folder / "run")
    self.assertRegex(logs.output[0], "run: dev is left out of alone, of which")
    self.assertLen(logs.output, 1)
    self.assertEqual(found.task("alone").scores.shape, (6, 2))
    self.assertEqual(found.task("words").scores.shape, (6, 6))

  def test_a_task_without_records_is_refused(self):
    self.write_measure({"select, group 1": None, "dev, group 1": None})
    self.assert_refused("run must have records of alone on select or dev, got")

  @parameterized.parameters("select, group 0", "dev, group 1")
  def test_a_missing_base_is_refused(self, split):
    members = dict(enumerate(MEMBERS))
    self.write_measure({split: (SIZES[split], members)})
    self.assert_refused(f"run must have a record of the base on '{split}'")

  def test_a_slice_needs_the_base_too(self):
    grid = {
      f"slice, group {group}": (size, dict(enumerate(GRID)))
      for group, size in ((0, 5), (1, 2))
    }
    members = (5, dict(enumerate(MEMBERS)))
    self.write_measure(grid | {"select, group 0": members})
    self.assert_refused(
      "record of the base on 'select, group 0'", read=measurement.read_slice
    )

  def test_the_base_alone_is_refused(self):
    self.write_randopt(select=(4, {-1: BASE}))
    self.assert_refused(r"at least one member with records in all of \['select")

  def test_records_of_another_base_are_refused_by_file(self):
    self.write_measure()
    other = HEADER | {
      "base": {"identity": "b1", "num_weights": 7},
      "task": {"tasks": TASKS},
    }
    content = {"select, group 0": (5, {5: MEMBERS[5]})}
    self.write(content, header=other, process=1)
    # What both files are is seen before either is believed.
    self.assert_refused(
      f"{self.log(process=1)} holds records that mean something else:"
      " base.identity was 'b1', now 'b0'"
    )

  def test_no_records_are_refused(self):
    self.assert_refused(
      "nowhere must be the directory", self.folder / "nowhere"
    )
    self.log().parent.mkdir(parents=True)
    self.assert_refused("it has none")
    self.log().touch()
    self.assert_refused("must begin with a header, got an empty log")

  def test_runs_on_other_things_are_refused(self):
    header = HEADER | {"task": {"kind": "signals"}}
    channels = {"score": np.zeros((1, 4)), "prediction": np.zeros((1, 4))}
    log = record_log.open_log(self.log())
    log.write_header(header)
    log.append("select", [-1], [BASE], np.zeros(1), channels)
    log.close()
    self.assert_refused("must have records of a task on language")
    header["task"] = {"name": "toy", "prompts": {"select": {"size": 4}}}
    log = record_log.open_log(self.log("other"))
    log.write_header(header)
    for position, member in self.everyone().items():
      log.append("select", [position], [member], np.zeros(1), channels)
    log.close()
    self.assert_refused(
      f"{self.log('other')} must have the channels .* no run on a language",
      self.folder / "other",
    )


class JoinTest(_LogTestCase):
  def read(self, run, **options):
    return measurement.read_measurement(self.write_randopt(run=run, **options))

  def test_tasks_side_by_side_over_the_members_in_common(self):
    first = self.read("a", task="sums")
    swapped = dict(enumerate([MEMBERS[i] for i in (5, 3, 1, 0)]))
    second = self.read("b", task="words", select=(4, {-1: BASE} | swapped))
    joined = joined_measurements.join_measurements([first, second])
    self.assertEqual(joined.name, f"{first.name}+{second.name}")
    self.assertEqual([*joined.tasks], ["sums", "words"])
    self.assertEqual(joined.members, tuple(MEMBERS[i] for i in (0, 1, 3, 5)))
    np.testing.assert_array_equal(
      joined.task("sums").scores, first.task("sums").scores[[0, 1, 3, 5]]
    )
    np.testing.assert_array_equal(
      joined.task("words").scores, second.task("words").scores[[3, 2, 1, 0]]
    )
    self.assertEqual(joined.sigmas.tolist(), [0.1, 0.2, 0.2, 0.2])

  def test_the_binaries_join_what_they_are_given(self):
    workdirs = [self.write_randopt(run=run, task=run) for run in ("a", "b")]
    self.assertEqual([*measured_runs.read_as_one(workdirs).tasks], ["a", "b"])
    self.assertEqual(
      measured_runs.read_as_one(workdirs[:1]).name, str(workdirs[0])
    )

  @parameterized.parameters(
    ("base", {"identity": "b1", "num_weights": 7}, "base.identity was 'b0'"),
    ("kind", {"name": "sparse"}, "kind.name was 'gaussian', now 'sparse'"),
    ("noise", {"version": 2}, "noise.version was 1, now 2"),
    ("precision", {"dtype": "bfloat16"}, "precision.dtype was "),
  )
  def test_another_base_or_noise_is_refused(self, key, value, message):
    first = self.read("a", task="sums")
    second = self.read("b", task="words", header=HEADER | {key: value})
    with self.assertRaisesRegex(
      UserError, rf"/a and \S*/b must be around the same base, got {message}"
    ):
      joined_measurements.join_measurements([first, second])

  def test_a_task_that_occurs_twice_is_refused(self):
    both = [self.read(run, task="sums") for run in ("a", "b")]
    with self.assertRaisesRegex(
      UserError, r"different tasks, got sums in 2 of \['\S*/a', '\S*/b'\]"
    ):
      joined_measurements.join_measurements(both)

  def test_other_members_are_refused(self):
    strangers = {-1: BASE, 0: MEMBERS[0], 1: Member(50, 0.1)}
    runs = [
      self.read("a", task="sums"),
      self.read("b", task="words", select=(4, strangers)),
    ]
    with self.assertRaisesRegex(
      UserError, r"share at least 2 members, got 1 in \['\S*/a', '\S*/b'\]. Use"
    ):
      joined_measurements.join_measurements(runs)
