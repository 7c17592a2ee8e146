"""Sweeps: lists of config overrides, composed from axes."""

import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


@dataclasses.dataclass(frozen=True)
class SweepPoint:
  """One run of a sweep.

  Attributes:
    group: runs of one group differ in nothing but chance and are summarised
      together.
    overrides: values by dotted config key.
  """

  group: str
  overrides: Mapping[str, Any]


def axis(key: str, values: Iterable[Any]) -> list[dict[str, Any]]:
  """One override for each value of a key."""
  return [{key: value} for value in values]


def product(*axes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
  """Every combination of one override from each axis, the last one fastest."""
  return [_merge(parts) for parts in itertools.product(*axes)]


def zipped(*axes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
  """The first of each axis together, then the second of each, and so on.

  Raises:
    ValueError: if the axes differ in length.
  """
  return [_merge(parts) for parts in zip(*axes, strict=True)]


def _merge(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
  merged: dict[str, Any] = {}
  for part in parts:
    if repeated := sorted(set(merged) & set(part)):
      raise ValueError(
        f"Axes of a sweep must differ in keys, got {repeated} twice."
      )
    merged |= part
  return merged
