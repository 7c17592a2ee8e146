"""The weights of a text model and of its tower, as one tree.

The tree is that of the text model, with one subtree more: `visual`. What runs
text alone takes the tree without it.
"""

from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jax.typing import DTypeLike
from jaxtyping import PRNGKeyArray

from thickets.models import transformer
from thickets.models.config import TransformerConfig
from thickets.models.vision import tower
from thickets.models.vision.config import VisionConfig
from thickets.naming import Params

VISUAL = "visual"


def take_text(params: Params) -> Params:
  """The tree without the tower's weights."""
  return {name: part for name, part in params.items() if name != VISUAL}


def init(
  config: TransformerConfig,
  vision: VisionConfig | None,
  key: PRNGKeyArray,
  dtype: DTypeLike,
) -> Params:
  """Random weights of both, of the text model alone where there is no tower."""
  if vision is None:
    return transformer.init(config, key, dtype)
  text_key, tower_key = jax.random.split(key)
  text = transformer.init(config, text_key, dtype)
  return {**text, VISUAL: tower.init(vision, tower_key, dtype)}


def abstract_params(
  config: TransformerConfig, vision: VisionConfig | None, dtype: DTypeLike
) -> Params:
  """The tree of weights as shapes and a dtype, without weights."""
  text = transformer.abstract_params(config, dtype)
  if vision is None:
    return text
  return {**text, VISUAL: tower.abstract_params(vision, dtype)}


def shardings(
  config: TransformerConfig, vision: VisionConfig | None, mesh: Mesh
) -> Params:
  """How each leaf lies on a mesh: every device has the whole tower.

  A tower is small beside its text model, and its queries, keys and values lie in
  one matrix, which would have to be divided by heads.
  """
  text = transformer.shardings(config, mesh)
  if vision is None:
    return text
  whole = NamedSharding(mesh, PartitionSpec())
  template: Any = tower.abstract_params(vision, "float32")
  return {**text, VISUAL: jax.tree.map(lambda leaf: whole, template)}
