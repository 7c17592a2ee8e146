"""Prompts that come in groups: templates, questions on one image, variants.

Prompts of one group are answered alike, so that ten variants of a question tell less
than ten questions do. Intervals over prompts that come in groups are therefore
intervals over groups: whole groups are what another sample of the task would
exchange. Where every group has one prompt, they are intervals over prompts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy import special

from thickets.errors import UserError

# A label for each prompt, a text or a whole number; prompts of equal labels form a
# group.
Groups = Sequence[Any] | np.ndarray


def number_groups(
  groups: Groups | None, num_prompts: int
) -> Int[np.ndarray, " Q"] | None:
  """Returns the number of each prompt's group, from 0 in order of appearance.

  Args:
    groups: [Q] labels, texts or whole numbers; None where prompts are independent.
    num_prompts: Q.

  Returns:
    [Q]; None where there are no groups, or each has one prompt.

  Raises:
    UserError: if there is not one label for each prompt, a label is missing, or
      all prompts are of one group.
  """
  if groups is None:
    return None
  if np.ndim(groups) != 1 or len(groups) != num_prompts:
    raise UserError(
      "groups must hold one label for each prompt, got shape"
      f" {np.shape(groups)} for {num_prompts} prompts. Give each prompt the name"
      " of its group, and a name of its own to a prompt without one."
    )
  labels = [_check_label(*found) for found in enumerate(_list(groups))]
  places = {label: place for place, label in enumerate(dict.fromkeys(labels))}
  if len(places) == num_prompts:
    return None
  if len(places) == 1:
    raise UserError(
      "groups must be of at least two groups, got all"
      f" {num_prompts} prompts in the group {labels[0]!r}. How groups differ"
      " cannot be seen in one: add prompts of others, or leave groups out."
    )
  return np.array([places[label] for label in labels])


def describe_groups(num_groups: int, num_prompts: int) -> str:
  """Returns "200 prompts", or "20 groups of 200 prompts"."""
  if num_groups == num_prompts:
    return f"{num_prompts} prompts"
  return f"{num_groups} groups of {num_prompts} prompts"


def read_groups(
  data: Mapping[str, Any], sizes: Mapping[str, int]
) -> list[str] | None:
  """Returns the groups of a run's prompts, one split behind the other.

  Args:
    data: what the run's header says of its examples, by split.
    sizes: number of prompts by split.

  Returns:
    [Q] names; None where the examples of none of these splits name one.
  """
  named = {split: data.get(split, {}).get("groups") for split in sizes}
  if not any(named.values()):
    return None
  return [
    name
    for split, size in sizes.items()
    for name in named[split] or [f"{split} prompt {q}" for q in range(size)]
  ]


def say_unit(groups: Groups | None, num_prompts: int) -> str:
  """Returns what an interval over these prompts is over."""
  numbers = number_groups(groups, num_prompts)
  return "prompts" if numbers is None else "groups of prompts"


def number_by_task(
  groups: Sequence[Groups | None] | None,
  num_prompts: Sequence[int],
  names: Sequence[str],
) -> list[Int[np.ndarray, " _Q"] | None]:
  """Returns `number_groups` of each of several tasks.

  Args:
    groups: labels by task, None for a task without groups; None if none has any.
    num_prompts: number of prompts of each task.
    names: names of the tasks, for messages.

  Raises:
    UserError: where `number_groups` does; it names the task.
  """
  if groups is None:
    return [None] * len(names)
  if len(groups) != len(names):
    raise UserError(
      "groups must hold one entry for each task, None for a task without groups,"
      f" got {len(groups)} for {len(names)} tasks."
    )
  numbers = []
  for labels, size, name in zip(groups, num_prompts, names, strict=True):
    try:
      found = number_groups(labels, size)
    except UserError as error:
      raise UserError(f"{name}: {error}") from error
    numbers.append(found)
  return numbers


def count_groups(groups: Groups | None, num_prompts: int) -> int:
  """Returns how many groups there are; without groups, how many prompts."""
  return len(count_by_group(number_groups(groups, num_prompts), num_prompts))


def join_groups(
  by_task: Mapping[str, tuple[Groups | None, int]],
) -> list[str] | None:
  """Returns labels of the prompts of several tasks, one behind the other.

  Args:
    by_task: for each task its labels, None for none, and its number of prompts.

  Returns:
    Labels that no two tasks have in common; None where no task has groups.
  """
  if all(groups is None for groups, _ in by_task.values()):
    return None
  return [
    f"{task}: {place if groups is None else groups[place]!r}"
    for task, (groups, size) in by_task.items()
    for place in range(size)
  ]


def design_effect(
  deviations: Float[np.ndarray, " Q"],
  numbers: Int[np.ndarray, " Q"],
  *,
  doubt: float,
) -> float:
  """Returns how many times the variance of a mean is what it would be without groups.

  The sum of squares of the groups' sums is compared with that of the prompts.
  Where prompts hardly differ, neither says anything; a doubt in favour of groups
  that are answered as one is therefore added to both.

  Args:
    deviations: [Q] what each prompt's value is more than the mean.
    numbers: [Q] the number of each prompt's group, from `number_groups`.
    doubt: a sum of squares of deviations that would be no surprise if none had
      been seen.

  Returns:
    At least 1; Q / G where all G groups of equal size are answered as one.
  """
  num_prompts, sizes = len(numbers), np.bincount(numbers)
  scale = len(sizes) / (len(sizes) - 1) * (num_prompts - 1) / num_prompts
  together = scale * float((np.bincount(numbers, deviations) ** 2).sum())
  alone = float((deviations**2).sum())
  size = float((sizes**2).sum()) / num_prompts  # Mean size of a prompt's group.
  return max(1.0, (together + doubt * size) / (alone + doubt))


def group_quantile(z: float, numbers: Int[np.ndarray, " Q"] | None) -> float:
  """Returns Student's quantile, for one group less, of the level of a normal one."""
  if numbers is None:
    return z
  return float(special.stdtrit(numbers.max(), special.ndtr(z)))


def mean_by_group(
  table: Float[np.ndarray, "P Q"], numbers: Int[np.ndarray, " Q"] | None
) -> Float[np.ndarray, "P G"]:
  """Returns one value for each group, of which means are over groups.

  A row's mean over groups is its mean over prompts, and groups vary in it as much
  as they move that mean: its deviation from the mean is the group's, times the
  group's size over the mean size. (So the ratio of two sums becomes, to first
  order, a plain mean.) Without groups it is the table itself.

  Args:
    table: [P, Q] finite.
    numbers: [Q] the number of each prompt's group, from `number_groups`.
  """
  if numbers is None:
    return table
  sizes = np.bincount(numbers)
  mean = table.mean(axis=1, keepdims=True)
  sums = sum_by_group(table - mean, numbers)
  return mean + sums * (len(sizes) / len(numbers))


def sum_by_group(
  table: Float[np.ndarray, "P Q"], numbers: Int[np.ndarray, " Q"] | None
) -> Float[np.ndarray, "P G"]:
  """Returns the sums of each group's prompts; without groups the table itself."""
  if numbers is None:
    return table
  return table @ (numbers[:, None] == np.arange(numbers.max() + 1)).astype(
    table.dtype
  )


def count_by_group(
  numbers: Int[np.ndarray, " Q"] | None, num_prompts: int
) -> Int[np.ndarray, " G"]:
  """Returns the sizes of the groups; without groups, each prompt is one."""
  if numbers is None:
    return np.ones(num_prompts, np.int64)
  return np.bincount(numbers)


def _list(groups: Groups) -> Sequence[Any]:
  return groups.tolist() if isinstance(groups, np.ndarray) else groups


def _check_label(place: int, label: Any) -> str | int:
  """The label; refuses what stands for a missing one."""
  if isinstance(label, np.generic):
    label = label.item()
  if isinstance(label, float) and label.is_integer():
    label = int(label)
  if label == "" or not isinstance(label, str | int):
    raise UserError(
      "groups must hold texts or whole numbers, got"
      f" {label!r} for prompt {place}. Give a prompt without a group a name of"
      " its own."
    )
  return label
