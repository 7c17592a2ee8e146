"""What a machine can refuse a program, each said in one line with its remedy.

A failure of the machine is no bug: a full disk, a file that is none, memory that
is short, a worker that was killed, a package that is not installed. What is not
known here is taken for a bug, and keeps its traceback.
"""

import concurrent.futures
import errno
import re

import jax

_ROOM = "The disk must have room for what is written"
_ALLOWED = "It must be allowed to read and write the files of a command"
_PATH = "A path must lead where the command expects"
_FILES = "It must be allowed to open the files and pipes that a command needs"
_MEMORY = (
  "Lower population.chunk, compute.lanes, compute.rows or model.pictures_at_once,"
  " whichever the config has, or use a machine with more memory."
)

# A module that is missing in these is a bug.
_OWN_PACKAGES = ("configs", "experiments", "thickets")

# What must be, and the remedy, by the number of the system's error.
_SYSTEM = {
  errno.ENOSPC: (_ROOM, "Free some of it."),
  errno.EDQUOT: (_ROOM, "Delete files of yours, or ask for a larger quota."),
  errno.EFBIG: (_ROOM, "Raise the limit of a file's size (ulimit -f)."),
  errno.EROFS: (_ALLOWED, "Name a place on a disk that can be written."),
  errno.EACCES: (_ALLOWED, "Change its permissions, or name another place."),
  errno.EPERM: (_ALLOWED, "Change its permissions, or name another place."),
  errno.ENOENT: (_PATH, "Check that it is there."),
  errno.ENOTDIR: (_PATH, "Name a directory, where a file stands now."),
  errno.EISDIR: (_PATH, "Name a file, where a directory stands now."),
  errno.EEXIST: (_PATH, "Name another, or move what stands there."),
  errno.ENAMETOOLONG: (_PATH, "Choose a shorter name."),
  errno.ELOOP: (_PATH, "Mend the symbolic links, which form a circle."),
  errno.EMFILE: (_FILES, "Raise the limit of open files (ulimit -n)."),
  errno.ENFILE: (_FILES, "End other programs of this machine."),
  errno.EIO: ("The disk must answer", "Check the disk, or use another."),
  errno.ESTALE: ("The disk must answer", "Mount it again."),
  errno.EAGAIN: (
    "It must be allowed to start the processes that a command needs",
    "End others, or raise their limit (ulimit -u).",
  ),
  errno.ENOMEM: ("The machine must have memory for the work", _MEMORY),
}

# How libraries written in other languages spell a system's error.
_SPELT = re.compile(r"\bos[_ ]error(?:_code)?[ :='\"]+(\d+)", re.IGNORECASE)


def describe_failure(error: BaseException) -> str | None:
  """Says in one line what the machine refused, and what to do.

  Args:
    error: what ended a program.

  Returns:
    What must be, what was got, and the remedy; None for what may be a bug.
  """
  if isinstance(error, concurrent.futures.BrokenExecutor):
    return (
      "The worker processes must live as long as their work, got one that ended"
      " before, killed from outside or for want of memory. Start the command"
      " again, with fewer workers where memory is short."
    )
  if isinstance(error, ModuleNotFoundError):
    return _describe_missing(error.name or "")
  if isinstance(error, MemoryError):
    return f"The machine must have memory for the work, got none. {_MEMORY}"
  text = " ".join(str(error).split())
  if isinstance(error, jax.errors.JaxRuntimeError):
    if "RESOURCE_EXHAUSTED" in text or "out of memory" in text.lower():
      return (
        "The devices must have memory for the work, got"
        f" {_shorten(text)!r}. {_MEMORY}"
      )
    return None
  if isinstance(error, OSError):
    return _describe_system(error.errno, text)
  if spelt := _SPELT.search(text):
    return _describe_system(int(spelt[1]), text)
  return None


def _describe_missing(module: str) -> str | None:
  package = module.partition(".")[0]
  if not package or package in _OWN_PACKAGES:
    return None
  return (
    f"The package {package} must be installed for this, got none. Install what"
    " is missing: pip install -e . for what all commands need, or the extra that"
    " setup.py names for it."
  )


def _describe_system(number: int | None, text: str) -> str | None:
  if number not in _SYSTEM:
    return None
  must_be, remedy = _SYSTEM[number]
  # Without its number, which says less than the words behind it.
  shown = re.sub(r"^\[Errno \d+\] ", "", text)
  return f"{must_be}, got: {_shorten(shown)}. {remedy}"


def _shorten(text: str) -> str:
  return text if len(text) <= 300 else f"{text[:300]} …"
