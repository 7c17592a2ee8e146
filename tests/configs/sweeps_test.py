"""Tests of sweeps: how axes compose, and that the committed ones can run."""

import collections
import json
import pathlib
import tempfile

from absl.testing import parameterized

from configs import signals_approximation, signals_generalization, sweeps
from experiments import launch, sweep
from experiments.launch import signals_specs, sweep_summary
from thickets.runs import json_files

A = sweeps.axis("a", (1, 2))
B = sweeps.axis("b.c", "xyz")


class ComposeTest(parameterized.TestCase):
  def test_product_turns_the_last_axis_fastest(self):
    pairs = [(p["a"], p["b.c"]) for p in sweeps.product(A, B)]
    self.assertEqual(
      pairs, [(1, "x"), (1, "y"), (1, "z"), (2, "x"), (2, "y"), (2, "z")]
    )

  def test_product_of_nothing_is_one_run_as_configured(self):
    self.assertEqual(sweeps.product(), [{}])

  def test_zipped_goes_in_step(self):
    both = sweeps.zipped(A, sweeps.axis("d", (3, 4)))
    self.assertEqual(both, [{"a": 1, "d": 3}, {"a": 2, "d": 4}])

  def test_zipped_and_product_nest(self):
    pairs = sweeps.zipped(A, sweeps.axis("d", (3, 4)))
    self.assertLen(sweeps.product(pairs, B), 6)
    self.assertEqual(sweeps.product(pairs, B)[-1], {"a": 2, "d": 4, "b.c": "z"})

  def test_zipped_refuses_axes_of_unequal_length(self):
    with self.assertRaises(ValueError):
      sweeps.zipped(A, B)

  @parameterized.parameters(sweeps.product, sweeps.zipped)
  def test_a_key_on_two_axes_is_refused(self, compose):
    with self.assertRaisesRegex(ValueError, r"got \['a'\] twice"):
      compose(A, sweeps.axis("a", (3, 4)))


def _configs(module, variant=""):
  """The config of every point, by group; all made before any is looked at."""
  config = module.get_config(variant)
  groups = collections.defaultdict(list)
  for point in module.get_sweep():
    groups[point.group].append(sweep._override(config, point))
  return groups


class CommittedTest(parameterized.TestCase):
  @parameterized.product(
    module_and_size=(
      (signals_approximation, 30),
      (signals_generalization, 20),
    ),
    variant=("", "smoke"),
  )
  def test_every_point_can_run(self, module_and_size, variant):
    module, size = module_and_size
    configs = [c for g in _configs(module, variant).values() for c in g]
    self.assertLen(configs, size)
    for config in configs:
      signals_specs.read_signals(config)

  def test_approximation_is_the_papers(self):
    groups = _configs(signals_approximation)
    self.assertEqual(
      {
        group: (
          c[0].pretraining.num_steps and c[0].pretraining.family,
          c[0].population.sigmas,
        )
        for group, c in groups.items()
      },
      {
        "untrained": (0, (0.05,)),
        "mixed": ("mixed", (0.002,)),
        "line": ("line", (0.002,)),
      },
    )
    for configs in groups.values():
      self.assertEqual([c.seed for c in configs], list(range(10)))
      for config in configs:
        task = config.task
        self.assertEqual(
          (task.family, task.context, task.horizon), ("one_line", 10, 60)
        )
        self.assertEqual(
          (config.population.size, config.ensemble.top_k), (1000, 5)
        )

  def test_generalization_is_the_authors_grid(self):
    got = collections.Counter()
    for (config,) in _configs(signals_generalization).values():
      settings = config.pretraining
      if settings.num_steps:
        # In the authors' loop the last initialiser, orthogonal, stays on.
        self.assertEqual(config.model.init, "orthogonal")
        self.assertEqual(config.population.sigmas, (0.002,))
        start = settings.family
      else:
        self.assertEqual(config.population.sigmas, (0.05,))
        start = config.model.init
      self.assertEqual(
        (config.seed, config.population.size, config.ensemble.top_k),
        (2, 1000, 10),
      )
      got[start, config.task.family] += 1
    single = ("one_line", "one_squarewave", "one_sinusoid")
    starts = ("xavier", "kaiming", "orthogonal", "mixed", "line")
    expected = [
      *((start, family) for start in starts for family in single),
      *(("mixed", family) for family in ("line", "sinusoid", "squarewave")),
      ("sinusoid", "squarewave"),
      ("squarewave", "squarewave"),
    ]
    self.assertEqual(got, collections.Counter(expected))


class SummaryTest(parameterized.TestCase):
  """The sweep binary, on results written by hand."""

  def setUp(self):
    super().setUp()
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    self.workdir = pathlib.Path(folder.name)

  def write(self, index, config, median):
    folder = self.workdir / f"{index:03d}"
    folder.mkdir()
    roles = {"base": 0.5, "top-1": 0.2, "primary": 0.1}
    table = [{"role": r, "judge_mse": e} for r, e in roles.items()]
    table.append({"role": "median", "select_mse": median})
    share = {"better_than_base": {"frac": 0.25}}
    results = {"table": table, "population": share}
    json_files.write_json(folder / "results.json", results)
    json_files.write_json(
      folder / "config.json", {"config": launch.to_json(config)}
    )
    return folder

  def test_a_point_is_done_only_with_the_same_config(self):
    config = signals_approximation.get_config("smoke")
    folder = self.write(0, config, 0.4)
    asked = signals_specs.read_signals(config).config
    self.assertTrue(sweep._is_done(folder, asked))
    for key, value in (("population.size", 128), ("task.family", "line")):
      other = sweep._override(config, sweeps.SweepPoint("g", {key: value}))
      asked = signals_specs.read_signals(other).config
      self.assertFalse(sweep._is_done(folder, asked))

  def test_a_failed_median_is_infinite_in_the_table_and_null_in_the_file(self):
    config = signals_approximation.get_config("smoke")
    points = [sweeps.SweepPoint("g", {})] * 3
    medians = (0.4, None, 0.6)
    done = {i: self.write(i, config, m) for i, m in enumerate(medians)}
    table = sweep_summary.summarise_sweep(points, done, self.workdir)
    self.assertIn("| g | 3 | 0.5 [0.5, 0.5] | 0.6 [0.4, inf] | 0.2", table)
    saved = json.loads((self.workdir / "summary.json").read_text())
    self.assertEqual(
      saved["groups"]["g"]["population median (select)"], list(medians)
    )
