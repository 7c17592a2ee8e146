"""Which field of a config.json a refusal names."""

import re
from collections.abc import Mapping
from typing import Any

from thickets.models.published_classes import PUBLISHED

# Fields of rotary positions, which a file may lack where a kind of them needs them.
_ROPE_FIELDS = (
  "factor",
  "high_freq_factor",
  "low_freq_factor",
  "original_max_position_embeddings",
  "rope_theta",
)


def find_field(message: str, fields: Mapping[str, Any]) -> str | None:
  """The field whose rule a message states ("... must ..."), or None.

  A field that is only mentioned behind the rule, or is a part of another word, does
  not count.

  Args:
    message: the message of the refusal.
    fields: the contents of the config.json, whose class may have further fields.
  """
  names = {*fields, *PUBLISHED[fields["model_type"]].fields, *_ROPE_FIELDS}
  for value in fields.values():
    for inner in (value, *(value.values() if isinstance(value, dict) else ())):
      names |= set(inner) if isinstance(inner, dict) else set()
  subject, has_rule, _ = message.partition(" must ")
  if not has_rule:
    return None
  return next(
    (word for word in re.findall(r"\w+", subject) if word in names), None
  )
