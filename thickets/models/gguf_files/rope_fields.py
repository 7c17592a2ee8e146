"""The rotary embedding that the metadata of a GGUF file asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from thickets.errors import UserError
from thickets.models import rope
from thickets.models.gguf_files import weights
from thickets.models.gguf_files.header import Header
from thickets.models.gguf_files.values import Values

FREQUENCIES = (
  "rope_freqs.weight"  # The tensor by which frequencies are divided.
)

# Of all published models of Llama 3.1 and later.
_LLAMA3 = {
  "rope_type": "llama3",
  "low_freq_factor": 1.0,
  "high_freq_factor": 4.0,
  "original_max_position_embeddings": 8192,
}
_YARN = {
  "yarn_attn_factor": "attention_factor",
  "yarn_beta_fast": "beta_fast",
  "yarn_beta_slow": "beta_slow",
}


def read_rope(
  values: Values, header: Header, fields: Mapping[str, Any]
) -> dict[str, Any]:
  """The fields `rope_theta` and `rope_scaling`.

  Raises:
    UserError: if frequencies are scaled in a way that is not supported.
  """
  theta = values.take("rope.freq_base", float, 10_000.0)
  scaling = _read_scaling(values)
  if FREQUENCIES in header.tensors:
    if scaling:
      raise values.refuse(
        "rope.scaling.type", f"be none beside {FREQUENCIES}", scaling
      )
    scaling = _read_factors(header, {**fields, "rope_theta": theta})
  found: dict[str, Any] = {"rope_theta": theta}
  return found | ({"rope_scaling": scaling} if scaling else {})


def _read_scaling(values: Values) -> dict[str, Any] | None:
  kind = values.take("rope.scaling.type", str, "none")
  factor = values.take("rope.scaling.factor", float, 0.0)
  # The oldest files name a factor of linear scaling alone.
  old_factor = values.take("rope.scale_linear", float, 0.0)
  original = values.take("rope.scaling.original_context_length", int, 0)
  values.take("rope.scaling.finetuned", bool, False)
  scale = values.take("rope.scaling.attn_factor", float, 1.0)
  if scale != 1:
    raise values.refuse("rope.scaling.attn_factor", "be 1", scale)
  if old_factor and old_factor != 1 and kind == "none":
    kind, factor = "linear", old_factor
  if kind == "none":
    return None
  if kind == "linear":
    return {"rope_type": "linear", "factor": factor}
  if kind != "yarn":
    raise values.refuse("rope.scaling.type", "be none, linear or yarn", kind)
  scaling = {"rope_type": "yarn", "factor": factor}
  if original:
    scaling["original_max_position_embeddings"] = original
  for key, name in _YARN.items():
    if value := values.take(f"rope.scaling.{key}", float, 0.0):
      scaling[name] = value
  # How far frequencies are extrapolated; -1 stands for what YaRN does.
  extent = values.take("rope.scaling.yarn_ext_factor", float, 1.0)
  if extent not in (1.0, -1.0):
    raise values.refuse("rope.scaling.yarn_ext_factor", "be 1", extent)
  return scaling


def _read_factors(header: Header, fields: Mapping[str, Any]) -> dict[str, Any]:
  """The scaling of Llama 3 that gives the divisors in a file's tensor."""
  head_dim = fields["head_dim"]
  found = weights.read_flat(header.tensors[FREQUENCIES])
  scaling = {**_LLAMA3, "factor": float(str(found.max(initial=1.0)))}

  def frequencies(scaled: Mapping[str, Any]) -> np.ndarray:
    parameters = {**scaled, "rope_theta": fields["rope_theta"]}
    return np.array(rope.make_rope(parameters, head_dim).frequencies)

  expected = frequencies({"rope_type": "default"}) / frequencies(scaling)
  if found.shape != expected.shape or not np.allclose(
    found, expected, rtol=1e-5, atol=0
  ):
    raise UserError(
      f"{FREQUENCIES} ({header.path}) must divide frequencies as Llama 3 does,"
      f" from {_LLAMA3['original_max_position_embeddings']} positions on, got"
      " other divisors. Models scaled otherwise do not load."
    )
  return scaling
