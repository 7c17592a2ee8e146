"""How much of a population of language models fits into memory at once."""

import dataclasses
from typing import Any

from jax.sharding import Mesh

from thickets.errors import UserError
from thickets.generation import programs
from thickets.models import flops
from thickets.models import memory as memory_lib
from thickets.models.config import TransformerConfig

_CPU_ROWS = 256
_MEMORY_FRAC = 0.85  # Of a device; the rest is for programs and fragments.
_BLOCK_FRAC = 0.25  # Of what the weights leave, for reading prompts.
_MAX_LANES_TIMES_ROWS = 8192  # Beyond, more members at once are no faster.
# Float32 arrays of the vocabulary's size that choosing a token may need.
_LOGIT_COPIES = 5


@dataclasses.dataclass(frozen=True)
class Plan:
  """How much is computed at the same time.

  Attributes:
    lanes: members that one group of devices rebuilds and runs at once.
    rows: prompts that each continues at once.
    block: prompt tokens that each reads at once.
  """

  lanes: int
  rows: int
  block: int


def plan_memory(
  config: TransformerConfig,
  dtype: Any,
  mesh: Mesh,
  *,
  num_prompts: int,
  prompt_tokens: int,
  new_tokens: int,
  lanes: int | None = None,
  rows: int | None = None,
) -> Plan:
  """Finds how many members and prompts fit into memory at once.

  On CPU a member has a core to itself, and more of them push each other out of
  its cache; on accelerators small models run many members at once, and large
  ones one, with as many prompts as there is room for.

  Args:
    config: of the model.
    dtype: of weights and memory.
    mesh: with axes `population` and `model`.
    num_prompts: Q.
    prompt_tokens: of the longest prompt.
    new_tokens: of the longest response.
    lanes: as asked for, None to find it.
    rows: likewise; fewer if they do not fit.

  Raises:
    UserError: if the base, one member and one row do not fit.
  """
  # Of the size, not of what is free now: a resumed run must find the same.
  size = memory_lib.device_size_bytes(mesh.devices.flat[0])
  if size is None:
    rows = min(rows or _CPU_ROWS, num_prompts)
    return Plan(lanes or 1, rows, programs.CPU_BLOCK_TOKENS)
  size *= _MEMORY_FRAC
  leaves = memory_lib.leaf_bytes(config, dtype, mesh)
  # While they are rebuilt, a stack of layers may be held a second time.
  base, copy = sum(leaves), sum(leaves) + max(leaves)
  num_model = mesh.shape["model"]
  kv_split = num_model if config.num_kv_heads % num_model == 0 else 1
  # Twice, since rows are copied when some are dropped.
  memory = flops.memory_bytes(config, dtype, prompt_tokens + new_tokens)
  row = 2 * memory / kv_split + _LOGIT_COPIES * 4 * config.vocab_size
  free = (size - base) / (lanes or 1) - copy  # Of one lane.

  block = programs.ACCELERATOR_BLOCK_TOKENS
  while block > prompt_tokens and _block(
    config, dtype, block, prompt_tokens
  ) > (_BLOCK_FRAC * free * num_model):
    block //= 2
  block = max(block, prompt_tokens)  # A row at least.
  fixed = _block(config, dtype, block, prompt_tokens) / num_model
  fitting = int((free - fixed) // row)
  if fitting < 1:
    needed = base + (lanes or 1) * (copy + fixed + row)
    raise UserError(
      f"The base and {lanes or 1} members with a prompt each must fit into a"
      f" device, which needs {needed / 2**30:.3g} GiB, got"
      f" {size / 2**30:.3g} GiB. Use more devices on the mesh axis `model`, or"
      " a smaller dtype."
    )
  rows = min(rows or fitting, fitting, num_prompts)
  if lanes is None:
    most = (size - base) / (copy + fixed + rows * row)
    most = min(most, _MAX_LANES_TIMES_ROWS / rows)
    lanes = 2 ** (max(1, int(most)).bit_length() - 1)
  return Plan(lanes, rows, block)


def _block(config, dtype, block, prompt_tokens):
  """Bytes of reading a block on all devices of a group together."""
  return flops.prefill_bytes(config, dtype, block, prompt_tokens)
