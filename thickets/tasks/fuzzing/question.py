"""A question that graders are fuzzed with."""

import dataclasses
import random
from collections.abc import Callable, Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Question:
  """A row and what to answer it with.

  Attributes:
    row: the row of the task's data.
    right: responses that are right in the form asked for.
    wrong: responses that no rule set may credit.
    confusing: wrong responses that the authors' rules credit, and ours may not.
    make_wrong: makes more of these, None where there are only `wrong` ones.
  """

  row: Mapping[str, Any]
  right: tuple[str, ...] = ()
  wrong: tuple[str, ...] = ()
  confusing: tuple[str, ...] = ()
  make_wrong: Callable[[random.Random], str] | None = None
