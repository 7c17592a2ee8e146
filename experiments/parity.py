"""Compares logits with transformers over random configs of every family.

    python -m experiments.parity --count=300

Ends with status 1 if logits differ by 1e-4 or more, if a refusal names no field,
or if a config.json loads here that transformers refuses. What is drawn depends on
`--seed` and `--count` alone. Needs the extra `torch`, and about a second for each
config on one core.
"""

import collections
import importlib.util
import json
import sys
import time

from absl import flags, logging

from experiments import launch
from experiments.validation import random_configs
from thickets.errors import UserError
from thickets.models.families import FAMILIES

FLAGS = launch.BinaryFlags(
  __doc__, "python -m experiments.parity --count=300 --families=llama,qwen2"
)
_COUNT = flags.DEFINE_integer(
  "count",
  300,
  "How many configs are drawn, over all families.",
  lower_bound=1,
  flag_values=FLAGS.values,
)
_SEED = flags.DEFINE_integer(
  "seed", 0, "The seed that decides what is drawn.", flag_values=FLAGS.values
)
_FAMILIES = flags.DEFINE_list(
  "families",
  None,
  "Values of model_type; all families by default.",
  flag_values=FLAGS.values,
)

_LOG_EVERY_S = 10


def main(_: list[str]) -> None:
  """Reads the flags, compares, and says what came out for each family."""
  families = _read_families()
  from experiments.validation import transformers_parity

  outcomes = collections.Counter()
  refused = collections.Counter()
  largest = dict.fromkeys(families, 0.0)
  start = shown = time.monotonic()
  for index in range(_COUNT.value):
    family = families[index % len(families)]
    fields = random_configs.draw_fields(
      family, _SEED.value, index // len(families)
    )
    found = transformers_parity.compare(fields)
    outcomes[family, found.outcome] += 1
    if found.outcome == transformers_parity.AGREED:
      largest[family] = max(largest[family], found.difference)
    elif found.outcome == transformers_parity.DIFFERENT:
      logging.error("%s | %s", found.reason, json.dumps(fields))
    else:
      refused[found.field] += 1
    if time.monotonic() - shown > _LOG_EVERY_S:
      shown = time.monotonic()
      logging.info("%d configs | %.0f s", index + 1, shown - start)
  for family in families:
    counts = [outcomes[family, name] for name in transformers_parity.OUTCOMES]
    logging.info(
      "%-12s %4d agreed (largest difference %.2g) | %d refused | %d refused by"
      " both | %d DIFFERENT",
      family,
      counts[0],
      largest[family],
      *counts[1:],
    )
  logging.info("Refused by field: %s", dict(refused.most_common()))
  different = sum(
    count
    for (_, outcome), count in outcomes.items()
    if outcome == transformers_parity.DIFFERENT
  )
  if different:
    sys.exit(1)


def _read_families() -> list[str]:
  """The families that are compared, and whether they can be."""
  if importlib.util.find_spec("torch") is None:
    raise UserError(
      "The package torch must be installed for a comparison with transformers,"
      " got none. Install the extra: pip install -e '.[torch]'."
    )
  known = sorted(FAMILIES.keys() & random_configs.RULES.keys())
  for name in _FAMILIES.value or ():
    if name not in known:
      raise UserError(f"--families must be of {known}, got {name!r}.")
  return _FAMILIES.value or known


if __name__ == "__main__":
  launch.run(main, FLAGS)
