"""Published pipelines as subjects: SDXL and its kin, with CLIP as the judge.

Texts are read once, while the subject is loaded; then the text towers are let
go. The base is one tree of the denoiser, the decoder and the image tower of CLIP,
{"unet", "vae", "clip"}, of which members differ in the first alone.
"""

import dataclasses
import functools
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from absl import logging
from jaxtyping import Array, Float

from thickets.generation.images import pipelines
from thickets.generation.images.pipelines import Conditioning, PictureBatch
from thickets.generation.images.subjects import PictureSubject
from thickets.models.diffusion import (
  opening,
  pipeline,
  sampling,
  schedule,
  scorer,
  tokens,
  unet,
  vae,
  weights,
)
from thickets.models.diffusion.opening import Opened, Size
from thickets.models.diffusion.pipeline import Frame
from thickets.models.diffusion.schedule import Schedule
from thickets.models.diffusion.scorer import Scorer
from thickets.models.diffusion.unet_config import UNetConfig
from thickets.models.diffusion.vae import VAEConfig
from thickets.naming import Params
from thickets.runs import packed_arrays
from thickets.runs.json_files import JsonObject
from thickets.tasks.shapes import colours

KIND = "diffusers"
_NOT_FINITE = (
  "the denoiser has overflowed its dtype, or the decoder cannot draw its"
  " latents, so that pictures would be black. Write bfloat16 or float32 for"
  " model.dtype, or name other weights; then choose a new --workdir"
)


@dataclasses.dataclass(frozen=True)
class Loading:
  """Which weights make a base.

  Attributes:
    name: a directory of diffusers, or the id of a pipeline on the hub.
    revision: branch, tag or commit on the hub, None for its main branch.
    variant: the word in the names of its weights' files, None for plain ones.
    dtype: the dtype in which the UNet is held and computed.
    scorer: a directory of CLIP, or its id on the hub.
    scorer_revision: branch, tag or commit of it.
    scorer_dtype: the dtype in which it is held and computed.
  """

  name: str
  revision: str | None
  variant: str | None
  dtype: str
  scorer: str
  scorer_revision: str | None
  scorer_dtype: str

  def to_json(self) -> JsonObject:
    """From which `read_loading` reads it back."""
    return {"kind": KIND, **dataclasses.asdict(self)}


def read_loading(source: JsonObject) -> Loading:
  """Reads what `Loading.to_json` wrote."""
  return Loading(**{key: source[key] for key in source.keys() - {"kind"}})


@dataclasses.dataclass(frozen=True)
class Drawing:
  """How pictures are drawn.

  Attributes:
    size: their height and width in pixels.
    num_steps: steps of each picture.
    spacing: leading, trailing or linspace; None for that of the pipeline.
    guidance: how far predictions go beyond what the text adds.
    negative: the prompt that guidance leads away from; "" is read as a text, and
      None stands for no text, as the pipeline has it.
    pictures_at_once: for how many pictures a device predicts at once, None for all
      of its own; each is two rows where predictions are guided.
  """

  size: Size
  num_steps: int
  spacing: str | None
  guidance: float
  negative: str | None
  pictures_at_once: int | None


@dataclasses.dataclass(frozen=True)
class Asked:
  """What pictures are asked for.

  Attributes:
    target: the text that members are chosen for, one of the targets.
    targets: the texts that pictures are scored for.
    prompts: the prompts by split.
  """

  target: str
  targets: tuple[str, ...]
  prompts: Mapping[str, tuple[str, ...]]


def load_subject(
  loading: Loading, drawing: Drawing, asked: Asked
) -> PictureSubject:
  """Loads a pipeline and CLIP, reads all texts, and lets the text towers go.

  Raises:
    UserError: if one of them is missing or not supported, a text would be cut, two
      texts are one to CLIP, or the size does not fit; before weights of the
      pipeline are read.
  """
  opened = opening.open_pipeline(
    loading.name, revision=loading.revision, variant=loading.variant
  )
  steps = _make_schedule(opened, drawing)
  latent_shape = opened.latent_shape(drawing.size)
  every_prompt = list(itertools.chain(*asked.prompts.values()))
  _check_drawn_texts(opened, drawing, every_prompt)
  judge = scorer.load(
    loading.scorer,
    revision=loading.scorer_revision,
    dtype=loading.scorer_dtype,
  )
  _check_scored_texts(judge, asked.targets, every_prompt)
  _warn_of_named_targets(asked)
  loaded = pipeline.read(opened, dtype=loading.dtype)
  frame = Frame(drawing.size)
  negative = None
  if sampling.is_guided(drawing.guidance):
    negative = loaded.encode_negative(drawing.negative, 1, frame)
  embedded = judge.embed_texts(asked.targets)
  params = join_parts(loaded.params, judge)
  # Functions of the architecture alone, so that no text tower is held by them.
  score = functools.partial(
    score_pictures,
    functools.partial(scorer.look_at, judge.config),
    embedded,
    asked.targets.index(asked.target),
  )
  return PictureSubject(
    params=params,
    names=weights.tensor_names(params),
    pipeline=assemble(
      opened.configs.unet,
      opened.configs.vae,
      steps,
      guidance=drawing.guidance,
      negative=negative,
      pictures_at_once=drawing.pictures_at_once,
    ),
    encode=_remember(every_prompt, loaded.encode(every_prompt, frame)),
    add_labels=_remember(
      every_prompt, {"text": judge.embed_texts(every_prompt)}
    ),
    latent_shape=latent_shape,
    targets=asked.targets,
    prompts=asked.prompts,
    select=score,
    judge=functools.partial(_score_and_keep, score),
    source=loading.to_json(),
    judging=_describe_judging(loading, drawing, negative, embedded),
    why_not_finite=_NOT_FINITE,
  )


def _check_drawn_texts(
  opened: Opened, drawing: Drawing, prompts: Sequence[str]
) -> None:
  """Refuses texts that a text tower of the pipeline would cut."""
  opened.check_texts("The prompts of task", prompts)
  opened.check_texts("model.negative", [drawing.negative or ""])


def _check_scored_texts(
  judge: Scorer, targets: Sequence[str], prompts: Sequence[str]
) -> None:
  """Refuses texts that CLIP would cut, or that are one text to it."""
  for key, texts in (
    ("task.targets", targets),
    ("The prompts of task", prompts),
  ):
    tokens.check_texts(judge.tokenizer, key, texts)
    tokens.check_distinct(judge.tokenizer, key, texts)


def assemble(
  unet_config: UNetConfig,
  vae_config: VAEConfig,
  steps: Schedule,
  *,
  guidance: float,
  negative: Conditioning | None,
  pictures_at_once: int | None,
) -> pipelines.Pipeline:
  """How pictures are drawn, by the architectures alone.

  Args:
    unet_config: the denoiser, whose weights are the subtree "unet".
    vae_config: the decoder, whose weights are the subtree "vae".
    steps: when the denoiser is asked.
    guidance: how far predictions go beyond what the text adds.
    negative: conditioning of the negative prompt, with a first axis of 1.
    pictures_at_once: for how many pictures a device predicts at once.
  """

  def predict(
    params: Params, x: Array, t: Array, conditioning: Conditioning
  ) -> Array:
    return unet.apply(unet_config, params["unet"], x, t, conditioning)

  def decode(params: Params, latents: Array) -> Array:
    return vae.decode(vae_config, params["vae"], latents)

  return pipelines.Pipeline(
    predict,
    decode,
    steps,
    guidance,
    negative,
    pictures_at_once,
    # In float32 the decoder takes about a gibibyte for a picture of 512 × 512.
    decoded_at_once=1,
  )


def join_parts(params: Params, judge: Scorer) -> Params:
  """The tree of a base: {"unet", "vae", "clip"}."""
  return {**params, "clip": judge.picture_params()}


def load_base(loading: Loading) -> tuple[pipeline.Pipeline, Params]:
  """Loads the pipeline of a finished run, and the tree of its base."""
  loaded = pipeline.load(
    loading.name,
    revision=loading.revision,
    variant=loading.variant,
    dtype=loading.dtype,
  )
  judge = scorer.load(
    loading.scorer,
    revision=loading.scorer_revision,
    dtype=loading.scorer_dtype,
  )
  return loaded, join_parts(loaded.params, judge)


def score_pictures(
  look: Callable[[Params, Array], Array],
  targets_TE: Float[np.ndarray, "T E"],
  position: int,
  params: Params,
  pictures: Float[Array, "Q H W 3"],
  batch: PictureBatch,
) -> dict[str, Array]:
  """Scores pictures by their cosines with texts.

  Args:
    look: maps (weights of CLIP, pictures) to vectors of length one, [Q, E]; of
      pictures in 8 bits, as in a file.
    targets_TE: [T, E] the texts of the targets, of length one.
    position: the target that is the score.
    params: the base, with the subtree "clip".
    pictures: [Q, H, W, 3] RGB within 0 and 1.
    batch: labels `text` [Q, E], the pictures' own prompts.

  Returns:
    `score` [Q] of the one target and `targets` [Q, T] of all; `fidelity` [Q], the
    cosine with the picture's own prompt; `embedding` [Q, E], from which scores
    for other targets follow; `tint` [Q, 3] mean CIELAB; `is_finite` [Q]. Scores
    of pictures that are not finite are NaN.
  """
  vectors = look(params["clip"], pictures)
  is_finite = jnp.isfinite(pictures).all(axis=(1, 2, 3))

  # Sums of products, which no device rounds as it may those of a matrix product.
  cosines = jnp.sum(vectors[:, None] * targets_TE[None], axis=-1)
  fidelity = jnp.sum(vectors * batch["labels"]["text"], axis=-1)
  blank = jnp.where(is_finite, 0.0, jnp.nan)
  return {
    "score": cosines[:, position] + blank,
    "targets": cosines + blank[:, None],
    "fidelity": fidelity + blank,
    "embedding": vectors.astype(jnp.float16),
    "tint": jnp.mean(colours.rgb_to_lab(pictures), axis=(1, 2)),
    "is_finite": is_finite,
  }


def _score_and_keep(
  score: Callable[..., dict[str, Array]],
  params: Params,
  pictures: Array,
  batch: PictureBatch,
) -> dict[str, Array]:
  """The same channels, and the `picture` [Q, H, W, 3] as 8-bit RGB."""
  return {
    **score(params, pictures, batch),
    "picture": pipelines.to_bytes(pictures),
  }


def _remember(
  texts: Sequence[str], arrays: Mapping[str, Any]
) -> Callable[[Sequence[str]], dict[str, np.ndarray]]:
  """A function that looks up what was made of texts, and holds nothing else."""
  rows = {text: row for row, text in enumerate(texts)}
  kept = {name: np.asarray(array) for name, array in arrays.items()}

  def look_up(wanted: Sequence[str]) -> dict[str, np.ndarray]:
    places = [rows[text] for text in wanted]
    return {name: array[places] for name, array in kept.items()}

  return look_up


def _make_schedule(opened: Opened, drawing: Drawing) -> Schedule:
  config = opened.configs.schedule
  if drawing.spacing is not None:
    config = dataclasses.replace(config, spacing=drawing.spacing)
  if config.spacing == "leading" and not sampling.is_guided(drawing.guidance):
    logging.warning(
      "The steps are spaced as leading, and nothing guides. Models that need no"
      " guidance, such as SDXL-Turbo, are published with"
      " model.spacing=trailing."
    )
  return schedule.make_schedule(config, drawing.num_steps)


def _warn_of_named_targets(asked: Asked) -> None:
  """Warns of prompts that already ask for a target: choosing adds nothing there."""
  for target in asked.targets:
    word = re.compile(rf"\b{re.escape(target)}\b", re.IGNORECASE)
    for split, prompts in asked.prompts.items():
      named = [prompt for prompt in prompts if word.search(prompt)]
      if named:
        logging.warning(
          "%d prompts of %s name the target %r, the first is %r: their pictures"
          " are of it without a search.",
          len(named),
          split,
          target,
          named[0],
        )


def _describe_judging(
  loading: Loading,
  drawing: Drawing,
  negative: Mapping[str, Any] | None,
  targets_TE: Float[np.ndarray, "T E"],
) -> JsonObject:
  """What pictures and their scores depend on, beside the base and the batches."""
  vectors = {"targets": targets_TE, **(negative or {})}
  drawn = {**dataclasses.asdict(drawing), "size": list(drawing.size)}
  del drawn["pictures_at_once"]  # How a device is filled changes no picture.
  return {
    "pictures": drawn,
    "score": "cosine of CLIP, of 8-bit pictures, with the target",
    "fidelity": "cosine of CLIP with the prompt",
    "scorer": loading.scorer,
    "texts": packed_arrays.hash_arrays(
      {name: np.asarray(array) for name, array in vectors.items()}
    ),
  }
