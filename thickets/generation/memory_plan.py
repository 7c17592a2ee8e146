"""How much of a population of language models fits into memory at once."""

import dataclasses

from jax.sharding import Mesh
from jax.typing import DTypeLike

from thickets.errors import UserError
from thickets.generation import programs
from thickets.generation.batching import Batching
from thickets.models import flops, memory, transformer
from thickets.models.config import TransformerConfig

_CPU_ROWS = 256
# Share of a device's memory; the rest is for programs and fragments.
_MEMORY_FRAC = 0.85
_BLOCK_FRAC = 0.25  # Share of what the weights leave, for reading prompts.
_MAX_LANES_TIMES_ROWS = 8192  # Beyond, more members at once are no faster.
# Float32 arrays of the vocabulary's size that choosing a token may need.
_LOGIT_COPIES = 5


@dataclasses.dataclass(frozen=True)
class Workload:
  """What every member has to do.

  Attributes:
    num_prompts: how many prompts it continues.
    prompt_tokens: how many tokens the longest prompt has.
    new_tokens: how many tokens the longest response has.
  """

  num_prompts: int
  prompt_tokens: int
  new_tokens: int


def plan_memory(
  config: TransformerConfig,
  dtype: DTypeLike,
  mesh: Mesh,
  workload: Workload,
  asked: Batching,
  size: int | None = None,
) -> Batching:
  """Finds how many members and prompts fit into memory at once.

  On CPU a member has a core to itself, and more of them push each other out of
  its cache; on accelerators small models run many members at once, and large
  ones one, with as many prompts as there is room for.

  Args:
    config: the architecture of the members.
    dtype: the dtype of their weights and KV caches.
    mesh: the devices, with axes `population` and `model`.
    workload: the prompts and responses of each member.
    asked: lanes and rows as the user wants them, None to find them; there are
      fewer rows if not all of them fit.
    size: bytes of a device's memory, where the devices are not here to tell.

  Returns:
    `asked` with lanes, rows and block found.

  Raises:
    UserError: if the base, one member and one row do not fit.
  """
  # By the device's size, not by what is free now: a resumed run must find the same.
  if size is None:
    size = memory.device_size_bytes(mesh.local_devices[0])
  if size is None:
    return dataclasses.replace(
      asked,
      lanes=asked.lanes or 1,
      rows=min(asked.rows or _CPU_ROWS, workload.num_prompts),
      block=programs.CPU_BLOCK_TOKENS,
    )
  size = int(_MEMORY_FRAC * size)
  base = memory.bytes_per_device(config, dtype, mesh)
  # While they are rebuilt, a layer may be held a second time.
  copy = base + base // config.num_layers
  row = _row_bytes(config, dtype, mesh, workload)
  free = (size - base) / (asked.lanes or 1) - copy  # Bytes left for one lane.
  block, block_bytes = _find_block(config, dtype, mesh, workload, free)
  fitting = int((free - block_bytes) // row)
  if fitting < 1:
    lanes = asked.lanes or 1
    needed = base + lanes * (copy + block_bytes + row)
    raise UserError(
      f"The base and {lanes} members with a prompt each must fit into a"
      f" device, which needs {needed / 2**30:.3g} GiB, got"
      f" {size / 2**30:.3g} GiB. Use more devices on the mesh axis `model`, or"
      " a smaller dtype."
    )
  rows = min(asked.rows or fitting, fitting, workload.num_prompts)
  lanes = asked.lanes
  if lanes is None:
    most = (size - base) / (copy + block_bytes + rows * row)
    most = min(most, _MAX_LANES_TIMES_ROWS / rows)
    lanes = 2 ** (max(1, int(most)).bit_length() - 1)
  return dataclasses.replace(asked, lanes=lanes, rows=rows, block=block)


def _row_bytes(
  config: TransformerConfig, dtype: DTypeLike, mesh: Mesh, workload: Workload
) -> float:
  """Bytes of one row on each device: its KV cache and its logits."""
  mesh = transformer.fit_mesh(config, mesh)
  num_kv_heads = config.num_kv_heads
  split = mesh.shape["model"] if num_kv_heads % mesh.shape["model"] == 0 else 1
  kv_cache = flops.kv_cache_bytes(
    config, dtype, workload.prompt_tokens + workload.new_tokens
  )
  # Twice, since rows are copied when some are dropped.
  return 2 * kv_cache / split + _LOGIT_COPIES * 4 * config.vocab_size


def _find_block(
  config: TransformerConfig,
  dtype: DTypeLike,
  mesh: Mesh,
  workload: Workload,
  free: float,
) -> tuple[int, float]:
  """Prompt tokens to read at once, and the bytes that it takes on each device.

  Args:
    config: the architecture of the members.
    dtype: the dtype of their activations.
    mesh: the devices, with axes `population` and `model`.
    workload: the prompts of each member.
    free: bytes that the weights leave on each device for one lane.
  """
  num_model = transformer.count_model_devices(mesh)
  longest = workload.prompt_tokens
  block = programs.ACCELERATOR_BLOCK_TOKENS
  while block > longest and (
    flops.prefill_bytes(config, dtype, block, longest)
    > _BLOCK_FRAC * free * num_model
  ):
    block //= 2
  block = max(block, longest)  # A row at least.
  return block, flops.prefill_bytes(config, dtype, block, longest) / num_model
