"""A Slurm cluster of one node, which is this machine, for as long as a test runs."""

import contextlib
import getpass
import os
import pathlib
import shutil
import socket
import subprocess
import time

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
# The node is said to have what the recipes ask for, whatever this machine has.
_CONFIG = """
ClusterName=test
SlurmctldHost=localhost
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CryptoType=crypto/munge
# A requeued job waits until its credential has expired.
AuthInfo=socket={folder}/munge.socket,cred_expire=2
SlurmctldPort={port}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=sched_min_interval=100000
SlurmdParameters=config_overrides
ReturnToService=2
GresTypes=gpu
NodeName=localhost NodeAddr=127.0.0.1 Port={node_port} CPUs=64 RealMemory=500000 Gres=gpu:2
PartitionName=all Nodes=ALL Default=YES
"""


def is_installed():
  """Whether all that is needed is there."""
  return all(shutil.which(name, path=_path()) for name in PROGRAMS)


@contextlib.contextmanager
def running(folder):
  """Starts a cluster; gives the environment in which commands find it."""
  folder = pathlib.Path(folder)
  (folder / "state").mkdir()
  key = folder / "munge.key"
  key.write_bytes(os.urandom(1024))
  key.chmod(0o600)
  ports = dict(zip(("port", "node_port"), _free_ports(2), strict=True))
  config = folder / "slurm.conf"
  config.write_text(
    _CONFIG.format(user=getpass.getuser(), folder=folder, **ports), "utf-8"
  )
  # Files that every machine has stand for two GPUs.
  (folder / "gres.conf").write_text("Name=gpu File=/dev/null,/dev/zero\n")
  env = {**os.environ, "SLURM_CONF": str(config), "PATH": _path()}
  names = ("pid-file", "log-file", "seed-file", "socket", "key-file")
  places = {name: folder / f"munge.{name.partition('-')[0]}" for name in names}
  munge = ["munged", *(f"--{n}={place}" for n, place in places.items())]
  with contextlib.ExitStack() as stack:
    for command in (
      [*munge, "--foreground", "--force"],
      ["slurmctld", "-D"],
      ["slurmd", "-D", "-N", "localhost"],
    ):
      log = stack.enter_context((folder / f"{command[0]}.log").open("wb"))
      process = subprocess.Popen(command, env=env, stdout=log, stderr=log)
      stack.callback(_end, process)
      if command is not munge:
        _wait_for(lambda: places["socket"].exists())
    _wait_for(lambda: "idle" in ask(env, "sinfo", "--noheader"))
    yield env


def ask(env, *command):
  """What a command of Slurm prints."""
  done = subprocess.run(
    command, env=env, capture_output=True, text=True, timeout=30, check=False
  )
  return done.stdout


def _wait_for(is_true):
  for _ in range(600):
    if is_true():
      return
    time.sleep(0.1)
  raise TimeoutError("The cluster did not start.")


def _free_ports(count):
  with contextlib.ExitStack() as stack:
    held = [stack.enter_context(socket.socket()) for _ in range(count)]
    for one in held:
      one.bind(("", 0))
    return [one.getsockname()[1] for one in held]


def _end(process):
  process.terminate()
  try:
    process.wait(20)
  except subprocess.TimeoutExpired:
    process.kill()
    process.wait()


def _path():
  return f"{os.environ['PATH']}:/usr/sbin"
