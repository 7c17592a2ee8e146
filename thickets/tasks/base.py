"""What a task is: examples with prompts, and rules that grade responses.

A task's module defines one `Task`. Its grader is a pure function of an example
and a response, safe on hostile text: it never raises, never hangs and never
executes what a model wrote outside the sandbox.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from thickets import errors
from thickets.errors import UserError
from thickets.tasks.pictures import Picture

# The longest vote key, so that a log of votes stays small; a longer one is
# replaced by its hash (`shorten_vote`).
MAX_VOTE_CHARS = 64

# One row of a data set: JSON values by the name of their field.
Row = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Message:
  """One turn of a conversation.

  Attributes:
    role: who speaks: `system`, `user` or `assistant`.
    content: the text of the turn, or its texts and pictures in their order.

  Raises:
    TypeError: if the content is something else.
  """

  role: str
  content: str | tuple[str | Picture, ...]

  def __post_init__(self):
    parts = self.parts if isinstance(self.content, str | tuple) else ()
    if not parts or not all(isinstance(part, str | Picture) for part in parts):
      raise TypeError(
        "The content of a message must be a text, or a tuple of texts and"
        f" pictures, got {self.content!r:.80}."
      )

  @property
  def parts(self) -> tuple[str | Picture, ...]:
    """The texts and pictures in their order; a text alone is the only one."""
    if isinstance(self.content, str):
      return (self.content,)
    return self.content

  @property
  def text(self) -> str:
    """The texts without the pictures, one behind the other."""
    return "".join(part for part in self.parts if isinstance(part, str))

  @property
  def pictures(self) -> tuple[Picture, ...]:
    """The pictures in their order."""
    return tuple(part for part in self.parts if isinstance(part, Picture))

  def describe(self) -> dict[str, Any]:
    """Describes the message as JSON values, its pictures by their hashes."""
    if isinstance(self.content, str):
      return {"role": self.role, "content": self.content}
    parts = [
      part if isinstance(part, str) else {"picture": part.digest}
      for part in self.content
    ]
    return {"role": self.role, "content": parts}


@dataclasses.dataclass(frozen=True)
class Example:
  """One question.

  Attributes:
    id: name of the example within its data set.
    messages: the prompt; the model answers the last message.
    reference: what a grader compares a response with; JSON values, so that it
      pickles and can be written to a report.
    group: name or number of the group that the question belongs to, such as its template or
      its image; "" for a question that is a group of its own. Intervals are then
      over groups, as questions of one group are answered alike.
  """

  id: str
  messages: tuple[Message, ...]
  reference: Any
  group: str | int = ""

  @property
  def pictures(self) -> tuple[Picture, ...]:
    """The pictures of all messages, in their order."""
    return tuple(p for message in self.messages for p in message.pictures)

  def describe(self) -> dict[str, Any]:
    """Describes the example as JSON values, its pictures by their hashes."""
    messages = [message.describe() for message in self.messages]
    return {
      "id": self.id,
      "messages": messages,
      "reference": self.reference,
      "group": self.group,
    }


class Grade(NamedTuple):
  """What a grader says about one response.

  Two responses to an example with the same vote have the same `lenient`, which
  says whether the answer that the response votes for is right.

  Attributes:
    score: what selection averages, higher is better; each task states its range.
    correct: whether the answer is right and given as the prompt asked.
    lenient: whether the answer that the response votes for is right, wherever
      in the response it was found; False without a vote.
    vote: key of the answer in a vote, at most `MAX_VOTE_CHARS` printable
      characters; None if no answer was found. Equal answers have equal keys.
    format: whether the response has the form that the prompt asked for.
  """

  score: float
  correct: bool
  lenient: bool
  vote: str | None
  format: bool


GradeFn = Callable[[Example, str], Grade]
Baseline = Callable[[Sequence[Example], Sequence[Example]], tuple[str, float]]


@dataclasses.dataclass(frozen=True)
class Source:
  """Where the examples of a task come from, unless a config says otherwise.

  Attributes:
    path: id of a data set on the hub.
    name: name of its configuration, None if it has only one.
    split: name of its split; several are joined by "+".
    file: file in its repository, for data that the hub's loader does not read.
    revision: branch, tag or commit that is read; None for the main branch.
  """

  path: str
  name: str | None = None
  split: str = "test"
  file: str | None = None
  revision: str | None = None


class Packaged(NamedTuple):
  """Data that an installed package holds.

  Attributes:
    train: rows of `select` and `dev`.
    test: rows of `judge`.
    origin: where they come from, such as the name of the package.
    revision: its version.
  """

  train: Sequence[Row]
  test: Sequence[Row]
  origin: str
  revision: str


@dataclasses.dataclass(frozen=True)
class Task:
  """Data, prompt, grade and vote key.

  Attributes:
    name: name in the registry, in configs and in records.
    version: raised whenever a prompt or a grade changes, so that records with
      different meanings are never mixed.
    fields: names of the fields that each row of the data must have.
    make_example: maps a row and its number (from 0, in its file) to an example;
      raises a ValueError that names the field if the row is wrong.
    graders: maps the name of a rule set to its grader; `standard` is ours.
    max_new_tokens: number of tokens after which a response is cut off, unless a
      config says otherwise.
    train: source of `select` and `dev`; None if they come from local files only.
    test: source of `judge`; None to take it from `train`, after the others.
    stop_strings: texts that end a response.
    num_threads: responses that one worker grades at once, for graders that wait
      for other processes.
    generate: makes rows in place of a data set, from (count, seed); a larger
      count appends to the rows of a smaller one.
    load: reads the data from an installed package, in an order that a seed decides;
      None for data from elsewhere.
    question: the field that a plain line of text fills; None if a question has
      several fields.
    picture: the field that holds a picture, as `pictures.from_cell` reads it; a
      relative path in it begins at the file of the row. None for tasks without
      pictures.
    arrange: maps the rows of the training data and a seed to the numbers of those
      that are used, in their order; None to take all as they are.
    join: maps a source on the hub, its revision, its rows and a seed to the rows with
      what lies in other files there; None where all lies in the rows.
    blank: values of the fields that a question without a known answer lacks.
      A vote does not depend on them.
    libraries: installed distributions that grades depend on; a run records their
      versions and is not continued with others.
    check: raises a UserError if this machine cannot grade, before anything is
      generated.
    baseline: maps the examples of `select` and of `judge` to an answer that
      ignores the question (a text) and its accuracy on `judge`; for tasks with
      classes of unequal size.
    is_checkable: whether the question alone says if an answer is right, so that
      whoever asks can tell without knowing one.
  """

  name: str
  fields: tuple[str, ...]
  make_example: Callable[[Mapping[str, Any], int], Example]
  graders: Mapping[str, GradeFn]
  max_new_tokens: int
  train: Source | None = None
  test: Source | None = None
  stop_strings: tuple[str, ...] = ()
  num_threads: int = 1
  generate: Callable[[int, int], Sequence[Mapping[str, Any]]] | None = None
  load: Callable[[int], Packaged] | None = None
  question: str | None = None
  picture: str | None = None
  arrange: Callable[[Sequence[Row], int], Sequence[int]] | None = None
  join: Callable[[Source, str, Sequence[Row], int], Sequence[Row]] | None = None
  blank: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  libraries: tuple[str, ...] = ()
  check: Callable[[], None] | None = None
  baseline: Baseline | None = None
  is_checkable: bool = False
  version: int = 1

  def describe_baseline(
    self, select: Sequence[Example], judge: Sequence[Example]
  ) -> str:
    """What answers without reading the question reach, in one sentence.

    Args:
      select: the examples that the answer is chosen on.
      judge: the examples that it is judged on.

    Returns:
      The sentence, "" where the task has no such baseline.
    """
    if self.baseline is None:
      return ""
    answer, accuracy = self.baseline(select, judge)
    return (
      f"Without reading the question: {answer}, the most frequent of"
      f" select, is right on {accuracy:.1%} of judge."
    )

  def grader(self, rules: str) -> GradeFn:
    """Returns the grader of a rule set.

    Raises:
      UserError: if there is no rule set of that name.
    """
    if rules not in self.graders:
      near = errors.nearest(rules, list(self.graders))
      raise UserError(
        f"task.rules must be a rule set of {self.name}, got {rules!r}."
        f" There are: {near}."
      )
    return self.graders[rules]


def ask(
  user: str,
  *,
  system: str | None = None,
  pictures: Sequence[Picture] = (),
) -> tuple[Message, ...]:
  """Makes the messages of a single question, its pictures before its text."""
  before = () if system is None else (Message("system", system),)
  content = (*pictures, user) if pictures else user
  return (*before, Message("user", content))


def shorten_vote(key: str) -> str:
  """Returns a vote key as it is if it is short and printable, else its hash."""
  if len(key) <= MAX_VOTE_CHARS and key.isprintable():
    return key
  digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
  return f"sha256:{digest[:32]}"
