"""Test of log-odds around a model, as users measure them."""

import json
import pathlib
import tempfile

import pytest
from end_to_end import commands


@pytest.mark.slow
def test_log_odds_are_measured_once_and_compared_with_first_order():
  with tempfile.TemporaryDirectory() as folder:
    workdir = pathlib.Path(folder) / "run"
    arguments = (
      "--config=configs/preferences.py:smoke",
      f"--workdir={workdir}",
    )
    first = commands.run_binary("preferences", *arguments)
    assert first.returncode == 0, first.stderr[-5000:]
    path = workdir / "preferences.json"
    text = path.read_text(encoding="utf-8")
    again = commands.run_binary("preferences", *arguments)
    assert again.returncode == 0, again.stderr[-5000:]
    assert "members/s" not in again.stderr
    assert path.read_text(encoding="utf-8") == text
    assert (workdir / "figures" / "preferences.png").exists()
  found = json.loads(text)
  assert [len(rows) for rows in found["members"].values()] == [2, 2, 2, 2]
  assert len(found["base"]) == len(found["gradient_norms"]) == 6
  assert first.stdout.count("members turn as many answers") == 4
