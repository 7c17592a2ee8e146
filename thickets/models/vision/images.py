"""Features of images in a text: where they stand, and how they are put there.

Features are put in place by an index for each token, and not in the order in which
image tokens are met: padding, the order of rows and blocks of rows cannot shift
them.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int


class FeatureTable(NamedTuple):
  """The features of images, one behind the other, as a pytree.

  Attributes:
    features: [N, D] what stands for image tokens in place of their embedding.
    deepstack: [K, N, D] what is added to the outputs of the first K layers in the
      same places; None where K is 0.
  """

  features: Any  # Not only arrays, while JAX transforms the tree.
  deepstack: Any = None


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Images:
  """The images among the tokens of some texts.

  Attributes:
    places: [B, S] for each token the row of the features that stand for it; -1
      where it is embedded as itself.
    positions: [3, B, S] time, row and column of each token, by which rotary
      positions turn it (`positions.find_positions`).
    features: [N, D] the features of all images, in any order.
    deepstack: [K, N, D] what is added to the outputs of the first K layers in the
      same places; None where K is 0.
  """

  places: Any  # Not only arrays, while JAX transforms the tree.
  positions: Any
  features: Any
  deepstack: Any = None

  def place(self, x: Float[Array, "B S D"]) -> Float[Array, "B S D"]:
    """Puts features in place of the embeddings of image tokens."""
    taken = _take(self.features, self.places).astype(x.dtype)
    return jnp.where(self._is_image, taken, x)

  def add_after(
    self, layer: int | Int[Array, ""], x: Float[Array, "B S D"]
  ) -> Float[Array, "B S D"]:
    """Adds to the output of a layer what the images have for it.

    Args:
      layer: the number of the layer, which a scan may trace.
      x: [B, S, D] its output.
    """
    if self.deepstack is None or not len(self.deepstack):
      return x
    deepstack, count = self.deepstack, len(self.deepstack)

    def add(x):
      features = lax.dynamic_index_in_dim(deepstack, layer, keepdims=False)
      taken = _take(features, self.places).astype(x.dtype)
      return jnp.where(self._is_image, x + taken, x)

    if isinstance(layer, int):
      return add(x) if layer < count else x
    return lax.cond(layer < count, add, lambda x: x, x)

  @property
  def _is_image(self) -> Any:
    return (self.places >= 0)[..., None]


def _take(
  features: Float[Array, "N D"], places: Int[Array, "B S"]
) -> Float[Array, "B S D"]:
  return jnp.take(features, jnp.maximum(places, 0), axis=0, mode="clip")
