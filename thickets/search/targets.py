"""Machines that need not be here: what is compiled for, and how fast they are.

Compilers name them: `v5e:4x4` is a slice of sixteen TPU v5e, `h100:8` a node of
eight H100. Peaks are those that vendors publish, without sparsity; what is left
to programs of a device's memory is what its runtime leaves by default.

Sources: cloud.google.com/tpu/docs (slices, memory, bandwidth), NVIDIA's data
sheets of A100 80 GB, H100 SXM, H200 and B200, jax-ml.github.io/scaling-book (the
vector units of TPUs).
"""

import dataclasses
import importlib.util
import math
import re
from collections.abc import Callable
from typing import Any

from jax.experimental import topologies

from thickets import errors
from thickets.errors import UserError

_GIB = 2**30
# Of a GPU's memory, what JAX's runtime takes at its start.
_GPU_FRAC = 0.75
_NODE = 8  # GPUs of a node.
# TPUs whose chips have two cores, which work as one device.
_OF_TWO_CORES = ("v4", "v5p")
# The extra that installs a platform's compiler, and the module that holds it.
_COMPILERS = {
  "tpu": ("compile-tpu", "libtpu"),
  "cuda": ("compile-cuda", "jax_plugins.xla_cuda12"),
}


@dataclasses.dataclass(frozen=True)
class Chip:
  """One device of a kind.

  Attributes:
    name: the compiler's name: `v5e`, `h100`.
    platform: `tpu` or `cuda`.
    title: the vendor's name.
    flops_per_s: peak of products of bfloat16.
    bytes_per_s: peak bandwidth of its memory.
    operations_per_s: peak of operations on single numbers, which noise takes;
      None where it is not published.
    memory_bytes: what is left to programs of its memory.
    cache_bytes: what its cache is sure to hold between two instructions, half of
      it; 0 where the compiler itself says what is held beside the cores.
    shapes: of a TPU, the slices that are sold; () for a GPU.
    description: of a GPU, what its compiler needs to know; "" for a TPU.
    cloud: makes the cloud's own name from the number of devices.
  """

  name: str
  platform: str
  title: str
  flops_per_s: float
  bytes_per_s: float
  operations_per_s: float | None
  memory_bytes: int
  cache_bytes: int
  shapes: tuple[str, ...]
  description: str
  cloud: Callable[[int], str]


@dataclasses.dataclass(frozen=True)
class Target:
  """A machine: so many devices of a kind.

  Attributes:
    chip: its kind.
    shape: of a TPU its slice, as `4x4`; of GPUs how many there are.
    num_devices: how many devices there are.
  """

  chip: Chip
  shape: str
  num_devices: int

  @property
  def name(self) -> str:
    """Its name, as `parse` reads it."""
    return f"{self.chip.name}:{self.shape}"

  @property
  def cloud(self) -> str:
    """What clouds call it."""
    return self.chip.cloud(self.num_devices)

  def make_devices(self) -> list[Any]:
    """The devices as the compiler sees them, in their order.

    Raises:
      UserError: if the compiler is not installed, or does not know the machine.
    """
    extra, package = _COMPILERS[self.chip.platform]
    if not _is_installed(package):
      raise UserError(
        f"--target={self.name} needs the compiler of its devices, the package"
        f" {package}, got none. Install it with pip install"
        f" 'thickets[{extra}]'."
      )
    if self.chip.platform == "tpu":
      options = {"topology_name": self.name}
      if self.chip.name in _OF_TWO_CORES:
        options["chip_config_name"] = "megacore"
    else:
      nodes = -(-self.num_devices // _NODE)
      options = {
        "topology_name": self.chip.name,
        "topology": f"1x{nodes}x{self.num_devices // nodes}",
        "target_config": self.chip.description,
      }
    try:
      found = topologies.get_topology_desc(
        platform=self.chip.platform, **options
      )
    except (RuntimeError, NotImplementedError, ValueError) as error:
      reason = (str(error).strip() or type(error).__name__).splitlines()[0]
      raise UserError(
        f"--target={self.name} must be known to the compiler that is installed,"
        f" {package}, got from it: {reason}. Where that is an old version, renew"
        f" it with pip install --upgrade 'thickets[{extra}]'."
      ) from error
    devices = list(found.devices)
    if len(devices) != self.num_devices:
      raise UserError(
        f"--target={self.name} must have {self.num_devices} devices, got"
        f" {len(devices)} from the compiler {package}. Name another slice."
      )
    return devices


def parse(text: str) -> Target:
  """Reads a machine's name, as `v5e:4x4` or `h100:8`.

  Raises:
    UserError: if there is no such machine; the nearest is named.
  """
  name, _, shape = text.partition(":")
  if name not in CHIPS:
    examples = [f"{known}:{_example(chip)}" for known, chip in CHIPS.items()]
    near = errors.nearest(text, examples, count=1)
    raise UserError(
      f"--target must be a machine, as in {', '.join(examples)}, got {text!r}."
      f" Nearest: {near}."
    )
  chip = CHIPS[name]
  if chip.platform == "tpu":
    if shape not in chip.shapes:
      raise UserError(
        f"--target={name}:SHAPE must name a slice that exists,"
        f" {', '.join(chip.shapes)}, got {text!r}. Nearest:"
        f" {name}:{_nearest_shape(shape, chip.shapes)}."
      )
    return Target(chip, shape, _count(shape))
  is_count = re.fullmatch(r"[1-9]\d{0,3}", shape) is not None
  if not is_count or (int(shape) > _NODE and int(shape) % _NODE):
    raise UserError(
      f"--target={name}:COUNT must be 1 to {_NODE} GPUs, or whole nodes of"
      f" {_NODE}, got {text!r}. Write {name}:1 or {name}:{_NODE}."
    )
  return Target(chip, shape, int(shape))


def _is_installed(module: str) -> bool:
  """Whether a module can be imported, as far as that is known without it."""
  try:
    return importlib.util.find_spec(module) is not None
  except ModuleNotFoundError:  # The package around it is missing.
    return False


def _count(shape: str) -> int:
  return math.prod(int(side) for side in shape.split("x"))


def _example(chip: Chip) -> str:
  return chip.shapes[0] if chip.shapes else str(_NODE)


def _nearest_shape(shape: str, known: tuple[str, ...]) -> str:
  """The slice with the nearest number of chips; the first where none is told."""
  sides = re.findall(r"\d+", shape)
  if not sides or len(sides) > 4:
    return known[0]
  wanted = math.log(max(1, math.prod(map(int, sides))))
  return min(known, key=lambda other: abs(math.log(_count(other)) - wanted))


_FLAT = ("2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16")
_DEEP = (
  *("2x2x1", "2x2x2", "2x2x4", "2x4x4", "4x4x4", "4x4x8", "4x8x8", "8x8x8"),
  *("4x4x12", "4x8x12", "8x8x12", "8x8x16", "8x16x16"),
)


def _tpu(
  name: str,
  title: str,
  tflops: float,
  gbytes_per_s: float,
  gib: float,
  shapes: tuple[str, ...],
  cloud: Callable[[int], str],
  tops: float | None = None,
) -> Chip:
  return Chip(
    name,
    "tpu",
    title,
    tflops * 1e12,
    gbytes_per_s * 1e9,
    None if tops is None else tops * 1e12,
    int(gib * _GIB),
    0,
    shapes,
    "",
    cloud,
  )


_DESCRIPTION = """gpu_device_info {{
  threads_per_block_limit: 1024
  threads_per_warp: 32
  shared_memory_per_block: 49152
  shared_memory_per_core: {shared}
  threads_per_core_limit: 2048
  core_count: {cores}
  fpus_per_core: {units}
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  memory_bandwidth: {bandwidth}
  l2_cache_size: {cache}
  clock_rate_ghz: {clock}
  device_memory_size: {memory}
  shared_memory_per_block_optin: {optin}
  cuda_compute_capability {{ major: {capability} }}
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
}}
platform_name: "CUDA"
dnn_version_info {{ major: 9 minor: 8 }}
runtime_version {{ major: 12 minor: 9 }}
device_description_str: "{title}"
"""


def _gpu(
  name: str,
  title: str,
  tflops: float,
  gbytes_per_s: float,
  memory: int,
  cloud: Callable[[int], str],
  **fields: Any,
) -> Chip:
  """A GPU, described by what its cores have.

  Args:
    name: the compiler's name.
    title: the vendor's name.
    tflops: peak of products of bfloat16.
    gbytes_per_s: peak bandwidth.
    memory: bytes of its memory.
    cloud: makes the cloud's name from how many there are.
    **fields: of `_DESCRIPTION`.
  """
  description = _DESCRIPTION.format(
    title=title, bandwidth=int(gbytes_per_s * 1e9), memory=memory, **fields
  )
  operations = fields["cores"] * fields["units"] * fields["clock"] * 1e9
  return Chip(
    name,
    "cuda",
    title,
    tflops * 1e12,
    gbytes_per_s * 1e9,
    operations,
    int(memory * _GPU_FRAC),
    fields["cache"] // 2,
    (),
    description,
    cloud,
  )


def _of_nodes(google: str, amazon: str) -> Callable[[int], str]:
  """Names of nodes of eight, and of a part of one where it is sold."""

  def name(count: int) -> str:
    if count < _NODE:
      return f"{google}-{count}g"
    nodes = count // _NODE
    times = "" if nodes == 1 else f"{nodes} x "
    return f"{times}{google}-{_NODE}g, {times}{amazon}"

  return name


_HOPPER = {
  "shared": 233472,
  "optin": 232448,
  "units": 128,
  "capability": 9,
  "clock": 1.98,
  "cores": 132,
  "cache": 52428800,
}
CHIPS = {
  chip.name: chip
  for chip in (
    _tpu(
      *("v5e", "TPU v5e", 197, 819, 15.75, _FLAT),
      cloud=lambda count: f"v5litepod-{count}",
      tops=6.1,
    ),
    _tpu(
      *("v5p", "TPU v5p", 459, 2765, 95.74, _DEEP),
      cloud=lambda count: f"v5p-{2 * count}",
      tops=14.3,
    ),
    _tpu(
      *("v6e", "TPU v6e", 918, 1640, 31.25, _FLAT),
      cloud=lambda count: f"v6e-{count}",
    ),
    _tpu(
      *("v4", "TPU v4", 275, 1228, 30.75, _DEEP),
      cloud=lambda count: f"v4-{2 * count}",
    ),
    _gpu(
      *("a100", "NVIDIA A100-SXM4-80GB", 312, 2039, 85094825984),
      cloud=_of_nodes("a2-ultragpu", "p4de.24xlarge"),
      **_HOPPER
      | {
        "shared": 167936,
        "optin": 166912,
        "units": 64,
        "capability": 8,
        "clock": 1.41,
        "cores": 108,
        "cache": 41943040,
      },
    ),
    _gpu(
      *("h100", "NVIDIA H100 80GB HBM3", 989, 3350, 84978434048),
      cloud=_of_nodes("a3-highgpu", "p5.48xlarge"),
      **_HOPPER,
    ),
    _gpu(
      *("h200", "NVIDIA H200", 989, 4800, 150754820096),
      cloud=_of_nodes("a3-ultragpu", "p5en.48xlarge"),
      **_HOPPER,
    ),
    _gpu(
      *("b200", "NVIDIA B200", 2250, 8000, 191513755648),
      cloud=_of_nodes("a4-highgpu", "p6-b200.48xlarge"),
      **_HOPPER
      | {"capability": 10, "clock": 1.965, "cores": 148, "cache": 132120576},
    ),
  )
}
