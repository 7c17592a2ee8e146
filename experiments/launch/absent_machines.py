"""What binaries have in common that compile for machines that are not here."""

import os

import jax

from experiments import launch

# libtpu asks for them as it starts, whatever the machine is; and it would not
# start twice at a time, though no process here holds a device.
_TPU_ENVIRONMENT = {
  "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
  "TPU_SKIP_MDS_QUERY": "1",
  "TPU_ACCELERATOR_TYPE": "v5litepod-8",
  "TPU_WORKER_HOSTNAMES": "localhost",
}


def start(binary: launch.BinaryFlags) -> None:
  """Starts JAX on the CPU, with what compilers of other machines ask for."""
  os.environ.update(_TPU_ENVIRONMENT)
  jax.config.update("jax_platforms", "cpu")  # Nothing runs on another.
  launch.start_devices(binary)
