"""Tests of splits: disjoint whatever the data, never filled up, and traceable."""

import dataclasses
import json
import pathlib
import tempfile
from unittest import mock

import hypothesis
import hypothesis.strategies as st
from absl.testing import parameterized

from thickets.errors import UserError
from thickets.tasks import data, splits
from thickets.tasks.base import Example, Message, Source, Task, ask
from thickets.tasks.data import DataTable
from thickets.tasks.splits import Sizes

SPLITS = ("select", "dev", "judge")
ROWS = [{"question": f"q{n}", "answer": n} for n in range(12)]


def make_example(row, number):
  if not isinstance(row["answer"], int):
    raise ValueError(f"answer must be a number, got {row['answer']!r}")
  # Not named by its row, or its name would tell the order.
  return Example("of a row", ask(row["question"]), row["answer"])


def generate(count, seed):
  return [
    {"question": f"{seed}/{n}", "answer": n, "id": n} for n in range(count)
  ]


TASK = Task("toy", ("question", "answer"), make_example, {}, 8)
GENERATED = Task(
  "toy", ("question", "answer"), make_example, {}, 8, generate=generate
)
HUB = Task(
  "toy",
  ("question", "answer"),
  make_example,
  {},
  8,
  train=Source("org/data", split="train"),
  test=Source("org/data"),
)


def prompts(examples):
  return [example.messages[-1].content for example in examples]


class _SplitsTestCase(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    folder = self.enter_context(tempfile.TemporaryDirectory())
    self.folder = pathlib.Path(folder)

  def write(self, rows, name="train"):
    path = self.folder / f"{name}.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return str(path)

  def load(self, sizes, rows=ROWS, test=None, task=TASK):
    return splits.load_splits(
      task,
      Sizes(*sizes),
      train=self.write(rows),
      test="" if test is None else self.write(test, "test"),
    )


class SplitsTest(_SplitsTestCase):
  @hypothesis.given(
    st.lists(st.integers(0, 7), min_size=1, max_size=14),
    st.none() | st.lists(st.integers(0, 7), min_size=1, max_size=14),
    st.tuples(st.integers(1, 4), st.integers(0, 3), st.integers(0, 4)),
  )
  def test_a_prompt_is_in_one_split_once_or_it_is_an_error(
    self, train, test, sizes
  ):
    """Against a plain account of which prompts are left for each split."""
    rows = [{"question": f"q{n}", "answer": i} for i, n in enumerate(train)]
    tests = test and [
      {"question": f"q{n}", "answer": i} for i, n in enumerate(test)
    ]
    distinct = list(dict.fromkeys(f"q{n}" for n in train))
    expected = {"select": distinct[: sizes[0]]}
    expected["dev"] = distinct[sizes[0] : sizes[0] + sizes[1]]
    left = distinct[sizes[0] + sizes[1] :]
    if test:
      taken = {*expected["select"], *expected["dev"]}
      left = [
        prompt
        for prompt in dict.fromkeys(f"q{n}" for n in test)
        if prompt not in taken
      ]
    expected["judge"] = left[: sizes[2]] if sizes[2] else left
    wanted = dict(zip(SPLITS, (sizes[0], sizes[1], sizes[2] or 1), strict=True))
    short = [name for name in SPLITS if len(expected[name]) < wanted[name]]
    if short:
      with self.assertRaisesRegex(
        UserError,
        f"^{short[0]} must have {wanted[short[0]]} distinct prompts, got"
        f" {len(expected[short[0]])} .*{len(tests or rows)} rows"
        if short[0] == "judge"
        else f"^{short[0]} must have {wanted[short[0]]} distinct prompts, got"
        f" {len(expected[short[0]])} .*train.jsonl, {len(rows)} rows",
      ):
        self.load(sizes, rows, tests)
      return
    found = self.load(sizes, rows, tests)
    everything = prompts(found.examples)
    self.assertEqual(len(everything), len(set(everything)))
    for name in SPLITS:
      self.assertEqual(prompts(getattr(found, name)), expected[name])
      self.assertEqual(found.origin[name]["size"], len(expected[name]))
      indices = found.indices(name)
      self.assertEqual([everything[i] for i in indices], expected[name])

  def test_the_first_of_repeated_prompts_counts(self):
    rows = [{"question": "q", "answer": n} for n in range(3)] + ROWS
    self.assertEqual(self.load((1, 0, 1), rows).select[0].reference, 0)

  def test_the_same_question_to_another_system_is_another_prompt(self):
    def with_system(row, number):
      messages = ask("q", system=row["question"])
      return Example(str(number), messages, row["answer"])

    task = Task("toy", ("question",), with_system, {}, 8)
    found = self.load((6, 3, 3), task=task)
    self.assertLen(found.examples, 12)
    self.assertEqual(found.select[5].messages[0], Message("system", "q5"))

  def test_judge_is_behind_train_or_the_test_file(self):
    found = self.load((3, 2, 4))
    self.assertEqual(prompts(found.judge), ["q5", "q6", "q7", "q8"])
    self.assertEqual(found.origin["test"], found.origin["train"])
    other = [{"question": f"t{n}", "answer": n} for n in range(5)]
    found = self.load((3, 2, 4), test=other)
    self.assertEqual(prompts(found.judge), ["t0", "t1", "t2", "t3"])
    self.assertEndsWith(found.origin["test"], "test.jsonl")
    self.assertEndsWith(found.origin["train"], "train.jsonl")
    self.assertNotEqual(
      found.origin["test_revision"], found.origin["train_revision"]
    )

  def test_a_size_of_zero_takes_all_that_are_left_for_judging(self):
    self.assertEqual(
      prompts(self.load((3, 2, 0)).judge), prompts(self.load((3, 2, 7)).judge)
    )

  @parameterized.parameters((0, 0, 1), (1, -1, 1), (1, 0, -1))
  def test_impossible_sizes_are_refused(self, *sizes):
    with self.assertRaisesRegex(UserError, "select must have at least one"):
      self.load(sizes)

  @parameterized.parameters(
    ({"question": "q", "answer": "x"}, "answer must be a number, got 'x'"),
    ({"question": "q"}, "must have the field 'answer' .* task toy"),
    ({"question": 3, "answer": None}, "answer must be a number, got None"),
  )
  def test_a_wrong_row_is_named(self, row, message):
    rows = [*ROWS[:4], row, *ROWS[4:]]
    with self.assertRaisesRegex(
      UserError, rf"{message}.*train\.jsonl, line 5\)"
    ):
      self.load((6, 0, 1), rows)

  def test_rows_behind_the_splits_are_not_looked_at(self):
    self.load((2, 1, 1), [*ROWS[:4], {"nothing": 0}])

  def test_files_have_no_revision_and_a_test_file_needs_another(self):
    path = self.write(ROWS)
    with self.assertRaisesRegex(UserError, "revision must not be given.*'v1'"):
      splits.load_splits(TASK, Sizes(1, 0, 1), train=path, revision="v1")
    with self.assertRaisesRegex(UserError, "task.train must name a file where"):
      splits.load_splits(TASK, Sizes(1, 0, 1), test=path)
    with self.assertRaisesRegex(UserError, "task.train must name a file for"):
      splits.load_splits(TASK, Sizes(1, 0, 1))


class TaskFileTest(_SplitsTestCase):
  def test_a_field_that_only_make_example_reads_is_named(self):
    def read_more(row, number):
      return make_example(row, number) if row["hint"] else None

    task = Task("toy", ("question", "answer"), read_more, {}, 8)
    with self.assertRaisesRegex(
      UserError,
      "make_example of the task toy reads the field 'hint', which the row"
      r" lacks: it has \['answer', 'question'.*\] \(.*(row 0|line 1)\)",
    ):
      self.load((1, 1, 1), task=task)


class OriginTest(_SplitsTestCase):
  """What a run's header says of its data."""

  def hashes(self, rows=ROWS, sizes=(4, 3, 5)):
    origin = self.load(sizes, rows).origin
    return [origin[name]["sha256"] for name in SPLITS]

  def change(self, position, **fields):
    rows = [dict(row) for row in ROWS]
    rows[position] |= fields
    return rows

  def test_groups_are_kept_by_split_beside_an_unchanged_hash(self):
    def make_example(row, number):
      del number
      group = row["template"]
      return Example("one", ask(row["question"]), row["answer"], group=group)

    task = dataclasses.replace(TASK, make_example=make_example)
    rows = [row | {"template": ""} for row in ROWS]
    found = self.load((4, 3, 5), rows, task=task)
    self.assertIsNone(found.groups("select"))
    # As in runs that were begun before examples had groups.
    before = [
      {
        "id": example.id,
        "messages": [dataclasses.asdict(m) for m in example.messages],
        "reference": example.reference,
      }
      for example in found.select
    ]
    self.assertEqual(
      found.origin["select"], {"size": 4, "sha256": splits._hash(before)}
    )
    for place, template in enumerate(["t", "u", "t", "", 0, 1, ""]):
      rows[place]["template"] = template
    named = self.load((4, 3, 5), rows, task=task)
    self.assertEqual(named.groups("select"), ["t", "u", "t", "select prompt 3"])
    self.assertEqual(named.groups("dev"), ["0", "1", "dev prompt 2"])
    self.assertIsNone(named.groups("judge"))
    self.assertEqual(
      named.origin["select"]["sha256"], found.origin["select"]["sha256"]
    )
    for place in range(4, 7):
      rows[place]["template"] = "v"
    with self.assertRaisesRegex(
      UserError, "dev must have .* two groups, got all 3 in the group 'v'"
    ):
      self.load((4, 3, 5), rows, task=task)

  def test_the_same_data_have_the_same_hashes(self):
    self.assertEqual(self.hashes(), self.hashes())
    # Fields that the task does not use are no part of it.
    self.assertEqual(self.hashes(self.change(0, source="web")), self.hashes())
    json.dumps(self.load((4, 3, 5)).origin, allow_nan=False)

  @parameterized.product(
    where=((0, 0), (4, 1), (11, 2)),
    fields=({"question": "other"}, {"answer": 77}),
  )
  def test_any_change_changes_the_hash_of_its_split_alone(self, where, fields):
    position, split = where
    before, after = self.hashes(), self.hashes(self.change(position, **fields))
    changed = [a != b for a, b in zip(before, after, strict=True)]
    self.assertEqual(changed, [index == split for index in range(3)])

  def test_order_and_size_are_part_of_it(self):
    swapped = [ROWS[1], ROWS[0], *ROWS[2:]]
    self.assertNotEqual(self.hashes(swapped)[0], self.hashes()[0])
    self.assertEqual(self.hashes(swapped)[1:], self.hashes()[1:])
    self.assertNotEqual(self.hashes(sizes=(3, 4, 5))[0], self.hashes()[0])


class GeneratedTest(parameterized.TestCase):
  def load(self, sizes, **options):
    return splits.load_splits(GENERATED, Sizes(*sizes), **options)

  def test_rows_come_from_the_task_and_the_seed(self):
    found = self.load((2, 1, 3), seed=7)
    self.assertEqual(
      prompts(found.examples), [f"7/{number}" for number in range(6)]
    )
    self.assertEqual(
      found.origin["train"], "generated by toy version 1, seed 7"
    )
    self.assertNotEqual(
      self.load((2, 1, 3), seed=8).origin["judge"], found.origin["judge"]
    )

  def test_a_larger_judge_leaves_the_others_alone(self):
    small, large = self.load((2, 1, 3)), self.load((2, 1, 9))
    self.assertEqual(large.examples[:6], small.examples)

  def test_what_makes_no_sense_of_generated_rows_is_refused(self):
    with self.assertRaisesRegex(UserError, "size of judge must be given"):
      self.load((2, 1, 0))
    with self.assertRaisesRegex(UserError, "generated, got 'v1'"):
      self.load((2, 1, 1), revision="v1")

  def test_repeated_rows_are_not_replaced(self):
    task = dataclasses.replace(
      GENERATED, generate=lambda count, seed: [ROWS[0]] * count
    )
    with self.assertRaisesRegex(
      UserError, "dev must have 1 distinct prompts, got 0 .*generated by toy"
    ):
      splits.load_splits(task, Sizes(1, 1, 1))


class HubTest(parameterized.TestCase):
  def test_both_splits_are_loaded_at_the_revision(self):
    tested = [{"question": f"t{n}", "answer": n} for n in range(4)]
    made = {
      "train": DataTable(ROWS, "org/data:train", "abc"),
      "test": DataTable(tested, "org/data:test", "def"),
    }
    with mock.patch.object(
      data, "load_source", side_effect=lambda source, _: made[source.split]
    ) as load:
      found = splits.load_splits(HUB, Sizes(2, 1, 0), revision="v1")
    self.assertEqual([c.args[1] for c in load.call_args_list], ["v1", "v1"])
    self.assertEqual(prompts(found.judge), ["t0", "t1", "t2", "t3"])
    origin = {name: found.origin[name] for name in ("train", "test")}
    self.assertEqual(
      origin, {"train": "org/data:train", "test": "org/data:test"}
    )
    self.assertEqual(found.origin["train_revision"], "abc")
    self.assertEqual(found.origin["test_revision"], "def")
