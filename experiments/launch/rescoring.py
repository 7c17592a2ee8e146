"""Members of a finished search of pictures, scored for other targets."""

from typing import Any

import ml_collections
import numpy as np
from jaxtyping import Float

from experiments.launch import diffusion_pipeline_specs, diffusion_specs
from experiments.launch.diffusion_specs import DiffusionSpec
from thickets.analysis import picture_density
from thickets.analysis.picture_density import Selected
from thickets.errors import UserError
from thickets.models.diffusion import scorer, tokens
from thickets.models.diffusion.scorer import Scorer
from thickets.runs import json_files, locations
from thickets.runs.directory import BASE_POSITION, Run

_CHANNEL = "embedding"
_MOST_APART = (
  5e-3  # Between cosines of vectors in half precision and of others.
)
_UNFINISHED = (
  "--workdir must hold a run whose members are scored, got one without its base."
  " Finish it with its own command."
)


def read_spec(workdir: str) -> DiffusionSpec:
  """What a run on a published pipeline was asked to do.

  Raises:
    UserError: if there is no such run, or it has recorded no vectors.
  """
  path = locations.locate(workdir) / "config.json"
  try:
    fields = json_files.read_json(path)["config"]
  except (OSError, ValueError, KeyError, TypeError) as error:
    raise UserError(
      f"--workdir must name a run of experiments.diffusion, got {workdir}"
      f" ({error})."
    ) from error
  config = ml_collections.ConfigDict(fields)
  if fields.get("experiment") != "diffusion" or not (
    diffusion_pipeline_specs.is_published(config)
  ):
    raise UserError(
      "--workdir must name a run of experiments.diffusion on a published"
      f" pipeline, got {workdir}: others record no vectors of CLIP."
    )
  return diffusion_specs.read_diffusion(config)


def load_scorer(spec: DiffusionSpec) -> Scorer:
  """Loads the CLIP of a run, by its name."""
  assert spec.published is not None  # By `read_spec`.
  loading = spec.published.loading
  return scorer.load(
    loading.scorer,
    revision=loading.scorer_revision,
    dtype=loading.scorer_dtype,
  )


def embed(judge: Scorer, targets: tuple[str, ...]) -> Float[np.ndarray, "T E"]:
  """[T, E] texts as vectors of length one.

  Raises:
    UserError: if a text would be cut.
  """
  tokens.check_texts(judge.tokenizer, "--targets", targets)
  return judge.embed_texts(targets)


def check_scorer(spec: DiffusionSpec, run: Run, judge: Scorer) -> None:
  """Refuses a CLIP that scores the base otherwise than the run has recorded.

  Raises:
    UserError: if it does: its weights are not those that the run had.
  """
  assert spec.published is not None  # By `read_spec`.
  if run.find("select", BASE_POSITION) is None:
    raise UserError(_UNFINISHED)
  recorded = run.channels("select", BASE_POSITION)
  texts_TE = judge.embed_texts(spec.published.asked.targets)
  width = recorded[_CHANNEL].shape[-1]
  if texts_TE.shape[-1] == width:
    found = recorded[_CHANNEL].astype(np.float32) @ texts_TE.T
    if np.abs(found - recorded["targets"]).max() <= _MOST_APART:
      return
  raise UserError(
    f"model.scorer must have the weights that the run had, got other ones in"
    f" {spec.published.loading.scorer}. Put those back, or search anew."
  )


def rescore(
  spec: DiffusionSpec,
  run: Run,
  targets: tuple[str, ...],
  texts_TE: Float[np.ndarray, "T E"],
) -> dict[str, Any]:
  """Scores all members on the pictures of selection.

  Args:
    spec: what the run was asked to do.
    run: the run.
    targets: the texts.
    texts_TE: [T, E] their vectors.

  Returns:
    `num_failed`, members whose pictures are not all finite; `best`, a row for each
    target with the base's and the best member's mean score; `density` and `discordance` as in results.json. Scores of vectors in half
    precision are right to about .001.

  Raises:
    UserError: if not all members were scored.
  """
  members = spec.population.sample()
  positions = range(len(members))
  missing = [p for p in positions if run.find("select", p) is None]
  if missing:
    raise UserError(
      f"--workdir must hold a run whose {len(members)} members are scored, got"
      f" one without {len(missing)} of them. Finish it with its own command."
    )
  scores, base = (
    vectors.astype(np.float32) @ texts_TE.T
    for vectors in (
      run.channel("select", positions, _CHANNEL),
      run.channels("select", BASE_POSITION)[_CHANNEL],
    )
  )
  selected = Selected(
    members=members,
    targets=scores,
    hits=None,
    base_targets=base,
    base_hits=None,
    names=targets,
    target=0,
  )
  means = scores.mean(axis=1)
  best = np.nanargmax(means, axis=0)
  return {
    "size": len(members),
    "num_failed": int(np.isnan(means).any(axis=1).sum()),
    "num_select": len(base),
    "best": [
      {
        "target": target,
        "base": float(base[:, place].mean()),
        "position": int(best[place]),
        "best": float(means[best[place], place]),
      }
      for place, target in enumerate(targets)
    ],
    "density": picture_density.measure_density(selected, spec.task.margins),
    "discordance": picture_density.measure_discordance(selected),
  }
