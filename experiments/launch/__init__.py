"""What all binaries share: flags, devices, config checks, and how they end."""

import contextlib
import functools
import logging
import math
import os
import re
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import ml_collections
from absl import app, flags
from ml_collections import config_flags

from thickets import errors
from thickets.errors import UserError

CONFIG = config_flags.DEFINE_config_file("config", None, "What to run.")
_OVERRIDE = re.compile("--?config[.][^=]*=")
WORKDIR = flags.DEFINE_string("workdir", None, "Directory of the run.")
OUT = flags.DEFINE_string("out", None, "Directory or file to write.")
_DISTRIBUTED = flags.DEFINE_bool(
  "distributed",
  False,
  "Join the other processes of a pod or cluster; failing to join is an error.",
)
_COORDINATOR = flags.DEFINE_string(
  "coordinator", None, "host:port of process 0, where no cluster says it."
)
_NUM_PROCESSES = flags.DEFINE_integer(
  "num_processes", None, "Number of processes, where no cluster says it."
)
_PROCESS_ID = flags.DEFINE_integer(
  "process_id", None, "Number of this process, where no cluster says it."
)


def run(main) -> None:
  """Runs a binary's main, with flag errors as one line each."""
  # transformers would tell every user of its tokenizers to install PyTorch.
  os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
  app.run(main, flags_parser=_parse_flags)


def start_devices() -> None:
  """Joins the cluster if asked to, and gives every CPU core a device."""
  configure_jax()
  if _DISTRIBUTED.value:
    jax.distributed.initialize(
      _COORDINATOR.value, _NUM_PROCESSES.value, _PROCESS_ID.value
    )


def configure_jax() -> None:
  """Sets the precision, and gives every CPU core a device, before JAX starts.

  Each member then runs on one core with its data in that core's cache, instead
  of all cores on one matrix product after the other. An explicit
  JAX_NUM_CPU_DEVICES or XLA flag wins.
  """
  # On accelerators float32 products would otherwise be rounded to fewer bits.
  jax.config.update("jax_default_matmul_precision", "highest")
  # JAX reports every accelerator that is not there; that is no news.
  logging.getLogger("jax._src.xla_bridge").setLevel(logging.WARNING)
  explicit = "host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
  if not explicit and "JAX_NUM_CPU_DEVICES" not in os.environ:
    jax.config.update("jax_num_cpu_devices", _num_cores())


def _num_cores() -> int:
  if hasattr(os, "sched_getaffinity"):  # The cores of this process, on Linux.
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1


class Clock:
  """Measures the parts of a run.

  Attributes:
    timing: seconds of every lap so far, and `total_s`.
  """

  def __init__(self):
    self.timing: dict[str, float] = {}
    self._start = self._last = time.perf_counter()

  def lap(self, name: str) -> None:
    """Ends a part and gives it a name."""
    now = time.perf_counter()
    self.timing |= {name: now - self._last, "total_s": now - self._start}
    self._last = now


def read_config() -> ml_collections.ConfigDict:
  """Returns the config of the flag, with its overrides.

  Raises:
    UserError: if none is given, or its file is missing or fails.
  """
  if flags.FLAGS["config"].value is None:
    raise UserError(
      "--config must name a config file, such as configs/signals.py."
    )
  config = CONFIG.value
  if not isinstance(config, ml_collections.ConfigDict):
    try:
      config.keys()  # A file that failed to load raises on every use.
    except Exception as error:  # Whatever the user's file raises.
      reason = str(error).strip().splitlines()[-1].strip()
      raise UserError(
        f"--config must name a config file that loads: {reason}"
      ) from error
  return config


@contextlib.contextmanager
def ending_well() -> Iterator[None]:
  """As `ending_plainly`, with advice on an interrupt, where there is a workdir."""
  if not WORKDIR.value:
    sys.exit("error: --workdir must name the directory of the run, got none.")
  with ending_plainly(
    f" What was finished is in {WORKDIR.value}; the same command continues it."
  ):
    yield


@contextlib.contextmanager
def ending_plainly(advice: str = "") -> Iterator[None]:
  """Ends with one line on a user's error or an interrupt."""
  signal.signal(signal.SIGTERM, _interrupt)
  try:
    yield
  except UserError as error:
    sys.exit(f"error: {error}")
  except BrokenPipeError:  # As of `| head`.
    os._exit(141)
  except KeyboardInterrupt:
    print(f"\nInterrupted.{advice}", file=sys.stderr, flush=True)
    # Without waiting for work that is under way on the devices.
    os._exit(130)


def check_keys(
  config: ml_collections.ConfigDict,
  reference: ml_collections.ConfigDict,
  path: str = "",
) -> list[str]:
  """Compares the keys and types of a config with those of its file.

  Returns:
    One message for each unknown key, missing key and wrong type.
  """
  problems = []
  for key in config:
    name = f"{path}{key}"
    if key not in reference:
      near = errors.nearest(key, list(reference), count=1)
      problems.append(f"{name} is no config key. Nearest: {path}{near}.")
      continue
    value, model = config[key], reference[key]
    if isinstance(model, ml_collections.ConfigDict):
      if not isinstance(value, ml_collections.ConfigDict):
        problems.append(
          f"{name} must hold the keys {list(model)}, got {value!r}."
        )
      else:
        problems += check_keys(value, model, f"{name}.")
    elif not _same_type(value, model):
      problems.append(f"{name} must be {_describe_type(model)}, got {value!r}.")
  problems += [
    f"{path}{key} is missing from the config."
    for key in reference
    if key not in config
  ]
  return problems


def check_ranges(
  config: ml_collections.ConfigDict,
  ranges: Mapping[str, tuple[float, float | None]],
) -> list[str]:
  """Checks that numbers lie within [low, high]; None is no limit.

  Args:
    config: the config.
    ranges: limits by dotted key; each item of a tuple is checked.
  """
  problems = []
  for name, (low, high) in ranges.items():
    value = _get(config, name)
    for item in value if isinstance(value, tuple | list) else (value,):
      if not math.isfinite(item):
        problems.append(f"{name} must be finite, got {item}.")
      elif item < low:
        problems.append(f"{name} must be at least {low}, got {item}.")
      elif high is not None and item > high:
        size = config.get("population", {}).get("size")
        hint = " (population.size)" if high == size else ""
        problems.append(f"{name} must be at most {high}{hint}, got {item}.")
  return problems


def check_choices(
  config: ml_collections.ConfigDict, choices: Mapping[str, Iterable[str]]
) -> list[str]:
  """Checks that words are known, and names the nearest of those that are."""
  return [
    f"{name} must be one of {sorted(known)}, got {_get(config, name)!r}."
    f" Nearest: {errors.nearest(_get(config, name), list(known), count=1)}."
    for name, known in choices.items()
    if _get(config, name) not in known
  ]


def check_not_empty(
  config: ml_collections.ConfigDict, names: Iterable[str]
) -> list[str]:
  """Checks that tuples hold at least one item."""
  return [
    f"{name} must hold at least one item, got none."
    for name in names
    if not _get(config, name)
  ]


def refuse(problems: Sequence[str]) -> None:
  """Raises one UserError that lists all problems, if there are any."""
  if len(problems) == 1:
    raise UserError(problems[0])
  if problems:
    raise UserError(
      f"the config has {len(problems)} problems:\n  - "
      + "\n  - ".join(problems)
    )


def to_json(config: ml_collections.ConfigDict) -> dict[str, Any]:
  """The config as nested dicts, lists and plain values."""
  return {
    key: to_json(value)
    if isinstance(value, ml_collections.ConfigDict)
    else list(value)
    if isinstance(value, tuple)
    else value
    for key, value in config.items()
  }


def _get(config, name):
  return functools.reduce(lambda part, key: part[key], name.split("."), config)


def _parse_flags(argv):
  try:
    return flags.FLAGS(_keep_last(argv))
  except flags.Error as error:
    # Of a config file that failed, the last line of its traceback.
    sys.exit(f"error: {str(error).strip().splitlines()[-1].strip()}")
  except (AttributeError, KeyError) as error:
    # What ml_collections raises for an override that the file does not have.
    words = re.findall(r"\w+", str(error).replace("\\n", " "))
    near = f" Nearest: {words[4]}." if "mean" in words else ""
    sys.exit(f"error: --config has no key {words[0]!r}.{near}")


def _keep_last(argv: Sequence[str]) -> list[str]:
  """Of several values of one key the last counts.

  ml_collections would join those of a tuple.
  """
  last = {
    argument.partition("=")[0].lstrip("-"): place
    for place, argument in enumerate(argv)
    if _OVERRIDE.match(argument)
  }
  return [
    argument
    for place, argument in enumerate(argv)
    if not _OVERRIDE.match(argument)
    or last[argument.partition("=")[0].lstrip("-")] == place
  ]


def _interrupt(signum, frame):
  del signum, frame
  raise KeyboardInterrupt


def _same_type(value: Any, model: Any) -> bool:
  if isinstance(model, bool) or isinstance(value, bool):
    return isinstance(value, bool) and isinstance(model, bool)
  if isinstance(model, float):
    return isinstance(value, int | float)
  if isinstance(model, tuple):
    if not isinstance(value, tuple | list):
      return False
    return not model or all(_same_type(item, model[0]) for item in value)
  return isinstance(value, type(model))


def _describe_type(model: Any) -> str:
  if isinstance(model, tuple):
    inner = _describe_type(model[0]) if model else "value"
    return f"a tuple, each item {inner}"
  names = {bool: "true or false", int: "an integer", float: "a number"}
  return names.get(type(model), "text")
