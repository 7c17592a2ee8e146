"""The flags of the binaries that run all estimators, read and written."""

from collections.abc import Mapping
from typing import Any

from absl import flags, logging

from experiments.launch.flags import BinaryFlags
from thickets.analysis.neighbourhood import Settings
from thickets.errors import UserError


def define_estimator_flags(binary: BinaryFlags) -> None:
  """Declares the flags from which `read_settings` reads."""
  flags.DEFINE_list(
    "margins",
    ["0", "0.02", "0.05"],
    "Smallest gains that make an expert, in score.",
    flag_values=binary.values,
  )
  flags.DEFINE_list(
    "ratios",
    [],
    "Relative margins: a member's score over the base's score, such as 1.05.",
    flag_values=binary.values,
  )
  flags.DEFINE_list(
    "score_range",
    ["0", "1"],
    "Least and largest score of the tasks; 0,1.1 for countdown under the authors'"
    " rules.",
    flag_values=binary.values,
  )
  flags.DEFINE_float(
    "top_share",
    0.1,
    "Share K/N of the members that vote, and that count as the best ones.",
    flag_values=binary.values,
  )
  flags.DEFINE_integer(
    "resamples",
    1000,
    "Number of draws of each bootstrap.",
    flag_values=binary.values,
  )
  flags.DEFINE_integer(
    "resampling_seed",
    0,
    "Seed of all bootstraps and random splits.",
    flag_values=binary.values,
  )


def read_settings(binary: BinaryFlags) -> Settings:
  """Returns what the flags of a binary ask to be measured.

  Raises:
    UserError: if the value of a flag is out of its range.
  """
  resamples = binary.values["resamples"].value
  if resamples < 1:
    raise UserError(f"--resamples must be at least 1, got {resamples}.")
  if resamples < 100:
    logging.warning(
      "--resamples=%d is too few for trustworthy intervals; use it to try things"
      " out.",
      resamples,
    )
  score_range = _read_numbers(binary, "score_range")
  if len(score_range) != 2 or not score_range[0] < score_range[1]:
    raise UserError(
      f"--score_range must be two numbers, the smaller first, got {score_range}."
    )
  return Settings(
    score_range=score_range,
    margins=_read_numbers(binary, "margins"),
    ratios=_read_numbers(binary, "ratios"),
    top_share=binary.values["top_share"].value,
    num_resamples=resamples,
    seed=binary.values["resampling_seed"].value,
  )


def _read_numbers(binary: BinaryFlags, name: str) -> tuple[float, ...]:
  texts = binary.values[name].value
  try:
    return tuple(float(text) for text in texts)
  except ValueError as error:
    raise UserError(
      f"--{name} must be numbers separated by commas, got {','.join(texts)}."
    ) from error


# Nobody parses these: they only hold the defaults.
_DEFAULTS = BinaryFlags("", "")
define_estimator_flags(_DEFAULTS)


def format_settings(settings: Mapping[str, Any]) -> str:
  """Writes the flags that ask for an analysis that was made earlier.

  Args:
    settings: what was measured, as density.json holds it.

  Returns:
    A flag for each value that is not the default, each after a blank.
  """
  values = {
    "margins": settings["margins"],
    "ratios": settings["ratios"],
    "score_range": settings["score_range"],
    "top_share": settings["top_share"],
    "resamples": settings["num_resamples"],
    "resampling_seed": settings["seed"],
  }
  return "".join(
    f" --{name}={_format_value(value)}"
    for name, value in values.items()
    if _format_value(value) != _format_value(_read_default(name))
  )


def _read_default(name: str) -> float | list[float]:
  value: Any = _DEFAULTS.values[name].default
  return [*map(float, value)] if isinstance(value, list) else value


def _format_value(value: float | list[float]) -> str:
  values = value if isinstance(value, list) else [value]
  return ",".join(f"{number:g}" for number in values)
