"""The flags of the binaries that run all estimators, read and written."""

from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags, logging

from thickets.analysis.neighbourhood import Settings
from thickets.errors import UserError

_MARGINS = flags.DEFINE_list(
  "margins",
  ["0", "0.02", "0.05"],
  "Smallest gains that make an expert, in score.",
)
_RATIOS = flags.DEFINE_list(
  "ratios",
  [],
  "Relative margins: a member's score over the base's score, such as 1.05.",
)
_SCORE_RANGE = flags.DEFINE_list(
  "score_range",
  ["0", "1"],
  "Least and largest score of the tasks; 0,1.1 for countdown under the authors'"
  " rules.",
)
_TOP_SHARE = flags.DEFINE_float(
  "top_share",
  0.1,
  "Share K/N of the members that vote, and that count as the best ones.",
)
_RESAMPLES = flags.DEFINE_integer(
  "resamples", 1000, "Number of draws of each bootstrap."
)
_SEED = flags.DEFINE_integer(
  "resampling_seed", 0, "Seed of all bootstraps and random splits."
)


def read_settings() -> Settings:
  """Returns what the flags ask to be measured.

  Raises:
    UserError: if the value of a flag is out of its range.
  """
  if _RESAMPLES.value < 1:
    raise UserError(f"--resamples must be at least 1, got {_RESAMPLES.value}.")
  if _RESAMPLES.value < 100:
    logging.warning(
      "--resamples=%d is too few for trustworthy intervals; use it to try things out.",
      _RESAMPLES.value,
    )
  score_range = _read_numbers("score_range", _SCORE_RANGE.value)
  if len(score_range) != 2 or not score_range[0] < score_range[1]:
    raise UserError(
      f"--score_range must be two numbers, the smaller first, got {score_range}."
    )
  return Settings(
    score_range=score_range,
    margins=_read_numbers("margins", _MARGINS.value),
    ratios=_read_numbers("ratios", _RATIOS.value),
    top_share=_TOP_SHARE.value,
    num_resamples=_RESAMPLES.value,
    seed=_SEED.value,
  )


def _read_numbers(name: str, texts: Sequence[str]) -> tuple[float, ...]:
  try:
    return tuple(float(text) for text in texts)
  except ValueError as error:
    raise UserError(
      f"--{name} must be numbers separated by commas, got {','.join(texts)}."
    ) from error


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
  value: Any = flags.FLAGS[name].default
  return [*map(float, value)] if isinstance(value, list) else value


def _format_value(value: float | list[float]) -> str:
  values = value if isinstance(value, list) else [value]
  return ",".join(f"{number:g}" for number in values)
