"""Runs the notebooks top to bottom from nothing, each in a fresh kernel."""

import base64
import functools
import io
import os
import pathlib
import tempfile

import matplotlib.image
import nbformat
import pytest
from absl.testing import parameterized
from nbclient import NotebookClient

ROOT = pathlib.Path(__file__).parents[2]
LADDER = ROOT / "docs" / "results" / "ladder" / "ladder.json"
_FOLDERS = []  # Removed when the interpreter ends.


@functools.cache
def _world():
  """An empty folder of runs, and a place to work that is not the repository."""
  folder = tempfile.TemporaryDirectory()
  _FOLDERS.append(folder)
  world = pathlib.Path(folder.name)
  for name in ("runs", "here", "cache", "ipython"):
    (world / name).mkdir()
  return world


def _execute(name, **variables):
  """The notebook with its outputs; an error of a cell is raised."""
  world = _world()
  notebook = nbformat.read(
    ROOT / "notebooks" / f"{name}.ipynb", as_version=nbformat.NO_CONVERT
  )
  environment = os.environ | {
    "THICKETS_RUNS": str(world / "runs"),
    "IPYTHONDIR": str(world / "ipython"),
    # As a reader's: one device. The notebooks share what they compile.
    "JAX_NUM_CPU_DEVICES": "1",
    "JAX_COMPILATION_CACHE_DIR": str(world / "cache"),
    **variables,
  }
  client = NotebookClient(
    notebook,
    timeout=900,
    kernel_name="python3",
    resources={"metadata": {"path": str(world / "here")}},
  )
  client.execute(env=environment)
  return notebook


def _outputs(notebook):
  return [
    output
    for cell in notebook.cells
    if cell.cell_type == "code"
    for output in cell.outputs
  ]


def _text(notebook, stream):
  return "".join(
    output.text
    for output in _outputs(notebook)
    if output.output_type == "stream" and output.name == stream
  )


class NotebooksRunTest(parameterized.TestCase):
  @parameterized.parameters(
    ("two_thickets", 3, "vote - random members .* of "),
    ("quickstart", 4, r"vote - base .*\[.*\] (gains|loses|undecided)"),
    ("density_and_diversity", 13, r"D = \d\.\d+ at sigma"),
    ("scaling", 2, "density rises with size, plain, sigma level 1"),
  )
  @pytest.mark.slow
  def test_runs_from_nothing(self, name, num_figures, said):
    # Without a ladder either, so that the notebook has to make one.
    missing = _world() / "no_ladder.json"
    notebook = _execute(name, THICKETS_LADDER=str(missing))
    self._check(notebook, num_figures, said)
    self.assertEmpty(list((_world() / "here").iterdir()))

  @pytest.mark.slow
  def test_draws_the_ladder_of_the_repository(self):
    if not LADDER.exists():
      self.skipTest(f"{LADDER} is not there")
    notebook = _execute("scaling", THICKETS_LADDER=str(LADDER))
    self._check(notebook, 3, "gain of the vote, several minus one")

  def _check(self, notebook, num_figures, said):
    kinds = {output.output_type for output in _outputs(notebook)}
    self.assertNotIn("error", kinds)
    self.assertRegex(_text(notebook, "stdout"), said)
    self.assertNotRegex(_text(notebook, "stderr"), "Traceback|UserWarning")
    figures = [
      output.data["image/png"]
      for output in _outputs(notebook)
      if "image/png" in output.get("data", {})
    ]
    self.assertGreaterEqual(len(figures), num_figures)
    for figure in figures:
      pixels = matplotlib.image.imread(io.BytesIO(base64.b64decode(figure)))
      self.assertGreater(pixels.std(), 0.01)
