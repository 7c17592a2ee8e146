"""What a decoder-only transformer is made of.

`families` reads it from a model's config.json.
"""

import dataclasses

from thickets.errors import UserError
from thickets.models.rope import Rope

ACTIVATIONS = (
  "silu",
  "gelu",
  "gelu_new",
  "gelu_pytorch_tanh",
  "quick_gelu",
  "relu",
)


@dataclasses.dataclass(frozen=True)
class LayerKind:
  """What may differ between the layers of one model.

  Attributes:
    rope: rotary embedding, None where queries and keys are not turned.
    window: how many positions a token sees, its own included; None for all.
  """

  rope: Rope | None
  window: int | None = None


@dataclasses.dataclass(frozen=True)
class Mixture:
  """The experts of every layer's MLP, of which each token goes through a few.

  Attributes:
    num_experts: E, number of experts of a layer.
    num_chosen: how many of them each token goes through.
    is_normalised: whether the shares of a token's experts are made to sum to 1.
    num_groups: how many experts run at once; where experts are divided over
      devices, the number of these.
  """

  num_experts: int
  num_chosen: int
  is_normalised: bool = False
  num_groups: int = 1

  def __post_init__(self):
    if not 1 <= self.num_chosen <= self.num_experts:
      raise UserError(
        f"num_experts_per_tok must be within [1, {self.num_experts}], the"
        f" number of experts, got {self.num_chosen}."
      )


@dataclasses.dataclass(frozen=True)
class TransformerConfig:
  """One decoder-only transformer.

  Attributes:
    family: its `model_type`, a key of `FAMILIES`.
    vocab_size: V, rows of the embedding; a tokenizer may have fewer tokens.
    width: D, channels of the vectors between layers.
    mlp_width: F, hidden channels of the MLP, or of each expert of a mixture.
    num_layers: L, number of layers.
    num_heads: H, number of heads of queries.
    num_kv_heads: h, number of heads of keys and values; divides `num_heads`.
    head_dim: d, channels of one head.
    context: how many positions the model was made for.
    norm_eps: what norms add to a variance.
    kinds: the distinct kinds of layers.
    layer_kinds: [L] position of each layer's kind in `kinds`.
    activation: one of `ACTIVATIONS`.
    is_tied: whether the output head is the embedding.
    has_layer_norm: LayerNorm with biases, instead of RMSNorm.
    has_offset_norm: norms multiply by one plus their weights.
    norm_places: where norms stand about attention and MLP: "before" their
      input, "after" their output, or "both".
    qk_norm: RMSNorm of queries and keys: "" for none, "head" within each head,
      "all" over all heads together.
    mixture: the experts that stand for the MLP; None where there are none.
    has_gate: whether the MLP is gated.
    has_qkv_bias: whether queries, keys and values have biases.
    has_output_bias: whether the output of attention has a bias.
    has_mlp_bias: whether the MLP's matrices have biases.
    has_position_table: learned positions, instead of rotary ones.
    embedding_multiplier: multiplies embedded tokens.
    is_multiplier_rounded: whether that factor is rounded to the weights' dtype.
    query_multiplier: multiplies the products of queries and keys; None for
      head_dim ** -0.5.
    residual_multiplier: multiplies what attention and MLP add to their input.
    logits_divisor: what logits are divided by.
    logits_cap: logits are bent to lie within this of 0; None for no bound.
    init_std: standard deviation of initial matrices.
  """

  family: str
  vocab_size: int
  width: int
  mlp_width: int
  num_layers: int
  num_heads: int
  num_kv_heads: int
  head_dim: int
  context: int
  norm_eps: float
  kinds: tuple[LayerKind, ...]
  layer_kinds: tuple[int, ...]
  activation: str = "silu"
  is_tied: bool = False
  has_layer_norm: bool = False
  has_offset_norm: bool = False
  norm_places: str = "before"
  qk_norm: str = ""
  mixture: Mixture | None = None
  has_gate: bool = True
  has_qkv_bias: bool = False
  has_output_bias: bool = False
  has_mlp_bias: bool = False
  has_position_table: bool = False
  embedding_multiplier: float = 1.0
  is_multiplier_rounded: bool = False
  query_multiplier: float | None = None
  residual_multiplier: float = 1.0
  logits_divisor: float = 1.0
  logits_cap: float | None = None
  init_std: float = 0.02

  def __post_init__(self):
    if self.num_heads % self.num_kv_heads:
      raise UserError(
        f"num_attention_heads ({self.num_heads}) must be a multiple of"
        f" num_key_value_heads ({self.num_kv_heads})."
      )
    if not self.has_position_table and self.head_dim % 2:
      raise UserError(
        f"head_dim must be even for rotary positions, got {self.head_dim}."
      )
    if self.activation not in ACTIVATIONS:
      raise UserError(
        f"hidden_act must be one of {list(ACTIVATIONS)}, got"
        f" {self.activation!r}."
      )
    if len(self.layer_kinds) != self.num_layers:
      raise UserError(
        f"layer_types must have num_hidden_layers={self.num_layers} entries,"
        f" got {len(self.layer_kinds)}."
      )
