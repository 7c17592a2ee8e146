"""The door of runs on pictures: a config is checked, and becomes frozen specs."""

import dataclasses

import ml_collections

from configs import diffusion as diffusion_keys
from experiments.launch import diffusion_pipeline_specs, sections
from experiments.launch.config_checks import (
  Range,
  check_choices,
  check_keys,
  check_not_empty,
  check_ranges,
  refuse,
  to_json,
)
from experiments.launch.diffusion_pipeline_specs import PublishedSpec
from thickets.runs.run_config import RunConfig
from thickets.search.population import DESIGNS, PopulationSpec
from thickets.search.selection import EnsembleSpec


@dataclasses.dataclass(frozen=True)
class PictureTask:
  """What pictures are asked for.

  Attributes:
    target: what members are chosen for.
    num_select: pictures of each prompt that choose members.
    num_judge: pictures of each prompt that judge the choice.
    margins: least gains in score that make an expert.
  """

  target: str
  num_select: int
  num_judge: int
  margins: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class DiffusionSpec:
  """What a RandOpt run on pictures is asked to do.

  Attributes:
    config: the configuration as the run directory keeps it.
    seed: root of every random choice.
    model: name or folder of the base.
    num_steps: steps of each picture.
    guidance: how far predictions go beyond what the text adds.
    published: what only published pipelines have; None for a model of shapes.
    task: what pictures are asked for.
    population: which members there are.
    ensemble: how many of the best draw together.
    num_random: members that are judged as they were drawn.
    keeps_pictures: whether the pictures of judging are kept as files.
  """

  config: RunConfig
  seed: int
  model: str
  num_steps: int
  guidance: float
  published: PublishedSpec | None
  task: PictureTask
  population: PopulationSpec
  ensemble: EnsembleSpec
  num_random: int
  keeps_pictures: bool

  @property
  def dtype(self) -> str:
    """The dtype in which members are held and computed."""
    return self.published.loading.dtype if self.published else "float32"


def read_diffusion(config: ml_collections.ConfigDict) -> DiffusionSpec:
  """Checks a config of `experiments.diffusion`, and turns it into specs.

  A config whose section `model` names a scorer is of a published pipeline, others
  are of a model of shapes. Keys of the one are refused for the other.

  Raises:
    UserError: with everything that is wrong, before any device work.
  """
  is_published = diffusion_pipeline_specs.is_published(config)
  reference = diffusion_keys.get_config("sdxl_base" if is_published else "")
  refuse(check_keys(config, reference))
  problems = _find_problems(config)
  if is_published:
    problems += diffusion_pipeline_specs.find_problems(config)
  refuse(problems)
  settings = config.task
  return DiffusionSpec(
    config=RunConfig(
      to_json(config),
      # The reported K is not among them: it is chosen before judging is seen.
      extendable=(
        "population.size",
        "ensemble.also",
        "model.pictures_at_once",  # How devices are filled, not what is drawn.
      ),
    ),
    seed=config.seed,
    model=config.model.name,
    num_steps=config.model.num_steps,
    guidance=float(config.model.guidance),
    published=(
      diffusion_pipeline_specs.read_published(config) if is_published else None
    ),
    task=PictureTask(
      target=settings.target,
      num_select=settings.num_select,
      num_judge=settings.num_judge,
      margins=tuple(settings.margins),
    ),
    population=sections.read_population(config),
    ensemble=EnsembleSpec(config.ensemble.top_k, tuple(config.ensemble.also)),
    num_random=config.ensemble.num_random,
    keeps_pictures=config.keep_pictures,
  )


def _find_problems(config) -> list[str]:
  size = config.population.size
  most = Range(1, size if size > 0 else None, "population.size")
  return [
    *check_ranges(
      config,
      {
        "seed": Range(0, 2**32 - 1),
        "model.num_steps": Range(1, 1000),
        "model.guidance": Range(0),
        "task.num_select": Range(1),
        "task.num_judge": Range(1),
        "task.margins": Range(0, 1),
        "population.size": Range(2, 2**32),
        "population.sigmas": Range(0),
        "population.chunk": Range(0),
        **sections.limit_ensembles(config),
        "ensemble.num_random": most,
      },
    ),
    *check_choices(config, {"population.design": DESIGNS}),
    *check_not_empty(
      config, ("population.sigmas", "population.include", "task.margins")
    ),
    *(
      f"population.include must name tensors of the UNet, which begin with"
      f" unet., got {pattern!r}."
      for pattern in config.population.include
      if not pattern.startswith("unet.")
    ),
  ]
