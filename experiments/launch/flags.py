"""The flags of one binary: declared by it, listed by --help, others refused.

A binary makes one `BinaryFlags`, declares on it the flags that it reads with
absl's own `flags.DEFINE_...(..., flag_values=FLAGS.values)`, and hands it to
`ending.run`. Nothing is registered globally, so that no binary accepts the flags
of another.
"""

import ast
import json
import os
import re
import sys
from collections.abc import Sequence
from typing import Any

import ml_collections
from absl import flags
from ml_collections import config_flags

from experiments.launch import cluster_flags
from experiments.launch.cluster_flags import Cluster
from thickets import errors
from thickets.errors import UserError
from thickets.runs import locations

_OVERRIDE = re.compile("--?config[.]([^=]*)")
_CONFIG = re.compile("--?config=")
# How a message begins that ml_collections makes around that of a config file.
_WRAPPER = "Error whilst parsing config file"
_HELP = ("--help", "-help", "-h", "--helpshort", "--helpfull")


class BinaryFlags:
  """The command line of one binary.

  Args:
    doc: the binary's docstring, which --help prints.
    example: one command line that works, shown by --help.
    arguments: what positional arguments stand for, such as `RUN`; None where
      the binary takes none, and refuses them.

  Attributes:
    values: absl's values, on which flags are defined.
    example: one command line that works.
  """

  def __init__(self, doc: str, example: str, arguments: str | None = None):
    self.values = flags.FlagValues()
    self.example = example
    self._doc, self._arguments = doc, arguments
    self._argv: list[str] = []  # What the config flag looks for overrides in.
    self._config: flags.FlagHolder | None = None
    self._workdir: flags.FlagHolder[str] | None = None
    self._needs_disk: str | None = None
    self._cluster: tuple[flags.FlagHolder, ...] = ()
    self._grace: flags.FlagHolder[float] | None = None
    self._check: flags.FlagHolder[bool] | None = None

  def define_config(self) -> None:
    """Declares --config, and --config.KEY=VALUE for each of its keys."""
    self._config = config_flags.DEFINE_config_file(
      "config",
      None,
      "The config file to run, as FILE.py or FILE.py:VARIANT. Any of its values"
      " can be overridden, as in --config.seed=1.",
      flag_values=self.values,
      sys_argv=self._argv,
    )

  def define_workdir(self, *, needs_disk: str | None = None) -> None:
    """Declares --workdir, the directory of a run.

    Args:
      needs_disk: why it cannot be an address in an object store, a full sentence;
        None where it can.
    """
    self._needs_disk = needs_disk
    place = "directory" if needs_disk else "directory, s3:// or gs:// address"
    self._workdir = flags.DEFINE_string(
      "workdir",
      None,
      f"The {place} of the run. The same command continues a run in it.",
      flag_values=self.values,
    )

  def define_check(self) -> None:
    """Declares --check, which checks a run without starting it."""
    self._check = flags.DEFINE_bool(
      "check",
      False,
      "Only check data, patterns, grader, memory and expected time, which"
      " includes a timed trial; nothing is written.",
      flag_values=self.values,
    )

  def define_cluster(self) -> None:
    """Declares what the processes of a pod or a cluster are told."""
    self._cluster = cluster_flags.define(self.values)

  def define_grace(self) -> None:
    """Declares how long SIGTERM may be put off, for binaries that score members."""
    self._grace = flags.DEFINE_float(
      "grace_s",
      25.0,
      "Seconds after SIGTERM in which members under way may be finished; what is"
      " not finished by then is computed again when the run goes on.",
      lower_bound=0.0,
      flag_values=self.values,
    )

  @property
  def workdir(self) -> str:
    """The directory of the run.

    Raises:
      UserError: if none is given, or an address that cannot be one.
    """
    if self._workdir is None or not self._workdir.value:
      raise UserError("--workdir must name the directory of the run, got none.")
    if self._needs_disk is not None:
      locations.locate_on_disk(
        self._workdir.value, "--workdir", self._needs_disk
      )
    locations.locate(self._workdir.value)  # Refuses an address that is none.
    return self._workdir.value

  @property
  def is_check(self) -> bool:
    """Whether the run is only to be checked."""
    return self._check is not None and bool(self._check.value)

  @property
  def has_workdir(self) -> bool:
    """Whether the binary has a --workdir and it is given."""
    return bool(self.given_workdir)

  @property
  def given_workdir(self) -> str:
    """What --workdir says, whether or not it can be one; "" where it says nothing.

    No object store is asked, unlike by `workdir`.
    """
    if self._workdir is None or not self.values.is_parsed():
      return ""
    return self._workdir.value or ""

  @property
  def config(self) -> ml_collections.ConfigDict:
    """The config of the flag, with its overrides.

    Raises:
      UserError: if none is given.
    """
    if self._config is None or self.values["config"].value is None:
      raise UserError(
        "--config must name a config file, such as configs/signals.py."
      )
    return self._config.value

  @property
  def config_file(self) -> str:
    """The path of the config file, without its variant."""
    return config_flags.get_config_filename(self.values["config"])

  @property
  def config_variant(self) -> str:
    """The variant of the config file, or the file's own name without one."""
    path, _, variant = self.values["config"].config_filename.partition(":")
    return variant or os.path.splitext(os.path.basename(path))[0]

  @property
  def cluster(self) -> Cluster | None:
    """The processes to join; None to run alone."""
    if not self._cluster or not self._cluster[0].value:
      return None
    return Cluster(*(flag.value for flag in self._cluster[1:]))

  @property
  def grace_s(self) -> float:
    """Seconds after SIGTERM in which work under way may be finished."""
    return 0.0 if self._grace is None else self._grace.value

  def parse(self, argv: Sequence[str]) -> list[str]:
    """Reads a command line; ends the process on --help or a wrong flag.

    Args:
      argv: the command line, the program's name first.

    Returns:
      The program's name and the positional arguments.
    """
    # Behind "--" everything is an argument, whatever it looks like.
    end = argv.index("--") if "--" in argv else len(argv)
    if any(argument in _HELP for argument in argv[1:end]):
      print(self.describe())
      sys.exit(0)
    try:
      words = keep_last(_keep_last_config(argv[:end]))
      return self._parse(words, argv[end + 1 :])
    except UserError as error:
      sys.exit(f"error: {error}")
    except flags.Error as error:
      # A message may hold a traceback, of which only the last line is shown.
      sys.exit(f"error: {str(error).strip().splitlines()[-1].strip()}")

  def describe(self) -> str:
    """What --help prints: the docstring, an example, and every flag."""
    lines = [self._doc.strip(), "", "Example:", f"  {self.example}", ""]
    lines.append("Flags:")
    for name in self.values:
      flag = self.values[name]
      default = flag.default_as_str
      shown = f" Default: {default}." if flag.default not in (None, []) else ""
      lines.append(f"  --{name}: {flag.help}{shown}")
    return "\n".join(lines)

  def _parse(self, argv: list[str], behind: Sequence[str]) -> list[str]:
    if self._config is not None:
      argv = self._check_config(argv)
    self._argv[:] = argv
    rest = self.values(argv, known_only=True)
    # absl's own, such as --verbosity.
    rest = flags.FLAGS(rest, known_only=True)
    for word in rest[1:]:
      if word.startswith("-") and word != "-":
        raise UserError(self._refuse(word))
    words = [*rest[1:], *behind]
    if words and self._arguments is None:
      raise UserError(
        f"{self._program} takes flags only, got the argument {words[0]!r}. See"
        " --help."
      )
    others = [flag.name for flag in self._cluster[1:] if flag.present]
    if others and not self._cluster[0].value:
      raise UserError(
        f"--{others[0]} must be given with --distributed, got it alone: this"
        " process would run by itself. Add --distributed."
      )
    return [rest[0], *words]

  def _refuse(self, word: str) -> str:
    name = word.lstrip("-").partition("=")[0]
    if not len(self.values):
      return f"{self._program} takes no flags, got --{name}."
    near = errors.nearest(
      name, [f"--{known}" for known in self.values], count=1
    )
    return (
      f"{self._program} has no flag --{name}. Nearest: {near}. See --help for"
      " all that it has."
    )

  @property
  def _program(self) -> str:
    """The name in the example, as `experiments.randopt`."""
    found = re.search(r"\bexperiments\.\w+", self.example)
    return found.group() if found else os.path.basename(sys.argv[0])

  def _check_config(self, argv: list[str]) -> list[str]:
    """Refuses a config that does not load, and overrides of keys it lacks.

    Returns:
      The command line, with sections of the config written as Python's dicts.
    """
    plain = [argument for argument in argv if not _OVERRIDE.match(argument)]
    only = flags.FlagValues()
    flags.DEFINE_string("config", None, "", flag_values=only)
    only(plain, known_only=True)
    if only["config"].value is None:
      return argv
    config = _load_config(only["config"].value)
    written = []
    for argument in argv:
      if found := _OVERRIDE.match(argument):
        value = _find_value(config, found.group(1))
        if isinstance(value, ml_collections.ConfigDict):
          argument = _write_section(argument)
      written.append(argument)
    return written


def _find_value(config: ml_collections.ConfigDict, name: str) -> Any:
  """The value of a dotted key; refuses one that the config lacks."""
  part, path = config, ""
  for key in name.split("."):
    if not isinstance(part, ml_collections.ConfigDict) or key not in part:
      keys = list(part) if isinstance(part, ml_collections.ConfigDict) else []
      known = [f"--config.{path}{other}" for other in keys]
      remedy = ""
      if known:
        near = errors.nearest(f"--config.{path}{key}", known, count=1)
        remedy = f" Nearest: {near}."
      elif isinstance(part, ml_collections.ConfigDict):
        remedy = f" Write --config.{path[:-1]}=\"{{'{key}': VALUE}}\"."
      raise UserError(f"--config has no key {name!r}.{remedy}")
    part, path = part[key], f"{path}{key}."
  return part


def _write_section(argument: str) -> str:
  """An override of a whole section as ml_collections reads it; JSON will do too."""
  name, _, text = argument.partition("=")
  try:
    value = json.loads(text)
  except ValueError:
    try:
      value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
      value = text
  if not isinstance(value, dict):
    raise UserError(
      f"{name} must be a dict, as in {name}=\"{{'enable_thinking': False}}\", got"
      f" {text!r}."
    )
  return f"{name}={value!r}"


def _load_config(path: str) -> ml_collections.ConfigDict:
  """Loads a config file once before absl does, which hides why one fails.

  Raises:
    UserError: if it is no Python file with a get_config() that returns a config.
  """
  only = flags.FlagValues()
  config_flags.DEFINE_config_file(
    "config", None, "", flag_values=only, sys_argv=[]
  )
  try:
    with open(path.partition(":")[0], "rb"):
      pass  # A file that cannot be opened says so here, in fewer words.
    only["config"].parse(path)
    config = only["config"].value
    if isinstance(config, ml_collections.ConfigDict):
      return config
    reason = f"it returns a value of type {type(config).__name__}"
  except (Exception, SystemExit) as error:  # Whatever a user's file raises.
    reason = _find_reason(error)
  raise UserError(
    "--config must name a Python file whose get_config() returns a ConfigDict,"
    f" as FILE.py or FILE.py:VARIANT, got {path!r}: {reason}. Mend it, or name"
    " another, such as configs/signals.py."
  )


def _find_reason(error: BaseException) -> str:
  """Says in one line what a config file raised, without what wraps it."""
  while str(error).startswith(_WRAPPER) or isinstance(error, flags.Error):
    inner = error.__cause__ or error.__context__
    if inner is None:
      break
    error = inner
  if isinstance(error, SystemExit):
    code = " ".join(str(error.code).split())
    return f"it ends the process, with {code[:80]!r}"
  if isinstance(error, OSError) and error.strerror:
    return error.strerror
  text = " ".join(str(error).split()).rstrip(".")
  return f"{type(error).__name__}: {text}"


def keep_last(argv: Sequence[str]) -> list[str]:
  """Drops all values of an overridden key but the last.

  ml_collections would join those of a tuple.
  """
  last = {
    argument.partition("=")[0].lstrip("-"): place
    for place, argument in enumerate(argv)
    if _is_assignment(argument)
  }
  return [
    argument
    for place, argument in enumerate(argv)
    if not _is_assignment(argument)
    or last[argument.partition("=")[0].lstrip("-")] == place
  ]


def _keep_last_config(argv: Sequence[str]) -> list[str]:
  """Of several --config leaves the last, in the place of the first.

  As with every other flag; ml_collections would define the keys of each.
  """
  words: list[str] = []
  for word in argv:
    if words and words[-1] in ("--config", "-config"):
      words[-1] = f"--config={word}"  # Its file stood behind a space.
    else:
      words.append(word)
  found = [place for place, word in enumerate(words) if _CONFIG.match(word)]
  if found:
    words[found[0]] = words[found[-1]]
  return [word for place, word in enumerate(words) if place not in found[1:]]


def _is_assignment(argument: str) -> bool:
  return bool(_OVERRIDE.match(argument)) and "=" in argument
