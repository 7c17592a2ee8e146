"""Where our logical tensors lie in published weights.

Our logical names are close to those of Hugging Face; GPT-2 needs a table, since
its matrices are [inputs, outputs] and queries, keys and values lie in one.
"""

import dataclasses
import re
from collections.abc import Iterable

import numpy as np

from thickets.errors import UserError, shorten

_NUM_SHOWN = 4  # Words of a list that a message shows.

_GPT2_ENDS = {
  "embed_tokens": "transformer.wte.weight",
  "embed_positions": "transformer.wpe.weight",
  "lm_head": "lm_head.weight",
  "norm": "transformer.ln_f.weight",
  "norm_bias": "transformer.ln_f.bias",
}
_GPT2_NORMS = {"input_layernorm": "ln_1", "post_attention_layernorm": "ln_2"}
_GPT2_MATRICES = {  # Name, which part of how many.
  "self_attn.q_proj": ("attn.c_attn", 0, 3),
  "self_attn.k_proj": ("attn.c_attn", 1, 3),
  "self_attn.v_proj": ("attn.c_attn", 2, 3),
  "self_attn.o_proj": ("attn.c_proj", 0, 1),
  "mlp.up_proj": ("mlp.c_fc", 0, 1),
  "mlp.down_proj": ("mlp.c_proj", 0, 1),
}


_TOWER = "visual."  # Before the logical names of a tower's tensors.


@dataclasses.dataclass(frozen=True)
class Layout:
  """How the tensors of a vision-language model are named in files.

  Attributes:
    text: before the names of the text model's tensors, the head excepted.
    tower: before those of the tower's.
    head: before that of the head.
  """

  text: str
  tower: str
  head: str = ""


_FLAT = Layout("model.", "visual.")  # Up to transformers 4.51.
_NESTED = Layout("model.language_model.", "model.visual.")
_HEADLESS = Layout("language_model.", "visual.")  # Of a model without its head.
# How transformers, and the authors of each family, write them.
LAYOUTS = {"qwen2_5_vl": _FLAT, "qwen3_vl": _NESTED}
_TEXT_TENSOR = re.compile(
  r"(?P<prefix>.*?)(embed_tokens\.weight|layers\.\d+\..*|norm\.weight)"
)
_TOWER_TENSOR = re.compile(r"(?P<prefix>(.*\.)?visual\.).*")


@dataclasses.dataclass(frozen=True)
class Place:
  """Where a logical tensor lies in published weights.

  Attributes:
    key: the name of the published tensor, with its prefix.
    part: which of the tensors that are fused there along the outputs it is.
    num_parts: how many tensors are fused there.
    is_transposed: whether the matrix is published as [inputs, outputs].
    expert: which of the experts that are stacked there it is, and of how many;
      None where none are.
  """

  key: str
  part: int = 0
  num_parts: int = 1
  is_transposed: bool = False
  expert: tuple[int, int] | None = None

  def published_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The published shape of a logical tensor of this shape."""
    whole = (shape[0] * self.num_parts, *shape[1:])
    if self.expert is not None:
      return (self.expert[1], *whole)
    return whole[::-1] if self.is_transposed else whole

  def take(self, published: np.ndarray) -> np.ndarray:
    """The logical tensor, contiguous, from a published one or an expert's."""
    whole = published.T if self.is_transposed else published
    rows = whole.shape[0] // self.num_parts
    return np.ascontiguousarray(whole[self.part * rows :][:rows])


def is_fused(key: str) -> bool:
  """Whether a published tensor stacks the experts of a layer."""
  return key.endswith(".experts.gate_up_proj")


def find_fused_place(name: str, num_experts: int) -> Place | None:
  """Where an expert's tensor lies in a file that stacks all experts of a layer.

  `transformers` 5 holds mixtures so in memory, and so do files that were written
  past its `save_pretrained`; that writes each expert's matrices apart, as all
  versions and other readers take them.
  """
  stem, found, rest = name.partition(".experts.")
  if not found:
    return None
  index, matrix = rest.split(".")
  expert = (int(index), num_experts)
  if matrix == "down_proj":
    return Place(f"model.{stem}.experts.down_proj", expert=expert)
  part = ("gate_proj", "up_proj").index(matrix)
  return Place(f"model.{stem}.experts.gate_up_proj", part, 2, expert=expert)


def find_layout(family: str, keys: Iterable[str]) -> Layout:
  """How the tensors of a vision-language model are named in its files.

  Args:
    family: a key of `LAYOUTS`.
    keys: the names in the files, without the wrappers of PyTorch.

  Raises:
    UserError: if they are named in several ways, or in none that is known.
  """
  text, tower = {}, {}
  for key in keys:
    if match := _TOWER_TENSOR.fullmatch(key):
      tower.setdefault(match["prefix"], key)
    elif match := _TEXT_TENSOR.fullmatch(key):
      text.setdefault(match["prefix"], key)
  if len(text) == 1 and len(tower) == 1:
    prefix, tower_prefix = next(iter(text)), next(iter(tower))
    for known in (_NESTED, _FLAT, _HEADLESS):
      outer = tower_prefix.removesuffix(known.tower)
      if (prefix, tower_prefix) == (outer + known.text, outer + known.tower):
        return Layout(prefix, tower_prefix, outer)
  if not text or not tower:
    return LAYOUTS[family]  # What is missing is said by its published name.
  found = sorted({*text.values(), *tower.values()})
  raise UserError(
    f"The tensors of a {family} model must be named in one way ({_FLAT.text}… with"
    f" {_FLAT.tower}…, or {_NESTED.text}… with {_NESTED.tower}…), got"
    f" {shorten(found, _NUM_SHOWN)}. Save the model again with transformers."
  )


def find_place(family: str, name: str, layout: Layout | None = None) -> Place:
  """Where the logical tensor `name` lies in the weights of a family.

  Of vision-language models it is where their authors, and `transformers`, put it
  when they save, unless a layout says otherwise.
  """
  stem, is_bias = name.removesuffix("_bias"), name.endswith("_bias")
  suffix = "bias" if is_bias else "weight"
  if family in LAYOUTS:
    layout = layout or LAYOUTS[family]
    part = stem.removeprefix(_TOWER)
    prefix = layout.text if part == stem else layout.tower
    prefix = layout.head if name == "lm_head" else prefix
    return Place(f"{prefix}{part}.{suffix}")
  if family != "gpt2":
    prefix = "" if name == "lm_head" else "model."
    return Place(f"{prefix}{stem}.{suffix}")
  if name in _GPT2_ENDS:
    return Place(_GPT2_ENDS[name])
  _, layer, stem = stem.split(".", 2)
  if stem in _GPT2_NORMS:
    return Place(f"transformer.h.{layer}.{_GPT2_NORMS[stem]}.{suffix}")
  stem, part, num_parts = _GPT2_MATRICES[stem]
  return Place(
    f"transformer.h.{layer}.{stem}.{suffix}", part, num_parts, not is_bias
  )
