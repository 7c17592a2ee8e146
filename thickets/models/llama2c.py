"""Models in the format of llama2.c: one file of weights, one of tokens.

Reference: A. Karpathy, https://github.com/karpathy/llama2.c.
"""

from __future__ import annotations

import math
import pathlib
import struct
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from thickets import naming
from thickets.errors import UserError
from thickets.models import families, hub, tokenizer_files, transformer
from thickets.models.config import TransformerConfig
from thickets.naming import Params

_HEADER = struct.Struct("<7i")
_BOS, _EOS = 1, 2
_NUM_SPECIAL = 3  # Unknown, BOS, EOS; 256 bytes follow.


def load_llama2c(path: str | pathlib.Path, tokenizer: Any = None) -> hub.Model:
  """Loads a model of llama2.c (its float32 format without a magic number).

  Args:
    path: the .bin file.
    tokenizer: its tokenizer, as from `llama2c_tokenizer`, or None.

  Raises:
    UserError: if the file's size is not what its header asks for.
  """
  path = pathlib.Path(path)
  fields, num_weights = _read_fields(path)
  config = families.parse_config(fields)
  tokenizer_files.check_vocabulary(tokenizer, config)
  numbers = np.fromfile(path, "<f4", num_weights, offset=_HEADER.size)
  params = jax.tree.map(jnp.asarray, _params(config, numbers))
  return hub.Model(
    config=config,
    params=params,
    tokenizer=tokenizer,
    identity=naming.identify(params, transformer.tensor_names(params)),
    revision=None,
    source=str(path),
    dtype=np.dtype(np.float32),
    fields=fields,
    generation=None,
    stop_tokens=(_BOS, _EOS),  # It was trained with a BOS between stories.
  )


def llama2c_tokenizer(path: str | pathlib.Path) -> Any:
  """The tokenizer of llama2.c as one of `transformers`; it adds the BOS.

  Raises:
    UserError: if the file is not of this format.
  """
  import tokenizers
  import transformers
  from tokenizers import decoders, models, normalizers, processors

  pieces = _read_pieces(pathlib.Path(path))
  ids = {piece: i for i, (piece, _) in enumerate(pieces)}
  tokenizer = tokenizers.Tokenizer(
    models.BPE(
      vocab=ids,
      merges=_merges(pieces),
      unk_token="<unk>",
      byte_fallback=True,
      fuse_unk=True,
    )
  )
  tokenizer.normalizer = normalizers.Sequence(
    [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
  )
  tokenizer.decoder = decoders.Sequence(
    [
      decoders.Replace("▁", " "),
      decoders.ByteFallback(),
      decoders.Fuse(),
      decoders.Strip(" ", 1, 0),
    ]
  )
  tokenizer.post_processor = processors.TemplateProcessing(
    single="<s> $A", special_tokens=[("<s>", _BOS)]
  )
  return transformers.PreTrainedTokenizerFast(
    tokenizer_object=tokenizer,
    bos_token="<s>",
    eos_token="</s>",
    unk_token="<unk>",
  )


def _read_fields(path: pathlib.Path) -> tuple[dict[str, Any], int]:
  """The header as a config.json, and how many weights follow it."""
  with path.open("rb") as file:
    header = file.read(_HEADER.size)
  if len(header) < _HEADER.size:
    raise UserError(
      f"{path} must begin with {_HEADER.size} bytes of sizes, got"
      f" {len(header)}. Fetch it again."
    )
  width, mlp_width, layers, heads, kv_heads, vocab, context = _HEADER.unpack(
    header
  )
  sizes = (width, mlp_width, layers, heads, kv_heads, abs(vocab), context)
  if min(sizes) < 1 or width % heads:
    raise UserError(
      f"{path} must begin with the sizes of a llama2.c model, got"
      f" {_HEADER.unpack(header)}. Pass a file of its version 0."
    )
  fields = {
    "model_type": "llama",
    "vocab_size": abs(vocab),
    "hidden_size": width,
    "intermediate_size": mlp_width,
    "num_hidden_layers": layers,
    "num_attention_heads": heads,
    "num_key_value_heads": kv_heads,
    "max_position_embeddings": context,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10_000.0,
    "hidden_act": "silu",
    "tie_word_embeddings": vocab > 0,
    "bos_token_id": _BOS,
    "eos_token_id": [_BOS, _EOS],
  }
  num_weights = sum(
    math.prod(shape) for _, shape in _layout(families.parse_config(fields))
  )
  expected = _HEADER.size + 4 * num_weights
  found = path.stat().st_size
  if found != expected:
    raise UserError(
      f"{path} must have {expected} bytes by its header, got {found}. Fetch it"
      " again."
    )
  return fields, num_weights


def _layout(
  config: TransformerConfig,
) -> list[tuple[str, tuple[int, ...]]]:
  """The parts of the file in their order, with their shapes."""
  depth, width, mlp_width = config.num_layers, config.width, config.mlp_width
  kv_width = config.num_kv_heads * config.head_dim
  table = (config.context, config.head_dim // 2)
  parts = [
    ("embed_tokens", (config.vocab_size, width)),
    ("input_layernorm", (depth, width)),
    ("q_proj", (depth, width, width)),
    ("k_proj", (depth, kv_width, width)),
    ("v_proj", (depth, kv_width, width)),
    ("o_proj", (depth, width, width)),
    ("post_attention_layernorm", (depth, width)),
    ("gate_proj", (depth, mlp_width, width)),
    ("down_proj", (depth, width, mlp_width)),
    ("up_proj", (depth, mlp_width, width)),
    ("norm", (width,)),
    ("cosines", table),
    ("sines", table),
  ]
  if not config.is_tied:
    parts.append(("lm_head", (config.vocab_size, width)))
  return parts


def _params(
  config: TransformerConfig, numbers: Float[np.ndarray, " _"]
) -> Params:
  """The tree of weights, from the numbers in the order of the file."""
  parts, start = {}, 0
  for name, shape in _layout(config):
    size = math.prod(shape)
    parts[name] = numbers[start : start + size].reshape(shape)
    start += size
  for name in ("q_proj", "k_proj"):
    parts[name] = _to_halves(parts[name], config.head_dim)
  ends = ("embed_tokens", "norm", "lm_head")
  return {
    **{name: parts[name] for name in ends if name in parts},
    "layers": {
      "input_layernorm": parts["input_layernorm"],
      "post_attention_layernorm": parts["post_attention_layernorm"],
      "self_attn": {
        name: parts[name] for name in ("q_proj", "k_proj", "v_proj", "o_proj")
      },
      "mlp": {
        name: parts[name] for name in ("gate_proj", "down_proj", "up_proj")
      },
    },
  }


def _to_halves(
  matrices: Float[np.ndarray, "L O D"], head_dim: int
) -> Float[np.ndarray, "L O D"]:
  """Reorders a head's rows: the file turns neighbours, we turn halves."""
  depth, outputs, width = matrices.shape
  pairs = matrices.reshape(depth, -1, head_dim // 2, 2, width)
  return pairs.transpose(0, 1, 3, 2, 4).reshape(depth, outputs, width)


def _read_pieces(path: pathlib.Path) -> list[tuple[str, float]]:
  """The tokens and their scores, in the spelling of sentencepiece."""
  contents = path.read_bytes()
  pieces, at = [], 4  # After the length of the longest token.
  try:
    while at < len(contents):
      score, length = struct.unpack_from("<fi", contents, at)
      at += 8
      if length < 0 or at + length > len(contents):
        raise struct.error("a token ends beyond the file")
      piece = contents[at : at + length].decode("utf-8")
      pieces.append((piece.replace(" ", "▁"), score))
      at += length
  except (struct.error, UnicodeDecodeError) as error:
    raise UserError(
      f"{path} must hold tokens of llama2.c, got {error} at byte {at}. Fetch it"
      " again."
    ) from error
  specials = [(name, 0.0) for name in ("<unk>", "<s>", "</s>")]
  return specials + pieces[_NUM_SPECIAL:]


def _merges(pieces: Sequence[tuple[str, float]]) -> list[tuple[str, str]]:
  """All ways to merge two tokens into one, the best scored result first."""
  scores = dict(pieces[_NUM_SPECIAL + 256 :])
  merges = [
    (score, piece[:cut], piece[cut:])
    for piece, score in scores.items()
    for cut in range(1, len(piece))
    if piece[:cut] in scores and piece[cut:] in scores
  ]
  merges.sort(key=lambda merge: -merge[0])
  return [(left, right) for _, left, right in merges]
