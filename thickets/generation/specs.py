"""What a run on language models is asked to do, as frozen records.

Binaries make them once from their config; the library sees nothing else of it.
"""

import dataclasses

from thickets.errors import UserError
from thickets.generation.grading_watch import GRADE_LIMIT_S
from thickets.generation.prompts import Chat
from thickets.generation.sampling import TEMPERATURE_RANGE, is_temperature
from thickets.models.layout import LAYOUTS
from thickets.tasks.splits import Sizes

DTYPES = ("bfloat16", "float16", "float32")


@dataclasses.dataclass(frozen=True)
class ModelSpec:
  """Which model is the base.

  Attributes:
    name: a directory, a GGUF file, an id on the hub, package:... for a model that
      another package ships, or shipped/... for one of this package.
    revision: branch, tag or commit on the hub; None for the newest.
    dtype: the dtype of the weights, one of `DTYPES`.

  Raises:
    UserError: if the dtype is not one of them.
  """

  name: str
  revision: str | None = None
  dtype: str = "float32"

  def __post_init__(self):
    if self.dtype not in DTYPES:
      raise UserError(
        f"model.dtype must be one of {sorted(DTYPES)}, got {self.dtype!r}."
      )


@dataclasses.dataclass(frozen=True)
class TaskSpec:
  """What the model is asked.

  Attributes:
    name: a task of the registry, or the path of a Python file that defines one.
    sizes: how many prompts each split has.
    rules: the rule set of the grader.
    train: where the training examples come from, "" for the task's own source.
    test: where the test examples come from, "" for the task's own source.
    revision: the revision of a data set on the hub; None for the newest.
    seed: decides which examples belong to which split.
    chat: how prompts become text.
  """

  name: str
  sizes: Sizes
  rules: str = "standard"
  train: str = ""
  test: str = ""
  revision: str | None = None
  seed: int = 0
  chat: Chat = dataclasses.field(default_factory=Chat)

  @property
  def is_a_file(self) -> bool:
    """Whether the task is a file of the user's."""
    return self.name.endswith(".py")


@dataclasses.dataclass(frozen=True)
class ComputeSpec:
  """How the work is laid out; no score depends on it beyond rounding.

  Attributes:
    devices_per_member: devices that share the weights of one member.
    lanes: members that each group of devices runs at once; None finds it from
      memory.
    rows: prompts that each member continues at once; None finds it from memory.
    layers: how layers lie while decoding, one of `layout.LAYOUTS`.
    num_workers: processes that grade; 0 for a thread of this process, but one
      process for a task of the user's.
    grade_limit_s: seconds that one response may be graded, above 0.
    features_dir: a directory on a disk, in which features of pictures are kept for
      later runs; "" keeps them in memory alone.

  Raises:
    UserError: if a number is out of range.
  """

  devices_per_member: int = 1
  lanes: int | None = None
  rows: int | None = None
  layers: str = "auto"
  num_workers: int = 0
  grade_limit_s: float = GRADE_LIMIT_S
  features_dir: str = ""

  def __post_init__(self):
    for name, least in (
      ("devices_per_member", 1),
      ("lanes", 1),
      ("rows", 1),
      ("num_workers", 0),
    ):
      value = getattr(self, name)
      if value is not None and value < least:
        raise UserError(
          f"compute.{name} must be at least {least}, got {value}."
        )
    if self.layers not in LAYOUTS:
      raise UserError(
        f"compute.layers must be one of {sorted(LAYOUTS)}, got {self.layers!r}."
      )
    if not self.grade_limit_s > 0:
      raise UserError(
        f"compute.grade_limit_s must be above 0, got {self.grade_limit_s}."
      )


@dataclasses.dataclass(frozen=True)
class AnsweringSpec:
  """How responses are generated, laid out and graded.

  Attributes:
    max_new_tokens: where a response is cut off; None for the task's own limit.
    compute: how the work is laid out.
    log_responses: whether the texts are logged as well, so that a run can be
      graded anew.

  Raises:
    UserError: if the limit is below one.
  """

  max_new_tokens: int | None = None
  compute: ComputeSpec = ComputeSpec()
  log_responses: bool = False

  def __post_init__(self):
    if self.max_new_tokens is not None and self.max_new_tokens < 1:
      raise UserError(
        "decoding.max_new_tokens must be at least 1, or 0 for the task's own, got"
        f" {self.max_new_tokens}."
      )


@dataclasses.dataclass(frozen=True)
class SelfConsistencySpec:
  """How the base is sampled, to vote with itself.

  Attributes:
    temperatures: the temperatures to choose from on `dev`; a single one is used
      without a choice, and with none self-consistency is left out.
    top_k: only so many of the likeliest tokens are drawn from; 0 for all.
    top_p: only the likeliest tokens that have this share are drawn from.

  Raises:
    UserError: if a temperature or the share is not above zero, or if a number
      is not finite in float32.
  """

  temperatures: tuple[float, ...] = ()
  top_k: int = 0
  top_p: float = 1.0

  def __post_init__(self):
    object.__setattr__(self, "temperatures", tuple(self.temperatures))
    if not all(map(is_temperature, self.temperatures)):
      raise UserError(
        f"consistency.temperatures must be {TEMPERATURE_RANGE}, got"
        f" {self.temperatures}. At 0 all responses are the same."
      )
    if self.top_k < 0:
      raise UserError(
        "consistency.top_k must be at least 1, or 0 for all tokens, got"
        f" {self.top_k}."
      )
    if not 0 < self.top_p <= 1:
      raise UserError(
        f"consistency.top_p must be above 0 and at most 1, got {self.top_p}."
      )
