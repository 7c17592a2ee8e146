"""Tests of cells: compiled once, kept, compiled anew when something else is asked."""

import json
import pathlib
import tempfile

import jax
from absl.testing import parameterized

from configs import compile as shapes
from experiments.launch import compiled_cells, compiling
from experiments.launch.compiled_cells import Cells
from thickets.errors import NoRoomError, UserError
from thickets.generation import forecast as forecast_lib
from thickets.generation.batching import Batching
from thickets.generation.forecast import Exchange, Forecast, Program
from thickets.generation.rehearsal import Segments
from thickets.report import forecast_table
from thickets.report.forecast_table import Row
from thickets.search import meshes, targets

_GIB = 2**30


def _forecast(memory_bytes=3 * _GIB):
  step = Program(
    name="segment",
    num_slots=383,
    compile_s=1.5,
    memory_bytes=memory_bytes,
    planned_bytes=3.3 * _GIB,
    temporary_bytes=7,
    moved_bytes=1.2e9,
    least_bytes=1e9,
    exchanges=(Exchange("all-reduce", ("model",), 3),),
    largest=(("fusion.1", 5e8),),
  )
  return Forecast((step,), 0.5, 1.0, 1.5, 2, 4, 200, "stacked")


class CellsTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    folder = self.enter_context(tempfile.TemporaryDirectory())
    self.folder = pathlib.Path(folder) / "cells"
    self.calls = 0

  def _compute(self):
    self.calls += 1
    return _forecast()

  def _refuse(self):
    self.calls += 1
    raise NoRoomError("It must fit.", 7.0, 5.0)

  @parameterized.parameters(True, False)
  def test_what_is_known_is_not_compiled_again(self, is_kept):
    folder = self.folder if is_kept else None
    cells = Cells(folder)
    for asked, calls in (({"a": (1,)}, 1), ({"a": [1]}, 1), ({"a": [2]}, 2)):
      found = cells.find("model-v5e-2", asked, Segments.LAST, self._compute)
      self.assertEqual((found, self.calls), (_forecast(), calls))
    anew = Cells(folder)
    anew.find("model-v5e-2", {"a": [2]}, Segments.NONE, self._compute)
    self.assertEqual(self.calls, 2 if is_kept else 3)
    # What was only estimated is compiled when it is asked for.
    anew.find("model-v5e-2", {"a": [2]}, Segments.LAST, self._compute)
    self.assertEqual(self.calls, 2 if is_kept else 4)
    anew.find("model-v5e-2", {"a": [2]}, Segments.EVERY, self._compute)
    self.assertEqual(self.calls, 3 if is_kept else 5)

  def test_so_is_what_was_refused(self):
    for _ in range(2):
      with self.assertRaisesRegex(NoRoomError, "It must fit") as caught:
        Cells(self.folder).find("cell", {}, Segments.LAST, self._refuse)
      self.assertEqual(caught.exception.needed_bytes, 7)
    self.assertEqual(self.calls, 1)

  @parameterized.parameters("{", "[]", '{"refused": []}')
  def test_a_damaged_file_is_named(self, text):
    self.folder.mkdir()
    (self.folder / "cell.json").write_text(text)
    with self.assertRaisesRegex(UserError, "cell.json must hold .* Delete"):
      Cells(self.folder).find("cell", {}, Segments.LAST, self._compute)

  def test_a_cell_depends_on_all_that_changes_programs(self):
    config = shapes.get_config("small")
    case, plan = compiling.read_case(config, None), Batching(1, 64, 8192)
    target = targets.parse("v5e:2x4")

    def describe(plan=plan, target=target, devices=1):
      return compiled_cells.describe(case, plan, target, devices)

    self.assertEqual(describe(), describe(target=targets.parse("v5e:8x8")))
    for changes in (
      {"plan": Batching(2, 64, 8192)},
      {"target": targets.parse("v6e:2x4")},
      {"devices": 2},
    ):
      self.assertNotEqual(describe(), describe(**changes), changes)


class TableTest(parameterized.TestCase):
  def test_rows_say_what_runs_and_what_does_not(self):
    large, small = targets.parse("v5e:2x4"), targets.parse("h100:1")
    rows = [
      Row("a", large, _forecast()),
      Row("a", small, NoRoomError("It must fit.", 70 * _GIB, 50 * _GIB)),
      Row("a", large, _forecast(20 * _GIB)),  # The estimate was too low.
    ]
    fits, refused, full = forecast_table.write_markdown(rows).splitlines()[2:]
    # Four pairs of devices with four members each, which take three seconds.
    self.assertIn("| 16 × 200 | stacked | 3.3 of 15.8 | 3.0 | 1.20 |", fits)
    self.assertIn("| 1.20 | 19200 |", fits)
    self.assertIn("| does not fit | – | – | needs 70.0 of 50.0 |", refused)
    self.assertIn("| does not fit | – | – | needs 20.0 of 15.8 |", full)
    self.assertIn("DOES NOT FIT", "\n".join(forecast_table.describe(rows[2])))
    content = json.loads(json.dumps(forecast_table.to_json(rows)))
    self.assertEqual(content["rows"][0]["members_per_hour"], 19200)
    self.assertEqual(
      forecast_table.write_markdown(forecast_table.from_json(content)),
      forecast_table.write_markdown(rows),
    )

  @parameterized.parameters("stacked", "apart")
  def test_without_compilation_the_estimate_is_all_there_is(self, layers):
    config = shapes.get_config("small").unlock()
    config.layers = layers
    case, target = compiling.read_case(config, None), targets.parse("v5e:2x4")
    mesh = meshes.make_mesh(jax.devices()[:8], model=2)
    found = case.rehearse(mesh, target, segments=Segments.NONE)
    forecast = forecast_lib.make_forecast(
      found, case.workload, case.dtype, target.chip, noise_operations=100
    )
    self.assertEqual(
      [(p.name, p.num_slots) for p in forecast.programs],
      [("rebuild", 0), ("prefill", 160), ("regroup", 191), ("segment", 191)],
    )
    self.assertFalse(forecast.is_compiled)
    self.assertEqual(forecast.memory_bytes, int(forecast.planned_bytes))
    self.assertEqual(forecast.step_ratio, 1)
    row = forecast_table.write_markdown([Row("a", target, forecast)])
    self.assertIn(" of 15.8 | – | – | – |", row)
