"""Which layers of a model slide, by the rules of the published classes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from thickets.errors import UserError

FULL, SLIDING = "full_attention", "sliding_attention"
_OLD_NAMES = {"attention": FULL}

# Maps a config.json's fields and its window to the type of each layer.
LayerRule = Callable[[Mapping[str, Any], int | None], list[str]]


def read_layer_types(
  fields: Mapping[str, Any], rule: LayerRule, *, reads_layer_types: bool
) -> tuple[list[str], int | None]:
  """Reads the type of each layer, and the window of those that slide.

  Args:
    fields: the fields of a config.json, with the defaults of the class.
    rule: what the class does where `layer_types` does not say.
    reads_layer_types: whether the class reads `layer_types` at all.

  Returns:
    [L] `full_attention` or `sliding_attention`, and the window or None.

  Raises:
    UserError: if `layer_types` does not fit the layers, or no window is set.
  """
  window = fields.get("sliding_window")
  if not fields.get("use_sliding_window", True):
    window = None
  types = _check_types(fields)
  if types is None or not reads_layer_types:
    types = rule(fields, window)
  if SLIDING in types and window is None:
    raise UserError(
      "sliding_window must be set (and use_sliding_window not be false) for"
      f" layers of {SLIDING}, got sliding_window"
      f" {fields.get('sliding_window')} and use_sliding_window"
      f" {fields.get('use_sliding_window')}. Set them, or write {FULL} into"
      " layer_types."
    )
  return list(types), window


def all_full(fields: Mapping[str, Any], window: int | None) -> list[str]:
  """All layers see everything."""
  del window
  return [FULL] * fields["num_hidden_layers"]


def slide_from_a_layer_on(
  fields: Mapping[str, Any], window: int | None
) -> list[str]:
  """Layers slide from `max_window_layers` on, if there is a window."""
  first = fields["max_window_layers"]
  return [
    SLIDING if window is not None and layer >= first else FULL
    for layer in range(fields["num_hidden_layers"])
  ]


def every_fourth_full(
  fields: Mapping[str, Any], window: int | None
) -> list[str]:
  """Every fourth layer sees everything; the others slide."""
  del window
  return [
    FULL if layer % 4 == 3 else SLIDING
    for layer in range(fields["num_hidden_layers"])
  ]


def every_nth_full(fields: Mapping[str, Any], window: int | None) -> list[str]:
  """Every layer of number `sliding_window_pattern` sees everything."""
  del window
  return [
    SLIDING if (layer + 1) % fields["sliding_window_pattern"] else FULL
    for layer in range(fields["num_hidden_layers"])
  ]


def all_sliding(fields: Mapping[str, Any], window: int | None) -> list[str]:
  """All layers slide, if there is a window."""
  return [FULL if window is None else SLIDING] * fields["num_hidden_layers"]


def slide_where_unturned(
  fields: Mapping[str, Any], window: int | None
) -> list[str]:
  """Layers without rotary positions slide, if there is a window."""
  return [
    SLIDING if window is not None and not turned else FULL
    for turned in read_turned(fields)
  ]


def read_turned(fields: Mapping[str, Any]) -> list[bool]:
  """Whether the queries and keys of each layer are turned, by SmolLM3's fields.

  Raises:
    UserError: if `no_rope_layers` has fewer entries than there are layers.
  """
  num_layers = fields["num_hidden_layers"]
  given = fields["no_rope_layers"]  # Ones where they are turned.
  if given is None:
    interval = fields["no_rope_layer_interval"]
    return [(layer + 1) % interval != 0 for layer in range(num_layers)]
  if len(given) < num_layers:
    raise UserError(
      f"no_rope_layers must have num_hidden_layers={num_layers} entries, got"
      f" {len(given)}. Write one for each layer."
    )
  return [bool(turned) for turned in given[:num_layers]]


def _check_types(fields: Mapping[str, Any]) -> Sequence[str] | None:
  """`layer_types` as config.json has it, None where it has none."""
  types = fields.get("layer_types")
  if types is None:
    return None
  num_layers = fields["num_hidden_layers"]
  if not isinstance(types, list) or len(types) != num_layers:
    found = len(types) if isinstance(types, list) else repr(types)
    raise UserError(
      f"layer_types must have num_hidden_layers={num_layers} entries, got"
      f" {found}. Write one for each layer."
    )
  renamed = [
    _OLD_NAMES.get(name, name) if isinstance(name, str) else repr(name)
    for name in types
  ]
  for name in renamed:
    if name not in (FULL, SLIDING):
      raise UserError(
        f"layer_types must be {FULL} or {SLIDING}, got {name!r}. Other kinds of"
        " layers are not supported."
      )
  return renamed
