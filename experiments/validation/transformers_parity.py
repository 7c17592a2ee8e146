"""One config.json read by transformers and here: do the same logits come out?"""

import contextlib
import dataclasses
import io
import json
import pathlib
import tempfile
import warnings
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
import transformers

from experiments.validation.random_configs import NUM_TOKENS
from thickets.errors import UserError
from thickets.models import hub, transformer
from thickets.models.published_classes import PUBLISHED

TOLERANCE = 1e-4  # Of logits.
AGREED, DIFFERENT = "agreed", "DIFFERENT"
OUTCOMES = (AGREED, "refused", "refused by both", DIFFERENT)
_NUM_ROWS = 2


@dataclasses.dataclass(frozen=True)
class Parity:
  """What came of one config.json.

  Attributes:
    outcome: one of `OUTCOMES`; a refusal here alone has to name a field.
    difference: the largest difference of logits, NaN where there are none.
    field: the field that the refusal names.
    reason: why it was refused, or is different.
  """

  outcome: str
  difference: float = float("nan")
  field: str = ""
  reason: str = ""


def compare(fields: Mapping[str, Any]) -> Parity:
  """Compares logits over random weights and texts in float32.

  transformers reads the config.json and makes a model of it; its weights are read
  here by the same config.json.
  """
  with tempfile.TemporaryDirectory() as folder:
    directory = pathlib.Path(folder)
    rng = np.random.default_rng(0)
    text = rng.integers(0, 50, (_NUM_ROWS, NUM_TOKENS))
    theirs = their_error = None
    try:
      theirs = _run_theirs(directory, fields, text)
    except Exception as error:  # Of whatever kind: it refuses the file.
      their_error = f"{type(error).__name__}: {error}".replace("\n", " ")
    _write_config(directory, fields)
    try:
      if theirs is None:
        hub.make_model(fields, jnp.asarray([0, 0], jnp.uint32))
      else:
        model = hub.load(directory)
    except UserError as error:
      return _refused(fields, str(error), their_error)
    if theirs is None:
      return Parity(DIFFERENT, reason=f"only transformers: {their_error}")
    with jax.disable_jit():  # One operation at a time: no program is compiled.
      ours = transformer.apply(
        model.config, model.params, jnp.asarray(text, jnp.int32)
      )
  difference = float(np.abs(np.asarray(ours) - theirs).max())
  if difference < TOLERANCE:  # Not of NaN.
    return Parity(AGREED, difference)
  return Parity(DIFFERENT, difference, reason="logits differ")


def _run_theirs(
  directory: pathlib.Path, fields: Mapping[str, Any], text: np.ndarray
) -> np.ndarray:
  """Makes their model with random weights, saves it, and returns its logits."""
  _write_config(directory, fields)
  transformers.utils.logging.set_verbosity_error()
  with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
    warnings.simplefilter("ignore")
    config = transformers.AutoConfig.from_pretrained(directory)
    model = transformers.AutoModelForCausalLM.from_config(
      config, attn_implementation="eager", dtype=torch.float32
    ).eval()
    _randomise(model)
    with torch.no_grad():
      # Without a cache, which `layer_types` shape where the layers ignore them.
      logits = model(
        torch.tensor(text.astype(np.int64)), return_dict=True, use_cache=False
      ).logits.numpy()
    model.save_pretrained(directory)
  return logits


def _randomise(model: Any) -> None:
  """Draws weights, of norms about their first values (0 in Gemma, else 1).

  With norms about 1 in Gemma, which adds 1 to them, rounding alone grows to 2e-4.
  """
  generator = torch.Generator().manual_seed(0)
  with torch.no_grad():
    for name, weight in model.named_parameters():
      is_norm = weight.ndim == 1 and name.endswith("weight")
      noise = 0.3 * torch.randn(weight.shape, generator=generator)
      weight.copy_(weight + noise if is_norm else noise)


def _write_config(directory: pathlib.Path, fields: Mapping[str, Any]) -> None:
  (directory / "config.json").write_text(json.dumps(fields), encoding="utf-8")


def _refused(
  fields: Mapping[str, Any], message: str, their_error: str | None
) -> Parity:
  """A refusal here, which has to name a field."""
  names = {*fields, *PUBLISHED[fields["model_type"]].fields, "factor"}
  for value in fields.values():
    for inner in (value, *(value.values() if isinstance(value, dict) else ())):
      names |= set(inner) if isinstance(inner, dict) else set()
  named = [name for name in names if name in message]
  if not named:
    return Parity(DIFFERENT, reason=f"refused without a field: {message}")
  field = min(named, key=lambda name: (message.index(name), -len(name)))
  outcome = "refused" if their_error is None else "refused by both"
  reason = message if their_error is None else f"{message} | {their_error}"
  return Parity(outcome, field=field, reason=reason)
