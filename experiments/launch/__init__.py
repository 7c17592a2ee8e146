"""What all binaries share: flags, checks of a config, devices, and how they end."""

from experiments.launch.config_checks import (
  Range,
  check_choices,
  check_keys,
  check_not_empty,
  check_ranges,
  refuse,
  to_json,
)
from experiments.launch.ending import configure_jax, run, start_devices
from experiments.launch.flags import BinaryFlags

__all__ = [
  "BinaryFlags",
  "Range",
  "check_choices",
  "check_keys",
  "check_not_empty",
  "check_ranges",
  "configure_jax",
  "refuse",
  "run",
  "start_devices",
  "to_json",
]
