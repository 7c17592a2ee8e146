"""How much of a population of language models fits into memory at once."""

import bisect
import dataclasses
import itertools

import jax.numpy as jnp
from jax.sharding import Mesh
from jax.typing import DTypeLike

from thickets.errors import NoRoomError
from thickets.generation import batching, generator, programs
from thickets.generation import texts as texts_lib
from thickets.generation.batching import Batching
from thickets.models import flops, memory, transformer
from thickets.models.config import TransformerConfig
from thickets.models.layout import COPYING_PLATFORMS, Layout

_CPU_ROWS = 256
# Share of a device's memory: what compilers allot is within a tenth of estimates.
_MEMORY_FRAC = 0.9
_BLOCK_FRAC = 0.25  # Share of what the weights leave, for reading prompts.
_MAX_LANES_TIMES_ROWS = 8192  # Beyond, more members at once are no faster.
# What a layer hands from one product to the next stays in a GPU's cache, of 40 to
# 126 MiB, up to about so much; beyond, each step writes it to memory and reads it.
_GPU_CACHE_BYTES = 32 * 2**20
# Float32 arrays of the vocabulary's size that choosing a token needs: GPUs hold
# logits and what they are reduced from, TPUs fuse all but the logits.
_LOGIT_COPIES, _TPU_LOGIT_COPIES = 3, 1
_GIB = 2**30


@dataclasses.dataclass(frozen=True)
class Workload:
  """What every member has to do.

  Attributes:
    num_prompts: how many prompts it continues.
    prompt_tokens: how many tokens the longest prompt has.
    new_tokens: how many tokens the longest response has.
    image_bytes: bytes of the features of all images that prompts show.
    has_own_images: whether each member has features of its own.
    image_tokens: tokens of distinct images for each prompt, on average.
    tower_bytes: bytes of towers that a device holds beside the text models: that
      of the base, and that of a member where members have their own.
  """

  num_prompts: int
  prompt_tokens: int
  new_tokens: int
  image_bytes: int = 0
  has_own_images: bool = False
  image_tokens: float = 0.0
  tower_bytes: int = 0


def plan_memory(
  config: TransformerConfig,
  dtype: DTypeLike,
  mesh: Mesh,
  workload: Workload,
  asked: Batching,
  size: int | None = None,
  *,
  layout: Layout | None = None,
  moves_weights: bool = False,
) -> Batching:
  """Finds how many members and prompts fit into memory at once.

  On CPU a member has a core to itself, and more of them push each other out of
  its cache. On a TPU it has a chip to itself: with several, layers are copied out
  of their stacks. On GPUs small models run many members at once, and large ones a
  few, with as many prompts as there is room for.

  Args:
    config: the architecture of the members.
    dtype: the dtype of their weights and KV caches.
    mesh: the devices, with axes `population` and `model`.
    workload: the prompts and responses of each member.
    asked: lanes and rows as the user wants them, None to find them; there are
      fewer rows if not all of them fit.
    size: bytes of a device's memory, where the devices are not here to tell.
    layout: how layers lie while decoding, found by default.
    moves_weights: whether the weights that answer are moved step by step, so that
      the base and weights in float32 are held beside them.

  Returns:
    `asked` with lanes, rows and block found.

  Raises:
    NoRoomError: if the base, one member and one row do not fit.
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
  sizes = _measure(config, dtype, mesh, workload, asked.segment, layout)
  if moves_weights:
    tower = workload.tower_bytes / (2 if workload.has_own_images else 1)
    moved = _measure_moved(config, dtype, mesh, sizes.weights, tower)
    moved["beside"] += sizes.beside
    sizes = dataclasses.replace(sizes, **moved)

  def holds(lanes: int, rows: int, block: int) -> float:
    return max(sizes.count_bytes(lanes, rows, block).values())

  lanes = asked.lanes or 1
  block = _find_block(sizes, size, lanes)
  needed = holds(lanes, 1, block)
  if needed > size:
    beside = ", beside the weights that move," if moves_weights else ""
    raise NoRoomError(
      f"The base and {lanes} members with a prompt each must fit into a"
      f" device{beside or ','} which needs {needed / _GIB:.3g} GiB, got"
      f" {size / _GIB:.3g} GiB, nine tenths of it. Use more devices on the"
      " mesh axis `model`, or a smaller dtype.",
      needed,
      size,
    )
  # The most rows that fit; what they take grows with them.
  rows = bisect.bisect_right(
    range(1, min(asked.rows or workload.num_prompts, workload.num_prompts) + 1),
    size,
    key=lambda rows: holds(lanes, rows, block),
  )
  if asked.lanes is None:
    most = count_useful_lanes(
      mesh.devices.flat[0].platform, rows, rows * sizes.passed
    )
    while 2 * lanes <= most and holds(2 * lanes, rows, block) <= size:
      lanes *= 2
  return dataclasses.replace(asked, lanes=lanes, rows=rows, block=block)


def count_useful_lanes(platform: str, rows: int, passed_bytes: float) -> int:
  """How many members at once make a device no slower, whatever its memory.

  Every member reads weights of its own, so that more of them save no bytes; they
  only fill a device that one would leave idle. docs/accelerators.md has what
  compiled programs move.

  Args:
    platform: that of the device, such as `tpu`.
    rows: prompts that each member continues.
    passed_bytes: bytes of the largest array that one layer of a member hands on
      at a step.
  """
  if platform == "tpu":
    return 1
  most = _MAX_LANES_TIMES_ROWS // rows
  if platform in COPYING_PLATFORMS:
    most = min(most, int(_GPU_CACHE_BYTES // passed_bytes))
  return max(most, 1)


def estimate_bytes(
  config: TransformerConfig,
  dtype: DTypeLike,
  mesh: Mesh,
  workload: Workload,
  plan: Batching,
  *,
  layout: Layout | None = None,
) -> dict[str, float]:
  """What a device holds while the programs of a run do their work.

  Compilers allot within about a tenth of the largest; docs/accelerators.md has
  the comparison.

  Args:
    config: the architecture of the members.
    dtype: the dtype of their weights and KV caches.
    mesh: the devices, with axes `population` and `model`.
    workload: the prompts and responses of each member.
    plan: lanes, rows and block, from `plan_memory`.
    layout: how layers lie while decoding, found by default.

  Returns:
    Bytes by the name of the program, as in `rehearsal.Stage`; of segments and of
    the growth of KV caches those of the last.
  """
  assert plan.lanes is not None  # A plan leaves nothing open.
  assert plan.rows is not None
  assert plan.block is not None
  sizes = _measure(config, dtype, mesh, workload, plan.segment, layout)
  return sizes.count_bytes(plan.lanes, plan.rows, plan.block)


@dataclasses.dataclass(frozen=True)
class _Sizes:
  """Bytes on each device of what a run holds.

  Attributes:
    weights: one copy of the weights.
    token: the KV cache of one token of a row.
    logits: what choosing the token of a row takes.
    reading: what one prompt token takes while it is read.
    reading_all: the same where all prompts are read at once.
    prompt_tokens: tokens of a prompt.
    slots: room of a row's KV cache in the first segment of decoding, the last
      but one, and the last.
    is_stacked: whether layers are stacked.
    passed: the largest array that a layer hands on for one row, at one step.
    image_tokens: tokens of images for each prompt, on average, whose keys and values
      are held apart while prompts are read.
    own: what each member holds beside its weights.
    beside: what is held beside base and members while these answer.
    moving: the same while weights are moved, when none answers.
  """

  weights: float
  token: float
  logits: float
  reading: float
  reading_all: float
  prompt_tokens: int
  slots: tuple[int, int, int]
  is_stacked: bool
  passed: float
  image_tokens: float = 0.0
  own: float = 0.0
  beside: float = 0.0
  moving: float = 0.0

  def count_bytes(self, lanes: int, rows: int, block: int) -> dict[str, float]:
    """Bytes by the name of the program, as `estimate_bytes` returns them."""
    members = (1 + lanes) * self.weights
    held = members + lanes * self.own + self.beside
    first, before, last = (
      lanes * rows * self.token * slots for slots in self.slots
    )
    tokens = rows * self.prompt_tokens
    read = block * self.reading if tokens > block else tokens * self.reading_all
    logits = lanes * rows * self.logits
    apart = lanes * rows * self.token * self.image_tokens
    # A stack is copied where a program wants another layout, and keys, then
    # values, before they get more room.
    copied, grown = (last, last / 2) if self.is_stacked else (0.0, 0.0)
    return {
      "rebuild": members + max(self.beside, self.moving),
      "prefill": held + first + apart + max(lanes * read, logits),
      "segment": held + last + copied + logits,
      "regroup": held + before + last + grown,
    }


def _measure(
  config: TransformerConfig,
  dtype: DTypeLike,
  mesh: Mesh,
  workload: Workload,
  segment: int | None,
  layout: Layout | None,
) -> _Sizes:
  """The sizes of a run on a mesh."""
  parts = transformer.count_model_devices(mesh)
  # Heads of keys and values are divided, or whole on each device.
  kv_parts = transformer.fit_mesh(config, mesh).shape["model"]
  if config.num_kv_heads % kv_parts:
    kv_parts = 1
  vocab_parts = 1 if config.vocab_size % parts else parts
  is_tpu = mesh.devices.flat[0].platform == "tpu"
  copies = _TPU_LOGIT_COPIES if is_tpu else _LOGIT_COPIES
  layout = layout or generator.choose_layout(config, mesh)
  reading = flops.prefill_bytes(
    config, dtype, 1, workload.prompt_tokens, num_devices=parts
  )
  reading_all = reading
  is_gpu = mesh.devices.flat[0].platform in COPYING_PLATFORMS
  if is_gpu and layout is Layout.APART:
    # Without a loop over blocks, compilers of GPUs keep both results of every layer.
    mlp = 0 if config.mixture is not None else 2 * config.mlp_width / parts
    kept = (2 * config.num_layers + 1) * config.width + mlp
    reading_all = max(reading, jnp.dtype(dtype).itemsize * kept)
  slots = _plan_slots(workload, segment)
  return _Sizes(
    weights=memory.bytes_per_device(config, dtype, mesh),
    token=flops.kv_cache_bytes(config, dtype, 1) / kv_parts,
    logits=copies * 4 * config.vocab_size / vocab_parts,
    reading=reading,
    reading_all=reading_all,
    prompt_tokens=workload.prompt_tokens,
    slots=slots,
    is_stacked=layout is Layout.STACKED,
    # Attention scores, in float32, or what is between the matrices of the MLP.
    passed=max(
      4 * config.num_heads * slots[-1] / kv_parts,
      jnp.dtype(dtype).itemsize * config.mlp_width / parts,
    ),
    image_tokens=workload.image_tokens,
    own=workload.image_bytes if workload.has_own_images else 0.0,
    beside=workload.tower_bytes
    + (0.0 if workload.has_own_images else workload.image_bytes),
  )


def _measure_moved(
  config: TransformerConfig,
  dtype: DTypeLike,
  mesh: Mesh,
  copy: float,
  tower: float,
) -> dict[str, float]:
  """Bytes beside base and members where `evolution_run.evolve` moves weights.

  Those that move are in float32 at least. Where members answer in a narrower dtype,
  they do so around a third tree; a step makes the next tree beside the last one.

  Args:
    config: the architecture of the text model.
    dtype: the dtype in which members answer.
    mesh: the devices.
    copy: bytes of its weights in that dtype.
    tower: bytes of the base's tower in that dtype, 0 for a text model.
  """
  is_narrow = jnp.dtype(dtype).itemsize < 4
  moved = memory.bytes_per_device(
    config, jnp.float32 if is_narrow else dtype, mesh
  )
  moved += tower * (4 / jnp.dtype(dtype).itemsize if is_narrow else 1)
  return {
    "beside": moved + (copy + tower if is_narrow else 0.0),
    "moving": 2.0 * moved,
  }


def _plan_slots(
  workload: Workload, segment: int | None
) -> tuple[int, int, int]:
  """Slots of the KV cache in the first segment, the last but one and the last."""
  room = texts_lib.round_width(texts_lib.round_width(workload.prompt_tokens))
  steps = batching.plan_segments(room, workload.new_tokens - 1, segment)
  slots = [*itertools.accumulate(steps, initial=room)][1:] or [room]
  return slots[0], slots[-2:][0], slots[-1]


def _find_block(sizes: _Sizes, size: float, lanes: int) -> int:
  """Prompt tokens that each member reads at once.

  Args:
    sizes: those of the run.
    size: bytes of a device.
    lanes: members that run at once.
  """
  free = (size - (1 + lanes) * sizes.weights - sizes.beside) / lanes
  free -= sizes.own
  block = programs.ACCELERATOR_BLOCK_TOKENS
  while (
    block > sizes.prompt_tokens and block * sizes.reading > _BLOCK_FRAC * free
  ):
    block //= 2
  return max(block, sizes.prompt_tokens)  # A row at least.
