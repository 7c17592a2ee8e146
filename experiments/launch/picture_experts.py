"""Experts of runs on pictures, written as directories that diffusers opens."""

import dataclasses
import pathlib

from experiments import launch
from thickets.generation.images import pipeline_subject, shapes_subject
from thickets.members import Member
from thickets.models.diffusion import pipeline, weights
from thickets.naming import Params
from thickets.runs import experts
from thickets.runs.experts import Experts
from thickets.runs.json_files import JsonObject
from thickets.runs.locations import Location

_SHAPES = "shapes"


def are_of_pictures(path: Location) -> bool:
  """Whether an experts file is of a run of `experiments.diffusion`.

  Raises:
    UserError: if it is missing, or no experts file.
  """
  return _read_source(path).get("kind") in (pipeline_subject.KIND, _SHAPES)


def export(
  path: Location, rank: int, out: pathlib.Path, *, name: str | None
) -> Member:
  """Writes one expert; of a pipeline all parts but the UNet are copied.

  Args:
    path: the experts file.
    rank: which expert, 0 for the best.
    out: a directory that is new or empty.
    name: where the base is, if it is not where the run had it.

  Returns:
    The expert.

  Raises:
    UserError: if there is no such expert, or the base is another.
  """
  launch.configure_jax()
  source = _read_source(path)
  if source["kind"] == _SHAPES:
    base = shapes_subject.load_model(name or source["name"], "--model")
    chosen = _load_experts(path, base)
    params = chosen.rebuild(base, rank)
    out.mkdir(parents=True, exist_ok=True)
    shapes_subject.save_model(out, params)
    return chosen.members[rank]
  loading = pipeline_subject.read_loading(source)
  if name:
    loading = dataclasses.replace(loading, name=name, revision=None)
  loaded, base = pipeline_subject.load_base(loading)
  chosen = _load_experts(path, base)
  pipeline.save(out, loaded, chosen.rebuild(base, rank)["unet"])
  return chosen.members[rank]


def _load_experts(path: Location, base: Params) -> Experts:
  return experts.load_experts(path, base, names=weights.tensor_names(base))


def _read_source(path: Location) -> JsonObject:
  """Where the base can be loaded from; {} where the file does not say it."""
  base = experts.read_fields(path).get("base")
  source = base.get("source") if isinstance(base, dict) else None
  return source if isinstance(source, dict) else {}
