"""Checks of a config, before any device work: every problem, by name, at once."""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import ml_collections

from thickets import errors
from thickets.errors import UserError


def check_keys(
  config: ml_collections.ConfigDict,
  reference: ml_collections.ConfigDict,
  path: str = "",
) -> list[str]:
  """Compares the keys and types of a config with those of its file.

  A section that is empty in the file holds what users choose, by any name.

  Returns:
    One message for each unknown key, missing key and wrong type.
  """
  problems = []
  for key in config:
    name = f"{path}{key}"
    if key not in reference:
      near = errors.nearest(key, list(reference), count=1)
      problems.append(f"{name} is not a config key. Nearest: {path}{near}.")
      continue
    value, model = config[key], reference[key]
    if isinstance(model, ml_collections.ConfigDict):
      if not isinstance(value, ml_collections.ConfigDict):
        keys = f"the keys {list(model)}" if model else "keys of your own"
        problems.append(f"{name} must hold {keys}, got {value!r}.")
      elif model:
        problems += check_keys(value, model, f"{name}.")
    elif not _same_type(value, model):
      problems.append(f"{name} must be {_describe_type(model)}, got {value!r}.")
  problems += [
    f"{path}{key} is missing from the config."
    for key in reference
    if key not in config
  ]
  return problems


@dataclasses.dataclass(frozen=True)
class Range:
  """The numbers that a config value may be.

  Attributes:
    low: the smallest.
    high: the largest, None for no limit.
    named: what sets the upper limit, for the message, such as another key.
  """

  low: float
  high: float | None = None
  named: str = ""


def check_ranges(
  config: ml_collections.ConfigDict, ranges: Mapping[str, Range]
) -> list[str]:
  """Checks that numbers are finite and within their range.

  Args:
    config: the config.
    ranges: the range by dotted key; each item of a tuple is checked.
  """
  problems = []
  for name, allowed in ranges.items():
    value = _get(config, name)
    for item in value if isinstance(value, tuple | list) else (value,):
      if not math.isfinite(item):
        problems.append(f"{name} must be finite, got {item}.")
      elif item < allowed.low:
        problems.append(f"{name} must be at least {allowed.low}, got {item}.")
      elif allowed.high is not None and item > allowed.high:
        hint = f" ({allowed.named})" if allowed.named else ""
        problems.append(
          f"{name} must be at most {allowed.high}{hint}, got {item}."
        )
  return problems


def check_choices(
  config: ml_collections.ConfigDict, choices: Mapping[str, Iterable[str]]
) -> list[str]:
  """Checks that words are known, and names the nearest of those that are."""
  return [
    f"{name} must be one of {sorted(known)}, got {_get(config, name)!r}."
    f" Nearest: {errors.nearest(_get(config, name), list(known), count=1)}."
    for name, known in choices.items()
    if _get(config, name) not in known
  ]


def check_not_empty(
  config: ml_collections.ConfigDict, names: Iterable[str]
) -> list[str]:
  """Checks that tuples hold at least one item."""
  return [
    f"{name} must hold at least one item, got none."
    for name in names
    if not _get(config, name)
  ]


def collect(
  make: Callable[[ml_collections.ConfigDict], object],
  config: ml_collections.ConfigDict,
) -> list[str]:
  """What a spec refuses, as one message or none.

  Args:
    make: makes a spec that checks itself from the config.
    config: the config.
  """
  try:
    make(config)
  except UserError as problem:
    return [str(problem)]
  return []


def refuse(problems: Sequence[str]) -> None:
  """Raises one UserError that lists all problems, if there are any."""
  if len(problems) == 1:
    raise UserError(problems[0])
  if problems:
    raise UserError(
      f"the config has {len(problems)} problems:\n  - "
      + "\n  - ".join(problems)
    )


def to_json(config: ml_collections.ConfigDict) -> dict[str, Any]:
  """The config as nested dicts, lists and plain values."""
  return {key: _to_plain(value) for key, value in config.items()}


def _to_plain(value: Any) -> Any:
  if isinstance(value, ml_collections.ConfigDict | Mapping):
    return {key: _to_plain(item) for key, item in value.items()}
  if isinstance(value, tuple | list):
    return [_to_plain(item) for item in value]
  return value


def _get(config, name):
  return functools.reduce(lambda part, key: part[key], name.split("."), config)


def _same_type(value: Any, model: Any) -> bool:
  if isinstance(model, bool) or isinstance(value, bool):
    return isinstance(value, bool) and isinstance(model, bool)
  if isinstance(model, float):
    return isinstance(value, int | float)
  if isinstance(model, tuple):
    if not isinstance(value, tuple | list):
      return False
    return not model or all(_same_type(item, model[0]) for item in value)
  return isinstance(value, type(model))


def _describe_type(model: Any) -> str:
  if isinstance(model, tuple):
    inner = _describe_type(model[0]) if model else "value"
    return f"a tuple, each item {inner}"
  names = {bool: "true or false", int: "an integer", float: "a number"}
  return names.get(type(model), "text")
