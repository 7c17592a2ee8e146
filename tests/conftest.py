"""Strict settings for all tests: fake devices, no silent promotion."""

import os

# Before JAX starts: eight devices, so that every test runs on a real mesh.
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["JAX_NUM_CPU_DEVICES"] = "8"

import hypothesis
import jax
import jaxtyping

# Checks the annotated shapes of every public call; off in production. This must
# come before the first import of the package.
jaxtyping.install_import_hook("thickets", "strict_types.check")

jax.config.update("jax_debug_key_reuse", True)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")

hypothesis.settings.register_profile(
  "thickets", deadline=None, derandomize=True, max_examples=50
)
hypothesis.settings.load_profile("thickets")
