"""The small model of shapes as a subject: loaded, asked and judged."""

import functools
import json
import pathlib
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from thickets import naming
from thickets.errors import UserError
from thickets.generation.images import pipelines
from thickets.generation.images.pipelines import PictureBatch, Pipeline
from thickets.generation.images.subjects import PictureSubject
from thickets.models.diffusion import (
  part_files,
  schedule,
  shapes_judge,
  shapes_model,
  weights,
  words,
)
from thickets.models.diffusion.part_files import WeightSet
from thickets.models.diffusion.shapes_model import ShapesModel
from thickets.naming import Params
from thickets.tasks.shapes import captions, colours, drawing, prompts

SHIPPED = "shipped/shapes"
_SHIPPED_DIR = (
  pathlib.Path(shapes_model.__file__).resolve().parent / "shipped" / "shapes"
)
_PARTS = {
  "unet": WeightSet(part_files.DIFFUSERS_STEM),
  "words": WeightSet(part_files.TRANSFORMERS_STEM),
}
_JUDGE = WeightSet(part_files.TRANSFORMERS_STEM)


def make_model() -> ShapesModel:
  """The architecture, for the captions of `tasks.shapes`."""
  return shapes_model.make_model(len(captions.WORDS), captions.NUM_TOKENS)


def describe_judge() -> Params:
  """The description of the weights of the judge of `tasks.shapes`."""
  return shapes_judge.describe(len(captions.HUES), len(captions.SHAPES))


def save_model(folder: pathlib.Path, params: Params) -> None:
  """Writes the model; its `unet` is a folder that diffusers opens.

  Args:
    folder: an existing folder.
    params: the weights, `unet` and `words`.
  """
  for part, wanted in _PARTS.items():
    (folder / part).mkdir(exist_ok=True)
    part_files.save(folder / part, params[part], wanted)
  for path, fields in (
    ("unet/config.json", shapes_model.UNET_FIELDS),
    ("scheduler/scheduler_config.json", shapes_model.SCHEDULER_FIELDS),
  ):
    (folder / path).parent.mkdir(exist_ok=True)
    text = json.dumps(dict(fields), indent=2) + "\n"
    (folder / path).write_text(text, encoding="utf-8")


def load_model(name: str, setting: str = "model.name") -> Params:
  """Reads the weights of a model of shapes, in float32.

  Args:
    name: `shipped/shapes`, or a folder that `save_model` has written.
    setting: what users name the model with, for messages.

  Raises:
    UserError: if there is no such folder, or it holds another model.
  """
  folder = _SHIPPED_DIR if name == SHIPPED else pathlib.Path(name)
  if not all((folder / part).is_dir() for part in _PARTS):
    raise UserError(
      f"{setting} must be {SHIPPED} or a folder of a model of shapes, got"
      f" {name!r}. Make one with experiments.pretrain_shapes."
    )
  described = shapes_model.describe(make_model())
  return {
    part: part_files.load(
      folder / part, described[part], wanted, dtype=np.float32
    )
    for part, wanted in _PARTS.items()
  }


def save_judge(folder: pathlib.Path, params: Params) -> None:
  """Writes the weights of a judge into an existing folder."""
  part_files.save(folder, params, _JUDGE)


def load_judge() -> Params:
  """Reads the judge that ships with the package."""
  return part_files.load(
    _SHIPPED_DIR / "judge", describe_judge(), _JUDGE, dtype=np.float32
  )


def load_subject(
  name: str, *, target: str, num_steps: int, guidance: float
) -> PictureSubject:
  """Loads a model of shapes, and the judge of its pictures.

  Args:
    name: `shipped/shapes`, or a folder that `save_model` has written.
    target: the hue that members are chosen for.
    num_steps: steps of each picture.
    guidance: how far predictions go beyond what the text adds.

  Raises:
    UserError: if the model cannot be read, or the hue is not known.
  """
  hue = captions.find_hue(target, "task.target")
  model, params = make_model(), load_model(name)
  judge = load_judge()
  encode = functools.partial(_encode, params["words"])
  pipeline = Pipeline(
    predict=functools.partial(shapes_model.predict, model),
    decode=lambda _, latents: shapes_model.decode(latents),
    schedule=schedule.make_schedule(model.schedule, num_steps),
    guidance=guidance,
    negative=encode([""]),
  )
  return PictureSubject(
    params=params,
    names=weights.tensor_names(params),
    pipeline=pipeline,
    encode=encode,
    add_labels=_label,
    latent_shape=(drawing.SIZE, drawing.SIZE, 3),
    targets=captions.HUES,
    prompts=prompts.PROMPTS,
    select=functools.partial(score_pictures, hue),
    judge=functools.partial(_judge_pictures, hue, judge),
    source={"kind": "shapes", "name": name},
    judging={
      "score": colours.describe_rule(),
      "judge": naming.identify(judge),
    },
    why_not_finite="the weights overflow. Name other ones for model.name;"
    " then choose a new --workdir",
  )


def score_pictures(
  hue: int, params: Params, pictures: Array, batch: PictureBatch
) -> dict[str, Array]:
  """Scores pictures by their colours alone.

  Args:
    hue: position of the target in `captions.HUES`.
    params: the weights, of which nothing is needed.
    pictures: [Q, 16, 16, 3] RGB within 0 and 1.
    batch: the prompts, of which nothing is needed.

  Returns:
    `score` [Q] for the target and `targets` [Q, 4] for every hue, one of which it
    is; `hit` [Q] the hue of a valid picture's object, -1 for none; `fidelity` [Q]
    1 for a valid picture, else 0; `tint` [Q, 3] mean CIELAB. Scores and fidelity
    of pictures that are not finite are NaN.
  """
  del params, batch
  measured = colours.measure(pictures)
  scores, hits = colours.score_hues(measured), colours.find_hits(measured)
  is_valid = colours.is_valid(measured)
  blank = _find_blank(pictures)
  return {
    "score": scores[:, hue] + blank,
    "targets": scores + blank[:, None],
    "hit": jnp.where(hits.any(axis=1), jnp.argmax(hits, axis=1), -1).astype(
      jnp.int8
    ),
    "fidelity": is_valid.astype(jnp.float32) + blank,
    "tint": measured["tint"],
  }


def _judge_pictures(
  hue: int,
  judge: Params,
  params: Params,
  pictures: Array,
  batch: PictureBatch,
) -> dict[str, Array]:
  """Scores pictures as above; the judge then says what hue and shape they have.

  Returns:
    The same channels, of which `hit` and `fidelity` are the judge's: fidelity is
    1 where it sees the shape that was asked for. Beside them `realism` [Q] and the
    `picture` [Q, 16, 16, 3] as 8-bit RGB.
  """
  scored = score_pictures(hue, params, pictures, batch)
  judged = shapes_judge.judge(judge, pictures)
  blank = _find_blank(pictures)
  found = judged["judged_hue"]
  is_hue = (found < len(captions.HUES)) & jnp.isfinite(blank)
  is_asked = judged["judged_shape"] == batch["labels"]["shape"]
  return {
    **scored,
    "hit": jnp.where(is_hue, found, -1).astype(jnp.int8),
    "fidelity": is_asked.astype(jnp.float32) + blank,
    "realism": judged["realism"],
    "picture": pipelines.to_bytes(pictures),
  }


def _find_blank(pictures: Array) -> Array:
  """[Q] NaN for pictures that are not finite, else 0, to be added to scores."""
  is_finite = jnp.isfinite(pictures).all(axis=(1, 2, 3))
  return jnp.where(is_finite, 0.0, jnp.nan)


def _encode(params: Params, texts: Sequence[str]) -> Mapping[str, np.ndarray]:
  tokens = captions.encode(texts)
  return {"context": np.asarray(jax.jit(words.encode)(params, tokens))}


def _label(texts: Sequence[str]) -> Mapping[str, np.ndarray]:
  shapes = [captions.find_shape(text) for text in texts]
  return {"shape": np.array(shapes, np.int8)}
