"""What one model reaches at test time: one pass, votes, and checked samples.

Every row spends another number of responses on a question. A vote needs nothing but
the responses; that the best of K is known needs somebody who can tell, so that its
row stands only where the question itself says what is right, as a target does that a
formula has to reach.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from thickets.analysis import intervals, prompt_groups, voters
from thickets.analysis.prompt_groups import Groups
from thickets.search.answers import Answers

GREEDY = "one pass"
_UNITS = (
  "judge and gain are shares of prompts whose answer is right, gain over one greedy"
  " pass; won and lost count the prompts that only one of the two has right; 95 %"
  " intervals over prompts: Wilson's of shares, that of Bonett and Price of paired"
  " differences"
)


def name_vote(k: int) -> str:
  """The name of the row in which k samples vote."""
  return f"vote of {k}"


def name_checked(k: int) -> str:
  """The name of the row in which the right one of k samples is known."""
  return f"best of {k}, checked"


def summarise_test_time(
  greedy: Answers,
  samples: Answers,
  *,
  counts: Sequence[int],
  is_checkable: bool,
  groups: Groups | None = None,
) -> dict[str, Any]:
  """Compares ways to spend responses with one greedy pass.

  Args:
    greedy: [1, Q] the greedy answers.
    samples: [K, Q] the sampled ones.
    counts: how many of the samples vote, each within 1 and K.
    is_checkable: whether the question alone says what is right.
    groups: [Q] group of each prompt; None where prompts are independent.

  Returns:
    JSON values: `table` with a row for each way, and `right`, [Q] of 0 and 1 or of
    means of samples, by the name of the row.
  """
  right = list_right(greedy, samples, counts=counts, is_checkable=is_checkable)
  num_responses = {GREEDY: 1, "one sample": 1}
  num_responses |= {name_vote(k): k for k in counts}
  size = len(samples.lenient)
  return {
    "units": _UNITS,
    "num_judge": len(right[GREEDY]),
    "num_judge_groups": prompt_groups.count_groups(groups, len(right[GREEDY])),
    "is_checkable": is_checkable,
    "table": [
      {"name": name, "num_responses": num_responses.get(name, size)}
      | _compare(found, right[GREEDY], groups, is_first=name == GREEDY)
      for name, found in right.items()
    ],
    "right": {name: found.tolist() for name, found in right.items()},
  }


def list_right(
  greedy: Answers,
  samples: Answers,
  *,
  counts: Sequence[int],
  is_checkable: bool,
) -> dict[str, Float[np.ndarray, " Q"]]:
  """[Q] what each way has right, by its name; see `summarise_test_time`."""
  elected_QK = samples.elect()
  found = {
    GREEDY: greedy.lenient[0],
    "one sample": samples.lenient.mean(axis=0),
    **{name_vote(k): elected_QK[:, k - 1] for k in counts},
    "first valid": take_first_valid(samples),
  }
  if is_checkable:
    size = len(samples.lenient)
    found[name_checked(size)] = samples.lenient.any(axis=0)
  return {name: np.asarray(a, np.float64) for name, a in found.items()}


def take_first_valid(samples: Answers) -> Bool[np.ndarray, " Q"]:
  """[Q] whether the first sample that gives an answer is right; false without one."""
  is_valid_KQ = samples.vote != ""
  first_Q = is_valid_KQ.argmax(axis=0)
  right_Q = samples.lenient[first_Q, np.arange(len(first_Q))]
  return right_Q & is_valid_KQ.any(axis=0)


def _compare(
  right: Float[np.ndarray, " Q"],
  greedy: Float[np.ndarray, " Q"],
  groups: Groups | None,
  *,
  is_first: bool,
) -> dict[str, Any]:
  row: dict[str, Any] = {
    "judge": intervals.estimate_mean(right, groups=groups).to_json("mean")
  }
  if is_first:
    return row
  gain = intervals.estimate_difference(right - greedy, groups=groups)
  row["gain"] = gain.to_json("mean")
  if set(np.unique(right)) <= {0.0, 1.0}:
    row |= voters.count_discordant(right > 0, greedy > 0)
  return row
