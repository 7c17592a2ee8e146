"""The system calls that a candidate may not make, as a seccomp filter.

What namespaces already make harmless is listed as well where a mistake of the
kernel would be worst, and so that one of the two locks holds where the user goes
without the other. Numbers are those of the kernel's `unistd` headers.

This module needs the standard library alone: it is also loaded by a bare
interpreter that does not see this package.
"""

import struct
from collections.abc import Sequence

# Machine: (AUDIT_ARCH of it, the column of `_NUMBERS`).
MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}

# Fails with "operation not permitted". None: does not exist there.
_NUMBERS = {
  # Processes: neither forks nor other programs. Threads are `_CLONE`.
  "fork": (57, None),
  "vfork": (58, None),
  "execve": (59, 221),
  "execveat": (322, 281),
  # Other processes, where they could be seen at all.
  "kill": (62, 129),
  "tkill": (200, 130),
  "tgkill": (234, 131),
  "rt_sigqueueinfo": (129, 138),
  "rt_tgsigqueueinfo": (297, 240),
  "pidfd_open": (434, 434),
  "pidfd_send_signal": (424, 424),
  "pidfd_getfd": (438, 438),
  "ptrace": (101, 117),
  "process_vm_readv": (310, 270),
  "process_vm_writev": (311, 271),
  "process_madvise": (440, 440),
  "kcmp": (312, 272),
  "migrate_pages": (256, 238),
  "move_pages": (279, 239),
  "setpriority": (141, 140),
  "sched_setparam": (142, 118),
  "sched_setscheduler": (144, 119),
  "sched_setaffinity": (203, 122),
  "sched_setattr": (314, 274),
  "ioprio_set": (251, 30),
  # Sockets other than a pair of them: some families know no namespaces.
  "socket": (41, 198),
  "bind": (49, 200),
  "listen": (50, 201),
  "connect": (42, 203),
  "accept": (43, 202),
  "accept4": (288, 242),
  # Memory that no limit of this process counts: larger buffers of sockets, files
  # on their way between them, pages in pipes, segments, queues, rules, timers.
  "setsockopt": (54, 208),
  "sendmsg": (46, 211),
  "sendmmsg": (307, 269),
  "splice": (275, 76),
  "tee": (276, 77),
  "vmsplice": (278, 75),
  "io_setup": (206, 0),
  "timer_create": (222, 107),
  "inotify_init": (253, None),
  "inotify_init1": (294, 26),
  "fanotify_init": (300, 262),
  "landlock_create_ruleset": (444, 444),
  "landlock_add_rule": (445, 445),
  "landlock_restrict_self": (446, 446),
  "seccomp": (317, 277),
  "memfd_create": (319, 279),
  "memfd_secret": (447, 447),
  "shmget": (29, 194),
  "shmat": (30, 196),
  "msgget": (68, 186),
  "semget": (64, 190),
  "mq_open": (240, 180),
  # Namespaces and mounts.
  "unshare": (272, 97),
  "setns": (308, 268),
  "chroot": (161, 51),
  "pivot_root": (155, 41),
  "mount": (165, 40),
  "umount2": (166, 39),
  "open_tree": (428, 428),
  "move_mount": (429, 429),
  "fsopen": (430, 430),
  "fsconfig": (431, 431),
  "fsmount": (432, 432),
  "fspick": (433, 433),
  "mount_setattr": (442, 442),
  "name_to_handle_at": (303, 264),
  "open_by_handle_at": (304, 265),
  # Large parts of the kernel that no exercise needs.
  "bpf": (321, 280),
  "perf_event_open": (298, 241),
  "userfaultfd": (323, 282),
  "io_uring_setup": (425, 425),
  "io_uring_enter": (426, 426),
  "io_uring_register": (427, 427),
  "add_key": (248, 217),
  "request_key": (249, 218),
  "keyctl": (250, 219),
  "personality": (135, 92),
}
_CLONE, _CLONE3 = (56, 220), (435, 435)
_PRCTL, _PRLIMIT = (157, 167), (302, 261)
_FCNTL, _MMAP, _MREMAP = (72, 25), (9, 222), (25, 216)
_CLONE_THREAD, _SET_DEATH_SIGNAL, _SET_SECCOMP = 0x10000, 1, 22
_MOVE_FIXED = 2
# What `fcntl` may do: duplicate descriptors, and read and set their flags. Locks of
# byte ranges, leases and the size of a pipe take memory that no limit counts. The
# numbers are the same on all architectures.
_FCNTL_ALLOWED = (0, 1, 2, 3, 4, 5, 1030, 1032)

# Instructions of classic BPF, and offsets in `struct seccomp_data`.
_LOAD, _IF_EQUAL, _IF_AT_LEAST, _IF_BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _MACHINE, _ARGUMENT = 0, 4, 16  # The first argument, its lower half.
_KILL, _ALLOW, _FAIL = 0x80000000, 0x7FFF0000, 0x00050000
_EPERM, _ENOSYS = 1, 38


def make_filter(machine: str, windows: Sequence[int] = ()) -> bytes:
  """The filter as an array of `struct sock_filter`.

  Args:
    machine: the name of the architecture, as `uname` has it.
    windows: upper halves of the addresses that a process may choose for memory,
      each a window of 4 GiB; any address if there are none. Pages that lie far
      apart take three times their size in tables of the kernel, which no limit
      counts.

  Raises:
    OSError: if the calls of that machine are not known here.
  """
  if machine not in MACHINES:
    raise OSError(
      f"seccomp: machine must be one of {sorted(MACHINES)}, got {machine}"
    )
  audit, column = MACHINES[machine]
  refuse = (_RETURN, 0, 0, _FAIL | _EPERM)
  allow = (_RETURN, 0, 0, _ALLOW)
  program = [
    (_LOAD, 0, 0, _MACHINE),
    (_IF_EQUAL, 1, 0, audit),
    (_RETURN, 0, 0, _KILL),  # Calls of another ABI have other numbers.
    (_LOAD, 0, 0, _NUMBER),
  ]
  if machine == "x86_64":  # And so have those of x32.
    program += [(_IF_AT_LEAST, 0, 1, 0x40000000), (_RETURN, 0, 0, _KILL)]
  for numbers in _NUMBERS.values():
    if numbers[column] is not None:
      program += [(_IF_EQUAL, 0, 1, numbers[column]), refuse]
  # The C library then uses `clone`, whose flags can be looked at.
  missing = (_RETURN, 0, 0, _FAIL | _ENOSYS)
  program += [(_IF_EQUAL, 0, 1, _CLONE3[column]), missing]
  program += _judge(
    _CLONE[column], (_IF_BITS, 0, 1, _CLONE_THREAD), allow, refuse
  )
  # It would outlive the process that watches it.
  program += _choose(
    _PRCTL[column], 0, (_SET_DEATH_SIGNAL, _SET_SECCOMP), refuse, allow
  )
  program += _choose(_FCNTL[column], 1, _FCNTL_ALLOWED, allow, refuse)
  if windows:
    program += _choose(_MMAP[column], 0, windows, allow, refuse, half=1)
    program += _judge_moves(_MREMAP[column], windows, allow, refuse)
  # Limits of other processes; 0 is this one.
  program += _judge(_PRLIMIT[column], (_IF_EQUAL, 0, 1, 0), allow, refuse)
  program.append(allow)
  return b"".join(struct.pack("=HBBI", *line) for line in program)


def _choose(number, argument, values, then, otherwise, *, half=0):
  """Lines that decide a call by whether an argument is one of some values."""
  place = _ARGUMENT + 8 * argument + 4 * half
  size = 2 + 2 * len(values)
  lines = [(_IF_EQUAL, 0, size, number), (_LOAD, 0, 0, place)]
  for value in values:
    lines += [(_IF_EQUAL, 0, 1, value), then]
  return [*lines, otherwise]


def _judge_moves(number, windows, allow, refuse):
  """Lines that look at the address of `mremap` where it is given one."""
  moves = _choose(number, 4, windows, allow, refuse, half=1)[1:]
  flags = _ARGUMENT + 8 * 3
  start = [(_LOAD, 0, 0, flags), (_IF_BITS, 1, 0, _MOVE_FIXED), allow]
  return [(_IF_EQUAL, 0, len(start) + len(moves), number), *start, *moves]


def _judge(number, condition, then, otherwise):
  """Lines that decide a call by its first argument."""
  return [
    (_IF_EQUAL, 0, 4, number),
    (_LOAD, 0, 0, _ARGUMENT),
    condition,
    then,
    otherwise,
  ]
