"""The architectures of GGUF files: their families, and what llama.cpp changed.

Its converter turns the rows of queries and keys of some families, adds one to
Gemma's norms, and gives tensors names of its own. What is said here is taken
from `convert_hf_to_gguf.py` and `llama-model.cpp` of llama.cpp.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Mapping

from thickets.errors import UserError
from thickets.models import unsupported

# By the name of a logical tensor, without its layer.
_NAMES = {
  "embed_tokens": "token_embd",
  "embed_positions": "position_embd",
  "norm": "output_norm",
  "lm_head": "output",
  "input_layernorm": "attn_norm",
  "post_attention_layernorm": "ffn_norm",
  "self_attn.q_proj": "attn_q",
  "self_attn.k_proj": "attn_k",
  "self_attn.v_proj": "attn_v",
  "self_attn.o_proj": "attn_output",
  "self_attn.q_norm": "attn_q_norm",
  "self_attn.k_norm": "attn_k_norm",
  "mlp.gate_proj": "ffn_gate",
  "mlp.up_proj": "ffn_up",
  "mlp.down_proj": "ffn_down",
  "mlp.gate": "ffn_gate_inp",
}
_EXPERT = re.compile(r"mlp\.experts\.(\d+)\.(gate|up|down)_proj")
_POST_NORMS = {
  "post_attention_layernorm": "post_attention_norm",
  "post_feedforward_layernorm": "post_ffw_norm",
}


@dataclasses.dataclass(frozen=True)
class Architecture:
  """What files of one `general.architecture` hold.

  Attributes:
    family: the `model_type` of the same models in a config.json.
    names: tensors that are named otherwise than in `_NAMES`.
    turns_heads: whether the two numbers that are rotated together lie side by
      side in a head of queries or keys, and not half a head apart.
    norm_offset: what was added to the weights of norms.
    has_fused_qkv: whether queries, keys and values lie in one tensor.
  """

  family: str
  names: Mapping[str, str] = dataclasses.field(default_factory=dict)
  turns_heads: bool = False
  norm_offset: float = 0.0
  has_fused_qkv: bool = False


# Mistral's models have llama's architecture.
ARCHITECTURES = {
  "gemma3": Architecture(
    "gemma3_text",
    {"pre_feedforward_layernorm": "ffn_norm", **_POST_NORMS},
    norm_offset=1.0,
  ),
  "gpt2": Architecture("gpt2", has_fused_qkv=True),
  "granite": Architecture("granite", turns_heads=True),
  "llama": Architecture("llama", turns_heads=True),
  "olmo2": Architecture("olmo2", _POST_NORMS),
  "qwen2": Architecture("qwen2"),
  "qwen3": Architecture("qwen3"),
  "qwen3moe": Architecture("qwen3_moe"),
  "smollm3": Architecture("smollm3", turns_heads=True),
}


@dataclasses.dataclass(frozen=True)
class Place:
  """Where a logical tensor lies in a file.

  Attributes:
    key: the name of the tensor there.
    part: which of the tensors that are fused there it is.
    num_parts: how many tensors are fused there, along the rows within an expert.
    num_experts: how many experts are stacked there, 0 where none are.
    is_turned: whether its rows are those of turned heads.
    offset: what was added to its values.
  """

  key: str
  part: int = 0
  num_parts: int = 1
  num_experts: int = 0
  is_turned: bool = False
  offset: float = 0.0

  def whole_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of the stored tensor, of which a part has this one."""
    if self.num_experts:
      rows = self.num_parts // self.num_experts * shape[0]
      return (self.num_experts, rows, *shape[1:])
    return (shape[0] * self.num_parts, *shape[1:])


def find_architecture(name: str, where: str) -> Architecture:
  """What files of a `general.architecture` hold.

  Raises:
    UserError: if models of that architecture do not load.
  """
  if name not in ARCHITECTURES:
    raise UserError(
      f"general.architecture must be one of {', '.join(ARCHITECTURES)}, got"
      f" {name!r} ({where}). {unsupported.name_missing(name, ARCHITECTURES)}"
    )
  return ARCHITECTURES[name]


def find_place(
  architecture: Architecture,
  name: str,
  stored: Collection[str] = (),
  num_experts: int = 0,
) -> Place:
  """Where a logical tensor lies in a file.

  Args:
    architecture: what llama.cpp made of the model.
    name: the name of the logical tensor.
    stored: the names of the tensors of the file.
    num_experts: how many experts a layer has.
  """
  stem, is_bias = name.removesuffix("_bias"), name.endswith("_bias")
  prefix = ""
  if layered := re.match(r"layers\.(\d+)\.", stem):
    prefix, stem = f"blk.{layered[1]}.", stem[layered.end() :]
  if expert := _EXPERT.fullmatch(stem):
    return _find_expert(prefix, int(expert[1]), expert[2], stored, num_experts)
  suffix = "bias" if is_bias else "weight"
  if architecture.has_fused_qkv and stem in _FUSED:
    return Place(f"{prefix}attn_qkv.{suffix}", _FUSED.index(stem), len(_FUSED))
  key = architecture.names.get(stem) or _NAMES[stem]
  return Place(
    f"{prefix}{key}.{suffix}",
    is_turned=architecture.turns_heads and stem in _FUSED[:2],
    offset=architecture.norm_offset if stem.endswith("norm") else 0.0,
  )


def _find_expert(
  prefix: str,
  expert: int,
  matrix: str,
  stored: Collection[str],
  num_experts: int,
) -> Place:
  """The place of one expert's matrix; gates and ups may lie in one tensor."""
  fused = f"{prefix}ffn_gate_up_exps.weight"
  if matrix != "down" and fused in stored:
    part = 2 * expert + ("gate", "up").index(matrix)
    return Place(fused, part, 2 * num_experts, num_experts)
  key = f"{prefix}ffn_{matrix}_exps.weight"
  return Place(key, expert, num_experts, num_experts)


_FUSED = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
