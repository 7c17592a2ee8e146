"""The program that runs candidates, each in a process of its own.

A bare interpreter of one thread that never runs a candidate itself. Through its
standard input, a socket, it is handed for each candidate a socket for the request
and the report, and a pipe for results. It forks a *warden*, which enters fresh
namespaces and forks the candidate's process, process 1 of these; when that
ends, or at the limit of time, everything in the namespaces ends. The warden has read the
request by then, so that the candidate holds nothing but the pipe.

Started by `zygote_pool` as `python -S -s -P zygote.py OPTIONS`, in an almost
empty environment; it imports nothing but the standard library.
"""

import builtins
import contextlib
import fcntl
import gc
import io
import json
import os
import pathlib
import select
import shutil
import signal
import socket
import sys
import tempfile
import time
import types

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import confine  # pyright: ignore[reportMissingImports]
import values  # pyright: ignore[reportMissingImports]

del sys.path[0]
for _name in ("confine", "system_calls", "values"):
  sys.modules.pop(_name, None)  # A candidate's own may be called so.

# What candidates import most, so that they need not wait for it.
_COMMON = (
  "array",
  "bisect",
  "cmath",
  "collections",
  "copy",
  "dataclasses",
  "datetime",
  "functools",
  "heapq",
  "itertools",
  "math",
  "operator",
  "random",
  "re",
  "statistics",
  "string",
  "typing",
)
# What is called once a candidate has run, in which it may have rebound whatever
# has a name. Functions in C look nothing up.
_encode, _UnencodableError = values.encode_tree, values.UnencodableError
_write, _quote = os.write, json.encoder.encode_basestring_ascii
_get_depth, _set_depth = sys.getrecursionlimit, sys.setrecursionlimit
_set_trace, _set_profile = sys.settrace, sys.setprofile
_DEPTH = 1000
_RESULTS_FD = 3
_MODULE = "candidate"


def main() -> None:
  """Serves until the other end of standard input is closed."""
  options = json.loads(sys.argv[1])
  for name in _COMMON:
    __import__(name)
  os.environ.clear()
  sys.argv = [""]
  sys.dont_write_bytecode = True
  # Interrupts, and the end of a job, are for the process that started this one.
  for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
  jobs = socket.socket(fileno=os.dup(0))
  null = os.open(os.devnull, os.O_RDWR)
  for standard in (0, 1, 2):
    os.dup2(null, standard)
  readable = _library_dirs()
  proc, trouble = None, None
  if options["is_protected"]:
    try:
      proc = confine.enter_small_root(readable)
    except OSError as error:
      trouble = _explain(error)
  signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # Nobody waits for wardens.
  gc.freeze()
  while True:
    message, fds, _, _ = socket.recv_fds(jobs, 1, 2)
    if not message:
      return
    report, results = fds
    if os.fork() == 0:
      jobs.close()
      warden = _Warden(socket.socket(fileno=report), results, proc, readable)
      warden.run(trouble)
      os._exit(0)
    os.close(report)
    os.close(results)


def _library_dirs() -> list[str]:
  """Directories of the standard library and of what its extensions link to."""
  places = [*sys.path, sys.base_prefix + "/lib"]
  places += ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib"]
  # Where each really is, and where it is looked for, which may be a link to it.
  found = {os.path.realpath(path): None for path in places} | dict.fromkeys(
    places
  )
  kept = []
  for path in sorted(path for path in found if os.path.isdir(path)):
    inside = any(path.startswith(other.rstrip("/") + "/") for other in kept)
    if not inside and path != "/":
      kept.append(path)
  return kept


class _Warden:
  """Watches one candidate from outside of its namespaces."""

  def __init__(self, report, results, proc, readable):
    self._report = report
    self._results = results
    self._proc = proc
    self._readable = readable

  def run(self, trouble: str | None) -> None:
    request = json.loads(_read_all(self._report))
    if trouble is None:
      try:
        reply = self._watch(request)
      except OSError as error:
        reply = {"trouble": _explain(error)}
    else:
      reply = {"trouble": trouble}
    with contextlib.suppress(OSError):  # Nobody is listening any more.
      self._report.sendall(json.dumps(reply).encode())

  def _watch(self, request):
    limits = request["limits"]
    if self._proc is None:
      work_dir = tempfile.mkdtemp()
      os.chdir(work_dir)
    else:
      confine.isolate(self._proc, limits["disk_bytes"])
      work_dir = confine.WORK_DIR
    if sys.platform == "linux":
      confine.die_with_parent()
    # Its end wakes this process whatever the candidate does with its own files.
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    is_ready, ready = os.pipe()
    start = time.monotonic()
    child = os.fork()
    if child == 0:
      signal.set_wakeup_fd(-1)
      signal.signal(signal.SIGCHLD, signal.SIG_DFL)
      self._become_candidate(request, ready, work_dir)
      os._exit(0)
    os.close(ready)
    os.close(self._results)
    try:
      if trouble := _read_all(is_ready).decode():
        return {"trouble": trouble}
      select.select([woken], [], [], limits["wall_s"])
      return self._end(child) | {"wall_s": time.monotonic() - start}
    finally:
      if self._proc is None:
        shutil.rmtree(work_dir, ignore_errors=True)

  def _end(self, child):
    ended, status, usage = os.wait4(child, os.WNOHANG)
    is_late = not ended
    if self._proc is None:
      with contextlib.suppress(OSError):
        os.killpg(child, signal.SIGKILL)
    if is_late:
      with contextlib.suppress(OSError):
        os.kill(child, signal.SIGKILL)
      _, status, usage = os.wait4(child, 0)
    return {
      "is_late": is_late,
      "status": os.waitstatus_to_exitcode(status),
      "cpu_s": usage.ru_utime + usage.ru_stime,
    }

  def _become_candidate(self, request, ready, work_dir):
    """Gives up all that a candidate must not have, then runs it."""
    try:
      # Out of the way of each other.
      results = fcntl.fcntl(self._results, fcntl.F_DUPFD, 32)
      ready = fcntl.fcntl(ready, fcntl.F_DUPFD, 32)
      self._confine(request["limits"], work_dir)
      os.dup2(results, _RESULTS_FD)
      os.closerange(_RESULTS_FD + 1, ready)
    except BaseException as error:
      os.write(ready, _explain(error).encode())
      os._exit(1)
    # Not before the last step that can fail; the candidate cannot reach it.
    os.closerange(ready, confine.MAX_FILES)
    _run_candidate(request)

  def _confine(self, limits, work_dir):
    is_isolated = self._proc is not None
    is_linux = sys.platform == "linux"
    # Who goes without namespaces gets what else there is.
    optional = contextlib.suppress(*(() if is_isolated else (OSError,)))
    if not is_isolated:
      os.setsid()
    if is_linux:
      confine.die_with_parent()
      confine.prefer_for_oom(self._proc)
      with optional:
        confine.drop_privileges()
        confine.restrict_files(self._readable, [work_dir])
    confine.limit_resources(
      cpu_s=limits["cpu_s"],
      memory_bytes=limits["memory_bytes"],
      disk_bytes=limits["disk_bytes"],
      is_isolated=is_isolated,
    )
    if is_linux:
      with optional:
        confine.filter_calls()


def _run_candidate(request):
  """Executes the code and the calls; what each gave goes into the pipe."""
  gc.enable()
  module = types.ModuleType(_MODULE)
  namespace = module.__dict__
  # Built-ins of its own: what it rebinds there is not what is called here.
  own = types.ModuleType("builtins")
  vars(own).update(vars(builtins))
  namespace["__builtins__"] = own
  sys.modules.update({_MODULE: module, "__main__": module, "builtins": own})
  _open_streams()
  for name in ("code", "setup"):
    outcome = _attempt(_execute, request[name], f"<{name}>", namespace)
    if outcome[0] != "value":
      _send(outcome)
      return
  _send(["value", _spell(None)])
  left = request["limits"]["result_bytes"]
  for call in request["calls"]:
    outcome = _attempt(_evaluate, call, namespace)
    depth = _get_depth()
    _set_trace(None)
    _set_profile(None)
    _set_depth(_DEPTH)  # The candidate's may be too low to encode anything.
    if outcome[0] == "value":
      outcome = _attempt(_spell_value, outcome[1])
      if outcome[0] == "value" and len(outcome[1]) > left:
        outcome = ["output", "larger than the limit"]
    left -= _send(outcome)
    _set_depth(depth)


def _open_streams():
  """Gives the candidate an empty input, and outputs that nobody reads."""
  sys.stdin, sys.stdout, sys.stderr = (
    io.TextIOWrapper(stream(io.FileIO(number, mode, closefd=False)), "utf-8")
    for number, mode, stream in (
      (0, "r", io.BufferedReader),
      (1, "w", io.BufferedWriter),
      (2, "w", io.BufferedWriter),
    )
  )
  sys.__stdin__, sys.__stdout__, sys.__stderr__ = (
    sys.stdin,
    sys.stdout,
    sys.stderr,
  )


def _attempt(function, *arguments):
  """What a function gave, as a kind and a value or a reason."""
  try:
    return ["value", function(*arguments)]
  except SyntaxError as error:
    return ["syntax", type(error).__name__]
  except MemoryError:
    return ["memory", "MemoryError"]
  except _UnencodableError as error:
    return ["unencodable", str(error)]
  except BaseException as error:  # The end of the program as well.
    return ["exception", type(error).__name__[:80]]


def _execute(code, name, namespace):
  exec(_compile(code, name, "exec"), namespace)


def _evaluate(call, namespace):
  return eval(_compile(call, "<call>", "eval"), namespace)


def _compile(code, name, mode):
  try:
    return compile(code, name, mode)
  except (ValueError, RecursionError) as error:  # NUL bytes, lone surrogates.
    raise SyntaxError(str(error)) from error


def _spell_value(value):
  return _spell(_encode(value))


def _send(outcome):
  data = _spell(outcome).encode() + b"\n"
  view = memoryview(data)
  while view:
    view = view[_write(_RESULTS_FD, view) :]
  return len(data)


def _spell(part):
  """Returns lists, texts, None and truth values as JSON."""
  if part is None or part is True or part is False:
    return {None: "null", True: "true", False: "false"}[part]
  if type(part) is str:
    return _quote(part)
  return f"[{','.join([_spell(item) for item in part])}]"


def _read_all(source: socket.socket | int) -> bytes:
  """Reads a socket or a file descriptor to its end."""
  parts = []
  while part := (
    source.recv(1 << 16)
    if isinstance(source, socket.socket)
    else os.read(source, 1 << 16)
  ):
    parts.append(part)
  return b"".join(parts)


def _explain(error):
  if isinstance(error, OSError) and error.strerror:
    return error.strerror
  return f"{type(error).__name__}: {error}"


if __name__ == "__main__":
  main()
