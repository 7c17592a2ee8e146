"""The config.json that goes with weights that are saved.

It says what its source said, in the spelling of the source; what is true of the
source alone is left out. Where rotary positions are spelled as transformers 5
does, in `rope_parameters`, they are spelled for older readers too. Those do not
know the name, and take the theta of the class without a word.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from absl import logging

from thickets.models import config_fields, families
from thickets.models.layer_types import FULL, SLIDING
from thickets.models.published_classes import PUBLISHED
from thickets.models.vision import fields as vision_fields

# Fields that are true of the source, not of what is saved: code of others, which
# would be run; how weights are stored; and how to run.
_NOT_EXPORTED = (
  "_attn_implementation",
  "_name_or_path",
  "attn_implementation",
  "auto_map",
  "compression_config",
  "custom_pipelines",
  "quantization",
  "quantization_config",
  "transformers_weights",
)


def export_fields(fields: Mapping[str, Any], dtype: np.dtype) -> dict[str, Any]:
  """The contents of the config.json that goes with weights of a dtype.

  Args:
    fields: the contents of the config.json of the source.
    dtype: the dtype of the weights that are saved.
  """
  published = {
    key: value for key, value in fields.items() if key not in _NOT_EXPORTED
  }
  family = families.FAMILIES[fields["model_type"]]
  # Not a class of the source's own, nor one without the head.
  published["architectures"] = [family.architecture]
  for part in ("text_config", "vision_config"):
    if isinstance(published.get(part), Mapping):
      published[part] = dict(published[part])
      _name_dtype(published[part], dtype)
  _name_dtype(published, dtype)
  if "torch_dtype" not in published:
    published["dtype"] = dtype.name
  if "num_local_experts" in published:
    # As transformers 5 writes it; transformers 4 and vLLM read the older name.
    published.setdefault("num_experts", published["num_local_experts"])
  if vision_fields.is_vision(fields):
    text = published.get("text_config", published)
    older = _spell_older_sections(text)
  else:
    text, older = published, _spell_older_rope(fields)
  for key, value in older.items():
    if text.get(key) is None:
      text[key] = value
  return published


def _name_dtype(fields: dict[str, Any], dtype: np.dtype) -> None:
  """Names the dtype where the source names one."""
  # Versions before 4.56 spell it torch_dtype.
  for name in ("torch_dtype", "dtype"):
    if fields.get(name) is not None:
      fields[name] = dtype.name


def _spell_older_sections(text: Mapping[str, Any]) -> dict[str, Any]:
  """The rotary positions of a vision-language model for transformers 4."""
  parameters = dict(text.get("rope_parameters") or {})
  if not parameters:
    return {}
  theta = parameters.pop("rope_theta", None)
  found = {} if theta is None else {"rope_theta": theta}
  return found | {"rope_scaling": parameters}


def _spell_older_rope(fields: Mapping[str, Any]) -> dict[str, Any]:
  """The rotary positions of a newer spelling, as transformers 4 spells them."""
  family = fields["model_type"]
  published = PUBLISHED[family]
  scaling = fields.get("rope_scaling") or {}
  is_newer = fields.get("rope_parameters") or "rope_theta" in scaling
  if not published.thetas or not is_newer:
    return {}
  read = config_fields.read_fields(fields)["rope_parameters"]
  full, sliding = read.get(FULL), read.get(SLIDING)
  if "" in published.thetas:  # Both are the same.
    return _spell_shared(full or sliding or {})
  found = _spell_shared(full) if full else {}
  if sliding:
    field = published.theta_fields.get(SLIDING, "rope_theta")
    theta = found.setdefault(field, sliding["rope_theta"])
    if sliding["rope_type"] != "default" or theta != sliding["rope_theta"]:
      logging.warning(
        "config.json: the positions of %s layers in this %s model can be said"
        " for transformers 5 and newer only; older versions read others",
        SLIDING,
        family,
      )
      return {}
  return found


def _spell_shared(parameters: Mapping[str, Any]) -> dict[str, Any]:
  """`rope_theta`, and `rope_scaling` where positions are scaled."""
  scaling = {
    key: value
    for key, value in parameters.items()
    if key != "rope_theta" and value is not None
  }
  found = {"rope_theta": parameters["rope_theta"]}
  is_scaled = scaling["rope_type"] != "default"
  return found | ({"rope_scaling": scaling} if is_scaled else {})
