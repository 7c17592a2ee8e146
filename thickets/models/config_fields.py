"""The fields of a config.json in one spelling, as its published class reads them.

A config.json may say one thing in several fields: versions of transformers have
renamed some, and classes have names of their own for others. Where two of them
say different things, the file is refused: which of them decides has changed
between versions, and the numbers would be those of another model.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeGuard

from thickets.errors import UserError
from thickets.models import layer_types, rope_fields
from thickets.models.config import ACTIVATIONS
from thickets.models.published_classes import (
  NEUTRAL,
  PUBLISHED,
  Field,
  PublishedClass,
)

# Functions with more than one name, by the names that are not used here.
_ACTIVATION_ALIASES = {
  "swish": "silu",
  "gelu_python": "gelu",
  "gelu_fast": "gelu_new",
  "gelu_accurate": "gelu_new",
  "gelu_python_tanh": "gelu_pytorch_tanh",
}
_ACTIVATION_FIELDS = (
  "hidden_act",
  "hidden_activation",
  "activation_function",
)


def read_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
  """Spells the fields of a config.json in one way.

  Args:
    fields: the contents of the config.json of a family of `PUBLISHED`, as any
      version of transformers writes them.

  Returns:
    The fields that the class reads, with its defaults; of rotary families,
    `head_dim`, `num_key_value_heads`, `layer_types` (a list), `sliding_window`
    (None where no layer slides) and `rope_parameters` (by type of layer, see
    `rope_fields.read_rope`) are always there. Other fields stay as they are.

  Raises:
    UserError: if a field has another type, is not supported, or is spelled in two
      ways that disagree.
  """
  published = PUBLISHED[fields["model_type"]]
  _refuse_features(fields, published)
  read = _merge_aliases(fields, published)
  for name, field in published.fields.items():
    read[name] = read_field(name, field, read, fields["model_type"])
  for name in _ACTIVATION_FIELDS:
    if name in published.fields:
      read[name] = _read_activation(name, read[name])
  _check_unread(fields, published, read["vocab_size"])
  if published.divides_width:
    _check_heads(read, published)
  if published.thetas:
    _fill_in_rotary(read, published)
  return read


def _refuse_features(
  fields: Mapping[str, Any], published: PublishedClass
) -> None:
  """Refuses fields that change what is computed in ways we do not have."""
  for name, values in {**NEUTRAL, **published.neutral}.items():
    if name in fields and fields[name] not in values:
      raise UserError(
        f"{name} must be {values[0]} for {fields['model_type']}, got"
        f" {fields[name]!r}. Other values are not supported."
      )


def _merge_aliases(
  fields: Mapping[str, Any], published: PublishedClass
) -> dict[str, Any]:
  """Gives each field the name that the class has for it."""
  merged = {
    name: value
    for name, value in fields.items()
    if name not in published.aliases
  }
  for alias, name in published.aliases.items():
    if alias not in fields:
      continue
    if merged.setdefault(name, fields[alias]) != fields[alias]:
      raise UserError(
        f"{name} and {alias} must agree, as they are one field of"
        f" {fields['model_type']}, got {merged[name]!r} and"
        f" {fields[alias]!r}. Remove the wrong one."
      )
  return merged


def _is_integer(value: Any) -> TypeGuard[int]:
  return isinstance(value, int) and not isinstance(value, bool)


def _is_ids(value: Any) -> bool:
  ids = value if isinstance(value, list) else [value]
  return all(map(_is_integer, ids))


def _is_size(value: Any) -> bool:
  return _is_integer(value) and 1 <= value < 2**31


is_number = rope_fields.is_number
_MAX_LAYERS = 10_000  # More than any model has; each takes an entry of a list.

# What values of a field may be, and the words for it.
KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
  "size": (_is_size, "an integer from 1 to 2147483647"),
  "depth": (
    lambda x: _is_size(x) and x <= _MAX_LAYERS,
    f"an integer from 1 to {_MAX_LAYERS}",
  ),
  "count": (
    lambda x: (x == 0 and _is_integer(x)) or _is_size(x),
    "an integer from 0 to 2147483647",
  ),
  "integer": (_is_integer, "an integer"),
  "ids": (_is_ids, "an integer or a list of integers"),
  "number": (is_number, "a number"),
  "amount": (lambda x: is_number(x) and x >= 0, "a number from 0 on"),
  "share": (lambda x: is_number(x) and 0 <= x <= 1, "a number from 0 to 1"),
  "divisor": (lambda x: is_number(x) and x != 0, "a number other than 0"),
  "flag": (lambda x: isinstance(x, bool), "true or false"),
  "text": (lambda x: isinstance(x, str), "text"),
  "list": (lambda x: isinstance(x, list), "a list"),
  "integers": (
    lambda x: isinstance(x, list) and all(map(_is_integer, x)),
    "a list of integers",
  ),
}


def read_field(
  name: str, field: Field, fields: Mapping[str, Any], family: str
) -> Any:
  """A field's value or default, of the type that the class accepts.

  Args:
    name: its name.
    field: what it may be.
    fields: the fields that it is one of.
    family: whose fields these are, for messages.

  Raises:
    UserError: if it has another type, or is missing where it must not be.
  """
  if name not in fields:
    if field.is_required:
      raise UserError(
        f"{name} of a {family} model must be given, got none. Use the config.json"
        " that was published with the weights."
      )
    return field.default
  value = fields[name]
  if value is None and field.may_be_null:
    return None
  is_right, what = KINDS[field.kind]
  if not is_right(value):
    raise UserError(
      f"{name} of a {family} model must be {what}, got {value!r}. Correct"
      " config.json."
    )
  return value


def _check_unread(
  fields: Mapping[str, Any], published: PublishedClass, vocab_size: int
) -> None:
  """Refuses values of other fields that the class refuses.

  Such a file does not load in transformers, nor would a model that is exported
  with it.
  """
  family = fields["model_type"]
  read = {
    name: read_field(name, field, fields, family)
    for name, field in published.unread.items()
  }
  # The class of GPT-2 does not give it to its embedding.
  pad = None if family == "gpt2" else read["pad_token_id"]
  if pad is not None and not -vocab_size <= pad < vocab_size:
    raise UserError(
      f"pad_token_id of a {family} model must lie within the vocabulary of"
      f" {vocab_size} tokens, got {pad}"
      f"{'' if 'pad_token_id' in fields else ', the default of its class'}."
      " Write null where there is none."
    )


def _read_activation(name: str, activation: str) -> str:
  """The name that is used here of a function with several."""
  activation = _ACTIVATION_ALIASES.get(activation, activation)
  if activation not in ACTIVATIONS:
    raise UserError(
      f"{name} must be one of {list(ACTIVATIONS)}, got {activation!r}. Other"
      " functions are not supported."
    )
  return activation


def _check_heads(fields: Mapping[str, Any], published: PublishedClass) -> None:
  """Refuses widths that the class refuses, whatever its head_dim."""
  width, heads = (
    published.aliases.get(name, name)
    for name in ("hidden_size", "num_attention_heads")
  )
  if fields[width] % fields[heads]:
    raise UserError(
      f"{width} ({fields[width]}) must be a multiple of {heads}"
      f" ({fields[heads]})."
    )


def _fill_in_rotary(fields: dict[str, Any], published: PublishedClass) -> None:
  """Adds what families with rotary positions derive from other fields."""
  num_heads = fields["num_attention_heads"]
  if fields["head_dim"] is None:
    fields["head_dim"] = fields["hidden_size"] // num_heads
  if fields["num_key_value_heads"] is None:
    fields["num_key_value_heads"] = num_heads
  fields["layer_types"], fields["sliding_window"] = (
    layer_types.read_layer_types(
      fields,
      published.layer_rule,
      reads_layer_types=published.reads_layer_types,
    )
  )
  fields["rope_parameters"] = rope_fields.read_rope(fields, published)
