"""Tests of the compilers of machines that are not here, one small shape each.

They need `libtpu` and the CUDA plugin (0.3 GB to download), which .ci/run puts into
a folder of its own: beside JAX they would be looked for a device by every test.
"""

import importlib.util
import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

_ROOT = pathlib.Path(__file__).parents[2]
_COMPILERS = _ROOT / ".ci" / "compilers"


def _run(target, *arguments, binary="compile"):
  """Runs a binary with the compilers in reach."""
  kept = {k: v for k, v in os.environ.items() if k != "JAX_NUM_CPU_DEVICES"}
  path = os.pathsep.join([str(_ROOT), str(_COMPILERS)])
  return subprocess.run(
    [
      *(sys.executable, "-m", f"experiments.{binary}"),
      *(f"--config=configs/{binary}.py:small", f"--target={target}"),
      *arguments,
    ],
    cwd=_ROOT,
    env=kept | {"PYTHONPATH": path},
    capture_output=True,
    text=True,
    timeout=900,
    check=False,
  )


def _needs(package):
  is_there = (_COMPILERS / package).exists() or importlib.util.find_spec(
    package
  )
  return pytest.mark.skipif(
    not is_there, reason=f"needs {package}, which .ci/run installs"
  )


@pytest.mark.parametrize(
  "target,arguments",
  [
    pytest.param(
      "v5e:2x2", ("--config.model_devices=2",), marks=_needs("libtpu")
    ),
    pytest.param("h100:1", (), marks=_needs("jax_cuda12_plugin")),
  ],
)
def test_a_step_moves_little_more_than_it_must(target, arguments, tmp_path):
  result = _run(target, *arguments, f"--workdir={tmp_path}")
  assert result.returncode == 0, result.stderr[-2000:]
  rows = re.findall(
    r"^(rebuild|prefill|segment|regroup).*?"
    r" +[\d.]+ +([\d.]+) +[\d.–]+ +([\d.]+) +[\d.]+ +([\d.]+) +(.*)$",
    result.stdout,
    re.MULTILINE,
  )
  names = [row[0] for row in rows]
  assert names == ["rebuild", "prefill", "segment", "regroup", "segment"]
  for name, memory, temporaries, ratio, exchanged in rows:
    assert "population" not in exchanged
    if name == "segment":  # A TPU may hold some of so small a KV cache.
      assert 0.6 <= float(ratio) <= 1.15
    if name == "rebuild":  # The base and one member are held.
      assert float(temporaries) <= 0.1 * float(memory) / 2
      assert exchanged == "nothing"
  assert ("along model" in result.stdout) == bool(arguments)
  (row,) = json.loads((tmp_path / "machines.json").read_text())["rows"]
  # What is planned with is within a tenth of what the compiler allots.
  programs = row["forecast"]["programs"]
  most = max(program["memory_bytes"] for program in programs)
  planned = max(program["planned_bytes"] or 0 for program in programs)
  assert 0.9 <= planned / most <= 1.1
  again = _run(target, *arguments, f"--workdir={tmp_path}")
  assert again.stdout == result.stdout
  assert "compiling" not in again.stderr


@_needs("jax_cuda12_plugin")
def test_what_evaluates_pictures_is_compiled_and_printed():
  result = _run(
    "h100:1", "--config.pictures_at_once=1", binary="compile_pictures"
  )
  assert result.returncode == 0, result.stderr[-2000:]
  names, _, cells = (
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in result.stdout.splitlines()
  )
  row = dict(zip(names, cells, strict=True))
  assert row["machine"] == "h100:1"
  base, temporaries = (float(row[f"GiB {n}"]) for n in ("base", "temporaries"))
  in_all, _, budget = row["GiB in all"].partition(" of ")
  # CLIP's image tower and the decoder are most of the base; no picture is large.
  assert 1.1 <= base <= 1.3 and temporaries <= 0.2
  assert base <= float(in_all) <= base + temporaries + 0.1 <= float(budget)


@pytest.mark.parametrize(
  "arguments,message",
  [
    (("--target=h10:1",), "Nearest: h100:8"),
    (("--target=v5e:3x3",), "Nearest: v5e:2x4"),
    ((), "--target must name a machine"),
  ],
)
def test_what_is_wrong_is_said_before_anything_is_compiled(arguments, message):
  result = subprocess.run(
    [
      *(sys.executable, "-m", "experiments.compile"),
      *("--config=configs/compile.py:small", *arguments),
    ],
    cwd=_ROOT,
    env=os.environ | {"PYTHONPATH": str(_ROOT)},
    capture_output=True,
    text=True,
    timeout=300,
    check=False,
  )
  assert result.returncode == 1
  assert message in result.stderr
  assert "compiling" not in result.stderr
