"""Divides examples into `select`, `dev` and `judge`, disjoint by construction.

`select` chooses members, `dev` chooses everything else, and `judge` is looked at
once. Each prompt occurs in one split only, and only once, even if data sets
repeat prompts or share some.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from absl import logging

from thickets.errors import UserError
from thickets.tasks import data, pictures
from thickets.tasks.base import Example, Row, Source, Task
from thickets.tasks.data import DataTable


@dataclasses.dataclass(frozen=True)
class Sizes:
  """Numbers of prompts.

  Attributes:
    select: prompts that choose members, at least 1.
    dev: prompts that choose everything else.
    judge: prompts that are looked at once; 0 takes all that are left.

  Raises:
    UserError: if a number is below that.
  """

  select: int
  dev: int
  judge: int

  def __post_init__(self):
    if self.select < 1 or self.dev < 0 or self.judge < 0:
      raise UserError(
        "select must have at least one prompt, dev and judge none or more, got"
        f" {self.select}, {self.dev} and {self.judge}."
      )


@dataclasses.dataclass(frozen=True)
class Splits:
  """The examples of a run.

  Attributes:
    select: examples that choose members.
    dev: examples that choose everything else.
    judge: examples that are looked at once.
    origin: where the examples come from, as JSON values for the header of a run.
  """

  select: tuple[Example, ...]
  dev: tuple[Example, ...]
  judge: tuple[Example, ...]
  origin: dict[str, Any]

  @property
  def examples(self) -> tuple[Example, ...]:
    """All examples, in the order select, dev, judge."""
    return self.select + self.dev + self.judge

  def groups(self, split: str) -> list[str] | None:
    """Returns the group of each prompt of a split; None where none has a name."""
    return self.origin[split].get("groups")

  def indices(self, split: str) -> range:
    """Returns the positions of a split among all `examples`."""
    starts = {
      "select": 0,
      "dev": len(self.select),
      "judge": len(self.select) + len(self.dev),
    }
    start = starts[split]
    return range(start, start + len(getattr(self, split)))


def load_splits(
  task: Task,
  sizes: Sizes,
  *,
  train: str = "",
  test: str = "",
  revision: str | None = None,
  seed: int = 0,
) -> Splits:
  """Loads a task's data and divides it.

  Args:
    task: the task.
    sizes: how many prompts each split has.
    train: file for `select` and `dev`; empty for the task's own data set.
    test: file for `judge`. If it is empty, `judge` comes from the task's own
      data set if `train` is empty too, else from `train`, after the others.
    revision: branch, tag or commit of the task's data sets on the hub.
    seed: decides the order of rows that are generated or drawn.

  Raises:
    UserError: if data are missing or wrong, or fewer than asked for; it names
      file, row and field. No split is ever filled up from another one.
  """
  if test and not train:
    raise UserError(
      "task.train must name a file where task.test does, got none. Name both,"
      " or task.train alone to divide it."
    )
  train_table, test_table = _load_tables(
    task, sizes, train, test, revision, seed
  )
  seen: set[str] = set()
  order = None if task.arrange is None else task.arrange(train_table.rows, seed)
  rest = _distinct(task, train_table, seen, order)
  select = _take(rest, sizes.select, "select", train_table)
  dev = _take(rest, sizes.dev, "dev", train_table)
  if test_table is not None:
    rest = _distinct(task, test_table, seen)
  judge_table = train_table if test_table is None else test_table
  judge = _take(rest, sizes.judge or None, "judge", judge_table)
  origin = {
    "train": train_table.origin,
    "train_revision": train_table.revision,
    "test": judge_table.origin,
    "test_revision": judge_table.revision,
    "select": _describe(select, "select"),
    "dev": _describe(dev, "dev"),
    "judge": _describe(judge, "judge"),
  }
  return Splits(select, dev, judge, origin)


def make_examples(
  task: Task, table: DataTable, order: Sequence[int] | None = None
) -> Iterator[Example]:
  """Makes the examples of a table one by one.

  Args:
    task: the task.
    table: the rows.
    order: numbers of the rows that are used, in their order; None for all of them.

  Raises:
    UserError: if a row is wrong; it names file, row and field.
  """
  for number in range(len(table.rows)) if order is None else order:
    row = _place_picture(task, table, number)
    for field in task.fields:
      if field not in row:
        raise UserError(
          f"Each row must have the field {field!r} for the task {task.name},"
          f" got {sorted(row)} ({table.place(number)}). Rename the column, or"
          " choose another file."
        )
    try:
      yield task.make_example(row, number)
    except KeyError as error:
      raise UserError(
        f"make_example of the task {task.name} reads the field {error}, which"
        f" the row lacks: it has {sorted(row)} ({table.place(number)}). Correct"
        " the one or the other."
      ) from error
    except (ValueError, TypeError) as error:
      raise UserError(
        f"A row must suit the task {task.name}, got: {error}"
        f" ({table.place(number)})."
      ) from error


def _place_picture(task: Task, table: DataTable, number: int) -> Row:
  """Lets the path of a picture in a row of a file begin where the file is."""
  row = table.rows[number]
  cell = row.get(task.picture or "")
  if isinstance(cell, Mapping) and cell.get("bytes") is None:
    cell = cell.get("path")
  if table.folder is None or not (isinstance(cell, str) and cell):
    return row
  assert task.picture is not None
  try:
    path = table.folder / pictures.expand_home(cell)
  except UserError as error:
    raise UserError(f"{error} ({table.place(number)}).") from error
  return {**row, task.picture: {"bytes": None, "path": str(path)}}


def _load_tables(
  task: Task,
  sizes: Sizes,
  train: str,
  test: str,
  revision: str | None,
  seed: int,
) -> tuple[DataTable, DataTable | None]:
  if train:
    if revision:
      raise UserError(
        "task.revision must not be given with a file, got"
        f" {revision!r} for {train}. Leave it out."
      )
    return data.read_file(train), data.read_file(test) if test else None
  if task.generate is not None:
    if revision:
      raise UserError(
        f"task.revision must not be given for {task.name}, whose rows are"
        f" generated, got {revision!r}. Leave it out."
      )
    if not sizes.judge:
      raise UserError(
        f"The size of judge must be given for {task.name}, whose rows are"
        " generated, got 0. Set task.num_judge."
      )
    count = sizes.select + sizes.dev + sizes.judge
    try:
      rows = task.generate(count, seed)
    except ValueError as error:
      raise UserError(
        f"task.num_select + task.num_dev + task.num_judge must be prompts that"
        f" {task.name} can generate, got {sizes.select} + {sizes.dev} +"
        f" {sizes.judge}: {error}"
      ) from error
    origin = f"generated by {task.name} version {task.version}, seed {seed}"
    return DataTable(rows, origin, ""), None
  if task.load is not None:
    if revision:
      raise UserError(
        f"task.revision must not be given for {task.name}, whose rows a package"
        f" holds, got {revision!r}. Leave it out."
      )
    found = task.load(seed)
    tables = (
      DataTable(rows, f"{found.origin}, {part}", found.revision)
      for rows, part in ((found.train, "train"), (found.test, "test"))
    )
    return next(tables), next(tables)
  if task.train is None:
    raise UserError(
      f"task.train must name a file for the task {task.name}, which has no data"
      " set on the hub, got none. For a task of the package its module says where"
      " the file is published."
    )
  return (
    _load_source(task, task.train, revision, seed),
    _load_source(task, task.test, revision, seed) if task.test else None,
  )


def _load_source(
  task: Task, source: Source, revision: str | None, seed: int
) -> DataTable:
  """Loads a data set of the hub, and joins what lies in other files of it."""
  table = data.load_source(source, revision)
  if task.join is None:
    return table
  rows = task.join(source, table.revision, table.rows, seed)
  return dataclasses.replace(table, rows=rows)


def _distinct(
  task: Task,
  table: DataTable,
  seen: set[str],
  order: Sequence[int] | None = None,
) -> Iterator[Example]:
  """Yields the examples whose prompts occurred in no table before."""
  num_repeated = 0
  try:
    for example in make_examples(task, table, order):
      prompt = _hash([message.describe() for message in example.messages])
      if prompt in seen:
        num_repeated += 1
        continue
      seen.add(prompt)
      yield example
  finally:  # Also if nobody asks for the rest.
    if num_repeated:
      logging.info(
        "%s: left out %d prompts that occurred before",
        table.origin,
        num_repeated,
      )


def _take(
  examples: Iterator[Example], count: int | None, split: str, table: DataTable
) -> tuple[Example, ...]:
  """Takes the next `count` examples, or all that are left for None."""
  taken = []
  while count is None or len(taken) < count:
    example = next(examples, None)
    if example is None:
      break
    taken.append(example)
  wanted = 1 if count is None else count
  if len(taken) < wanted:
    raise UserError(
      f"{split} must have {wanted} distinct prompts, got {len(taken)} behind"
      f" those of the other splits ({table.origin}, {len(table.rows)} rows)."
      f" Lower task.num_{split}, or give more rows."
    )
  return tuple(taken)


def _describe(examples: Sequence[Example], split: str) -> dict[str, Any]:
  """Describes examples by number, a hash of order, prompts and references, and groups.

  The hashes of distinct pictures follow in their order. Groups and pictures are left
  out where no example names one, as in runs that were begun before examples could.
  """
  fields = [example.describe() for example in examples]
  names = [str(example.pop("group")) for example in fields]
  described = {"size": len(examples), "sha256": _hash(fields)}
  shown = dict.fromkeys(p.digest for e in examples for p in e.pictures)
  if shown:
    described["pictures"] = [*shown]
  if not any(names):
    return described
  if len(names) > 1 and len({*names}) == 1:
    raise UserError(
      f"{split} must have prompts of at least two groups, got all {len(names)} in"
      f" the group {names[0]!r}: from one group nothing follows for others. Mix"
      f" the rows, raise task.num_{split}, or name no groups."
    )
  # A prompt without a name is a group of its own.
  alone = f"{split} prompt"
  return described | {
    "groups": [name or f"{alone} {place}" for place, name in enumerate(names)]
  }


def _hash(values: Any) -> str:
  text = json.dumps(values, sort_keys=True)
  return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
