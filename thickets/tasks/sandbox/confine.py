"""What the kernel withholds from a candidate's process, on Linux.

Called by `zygote` in processes of one thread. Everything here is a system call
by way of ctypes, and raises OSError with the name of the step that failed.

This module needs the standard library alone: it is also loaded by a bare
interpreter that does not see this package.
"""

import ctypes
import errno
import mmap
import os
import resource
import struct
import sys
from typing import Any

import system_calls  # pyright: ignore[reportMissingImports]

# The only directory that a candidate can write to, and where it starts.
WORK_DIR = "/work"
# The id that a candidate has, inside and, where the grader is root, outside.
NOBODY = 65534
MAX_THREADS = 32
MAX_FILES = 64

_NEW_MOUNT, _NEW_UTS, _NEW_IPC = 0x20000, 0x4000000, 0x8000000
_NEW_USER, _NEW_PID, _NEW_NET = 0x10000000, 0x20000000, 0x40000000
_READ_ONLY, _NO_SUID, _NO_DEV, _NO_EXEC = 1, 2, 4, 8
_REMOUNT, _BIND, _RECURSIVE, _PRIVATE = 32, 4096, 16384, 1 << 18
_DETACH = 2
_SET_DEATH_SIGNAL, _SET_DUMPABLE, _SET_SECCOMP, _SET_NO_NEW_PRIVS = 1, 4, 22, 38
_SIGKILL = 9
# Of all architectures alike.
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
# Read files and directories; write files, remove either, make directories,
# files and symbolic links, move between directories, truncate.
_LANDLOCK_READ = 1 << 2 | 1 << 3
_LANDLOCK_WRITE = (
  1 << 1 | 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 12 | 1 << 13 | 1 << 14
)

# None elsewhere, where nothing here is called.
_libc: Any = (
  ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
)


def die_with_parent() -> None:
  """Has the kernel kill this process when the one that forked it ends."""
  _call("prctl(PR_SET_PDEATHSIG)", _libc.prctl, _SET_DEATH_SIGNAL, _SIGKILL)


def prefer_for_oom(proc: int | None) -> None:
  """Has the kernel end this process first where memory runs out.

  Args:
    proc: descriptor of `/proc`, None to look it up.
  """
  name = (
    "self/oom_score_adj" if proc is not None else "/proc/self/oom_score_adj"
  )
  _write(proc, name, "1000")


def enter_small_root(paths: list[str]) -> int:
  """Makes `paths`, read-only, all that this process sees of the file system.

  A process of root becomes one of nobody on the way. There are an empty working
  directory and neither devices nor `/proc`.

  Args:
    paths: directories, at least that of the standard library.

  Returns:
    A descriptor of `/proc`, which `isolate` needs.
  """
  is_root = os.geteuid() == 0
  proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
  if is_root:
    _call("unshare", _libc.unshare, _NEW_MOUNT)
  else:
    _enter_namespaces(proc, _NEW_MOUNT)
  _mount("none", "/", None, _RECURSIVE | _PRIVATE)
  # A place that every system has and where no Python is installed.
  root = "/proc"
  _mount("tmpfs", root, "tmpfs", _NO_SUID | _NO_DEV, "size=64k,mode=755")
  for path in paths:
    os.makedirs(root + path, exist_ok=True)
    _mount(path, root + path, None, _BIND | _RECURSIVE)
    _make_read_only(root + path)
  os.makedirs(root + WORK_DIR, exist_ok=True)
  os.chdir(root)
  _call("pivot_root", _libc.pivot_root, b".", b".")
  _call("umount of the old root", _libc.umount2, b".", _DETACH)
  os.chdir("/")
  _make_read_only("/")
  if is_root:
    _become_nobody()
  return proc


def isolate(proc: int, disk_bytes: int) -> None:
  """Enters fresh namespaces; the next child is process 1 of its own world.

  Args:
    proc: descriptor of `/proc`.
    disk_bytes: size of the working directory, which is a file system in memory
      that ends with these namespaces.
  """
  _enter_namespaces(
    proc, _NEW_PID | _NEW_MOUNT | _NEW_NET | _NEW_IPC | _NEW_UTS
  )
  options = f"size={disk_bytes},nr_inodes=1024,mode=700"
  flags = _NO_SUID | _NO_DEV | _NO_EXEC
  _mount("tmpfs", WORK_DIR, "tmpfs", flags, options)
  _call("sethostname", _libc.sethostname, b"sandbox", 7)
  os.chdir(WORK_DIR)


def limit_resources(
  *, cpu_s: int, memory_bytes: int, disk_bytes: int, is_isolated: bool
) -> None:
  """Sets limits that this process cannot raise again."""
  limits = {
    "RLIMIT_CPU": cpu_s,
    "RLIMIT_AS": memory_bytes,
    "RLIMIT_FSIZE": disk_bytes,
    "RLIMIT_CORE": 0,
    "RLIMIT_NOFILE": MAX_FILES,
  }
  if is_isolated:  # Elsewhere it counts what else the user runs.
    limits["RLIMIT_NPROC"] = MAX_THREADS
    limits["RLIMIT_MSGQUEUE"] = 0
    limits["RLIMIT_SIGPENDING"] = MAX_FILES
  for name, value in limits.items():
    # macOS accepts no limit of the address space.
    if not (sys.platform == "darwin" and name == "RLIMIT_AS"):
      resource.setrlimit(getattr(resource, name), (value, value))


def drop_privileges() -> None:
  """Gives up all capabilities, for good."""
  _call("PR_SET_NO_NEW_PRIVS", _libc.prctl, _SET_NO_NEW_PRIVS, 1, 0, 0, 0)
  header = struct.pack("=Ii", 0x20080522, 0)
  _call("capset", _libc.capset, header, bytes(24))


def restrict_files(readable: list[str], writable: list[str]) -> bool:
  """Lets Landlock refuse all other files, connections and signals.

  Args:
    readable: directories to read below.
    writable: directories to read, write, make and remove below.

  Returns:
    Whether the kernel has Landlock (Linux 5.13, if it is switched on).
  """
  version = _libc.syscall(_LANDLOCK_CREATE, None, ctypes.c_long(0), 1)
  if version < 1:
    return False
  known = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)) - 1
  size = 8 if version < 4 else 16 if version < 6 else 24
  rules = _call(
    "landlock_create_ruleset",
    _libc.syscall,
    _LANDLOCK_CREATE,
    struct.pack("=QQQ", known, 0b11, 0b11),
    size,
    0,
  )
  for paths, rights in (
    (readable, _LANDLOCK_READ),
    (writable, (_LANDLOCK_READ | _LANDLOCK_WRITE) & known),
  ):
    for path in paths:
      place = os.open(path, os.O_PATH | os.O_CLOEXEC)
      rule = struct.pack("=Qi", rights, place)
      _call(
        "landlock_add_rule", _libc.syscall, _LANDLOCK_ADD, rules, 1, rule, 0
      )
      os.close(place)
  _call("landlock_restrict_self", _libc.syscall, _LANDLOCK_RESTRICT, rules, 0)
  os.close(rules)
  return True


def filter_calls() -> None:
  """Lets seccomp refuse the system calls that `system_calls.make_filter` lists."""
  with mmap.mmap(-1, mmap.PAGESIZE) as page:
    near = ctypes.addressof(ctypes.c_char.from_buffer(page)) >> 32
  # Where the kernel puts memory, and where the program and its heap are.
  windows = (0, near - 1, near, near + 1)
  program = system_calls.make_filter(os.uname().machine, windows)
  buffer = ctypes.create_string_buffer(program, len(program))
  header = struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer))
  _call("PR_SET_SECCOMP", _libc.prctl, _SET_SECCOMP, 2, header, 0, 0)


def _become_nobody():
  try:
    os.setresgid(NOBODY, NOBODY, NOBODY)
  except OSError as error:
    # Root of a user namespace without other users: not root to the kernel.
    if error.errno == errno.EINVAL:
      return
    raise
  os.setgroups([])
  os.setresuid(NOBODY, NOBODY, NOBODY)
  # Cleared by the change; without it `/proc/self` belongs to root.
  _call("PR_SET_DUMPABLE", _libc.prctl, _SET_DUMPABLE, 1, 0, 0, 0)


def _enter_namespaces(proc, flags):
  """Enters a user namespace, where this user is nobody, and others in it."""
  user, group = os.geteuid(), os.getegid()  # Unknown once inside.
  _call("unshare", _libc.unshare, _NEW_USER | flags)
  _write(proc, "self/setgroups", "deny")
  _write(proc, "self/uid_map", f"{NOBODY} {user} 1")
  _write(proc, "self/gid_map", f"{NOBODY} {group} 1")


def _write(proc, name, text):
  file = os.open(name, os.O_WRONLY | os.O_CLOEXEC, dir_fd=proc)
  try:
    os.write(file, text.encode())
  except OSError as error:
    raise OSError(error.errno, f"/proc/{name}: {error.strerror}") from error
  finally:
    os.close(file)


def _make_read_only(path):
  # What a mount is restricted by already may not be taken away.
  kept = os.statvfs(path).f_flag & (_NO_SUID | _NO_DEV | _NO_EXEC)
  flags = _REMOUNT | _BIND | _READ_ONLY | kept | _NO_SUID | _NO_DEV
  _mount("none", path, None, flags)


def _mount(source, target, kind, flags, options=""):
  _call(
    f"mount of {target}",
    _libc.mount,
    source.encode(),
    target.encode(),
    None if kind is None else kind.encode(),
    flags,
    options.encode(),
  )


def _call(name, function, *arguments):
  # Whole registers: the kernel reads 64 bits where ctypes would pass 32.
  wide = [ctypes.c_long(x) if isinstance(x, int) else x for x in arguments]
  result = function(*wide)
  if result < 0:
    code = ctypes.get_errno()
    raise OSError(code, f"{name}: {os.strerror(code)}")
  return result
