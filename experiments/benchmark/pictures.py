"""The benchmark's subject `pictures`: what they cost a member beside text.

A member answers the same number of prompts of the same length three times: text
alone, a picture of its own in each, and pictures that several questions share. The
tower is timed apart: it reads each picture once, whatever the number of members.
"""

import functools
import io
import math
import time
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jax.sharding import Mesh

from configs import benchmark_pictures
from experiments import launch
from experiments.benchmark import answering
from thickets.generation.batching import Batching
from thickets.generation.decoding import Decoding
from thickets.generation.pictures import PictureStore, PictureTables
from thickets.generation.texts import PromptImages
from thickets.models import hub
from thickets.models.vision.joined import VISUAL, take_text
from thickets.runs import process_memory
from thickets.search import meshes
from thickets.search.compiled import Programs
from thickets.tasks import pictures

_VOCABULARY = 512
_PATCH, _MERGE = 14, 2
_PREPROCESSOR = {
  "patch_size": _PATCH,
  "merge_size": _MERGE,
  "temporal_patch_size": 2,
  "min_pixels": 3136,
  "max_pixels": 12_845_056,
  "image_mean": [0.5, 0.5, 0.5],
  "image_std": [0.5, 0.5, 0.5],
}


def validate(config: ml_collections.ConfigDict) -> None:
  """Raises one UserError with everything wrong, before any device work."""
  launch.refuse(launch.check_keys(config, benchmark_pictures.get_config()))
  ranges = {
    "seed": launch.Range(0, 2**32 - 1),
    "num_prompts": launch.Range(1),
    "questions_per_picture": launch.Range(1),
    "side": launch.Range(56),
    "question_tokens": launch.Range(1),
    "new_tokens": launch.Range(2),
    "width": launch.Range(64),
    "num_layers": launch.Range(1),
    "sigma": launch.Range(0),
    "repeats": launch.Range(1),
  }
  launch.refuse(
    [
      *launch.check_ranges(config, ranges),
      *launch.check_choices(config, {"dtype": ("bfloat16", "float32")}),
      *(
        [f"width must be a multiple of 64, got {config.width}."]
        if config.width % 64
        else []
      ),
    ]
  )


def check_fits(config: ml_collections.ConfigDict) -> None:
  """Making the model checks it."""
  del config


def measure(config: ml_collections.ConfigDict) -> dict[str, Any]:
  """Measures the three kinds of prompts in turns; of each the best counts."""
  mesh = meshes.make_mesh(jax.local_devices()[:1])
  model = hub.make_model(
    _make_fields(config),
    jax.random.key(config.seed),
    jnp.dtype(config.dtype),
    preprocessor=_PREPROCESSOR,
  )
  assert model.vision is not None  # Its fields have a tower.
  store = PictureStore(model.vision)
  shown = _make_pictures(config, store)
  start = time.perf_counter()
  store.keep(model.params[VISUAL], shown)
  first_s = time.perf_counter() - start
  start = time.perf_counter()
  store.encode(model.params[VISUAL], shown)
  tower_s = time.perf_counter() - start
  make = functools.partial(_make_answering, config, model, mesh, store)
  subjects = {
    "text": make(None),
    "pictures": make([[digest] for digest in shown]),
    "shared": make(
      [
        [shown[number // config.questions_per_picture]]
        for number in range(config.num_prompts)
      ]
    ),
  }
  best = dict.fromkeys(subjects, math.inf)
  for turn in range(1 + config.repeats):
    for name, subject in subjects.items():
      start = time.perf_counter()
      subject.answer()
      if turn:  # The first compiles.
        seconds = (time.perf_counter() - start) / subject.num_members
        best[name] = min(best[name], seconds)
  prompt = _make_prompts(config, model, store, None)[0]
  return {
    "prompt_tokens": len(prompt),
    "picture_tokens": len(prompt) - config.question_tokens - 2,
    "text_s": best["text"],
    "pictures_s": best["pictures"],
    "shared_s": best["shared"],
    "over_text": best["pictures"] / best["text"],
    "shared_over_text": best["shared"] / best["text"],
    "tower_s": tower_s,
    "tower_compile_s": max(0.0, first_s - tower_s),
    "tower_each_over_text": (best["pictures"] + tower_s) / best["text"],
    "peak_memory_bytes": {"process": process_memory.peak_memory_bytes()},
  }


def _make_fields(config: ml_collections.ConfigDict) -> dict[str, Any]:
  """The config.json of a model of Qwen2.5-VL's kind."""
  width, head_dim = config.width, 32
  return {
    "model_type": "qwen2_5_vl",
    "vocab_size": _VOCABULARY,
    "hidden_size": width,
    "intermediate_size": 4 * width,
    "num_hidden_layers": config.num_layers,
    "num_attention_heads": width // head_dim,
    "num_key_value_heads": width // head_dim // 2,
    "max_position_embeddings": 4096,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1e6,
    "rope_scaling": {"type": "mrope", "mrope_section": [4, 6, 6]},
    "hidden_act": "silu",
    "tie_word_embeddings": True,
    "image_token_id": _VOCABULARY - 1,
    "video_token_id": _VOCABULARY - 2,
    "vision_start_token_id": _VOCABULARY - 3,
    "vision_end_token_id": _VOCABULARY - 4,
    "vision_config": {
      "hidden_act": "silu",
      "hidden_size": width // 2,
      "intermediate_size": 2 * width,
      "num_heads": max(1, width // 64),
      "depth": config.num_layers,
      "out_hidden_size": width,
      "patch_size": _PATCH,
      "spatial_merge_size": _MERGE,
      "temporal_patch_size": 2,
      "in_channels": 3,
      "window_size": 112,
      "fullatt_block_indexes": [config.num_layers - 1],
    },
  }


def _make_pictures(
  config: ml_collections.ConfigDict, store: PictureStore
) -> list[str]:
  """Pictures of noise, one for each prompt, by their digests."""
  from PIL import Image

  rng = np.random.default_rng(config.seed)
  digests = []
  for number in range(config.num_prompts):
    values = rng.integers(0, 256, (config.side, config.side, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG")
    picture = pictures.from_bytes(file.getvalue(), f"picture {number}")
    store.add(picture, owner="the benchmark")
    digests.append(picture.digest)
  return digests


def _make_prompts(
  config: ml_collections.ConfigDict,
  model: hub.Model,
  store: PictureStore,
  shown: Sequence[Sequence[str]] | None,
) -> list[list[int]]:
  """Prompts of equal length: a picture, or as much text, and a question."""
  assert model.vision is not None  # Its fields have a tower.
  rng = np.random.default_rng(config.seed)
  side = round(config.side / (_PATCH * _MERGE))
  count = side * side if shown is None else store.count_tokens(shown[0])

  def draw(count: int) -> list[int]:
    return rng.integers(0, _VOCABULARY - 4, count).tolist()

  start, end, pad, _ = model.vision.tokens
  return [
    [
      start,
      *(draw(count) if shown is None else [pad] * count),
      end,
      *draw(config.question_tokens),
    ]
    for _ in range(config.num_prompts)
  ]


def _make_answering(
  config: ml_collections.ConfigDict,
  model: hub.Model,
  mesh: Mesh,
  store: PictureStore,
  shown: Sequence[Sequence[str]] | None,
) -> answering.Answering:
  """Members that answer prompts with such pictures; None for text."""
  images: PromptImages | None = None
  if shown is not None:
    features = store.keep(None, [digest for row in shown for digest in row])
    images = PictureTables(store, mesh, Programs()).show(shown, [features])
  return answering.Answering(
    model.config,
    take_text(model.params),
    mesh,
    _make_prompts(config, model, store, shown),
    lambda most: Decoding(most, num_tokens=_VOCABULARY - 4),
    new_tokens=config.new_tokens,
    asked=Batching(),
    layers="auto",
    seed=config.seed,
    sigma=config.sigma,
    images=images,
  )
