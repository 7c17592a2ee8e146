"""How tests compile what runs for milliseconds and compiles for seconds.

Not where bits are the point: those programs are compiled as users compile them.
"""

# Options of `jax.jit`. Kernels without MLIR take a third of the time.
OPTIONS = {
  "xla_backend_optimization_level": 0,
  "xla_cpu_use_fusion_emitters": False,
}
