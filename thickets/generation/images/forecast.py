"""What a machine that is not here would need to search around a pipeline.

The program that evaluates members is compiled from shapes in place of weights, by
the code that makes it for a run; what it holds and moves is read from it.
Operations are those of the formulas, two per multiply-add.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from thickets.generation.images import (
  evaluators,
  pipeline_subject,
)
from thickets.models.diffusion import (
  clip,
  flops,
  sampling,
  schedule,
  scorer,
  unet,
  vae,
  weights,
)
from thickets.models.diffusion.clip_config import ScorerConfig
from thickets.models.diffusion.schedule import ScheduleConfig
from thickets.models.diffusion.unet_config import UNetConfig
from thickets.models.diffusion.vae import VAEConfig
from thickets.naming import Params
from thickets.perturbation import Gaussian
from thickets.search import meshes, program_costs, program_text
from thickets.search.compiled import AbsentPrograms
from thickets.search.targets import Target

_NUM_TOKENS = 77  # Of a text of CLIP, padding included.
_NUM_TARGETS = 4
_KIND = Gaussian(include=("unet.*",))
# For a GPU that is not here, XLA finds no tiles for Triton's products of float32 in
# full precision, which CLIP has; cuBLAS needs none.
_COMPILER_OPTIONS = {"cuda": {"xla_gpu_enable_triton_gemm": False}}


@dataclasses.dataclass(frozen=True)
class Case:
  """A search without its weights.

  Attributes:
    unet: the denoiser.
    vae: the decoder.
    scorer: CLIP.
    schedule: what the denoiser was trained with.
    dtype: the dtype of the denoiser.
    size: height and width of the pictures, in pixels.
    num_pictures: pictures that each member draws.
    pictures_at_once: for how many of them a device predicts at once, None for all.
    num_steps: steps of each.
    guidance: the scale; see `sampling.is_guided`.
    num_members: members to a chunk, which are evaluated one after the other.
  """

  unet: UNetConfig
  vae: VAEConfig
  scorer: ScorerConfig
  schedule: ScheduleConfig
  dtype: DTypeLike
  size: tuple[int, int]
  num_pictures: int
  pictures_at_once: int | None
  num_steps: int
  guidance: float
  num_members: int

  @property
  def latent_size(self) -> tuple[int, int]:
    """Height and width of the latents."""
    factor = self.vae.factor
    return self.size[0] // factor, self.size[1] // factor

  @property
  def num_predictions(self) -> int:
    """Predictions of a member, each for one row; groups are filled up with more."""
    branches = 2 if sampling.is_guided(self.guidance) else 1
    return self.num_pictures * self.num_steps * branches

  def base(self) -> Params:
    """Shapes of the weights; decoder and CLIP in float32."""
    described = {
      "unet": (unet.describe(self.unet), self.dtype),
      "vae": (vae.describe(self.vae), jnp.float32),
      "clip": (clip.describe_vision(self.scorer.vision), jnp.float32),
    }
    return {
      part: weights.abstract_params(description, dtype)
      for part, (description, dtype) in described.items()
    }

  def batch(self) -> dict[str, Any]:
    """Shapes of what members have in common."""
    rows = self.num_pictures
    conditioning = {
      name: _shape(rows, *leaf.shape[1:])
      for name, leaf in self._make_negative().items()
    }
    return {
      "noise": _shape(rows, *self.latent_size, self.unet.in_channels),
      "conditioning": conditioning,
      "labels": {"text": _shape(rows, self.scorer.vision.projection_width)},
    }

  def flops(self) -> float:
    """Operations of one member, its noise left out."""
    prediction = flops.unet_flops(self.unet, self.latent_size, _NUM_TOKENS)
    picture = flops.decoder_flops(self.vae, self.latent_size)
    picture += flops.picture_flops(self.scorer)
    return self.num_predictions * prediction + self.num_pictures * picture

  def make_evaluator(self, target: Target, compiled: AbsentPrograms) -> Any:
    """The evaluator of a run, on one device of a machine."""
    pipeline = pipeline_subject.assemble(
      self.unet,
      self.vae,
      schedule.make_schedule(self.schedule, self.num_steps),
      guidance=self.guidance,
      negative=self._make_negative(),
      pictures_at_once=self.pictures_at_once,
    )
    width = self.scorer.vision.projection_width
    score = functools.partial(
      pipeline_subject.score_pictures,
      functools.partial(scorer.look_at, self.scorer),
      np.zeros((_NUM_TARGETS, width), np.float32),
      0,
    )
    return evaluators.make_member_evaluator(
      pipeline,
      score,
      kind=_KIND,
      names=weights.tensor_names(self.base()),
      mesh=meshes.make_mesh(target.make_devices()[:1]),
      compiled=compiled,
    )

  def _make_negative(self) -> dict[str, np.ndarray]:
    shapes: dict[str, tuple[int, ...]] = {
      "context": (1, _NUM_TOKENS, self.unet.context_width)
    }
    if self.unet.added is not None:
      shapes["pooled"] = (1, self.unet.added.pooled_width)
      shapes["time_ids"] = (1, self.unet.added.num_ids)
    return {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}


@dataclasses.dataclass(frozen=True)
class Forecast:
  """What one device of a machine needs; members on others need the same.

  Attributes:
    compile_s: seconds that the compilation took.
    base_bytes: bytes of the weights that all members have in common.
    memory_bytes: what is held at most: base, batch, results and temporaries, of
      which the member itself is one.
    temporary_bytes: the temporaries.
    moved_bytes: what one member reads and writes.
    flops: operations of one member.
  """

  compile_s: float
  base_bytes: int
  memory_bytes: int
  temporary_bytes: int
  moved_bytes: float
  flops: float

  def least_s(self, target: Target) -> float:
    """Seconds of a member at the published peaks, whichever limits."""
    chip = target.chip
    return max(
      self.flops / chip.flops_per_s, self.moved_bytes / chip.bytes_per_s
    )


def make_forecast(case: Case, target: Target) -> Forecast:
  """Compiles what evaluates members, and reads it.

  Args:
    case: the search.
    target: the machine.

  Raises:
    NoRoomError: if the program is too large for a device.
    UserError: if the compiler of the machine is not installed.
  """
  compiled = AbsentPrograms(_COMPILER_OPTIONS.get(target.chip.platform))
  evaluator = case.make_evaluator(target, compiled)
  base = case.base()
  evaluator.rehearse(base, case.batch(), case.num_members)
  (compilation,) = compiled.compilations
  memory = compilation.program.memory_analysis()
  module = program_text.parse(compilation.program.as_text())
  moves = program_costs.find_moves(module, cache_bytes=target.chip.cache_bytes)
  return Forecast(
    compile_s=compilation.seconds,
    base_bytes=sum(
      leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(base)
    ),
    memory_bytes=memory.argument_size_in_bytes
    + memory.output_size_in_bytes
    + memory.temp_size_in_bytes,
    temporary_bytes=memory.temp_size_in_bytes,
    moved_bytes=sum(move.num_bytes for move in moves) / case.num_members,
    flops=case.flops(),
  )


def _shape(*shape: int) -> jax.ShapeDtypeStruct:
  return jax.ShapeDtypeStruct(shape, np.float32)
