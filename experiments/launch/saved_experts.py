"""From an experts file back to the model and the members that it names."""

import pathlib
from typing import Any

import jax
from absl import flags

from experiments import launch
from thickets.errors import UserError
from thickets.generation.decoding import Decoding
from thickets.generation.sampling import Sampling
from thickets.models import hub, transformer
from thickets.runs import experts
from thickets.runs.experts import Experts

EXPERTS = flags.DEFINE_string("experts", None, "experts.json of a run.")
_MODEL = flags.DEFINE_string(
  "model", None, "Directory or hub id of the base, if not where the run had it."
)


def load_experts() -> tuple[hub.Model, Experts]:
  """Loads what the flags name, and checks that it belongs together.

  Raises:
    UserError: if a file is missing or wrong, or the base is another.
  """
  if not EXPERTS.value:
    raise UserError("--experts must name the experts.json of a run, got none.")
  source = _read_source(pathlib.Path(EXPERTS.value))
  name, revision = source["name"], source["revision"]
  if _MODEL.value:
    name, revision = _MODEL.value, None
  model = hub.load(name, revision=revision, dtype=source["dtype"])
  chosen = experts.load_experts(
    EXPERTS.value,
    model.params,
    names=transformer.tensor_names(model.params),
    identity=model.identity,
  )
  return model, chosen


def read_decoding(fields: dict[str, Any]) -> Decoding:
  """Reads back what `Decoding.describe` wrote."""
  return Decoding(
    max_new_tokens=fields["max_new_tokens"],
    sampling=Sampling(**fields["sampling"]),
    stop_tokens=tuple(fields["stop_tokens"]),
    stop_strings=tuple(fields["stop_strings"]),
    num_tokens=fields["num_tokens"],
  )


def start() -> None:
  """Configures JAX as the search did, for the same members and answers."""
  launch.configure_jax()
  jax.devices()


def _read_source(path: pathlib.Path) -> dict[str, Any]:
  fields = experts.read_fields(path)
  try:
    source = fields["base"]["source"]
    return {key: source[key] for key in ("name", "revision", "dtype")}
  except (KeyError, TypeError) as error:
    raise UserError(
      f"{path} does not say which language model it belongs to. It must be"
      " written by experiments.randopt."
    ) from error
