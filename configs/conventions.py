"""Needle, thicket and plateau side by side, around three models made to order.

Command   python -m experiments.conventions --config=configs/conventions.py \
            --workdir=DIR
Hardware  two CPU cores
Time      1 min 26 s on quiet cores; configs/conventions.py:full was not timed
Result    docs/conventions.md

The same tasks are asked around three bases. The text of the first followed two
conventions and hid which; that of the second followed one; that of the third said
which. Sigma was chosen on questions of development, which no task asks, and K
before that (docs/conventions.md).
"""

import ml_collections

from configs import measure


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """Returns the comparison, or its variant `full` or `smoke`."""
  config = ml_collections.ConfigDict()
  config.experiment = "conventions"
  # The bases: a model that was trained on conventions, whether its questions state
  # the convention, the sigmas of its members, and what the column of the figure says.
  config.columns = ml_collections.ConfigDict(
    {
      "hidden": {
        "model": "shipped/conventions-hidden",
        "stated": False,
        "sigmas": (1.4e-2,),
        "title": "two conventions, hidden",
      },
      "one": {
        "model": "shipped/conventions-one",
        "stated": False,
        "sigmas": (2e-2,),
        "title": "the first convention alone",
      },
      "stated": {
        "model": "shipped/conventions-stated",
        "stated": True,
        "sigmas": (1.4e-2,),
        "title": "two conventions, stated",
      },
    }
  )
  # Each has two tasks, one for each convention.
  config.families = ("turning", "casing", "dates")
  config.development = False  # Whether the questions are those of development.
  config.top_k = 15  # K, members that vote, and samples of the base.
  # Least gains that make an expert, in score; the smallest above 0 is that of the
  # regimes.
  config.margins = (0.0, 0.02, 0.05)
  config.resamples = 200  # Draws of each bootstrap.

  # What is the same around every base, as in configs/measure.py; names of tasks,
  # the model and the sigmas are filled in.
  config.measure = ml_collections.ConfigDict(measure.get_config())
  settings = config.measure.unlock()
  settings.tasks.names = ()
  settings.tasks.num_select = 60
  settings.tasks.num_dev = 90  # Prompts that judge.
  settings.population.size = 96
  settings.population.sigmas = ()
  settings.slice.resolution = 0
  settings.project = False
  # All batches of the same size, as the numbers of prompts are multiples of it: most
  # of the time of so small a run goes into compiling a program for each size.
  settings.compute.rows, settings.compute.lanes = 45, 4
  # Over a pair of tasks, self-consistency averages a half at any temperature.
  settings.consistency.temperatures = (0.3,)
  _change(config, variant)
  return config.lock()


def _change(config: ml_collections.ConfigDict, variant: str) -> None:
  """Makes a variant of the comparison."""
  settings = config.measure
  if variant == "full":
    config.families = (
      *("sorting", "turning", "casing"),
      *("dates", "rounding", "counting"),
    )
    config.resamples = 1000
    settings.tasks.num_select, settings.tasks.num_dev = 100, 400
    settings.compute.rows = settings.compute.lanes = 0  # Found from memory.
    settings.population.size = 576
    for column in config.columns.values():
      column.sigmas = (1e-2, 1.4e-2, 2e-2)
  elif variant == "smoke":
    config.families = config.families[:1]
    config.top_k, config.resamples = 3, 20
    settings.tasks.num_select, settings.tasks.num_dev = 6, 10
    settings.compute.rows, settings.compute.lanes = 0, 0
    settings.population.size = 8
  elif variant:
    raise ValueError(
      f"variant must be full, smoke or nothing, got {variant!r}."
    )
