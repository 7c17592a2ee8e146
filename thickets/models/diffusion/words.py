"""A small text encoder: words and their places, which the denoiser attends to.

It serves models whose captions are a few words of a fixed grammar, and is trained
together with the denoiser.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from thickets.models.diffusion import operations as ops
from thickets.models.diffusion import weights
from thickets.models.diffusion.weights import Weight
from thickets.naming import Params


def describe(num_words: int, num_tokens: int, width: int) -> Params:
  """The description of the weights.

  Args:
    num_words: how many words there are, padding included.
    num_tokens: tokens of a caption.
    width: features of a token.
  """
  return {
    "token_embedding": Weight((num_words, width), spread=1.0),
    "position_embedding": Weight((num_tokens, width), spread=1.0),
    **weights.norm("final_layer_norm", width),
  }


def encode(params: Params, tokens: Int[Array, "Q T"]) -> Float[Array, "Q T D"]:
  """Features of captions: of each word, its own and those of its place.

  Args:
    params: the weights, laid out as `describe` says.
    tokens: [Q, T] numbers of words, padded to the T of `describe`.

  Returns:
    [Q, T, D] normed features, float32.
  """
  words = jnp.take(params["token_embedding"], tokens, axis=0)
  features = words + params["position_embedding"][None]
  return ops.layer_norm(
    params,
    "final_layer_norm",
    jax.lax.convert_element_type(features, jnp.float32),
  )
