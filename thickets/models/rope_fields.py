"""The rotary embeddings that a config.json asks for, in whichever spelling.

Up to transformers 4 they were `rope_theta` and `rope_scaling`, whose kind was its
`type`, later its `rope_type`; from 5 on they are `rope_parameters`, for all
layers or by type of layer. Files mix them. What transformers 5 reads:

- `rope_scaling` in place of `rope_parameters` (of classes with a theta for each
  type of layer: on top of those of full attention);
- `rope_type` before `type`;
- `rope_theta` within the parameters before the one outside, before the class's;
- `original_max_position_embeddings` outside before the one within, before
  `max_position_embeddings`.

The same is read here, except that values which disagree are refused.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from absl import logging

from thickets.errors import UserError
from thickets.models.layer_types import FULL, SLIDING
from thickets.models.published_classes import PublishedClass

_SPELLINGS = ("rope_scaling", "rope_parameters")
_LENGTH = "original_max_position_embeddings"
_KINDS = ("type", "rope_type")
# Which are read with any kind of scaling.
_READ = (*_KINDS, "rope_theta", "partial_rotary_factor")

_REQUIRED = object()

# What each kind of scaling reads, and what it is where the file does not say.
_STRETCHED: dict[str, Any] = {"factor": _REQUIRED, _LENGTH: None}
_PARAMETERS: dict[str, dict[str, Any]] = {
  "default": {},
  "linear": {"factor": _REQUIRED},
  "llama3": {
    **_STRETCHED,
    "low_freq_factor": _REQUIRED,
    "high_freq_factor": _REQUIRED,
  },
  "yarn": {
    **_STRETCHED,
    "attention_factor": None,
    "beta_fast": None,
    "beta_slow": None,
    "mscale": None,
    "mscale_all_dim": None,
    "truncate": True,
  },
}
# Which say the same by 0 as by being absent.
_MAY_BE_ZERO = ("mscale", "mscale_all_dim")


_MAX_NUMBER = 1e30  # Far beyond any that is meant; products of two are finite.


def is_number(value: Any) -> TypeGuard[float]:
  """Whether a value of a config.json is a finite number, true being none."""
  is_number = isinstance(value, int | float) and not isinstance(value, bool)
  return is_number and abs(value) < _MAX_NUMBER


def read_rope(
  fields: Mapping[str, Any], published: PublishedClass
) -> dict[str, dict[str, Any]]:
  """Reads the parameters of each type of layer that a model has.

  Args:
    fields: the fields of a config.json, with the defaults of the class and with
      `layer_types`.
    published: the class that the file was written for.

  Returns:
    By type of layer: `rope_type`, `rope_theta`, and what this kind of scaling
    reads. Where the file does not say, `original_max_position_embeddings` is
    `max_position_embeddings`, and YaRN's `factor` their ratio.

  Raises:
    UserError: if the scaling is not supported, a parameter is missing or no
      number, or two spellings disagree.
  """
  for name in _SPELLINGS:
    if not isinstance(fields.get(name) or {}, Mapping):
      raise UserError(
        f"{name} must be an object with parameters, got {fields[name]!r}."
      )
  read = _read_for_all if "" in published.thetas else _read_by_type
  parameters = read(fields, published)
  return {
    name: _complete(parameters[name], fields, is_shared="" in published.thetas)
    for name in dict.fromkeys(fields["layer_types"])
  }


def find_context(fields: Mapping[str, Any]) -> int:
  """How many positions a model was made for, with its embedding stretched.

  `max_position_embeddings` may be the length before the stretch or after it.

  Args:
    fields: what `config_fields.read_fields` returns, with `rope_parameters`.
  """
  context = fields["max_position_embeddings"]
  for parameters in fields["rope_parameters"].values():
    if parameters["rope_type"] == "yarn":
      stretched = parameters["factor"] * parameters[_LENGTH]
      context = max(context, int(stretched))
  return context


def _read_for_all(
  fields: Mapping[str, Any], published: PublishedClass
) -> dict[str, dict[str, Any]]:
  """Reads the parameters that all layers share."""
  for name in _SPELLINGS:
    for key in fields.get(name) or {}:
      if key in (FULL, SLIDING):
        raise UserError(
          f"{name} of a {fields['model_type']} model must be one set of"
          f" parameters, got one for {key}. Write the parameters themselves."
        )
  old, new = (dict(fields.get(name) or {}) for name in _SPELLINGS)
  winner = "rope_scaling" if old else "rope_parameters"
  parameters = old or new
  theta = _find_theta(
    [(f"rope_theta of {winner}", parameters), ("rope_theta", fields)],
    published.thetas[""],
  )
  if old:
    _refuse_if_lost(old | {"rope_theta": theta}, new)
  parameters["rope_theta"] = theta
  return {name: dict(parameters) for name in (FULL, SLIDING)}


def _read_by_type(
  fields: Mapping[str, Any], published: PublishedClass
) -> dict[str, dict[str, Any]]:
  """Reads the parameters of a class with a theta for each type of layer."""
  family = fields["model_type"]
  given = dict(fields.get("rope_parameters") or {})
  for key, parameters in given.items():
    if key not in (FULL, SLIDING):
      raise UserError(
        f"rope_parameters of a {family} model must be by type of layer"
        f" ({FULL}, {SLIDING}), got {key!r} outside of them."
      )
    if parameters is not None and not isinstance(parameters, Mapping):
      raise UserError(
        f"{key} in rope_parameters of a {family} model must be an object of"
        f" parameters, got {parameters!r}. Correct config.json."
      )
  read = {name: dict(given.get(name) or {}) for name in (FULL, SLIDING)}
  old = fields.get("rope_scaling")
  if old is not None:
    if fields.get("rope_parameters") is not None and not read[FULL]:
      raise UserError(
        f"rope_parameters must have {FULL} where rope_scaling is given too, got"
        " none. Write all parameters into rope_parameters, and remove"
        " rope_scaling."
      )
    _refuse_if_lost(read[FULL] | old, read[FULL])
    read[FULL] |= old
    # So that `type` alone is refused, which transformers does not see here.
    read[FULL].setdefault("rope_type", "default")
  for name, parameters in read.items():
    sources = [(f"rope_theta of {name} in rope_parameters", parameters)]
    outside = published.theta_fields.get(name)
    if outside is not None and outside in fields:
      sources.append((outside, {"rope_theta": fields[outside]}))
    parameters["rope_theta"] = _find_theta(sources, published.thetas[name])
  if SLIDING not in published.theta_fields and SLIDING in fields["layer_types"]:
    _refuse_shared_theta(fields, read[SLIDING]["rope_theta"])
  return read


def _refuse_shared_theta(fields: Mapping[str, Any], theta: float) -> None:
  """Refuses a theta that transformers 4 gives to all layers, and 5 does not."""
  if "rope_theta" in fields and fields["rope_theta"] != theta:
    raise UserError(
      f"rope_theta of a {fields['model_type']} model must be {theta} where"
      f" layers slide, got {fields['rope_theta']}: versions of transformers"
      " differ in whether those layers have it too. Write a rope_theta for each"
      " type of layer into rope_parameters."
    )


def _refuse_if_lost(
  read: Mapping[str, Any], replaced: Mapping[str, Any]
) -> None:
  """Refuses `rope_parameters` that `rope_scaling` replaces with others."""
  for key, value in replaced.items():
    if key in _KINDS:
      found = read.get("rope_type", read.get("type", "default"))
      if value == "default":  # No other scaling is lost.
        continue
    else:
      found = read.get(key)
    if found != value:
      raise UserError(
        "rope_scaling and rope_parameters must agree, as transformers reads"
        f" the first in place of the second, got {key} {found!r} and"
        f" {value!r}. Write all parameters into rope_parameters, and remove"
        " rope_scaling."
      )


def _find_theta(
  sources: Sequence[tuple[str, Mapping[str, Any]]], default: float | None
) -> float:
  """The theta that all sources agree on, or the default where there is none.

  A default of None stands for classes whose own is that of another model.
  """
  found = [
    (name, source["rope_theta"])
    for name, source in sources
    if "rope_theta" in source
  ]
  for name, theta in found:
    # From 1 on: YaRN divides by its logarithm.
    if not is_number(theta) or theta <= 1:
      raise UserError(f"{name} must be a number above 1, got {theta!r}.")
  _check_equal(found)
  if found:
    return found[0][1]
  if default is None:
    raise UserError(
      "rope_theta must be given, got none. Use the config.json that was published"
      " with the weights."
    )
  return default


def _check_equal(found: Sequence[tuple[str, Any]]) -> None:
  """Refuses spellings of one field whose values differ."""
  for name, value in found[1:]:
    if value != found[0][1]:
      raise UserError(
        f"{found[0][0]} and {name} must agree, got {found[0][1]!r} and"
        f" {value!r}. Remove the wrong one."
      )


def _complete(
  parameters: Mapping[str, Any], fields: Mapping[str, Any], *, is_shared: bool
) -> dict[str, Any]:
  """The parameters that a kind of scaling reads, checked, with defaults."""
  _check_equal([(key, parameters[key]) for key in _KINDS if key in parameters])
  kind = parameters.get("rope_type", parameters.get("type", "default"))
  if not isinstance(kind, str) or kind not in _PARAMETERS:
    raise UserError(
      f"rope_type must be one of {sorted(_PARAMETERS)}, got {kind!r}. Other"
      " scalings are not supported."
    )
  for source in (parameters, fields):
    partial = source.get("partial_rotary_factor", 1)
    if partial != 1 and not (partial is None and source is fields):
      raise UserError(f"partial_rotary_factor must be 1, got {partial}.")
  read = {"rope_type": kind, "rope_theta": parameters["rope_theta"]}
  unread = parameters.keys() - {*_PARAMETERS[kind], *_READ}
  if unread:
    logging.warning(
      "%s beside rope_type %r is not read, as in transformers; other programs may"
      " compute with it",
      ", ".join(f"{key}={parameters[key]!r}" for key in sorted(unread)),
      kind,
    )
  for key, default in _PARAMETERS[kind].items():
    read[key] = parameters.get(key, default)
    if read[key] is _REQUIRED:
      raise UserError(
        f"{key} must be a number for rope_type {kind!r}, got none. Use the"
        " config.json that was published with the weights."
      )
  if _LENGTH in read:
    _fill_in_length(read, parameters, fields, is_shared=is_shared)
  _check_numbers(read, is_shared=is_shared)
  return read


def _fill_in_length(
  read: dict[str, Any],
  parameters: Mapping[str, Any],
  fields: Mapping[str, Any],
  *,
  is_shared: bool,
) -> None:
  """Adds the length before the stretch, and YaRN's factor where it is null."""
  outside = (f"{_LENGTH} outside of the rotary parameters", fields.get(_LENGTH))
  if _LENGTH in parameters:
    length = (f"{_LENGTH} within them", parameters[_LENGTH])
  elif _LENGTH in fields and is_shared:
    length = outside
  else:  # Classes with parameters by type of layer read none outside of them.
    context = fields["max_position_embeddings"]
    length = ("max_position_embeddings, its default,", context)
  if _LENGTH in fields:
    _check_equal([outside, length])
  if not is_number(length[1]) or length[1] <= 0:
    raise UserError(f"{_LENGTH} must be a number above 0, got {length[1]!r}.")
  read[_LENGTH] = length[1]
  if read["rope_type"] == "yarn" and read["factor"] is None:
    read["factor"] = fields["max_position_embeddings"] / length[1]


def _check_numbers(read: Mapping[str, Any], *, is_shared: bool) -> None:
  """Refuses parameters of other types, or that cannot be computed with."""
  kind = read["rope_type"]
  for key, value in read.items():
    if key in ("rope_type", "truncate"):
      continue
    may_be_null = _PARAMETERS[kind].get(key, _REQUIRED) is None
    if value is None and may_be_null:
      continue
    if key in _MAY_BE_ZERO and value == 0 and is_number(value):
      continue
    if not is_number(value) or value <= 0:
      raise UserError(
        f"{key} must be a number above 0 for rope_type {kind!r}, got {value!r}."
      )
  if kind == "llama3" and read["high_freq_factor"] <= read["low_freq_factor"]:
    raise UserError(
      f"high_freq_factor ({read['high_freq_factor']}) must be above"
      f" low_freq_factor ({read['low_freq_factor']})."
    )
  if not read.get("truncate", True) and not is_shared:
    raise UserError(
      "truncate must be true where parameters are by type of layer, got"
      f" {read['truncate']!r}: transformers does not read it there."
    )
