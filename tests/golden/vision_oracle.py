"""A tower in plain NumPy and float64: masks in place of windows, no padding."""

import math

import numpy as np
from scipy import special


def encode(config, params, prepared):
  """[T, D] features of one image, and [K, T, D] those for deepstack."""
  params = _to_float64(params)
  places = _list_places(config, prepared.grid)
  x = np.stack(
    [
      _convolve(params["patch_embed"], p, config)
      for p in prepared.patches.astype(np.float64)
    ]
  )
  if config.table_side is not None:
    x = x + _interpolate(params["pos_embed"], config, prepared.grid, places)
  taps = []
  for block in range(config.num_blocks):
    weights = _take(params["blocks"], block)
    x = _run_block(config, weights, x, places, block)
    if block in config.deepstack_blocks:
      merger = _take(params["deepstack_merger_list"], len(taps))
      taps.append(_merge(config, merger, x, is_shuffled_first=True))
  tokens = _merge(config, params["merger"], x, is_shuffled_first=False)
  return tokens, np.array(taps).reshape(-1, *tokens.shape)


def _to_float64(tree):
  if isinstance(tree, dict):
    return {name: _to_float64(part) for name, part in tree.items()}
  return np.asarray(tree, np.float64)


def _take(tree, index):
  if isinstance(tree, dict):
    return {name: _take(part, index) for name, part in tree.items()}
  return tree[index]


def _list_places(config, grid):
  """Row and column of each patch: tokens in rows, and patches in rows in them."""
  merge = config.merge
  return [
    (top * merge + row, left * merge + column)
    for top in range(grid[0] // merge)
    for left in range(grid[1] // merge)
    for row in range(merge)
    for column in range(merge)
  ]


def _convolve(weights, patch, config):
  """One step of a 3-D convolution, frame by frame and pixel by pixel."""
  kernel = weights["proj"]
  side = config.patch
  volume = patch.reshape(3, config.temporal, side, side)
  total = np.zeros(config.width)
  for channel in range(3):
    for frame in range(config.temporal):
      for row in range(side):
        total += kernel[:, channel, frame, row] @ volume[channel, frame, row]
  return total + weights.get("proj_bias", 0)


def _interpolate(table, config, grid, places):
  """Learned positions; the table's corners lie on the image's."""
  side = config.table_side
  square = table.reshape(side, side, -1)
  found = []
  for place in places:
    down, right = (
      place[axis] * (side - 1) / (grid[axis] - 1) for axis in range(2)
    )
    total = 0
    for row in (math.floor(down), math.floor(down) + 1):
      for column in (math.floor(right), math.floor(right) + 1):
        share = (1 - abs(down - row)) * (1 - abs(right - column))
        if share:
          total = total + share * square[row, column]
    found.append(total)
  return np.array(found)


def _run_block(config, weights, x, places, block):
  places = np.array(places)
  y = _linear(weights["attn"], "qkv", _norm(weights, "norm1", x))
  query, key, value = np.split(y, 3, -1)
  width = config.head_dim
  mixed = []
  can_see = np.ones((len(x), len(x)), bool)
  if config.window is not None and block not in config.full_blocks:
    windows = places // config.window
    can_see = (windows[:, None] == windows[None]).all(-1)
  for head in range(config.num_heads):
    part = slice(head * width, (head + 1) * width)
    q, k = _turn(query[:, part], places), _turn(key[:, part], places)
    scores = np.where(can_see, q @ k.T / math.sqrt(width), -np.inf)
    mixed.append(special.softmax(scores, -1) @ value[:, part])
  x = x + _linear(weights["attn"], "proj", np.concatenate(mixed, -1))
  y = _norm(weights, "norm2", x)
  mlp = weights["mlp"]
  if config.has_gate:
    gate = _linear(mlp, "gate_proj", y)
    hidden = gate * special.expit(gate) * _linear(mlp, "up_proj", y)
    return x + _linear(mlp, "down_proj", hidden)
  y = _linear(mlp, "linear_fc1", y)
  bent = 0.5 * y * (1 + np.tanh(math.sqrt(2 / math.pi) * (y + 0.044715 * y**3)))
  return x + _linear(mlp, "linear_fc2", bent)


def _turn(heads, places):
  """Each pair (i, i + d / 2): the first half of them by rows, then columns."""
  width = heads.shape[1]
  count = width // 4
  frequencies = 10_000.0 ** (-np.arange(count) / count)
  angles = (places[:, :, None] * frequencies).reshape(len(heads), 2 * count)
  first, second = heads[:, : width // 2], heads[:, width // 2 :]
  return np.concatenate(
    [
      first * np.cos(angles) - second * np.sin(angles),
      second * np.cos(angles) + first * np.sin(angles),
    ],
    -1,
  )


def _merge(config, weights, x, *, is_shuffled_first):
  wide = (-1, config.width * config.merge**2)
  if config.has_layer_norm:
    norm, parts, first, last = "norm", weights, "linear_fc1", "linear_fc2"
  else:
    norm, parts, first, last = "ln_q", weights["mlp"], "0", "2"
  x = x.reshape(wide) if is_shuffled_first else x
  x = _linear(parts, first, _norm(weights, norm, x).reshape(wide))
  x = 0.5 * x * (1 + special.erf(x / math.sqrt(2)))
  return _linear(parts, last, x)


def _norm(weights, name, x):
  if f"{name}_bias" not in weights:
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-6) * weights[name]
  x = x - x.mean(-1, keepdims=True)
  x = x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-6)
  return x * weights[name] + weights[f"{name}_bias"]


def _linear(weights, name, x):
  return x @ weights[name].T + weights.get(f"{name}_bias", 0)
