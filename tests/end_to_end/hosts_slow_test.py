"""Tests of runs of several processes: members that span them, stops and deaths."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time

import pytest
from absl.testing import absltest
from end_to_end import slow_members
from golden import transformer_cases

from thickets.models import hub
from thickets.runs import record_log

ROOT = pathlib.Path(__file__).parents[2]


def _start(count, *command, num_devices=1, **variables):
  """Starts so many processes of one run, each with so many devices."""
  with contextlib.closing(socket.socket()) as free:
    free.bind(("localhost", 0))
    port = free.getsockname()[1]
  shared = (
    "--distributed",
    f"--coordinator=localhost:{port}",
    f"--num_processes={count}",
  )
  return [
    subprocess.Popen(
      [sys.executable, *command]
      + ([] if count == 1 else [*shared, f"--process_id={index}"]),
      cwd=ROOT,
      env=os.environ
      | {
        "JAX_PLATFORMS": "cpu",
        "JAX_NUM_CPU_DEVICES": str(num_devices),
        "PYTHONPATH": str(ROOT),
      }
      | variables,
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
    )
    for index in range(count)
  ]


def _experts(workdir):
  return (workdir / "experts.json").read_bytes()


def _log(workdir, process):
  return workdir / "records" / f"process_{process:04}.jsonl"


class _HostsTestCase(absltest.TestCase):
  def setUp(self):
    super().setUp()
    folder = self.enter_context(tempfile.TemporaryDirectory())
    self.folder = pathlib.Path(folder)

  def finish(self, processes, code=0):
    """What each of the processes has written to (output, errors)."""
    texts = [process.communicate(timeout=600) for process in processes]
    for process, (_, errors) in zip(processes, texts, strict=True):
      self.assertEqual(process.returncode, code, msg=errors[-5000:])
    return texts


@pytest.mark.slow
class SpanningTest(_HostsTestCase):
  def run_spanning(self, name, count, **devices):
    workdir = self.folder / name
    processes = _start(
      count,
      "tests/end_to_end/spanning_member.py",
      f"--model={self.folder / 'model'}",
      f"--workdir={workdir}",
      f"--devices_per_member={devices['per_member']}",
      num_devices=devices["each"],
      # It compiles for seconds, and runs for milliseconds.
      XLA_FLAGS="--xla_backend_optimization_level=0"
      " --xla_cpu_use_fusion_emitters=false",
    )
    return workdir, [out for out, _ in self.finish(processes)]

  def test_members_of_two_processes_are_those_of_one_device(self):
    model = transformer_cases.make_model("qwen3", num_hidden_layers=1)
    hub.save(self.folder / "model", model)
    alone, out = self.run_spanning("alone", 1, each=1, per_member=1)
    self.assertIn("spanning: False", out[0])
    workdir, out = self.run_spanning("spanning", 4, each=2, per_member=4)
    for text in out:  # Each compared the bits of its own.
      self.assertIn("spanning: True", text)
    self.assertEqual(_experts(workdir), _experts(alone))
    counts = [
      len(list(record_log.read_log(_log(workdir, process))))
      for process in range(4)
    ]
    # Those who lead write, and the chunks are dealt out: 2, 2, 2, 1 and the base.
    self.assertEqual(counts, [2 + 2 + 1, 0, 2 + 1, 0])


@pytest.mark.slow
class EndingTest(_HostsTestCase):
  def start(self, count, workdir):
    flags = ["--lost_after_s=10"] if count > 1 else []
    return _start(
      count, "tests/end_to_end/slow_members.py", f"--workdir={workdir}", *flags
    )

  def await_records(self, processes, workdir, process):
    """Waits until a process has written records of its own."""
    log = _log(workdir, process)
    start = log.stat().st_size if log.exists() else 0
    while not log.exists() or log.stat().st_size < start + 1500:
      self.assertIsNone(processes[process].poll(), msg="It has ended too soon.")
      time.sleep(0.005)

  def test_whatever_ends_a_run_it_goes_on_with_any_number(self):
    workdir = self.folder / "run"

    def end(count, process, number):
      processes = self.start(count, workdir)
      self.await_records(processes, workdir, process)
      processes[process].send_signal(number)
      if number == signal.SIGKILL:
        processes.pop(process).communicate()
      return [errors for _, errors in self.finish(processes, os.EX_TEMPFAIL)]

    for errors in end(2, 1, signal.SIGTERM):
      self.assertIn(
        "Told to end by SIGTERM. What was finished is in"
        f" {workdir}; the same command continues it.",
        errors,
      )
      self.assertNotIn("Traceback", errors)
    for errors in end(2, 0, signal.SIGKILL):
      self.assertIn("from it: it was killed", errors.splitlines()[-1])
    for errors in end(3, 2, signal.SIGKILL):
      self.assertIn(
        "no sign of life from process 2 for 10 s", errors.splitlines()[-1]
      )
    self.assertFalse((workdir / "experts.json").exists())
    self.finish(self.start(1, workdir))
    scores = [slow_members.score(member) for member in slow_members.MEMBERS]
    self.assertEqual(json.loads(_experts(workdir)), {"scores": scores})
