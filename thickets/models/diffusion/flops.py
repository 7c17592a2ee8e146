"""Floating-point operations of the parts, by their formula: two per multiply-add.

Norms, activations and softmax are not counted, nor what a program computes twice.
"""

import math
from typing import Any

from thickets.models.diffusion import clip, unet, vae, weights
from thickets.models.diffusion.clip_config import (
  ScorerConfig,
  TextConfig,
  Tower,
)
from thickets.models.diffusion.unet_config import UNetConfig
from thickets.models.diffusion.vae import VAEConfig
from thickets.naming import Params


def unet_flops(
  config: UNetConfig, latent_size: tuple[int, int], num_tokens: int
) -> float:
  """FLOPs of one prediction for one row.

  Args:
    config: the architecture.
    latent_size: height and width of the latents.
    num_tokens: tokens of the text, padding included.
  """
  described = unet.describe(config)
  places = [
    math.prod(-(-side // 2**level) for side in latent_size)
    for level in range(len(config.widths))
  ]
  total = _product(described["conv_in"], places[0])
  total += _product(described["conv_out"], places[0])
  for name in ("time_embedding", "add_embedding"):
    total += _products(described.get(name, {}), 1)
  last = len(places) - 1
  levels = [
    *((described["down_blocks"][str(i)], i, i + 1) for i in range(last + 1)),
    (described["mid_block"], last, last),
    *((described["up_blocks"][str(i)], last - i, last - i - 1)
      for i in range(last + 1)),
  ]  # fmt: skip
  for block, level, after in levels:
    for resnet in block["resnets"].values():
      emb = resnet.pop("time_emb_proj")
      total += _product(emb, 1) + _products(resnet, places[level])
    for transformer in block.get("attentions", {}).values():
      total += _transformer_flops(transformer, places[level], num_tokens)
    for name in ("downsamplers", "upsamplers"):
      if name in block:
        total += _products(block[name], places[after])
  return total


def _transformer_flops(
  transformer: Params, places: int, num_tokens: int
) -> float:
  """FLOPs of one transformer, whose blocks are stacked."""
  blocks = transformer["transformer_blocks"]
  text = {name: blocks["attn2"].pop(name) for name in ("to_k", "to_v")}
  depth, width = blocks["norm1"].shape
  total = _products(transformer, places) + _products(text, num_tokens)
  return total + 4 * depth * width * places * (places + num_tokens)


def decoder_flops(config: VAEConfig, latent_size: tuple[int, int]) -> float:
  """FLOPs of drawing one picture from latents of a height and width."""
  described = vae.describe(config)
  decoder, places = described["decoder"], math.prod(latent_size)
  total = _product(described["post_quant_conv"], places)
  total += _product(decoder["conv_in"], places)
  total += _products(decoder["mid_block"], places)
  total += 4 * config.widths[-1] * places**2
  for block in decoder["up_blocks"].values():
    total += _products(block["resnets"], places)
    if "upsamplers" in block:
      places *= 4
      total += _products(block["upsamplers"], places)
  return total + _product(decoder["conv_out"], places)


def text_flops(config: TextConfig, num_tokens: int) -> float:
  """FLOPs of reading one text of so many tokens, padding included."""
  described = clip.describe_text(config)
  projection = described.get("text_projection")
  total = 0.0 if projection is None else _product(projection, 1)
  layers = described["text_model"]["encoder"]
  return total + _tower_flops(config.tower, layers, num_tokens)


def picture_flops(config: ScorerConfig) -> float:
  """FLOPs of looking at one picture with the image tower."""
  vision = config.vision
  described = clip.describe_vision(vision)
  model = described["vision_model"]
  patches = (vision.size // vision.patch) ** 2
  total = _product(described["visual_projection"], 1)
  total += _product(model["embeddings"]["patch_embedding"], patches)
  return total + _tower_flops(vision.tower, model["encoder"], patches + 1)


def _tower_flops(tower: Tower, layers: Params, num_tokens: int) -> float:
  """FLOPs of the layers, each token attending to all, as it is computed."""
  attention = 4 * tower.num_layers * tower.width * num_tokens**2
  return _products(layers, num_tokens) + attention


def _products(described: Any, places: int) -> float:
  """FLOPs of all matrices and convolutions of a description."""
  return float(
    sum(
      _product(weight, places)
      for weight, is_matrix in _list_weights(described)
      if is_matrix
    )
  )


def _product(weight: weights.Weight, places: int) -> float:
  return 2.0 * math.prod(weight.shape) * places


def _list_weights(
  described: Any, *, is_stacked: bool = False
) -> list[tuple[weights.Weight, bool]]:
  """(Weight, whether it is multiplied with) of all weights of a description."""
  if isinstance(described, weights.Weight):
    return [(described, len(described.shape) - is_stacked > 1)]
  return [
    pair
    for name, child in described.items()
    for pair in _list_weights(
      child, is_stacked=is_stacked or name in weights.STACKS
    )
  ]
