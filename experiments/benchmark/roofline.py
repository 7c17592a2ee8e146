"""The least seconds that a member can take, from rates of the same machine.

Each part of the work takes at least its operations over the rate of matrix
products, and at least its bytes over the bandwidth; the parts are summed.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from thickets import noise
from thickets.models import flops, transformer
from thickets.models.config import TransformerConfig

# What moves or renames numbers computes none.
_NO_ARITHMETIC = (
  "bitcast_convert_type",
  "broadcast_in_dim",
  "convert_element_type",
  "iota",
  "reshape",
)


@dataclasses.dataclass(frozen=True)
class Work:
  """What has to be done at one time.

  Attributes:
    operations: floating-point operations, or integer ones of the noise.
    num_bytes: bytes that must be read or written.
  """

  operations: float
  num_bytes: float

  def least_s(self, operations_per_s: float, bytes_per_s: float) -> float:
    """Seconds at these rates, whichever limits."""
    return max(self.operations / operations_per_s, self.num_bytes / bytes_per_s)


@dataclasses.dataclass(frozen=True)
class Workload:
  """The prompts of a member and how long it answers.

  Attributes:
    config: the architecture.
    dtype: the dtype of weights and KV cache.
    prefix: tokens that all prompts begin with, which are read once.
    prompts: [Q] tokens of each prompt, with the prefix.
    responses: [Q] tokens of each response.
  """

  config: TransformerConfig
  dtype: DTypeLike
  prefix: int
  prompts: Sequence[int]
  responses: Sequence[int]

  def perturb(self) -> Work:
    """Reading the base, drawing its noise, and writing the member."""
    num_weights = transformer.count_params(self.config)
    num_bytes = 2 * num_weights * np.dtype(self.dtype).itemsize
    return Work(num_weights * count_noise_operations(), num_bytes)

  def prefill(self) -> Work:
    """Reading the prefix once and all prompts behind it."""
    config = self.config
    operations = sum(
      flops.token_flops(config, seen) for seen in range(1, self.prefix + 1)
    )
    num_tokens = self.prefix
    for length in self.prompts:
      operations += flops.head_flops(config) + sum(
        flops.token_flops(config, seen)
        for seen in range(self.prefix + 1, length + 1)
      )
      num_tokens += length - self.prefix
    kv_bytes = flops.kv_cache_bytes(config, self.dtype, num_tokens)
    weight_bytes = flops.weight_bytes(config, self.dtype, num_tokens)
    return Work(operations, weight_bytes + kv_bytes)

  def steps(self) -> Iterator[Work]:
    """Each step of the rows that have not stopped, after the first token."""
    config = self.config
    pairs = list(zip(self.prompts, self.responses, strict=True))
    for step in range(1, max(self.responses)):
      seen = [prompt + step for prompt, length in pairs if length > step]
      operations = sum(flops.token_flops(config, n) for n in seen)
      num_tokens = self.prefix + sum(n - self.prefix for n in seen)
      yield Work(
        operations + len(seen) * flops.head_flops(config),
        flops.weight_bytes(config, self.dtype, len(seen))
        + flops.kv_cache_bytes(config, self.dtype, num_tokens),
      )


def count_noise_operations() -> int:
  """Operations that the formula of the noise takes for one weight."""
  shape = (7,)
  traced = jax.make_jaxpr(lambda *key: noise.gaussian(*key, shape))(
    jnp.uint32(0), jnp.uint32(0)
  )
  return 2 + _count_operations(traced.jaxpr, shape)  # sigma times it, added.


def _count_operations(jaxpr: Any, shape: tuple[int, ...]) -> int:
  """Equations whose result has this shape, those of inner functions included."""
  count = 0
  for equation in jaxpr.eqns:
    inner = equation.params.get("jaxpr")
    if inner is not None:
      count += _count_operations(getattr(inner, "jaxpr", inner), shape)
    elif equation.primitive.name not in _NO_ARITHMETIC:
      count += equation.outvars[0].aval.shape == shape
  return count
