"""Random rotary embeddings in a config.json, in all spellings that it knows."""

import random
from typing import Any

_LENGTH = "original_max_position_embeddings"
_TYPES = ("full_attention", "sliding_attention")


def draw_shared(rng: random.Random, fields: dict[str, Any]) -> None:
  """Draws for a class whose layers all turn alike; sets fields in place."""
  parameters = _draw_parameters(rng, fields)
  _place_theta(rng, fields, parameters, (10_000.0, 500_000.0, 10_000))
  which = rng.random()
  if which < 0.45:
    fields["rope_scaling"] = parameters
    _add_empty(rng, fields, "rope_parameters")
  elif which < 0.8:
    fields["rope_parameters"] = parameters
    _add_empty(rng, fields, "rope_scaling")
  elif which < 0.94:
    _spell_twice(rng, fields, parameters)
  elif which < 0.95:
    fields["rope_parameters"] = {name: dict(parameters) for name in _TYPES}


def draw_by_type(rng: random.Random, fields: dict[str, Any]) -> None:
  """Draws for a class with parameters by type of layer."""
  parameters = _draw_parameters(rng, fields)
  thetas = (500_000.0, 500_000, 500_000.0, 10_000.0)
  which = rng.random()
  if which < 0.45:
    parameters.pop("type", None)  # Which is not read: see `rope_fields`.
    _place_theta(rng, fields, parameters, thetas)
    fields["rope_scaling"] = parameters
    return
  by_type = {name: _draw_parameters(rng, fields) for name in _TYPES}
  for of_type in by_type.values():
    _place_theta(rng, {}, of_type, (500_000.0, 10_000.0))
  if rng.random() < 0.15:
    by_type[rng.choice(_TYPES)] = None  # pyright: ignore
  elif rng.random() < 0.15:
    del by_type[rng.choice(_TYPES)]
  if which < 0.85:
    fields["rope_parameters"] = by_type
  elif which < 0.9:
    fields["rope_parameters"] = parameters
  if which > 0.9:
    fields["rope_theta"] = rng.choice(thetas)
  if rng.random() < 0.06:
    fields["rope_scaling"] = parameters


def _draw_parameters(
  rng: random.Random, fields: dict[str, Any]
) -> dict[str, Any]:
  """The parameters of one kind of scaling, the kind in one of its spellings."""
  kinds = ("default", "linear", "llama3", "yarn")
  odd = ("dynamic", "longrope", "mrope", "su", None)
  kind = rng.choice(kinds if rng.random() < 0.96 else odd)
  parameters: dict[str, Any] = {}
  if kind != "default" or rng.random() < 0.6:
    keys = rng.choice((["type"], ["rope_type"], ["type", "rope_type"]))
    parameters |= dict.fromkeys(keys, kind)
    if rng.random() < 0.02:
      parameters["type"] = "linear"
  if kind != "default" or rng.random() < 0.2:
    parameters["factor"] = rng.choice((2.0, 4, 8.0))
  if kind == "llama3":
    parameters |= {"low_freq_factor": 1.0, "high_freq_factor": 4.0}
  if kind == "yarn":
    _draw_yarn(rng, parameters)
  if kind in ("llama3", "yarn") or rng.random() < 0.1:
    _place_length(rng, fields, parameters)
  if rng.random() < 0.03:
    parameters["partial_rotary_factor"] = rng.choice((1.0, 0.5))
  if parameters and rng.random() < 0.03:
    del parameters[rng.choice(sorted(parameters))]
  return parameters


def _draw_yarn(rng: random.Random, parameters: dict[str, Any]) -> None:
  for name, values in {
    "attention_factor": (1.2, None),
    "beta_fast": (32, 8.0, None),
    "beta_slow": (1, 2.0),
    "mscale": (1.0, 0.7),
    "mscale_all_dim": (1.0, 0.5, 0),
    "truncate": (True, False),
  }.items():
    if rng.random() < 0.25:
      parameters[name] = rng.choice(values)
  if rng.random() < 0.08:
    parameters["factor"] = None


def _place_length(
  rng: random.Random, fields: dict[str, Any], parameters: dict[str, Any]
) -> None:
  """Puts the length before the stretch inside, outside, both, or nowhere."""
  length = rng.choice((16, 32, fields["max_position_embeddings"]))
  which = rng.random()
  if which < 0.7:
    parameters[_LENGTH] = length
  if 0.55 < which < 0.85:
    fields[_LENGTH] = length
  if rng.random() < 0.02:
    fields[_LENGTH] = 24


def _place_theta(
  rng: random.Random,
  fields: dict[str, Any],
  parameters: dict[str, Any],
  thetas: tuple[float, ...],
) -> None:
  """Puts theta inside, outside, both, or nowhere."""
  theta = rng.choice(thetas)
  which = rng.random()
  if which < 0.5:
    parameters["rope_theta"] = theta
  if 0.35 < which < 0.85:
    fields["rope_theta"] = theta
  if rng.random() < 0.02:
    fields["rope_theta"] = rng.choice((1000.0, None, "10000"))


def _add_empty(rng: random.Random, fields: dict[str, Any], name: str) -> None:
  if rng.random() < 0.3:
    fields[name] = rng.choice((None, {}))


def _spell_twice(
  rng: random.Random, fields: dict[str, Any], parameters: dict[str, Any]
) -> None:
  """Both spellings: the same, one without scaling, or two that disagree."""
  other = dict(parameters)
  which = rng.random()
  if which < 0.7:
    other = {"rope_type": "default"}
    if "rope_theta" in parameters or rng.random() < 0.5:
      other["rope_theta"] = parameters.get("rope_theta", 10_000.0)
  elif which < 0.8:
    other["factor"] = 3.0
  fields["rope_scaling"], fields["rope_parameters"] = parameters, other
  if rng.random() < 0.2:
    fields["rope_scaling"], fields["rope_parameters"] = other, parameters
