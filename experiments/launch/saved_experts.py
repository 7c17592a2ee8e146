"""From an experts file back to the model and the members that it names."""

import pathlib

from absl import flags

from experiments import launch
from thickets.errors import UserError
from thickets.generation.decoding import Decoding
from thickets.generation.sampling import Sampling
from thickets.models import hub, transformer
from thickets.runs import experts
from thickets.runs.experts import Experts
from thickets.runs.json_files import JsonObject


def define_experts_flags(binary: launch.BinaryFlags) -> None:
  """Declares the flags from which `load_named` loads."""
  flags.DEFINE_string(
    "experts",
    None,
    "The experts.json of a run.",
    flag_values=binary.values,
  )
  flags.DEFINE_string(
    "model",
    None,
    "Directory or hub id of the base, if it is not where the run had it.",
    flag_values=binary.values,
  )


def load_named(binary: launch.BinaryFlags) -> tuple[hub.Model, Experts]:
  """Loads what the flags name, and checks that it belongs together.

  JAX is configured as it was for the search, so that members and answers are
  the same.

  Raises:
    UserError: if a file is missing or wrong, or the base is another.
  """
  path, name = binary.values["experts"].value, binary.values["model"].value
  if not path:
    raise UserError("--experts must name the experts.json of a run, got none.")
  launch.configure_jax()
  source = _read_source(pathlib.Path(path))
  revision = None if name else source["revision"]
  model = hub.load(
    name or source["name"], revision=revision, dtype=source["dtype"]
  )
  chosen = experts.load_experts(
    path,
    model.params,
    names=transformer.tensor_names(model.params),
    identity=model.identity,
  )
  return model, chosen


def read_decoding(fields: JsonObject) -> Decoding:
  """Reads back what `Decoding.describe` wrote."""
  return Decoding(
    max_new_tokens=fields["max_new_tokens"],
    sampling=Sampling(**fields["sampling"]),
    stop_tokens=tuple(fields["stop_tokens"]),
    stop_strings=tuple(fields["stop_strings"]),
    num_tokens=fields["num_tokens"],
  )


def _read_source(path: pathlib.Path) -> JsonObject:
  fields = experts.read_fields(path)
  try:
    source = fields["base"]["source"]
    return {key: source[key] for key in ("name", "revision", "dtype")}
  except (KeyError, TypeError) as error:
    raise UserError(
      f"{path} does not say which language model it belongs to. It must be"
      " written by experiments.randopt."
    ) from error
