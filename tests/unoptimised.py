"""How tests compile what runs for milliseconds and compiles for seconds.

Not where bits are the point: those programs are compiled as users compile them.
"""

import contextlib
from unittest import mock

import jax

from thickets.models.vision import tower

# Options of `jax.jit`. Kernels without MLIR take a third of the time.
OPTIONS = {
  "xla_backend_optimization_level": 0,
  "xla_cpu_use_fusion_emitters": False,
}


@contextlib.contextmanager
def compiling_towers():
  """Within it, `tower.encode` compiles with `OPTIONS`."""
  run = jax.jit(
    tower._run.__wrapped__, static_argnums=0, compiler_options=OPTIONS
  )
  with mock.patch.object(tower, "_run", run):
    yield
