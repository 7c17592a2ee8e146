"""Pretraining of the model of shapes as a binary starts it, with its judge."""

import dataclasses
import pathlib
import shutil

import jax
import ml_collections
import numpy as np

from configs import pretrain_shapes as keys
from experiments.launch.config_checks import (
  Range,
  check_keys,
  check_ranges,
  refuse,
  to_json,
)
from thickets.analysis import intervals
from thickets.errors import UserError
from thickets.generation.images import pipelines, shapes_subject, subjects
from thickets.naming import Params
from thickets.runs import directory, environment, json_files
from thickets.runs.clock import Clock
from thickets.runs.json_files import JsonObject
from thickets.runs.run_config import RunConfig
from thickets.tasks.shapes import captions
from thickets.training import shapes_judge_training, shapes_pretraining
from thickets.training.shapes_judge_training import JudgeTraining
from thickets.training.shapes_pretraining import ShapesPretraining
from thickets.training.train import Schedule

_NUM_JUDGED = 4000  # Fresh pictures that the judge is measured on.


@dataclasses.dataclass(frozen=True)
class ShapesTraining:
  """What a pretraining on shapes is asked to do.

  Attributes:
    config: the configuration as the folder keeps it.
    seed: root of every random choice.
    pretraining: how the model is trained.
    schedule: when it is saved and reported; None where it stays untrained.
    judge: how the judge is trained; None for none.
    num_steps: steps of the pictures that are measured at the end.
    guidance: their guidance.
    num_samples: pictures of each prompt of `dev`.
  """

  config: RunConfig
  seed: int
  pretraining: ShapesPretraining
  schedule: Schedule | None
  judge: JudgeTraining | None
  num_steps: int
  guidance: float
  num_samples: int


def read_training(config: ml_collections.ConfigDict) -> ShapesTraining:
  """Checks a config of `experiments.pretrain_shapes`, and turns it into specs.

  Raises:
    UserError: with everything that is wrong.
  """
  refuse(check_keys(config, keys.get_config()))
  refuse(
    check_ranges(
      config,
      {
        "seed": Range(0, 2**32 - 1),
        "judge.num_steps": Range(0),
        "judge.batch_size": Range(1),
        "judge.learning_rate": Range(0),
        "sampling.num_steps": Range(1, 1000),
        "sampling.guidance": Range(0),
        "sampling.num_samples": Range(1),
      },
    )
  )
  num_steps = config.pretraining.num_steps
  return ShapesTraining(
    config=RunConfig(to_json(config)),
    seed=config.seed,
    pretraining=ShapesPretraining(**config.pretraining),
    schedule=Schedule(num_steps, **config.schedule) if num_steps else None,
    judge=JudgeTraining(**config.judge) if config.judge.num_steps else None,
    num_steps=config.sampling.num_steps,
    guidance=float(config.sampling.guidance),
    num_samples=config.sampling.num_samples,
  )


def run_training(spec: ShapesTraining, workdir: str) -> JsonObject:
  """Trains, or continues a training that was stopped; returns results.json.

  Args:
    spec: what to train.
    workdir: folder of the run, in which `model` is made.

  Raises:
    UserError: if the folder cannot be used, or the training diverges.
  """
  if jax.process_count() > 1:
    raise UserError(
      f"Pretraining must be one process, got {jax.process_count()}. Leave out"
      " --distributed."
    )
  clock = Clock()
  folder = pathlib.Path(str(directory.make_workdir(workdir)))
  spec.config.check(folder)
  spec.config.save(folder, environment.describe())
  params = shapes_pretraining.pretrain(
    spec.seed, spec.pretraining, spec.schedule, folder / "checkpoints"
  )
  clock.lap("training_s")
  judge = None
  if spec.judge is not None:
    judge = shapes_judge_training.train_judge(spec.seed, spec.judge)
    clock.lap("judge_s")
  _save(folder / "model", params, judge)
  results: JsonObject = {"dev": _measure(spec, folder / "model")}
  if judge is not None:
    results["judge"] = shapes_judge_training.measure_accuracy(
      judge, spec.seed + 1, _NUM_JUDGED
    )
  clock.lap("measuring_s")
  results["timing"] = clock.timing
  json_files.write_json(folder / "results.json", results)
  return results


def _save(folder: pathlib.Path, params: Params, judge: Params | None) -> None:
  """Saves the model whole, in place of what an earlier run left there."""
  partial = folder.with_name(f"{folder.name}.partial")
  for path in (partial, folder):
    shutil.rmtree(path, ignore_errors=True)
  partial.mkdir(parents=True)
  shapes_subject.save_model(partial, params)
  if judge is not None:
    (partial / "judge").mkdir()
    shapes_subject.save_judge(partial / "judge", judge)
  partial.rename(folder)


def _measure(spec: ShapesTraining, folder: pathlib.Path) -> JsonObject:
  """What the shipped judge sees on pictures of the prompts of `dev`."""
  subject = shapes_subject.load_subject(
    str(folder),
    target=captions.HUES[0],
    num_steps=spec.num_steps,
    guidance=spec.guidance,
  )
  batch = subjects.make_batch(subject, "dev", spec.num_samples, seed=spec.seed)

  @jax.jit
  def draw(params: Params, batch: pipelines.PictureBatch):
    drawn = pipelines.draw_pictures(subject.pipeline, params, batch)
    return subject.judge(params, drawn, batch)

  found = jax.device_get(draw(subject.params, batch))
  count = len(found["hit"])
  return {
    "shape": intervals.describe_count(
      int(np.sum(found["fidelity"])), count, over="pictures"
    ),
    **{
      name: intervals.describe_count(
        int(np.sum(found["hit"] == place)), count, over="pictures"
      )
      for place, name in enumerate(captions.HUES)
    },
  }
