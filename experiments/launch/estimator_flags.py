"""The flags of the binaries that run all estimators."""

from collections.abc import Sequence

from absl import flags, logging

from thickets.analysis.neighbourhood import Settings
from thickets.errors import UserError

_MARGINS = flags.DEFINE_list(
  "margins", ["0", "0.02", "0.05"], "Absolute margins, in score."
)
_RATIOS = flags.DEFINE_list(
  "ratios", [], "Relative margins: score over the base's, such as 1.05."
)
_SCORE_RANGE = flags.DEFINE_list(
  "score_range",
  ["0", "1"],
  "Least and largest score; 0,1.1 for countdown under the authors' rules.",
)
_TOP_SHARE = flags.DEFINE_float(
  "top_share", 0.1, "K/N of ensembles and of sets of best members."
)
_RESAMPLES = flags.DEFINE_integer("resamples", 1000, "Of each bootstrap.")
_SEED = flags.DEFINE_integer("resampling_seed", 0, "Of every draw.")


def read_settings() -> Settings:
  """What the flags ask to be measured.

  Raises:
    UserError: if one of them cannot be.
  """
  if _RESAMPLES.value < 1:
    raise UserError(f"--resamples must be at least 1, got {_RESAMPLES.value}.")
  if _RESAMPLES.value < 100:
    logging.warning(
      "--resamples=%d is too few for intervals to be trusted; it tries out.",
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
      f"--{name} must be numbers with commas between, got {','.join(texts)}."
    ) from error
