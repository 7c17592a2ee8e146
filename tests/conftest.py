"""Strict settings for all tests: fake devices, no silent promotion."""

import os
import tempfile

# What one process of a session compiles, the others read: tests start the same
# binaries again and again. The directory is new for each session, and the workers of
# pytest-xdist have it from the process that starts them.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
  _PROGRAMS = tempfile.TemporaryDirectory(prefix="thickets-programs-")
  os.environ["JAX_COMPILATION_CACHE_DIR"] = _PROGRAMS.name
  os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"

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


def pytest_configure(config):
  """Registers the plugins that are the tests' own."""
  config.pluginmanager.import_plugin("tests.module_cleanups")
