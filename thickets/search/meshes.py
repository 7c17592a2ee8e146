"""The mesh of devices that members, and the weights of one, are spread over."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh

from thickets.errors import UserError
from thickets.search import teams


def make_mesh(devices: Sequence[Any] | None = None, *, model: int = 1) -> Mesh:
  """Makes a mesh with axes `population` and `model` over this team's devices.

  Args:
    devices: devices of JAX; by default those of this process, or, where `model`
      is more of them, those of the processes that share a member with it. All
      others work on other chunks and need no mesh in common (`teams`).
    model: number of devices that share one member's weights.

  Raises:
    UserError: if `model` does not divide the number of devices.
  """
  if devices is None:
    devices = teams.choose_devices(jax.devices(), jax.process_index(), model)
  if model < 1 or len(devices) % model:
    raise UserError(
      "The devices that share a member must divide all devices, got"
      f" {model} of {len(devices)}."
    )
  return Mesh(
    np.array(list(devices)).reshape(-1, model),
    ("population", "model"),
    axis_types=(AxisType.Auto, AxisType.Auto),
  )
