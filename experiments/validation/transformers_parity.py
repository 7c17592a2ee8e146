"""One config.json read by transformers and here: do the same logits come out?"""

import contextlib
import dataclasses
import io
import json
import pathlib
import tempfile
import unittest.mock
import warnings
import zlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
import transformers

from experiments.validation import refusals
from experiments.validation.random_configs import NUM_TOKENS
from thickets.errors import UserError
from thickets.models import hub, transformer

TOLERANCE = 1e-4  # Of logits.
AGREED, ROUNDED, DIFFERENT = "agreed", "rounded", "DIFFERENT"
OUTCOMES = (AGREED, ROUNDED, "refused", "refused by both", DIFFERENT)
_NUM_ROWS = 2


@dataclasses.dataclass(frozen=True)
class Parity:
  """What came of one config.json.

  Attributes:
    outcome: one of `OUTCOMES`; a refusal here alone has to name a field. In
      "rounded" ones logits differ by `TOLERANCE` or more, but ours are as near to
      those of float64: within `TOLERANCE`, or twice as far as theirs at most.
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
    model = theirs = loaded = their_error = None
    try:
      model, theirs = _run_theirs(directory, fields, text)
    except Exception as error:  # Of whatever kind: it refuses the file.
      their_error = f"{type(error).__name__}: {error}".replace("\n", " ")
    _write_config(directory, fields)
    try:
      if theirs is None:
        hub.make_model(fields, jnp.asarray([0, 0], jnp.uint32))
      else:
        loaded = hub.load(directory)
    except UserError as error:
      return _refused(fields, str(error), their_error)
    if theirs is None or loaded is None:
      return Parity(DIFFERENT, reason=f"only transformers: {their_error}")
    with jax.disable_jit():  # One operation at a time: no program is compiled.
      ours = transformer.apply(
        loaded.config, loaded.params, jnp.asarray(text, jnp.int32)
      )
  difference = _distance(ours, theirs)
  if difference < TOLERANCE:  # Not of NaN.
    return Parity(AGREED, difference)
  exact = _run_exactly(model, text)
  our_error, their_error = _distance(ours, exact), _distance(theirs, exact)
  if our_error <= max(TOLERANCE, 2 * their_error):
    return Parity(ROUNDED, difference)
  reason = (
    f"logits differ; from float64 by {our_error:.2g} and {their_error:.2g}"
  )
  return Parity(DIFFERENT, difference, reason=reason)


def _distance(a: Any, b: Any) -> float:
  return float(np.abs(np.asarray(a, np.float64) - np.asarray(b)).max())


def _run_theirs(
  directory: pathlib.Path, fields: Mapping[str, Any], text: np.ndarray
) -> tuple[Any, np.ndarray]:
  """Makes their model with random weights, saves it, and returns its logits."""
  _write_config(directory, fields)
  transformers.utils.logging.set_verbosity_error()
  with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
    warnings.simplefilter("ignore")
    config = transformers.AutoConfig.from_pretrained(directory)
    model = transformers.AutoModelForCausalLM.from_config(
      config, attn_implementation="eager", dtype=torch.float32
    ).eval()
    _randomise(model, zlib.crc32(json.dumps(fields).encode()))
    logits = _run(model, text)
    model.save_pretrained(directory)
  return model, logits


def _run(model: Any, text: np.ndarray) -> np.ndarray:
  """The logits of their model."""
  with torch.no_grad():
    # Without a cache, which `layer_types` shape where the layers ignore them.
    return model(
      torch.tensor(text.astype(np.int64)), return_dict=True, use_cache=False
    ).logits.numpy()


def _run_exactly(model: Any, text: np.ndarray) -> np.ndarray:
  """The logits of their model in float64; the model stays in float64.

  Its norms and softmax are written to compute in float32, whose name means
  float64 meanwhile.
  """
  with (
    unittest.mock.patch.object(torch, "float32", torch.float64),
    unittest.mock.patch.object(torch, "float", torch.float64),
    unittest.mock.patch.object(torch.Tensor, "float", torch.Tensor.double),
  ):
    return _run(model.double(), text)


def _randomise(model: Any, seed: int) -> None:
  """Draws weights, of norms about 1, or about 0 where they begin with that.

  Those of Gemma begin with 0, as it adds 1 to them.
  """
  generator = torch.Generator().manual_seed(seed)
  is_raised = seed % 2 == 0
  with torch.no_grad():
    for name, weight in model.named_parameters():
      is_norm = weight.ndim == 1 and name.endswith("weight")
      noise = 0.3 * torch.randn(weight.shape, generator=generator)
      if is_norm:
        noise += torch.ones_like(weight) if is_raised else weight
      weight.copy_(noise)


def _write_config(directory: pathlib.Path, fields: Mapping[str, Any]) -> None:
  (directory / "config.json").write_text(json.dumps(fields), encoding="utf-8")


def _refused(
  fields: Mapping[str, Any], message: str, their_error: str | None
) -> Parity:
  """A refusal here, which has to name a field."""
  field = refusals.find_field(message, fields)
  if field is None:
    return Parity(DIFFERENT, reason=f"refused without a field: {message}")
  outcome = "refused" if their_error is None else "refused by both"
  reason = message if their_error is None else f"{message} | {their_error}"
  return Parity(outcome, field=field, reason=reason)
