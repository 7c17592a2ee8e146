"""Tiny pipelines in files, with tokenizers made by hand; no torch is needed."""

import json
import string

import numpy as np
from golden import diffusion_cases as cases

from thickets.models.diffusion import (
  clip,
  clip_config,
  part_files,
  unet,
  unet_config,
  vae,
  weights,
)

_START, _END = "<|startoftext|>", "<|endoftext|>"
_MERGES = ("a t</w>", "c at</w>", "r e", "re d</w>", "t h")
NUM_TOKENS = 20  # Of a text.


def write_tokenizer(folder, pad=_END, *, is_old=True):
  """Writes a tokenizer of letters, as published ones or as diffusers saves them.

  Args:
    folder: where to write it.
    pad: the token of padding.
    is_old: whether it is vocab.json and merges.txt, or tokenizer.json.
  """
  folder.mkdir(parents=True, exist_ok=True)
  letters = string.ascii_lowercase + string.digits + "!,."
  merged = ["at</w>", "cat</w>", "re", "red</w>", "th"]
  words = [*letters, *(f"{c}</w>" for c in letters), *merged]
  if pad not in words and pad != _END:
    words.append(pad)
  words = ["!", *(w for w in words if w != "!"), _START, _END]
  vocabulary = {word: i for i, word in enumerate(words)}
  (folder / "vocab.json").write_text(json.dumps(vocabulary))
  (folder / "merges.txt").write_text(
    "\n".join(["#version: 0.2", *_MERGES]) + "\n"
  )
  special = {
    "bos_token": _START,
    "eos_token": _END,
    "unk_token": _END,
    "pad_token": pad,
  }
  (folder / "special_tokens_map.json").write_text(json.dumps(special))
  declared = {
    **special,
    "tokenizer_class": "CLIPTokenizer",
    "model_max_length": NUM_TOKENS,
    "do_lower_case": True,
  }
  (folder / "tokenizer_config.json").write_text(json.dumps(declared))
  if not is_old:
    import transformers

    loaded = transformers.CLIPTokenizer.from_pretrained(folder)
    for file in ("vocab.json", "merges.txt", "special_tokens_map.json"):
      (folder / file).unlink()
    loaded.save_pretrained(folder)
  return len(vocabulary)


def make_text_config(vocab_size, **fields):
  """The fields of a text tower of width 12."""
  return {
    "vocab_size": vocab_size,
    "hidden_size": 12,
    "intermediate_size": 37,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": NUM_TOKENS,
    "projection_dim": 20,
    "bos_token_id": vocab_size - 2,
    "eos_token_id": 2,
    "pad_token_id": 1,
    **fields,
  }


SCORER = {
  "model_type": "clip",
  "projection_dim": 10,
  "text_config": {
    "vocab_size": 85,
    "hidden_size": 16,
    "intermediate_size": 37,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": NUM_TOKENS,
    "eos_token_id": 84,
  },
  "vision_config": {
    "hidden_size": 20,
    "intermediate_size": 37,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "image_size": 28,
    "patch_size": 7,
  },
}


def make_params(description, seed=0, dtype=np.float32):
  """Random weights of a part."""
  shapes = weights.list_names(description)
  return part_files.fill(
    description,
    lambda name: cases.randomise(
      weights.publish_name(name), shapes[name], seed
    ),
    dtype,
  )


def write(folder, *, variant=None, dtype=np.float32, is_xl=True):
  """Writes a pipeline as diffusers stores it, by our own code."""
  vocab_size = write_tokenizer(folder / "tokenizer")
  text = make_text_config(vocab_size)
  configs = {
    "unet": cases.SMALL_XL if is_xl else cases.SMALL_SD,
    "vae": cases.TINY_VAE,
    "text_encoder": text,
  }
  texts = {"text_encoder": False}
  index = {
    "_class_name": "StableDiffusionXLPipeline"
    if is_xl
    else "StableDiffusionPipeline",
    "scheduler": ["diffusers", "EulerDiscreteScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
  }
  if is_xl:
    write_tokenizer(folder / "tokenizer_2", pad="!")
    configs["text_encoder_2"] = {**text, "hidden_act": "gelu"}
    texts["text_encoder_2"] = True
    index |= {
      "force_zeros_for_empty_prompt": True,
      "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
      "tokenizer_2": ["transformers", "CLIPTokenizer"],
    }
  described = {
    "unet": unet.describe(unet_config.parse_config(configs["unet"])),
    "vae": vae.describe(vae.parse_config(configs["vae"])),
  }
  for part, is_projected in texts.items():
    config = clip_config.parse_text_config(
      configs[part], part, is_projected=is_projected
    )
    described[part] = clip.describe_text(config)
  for i, (part, description) in enumerate(described.items()):
    (folder / part).mkdir()
    stem = "model" if part in texts else "diffusion_pytorch_model"
    part_files.save(
      folder / part,
      make_params(description, i, dtype),
      part_files.WeightSet(stem, variant),
      spell=clip.spell if part in texts else part_files.spell_as_published,
    )
    write_json(folder / part / "config.json", configs[part])
  (folder / "scheduler").mkdir()
  write_json(folder / "scheduler" / "scheduler_config.json", cases.SCHEDULER)
  write_json(folder / "model_index.json", index)


def write_scorer(folder):
  """Writes a tiny CLIP, by our own code."""
  write_tokenizer(folder)
  write_json(folder / "config.json", SCORER)
  config = clip_config.parse_scorer_config(SCORER)
  part_files.save(
    folder,
    make_params(clip.describe_scorer(config)),
    part_files.WeightSet("model"),
    spell=clip.spell,
  )


def write_json(path, contents):
  """Writes a JSON object."""
  path.write_text(json.dumps(contents))


def change_json(path, **fields):
  """Changes fields of a JSON object in a file."""
  write_json(path, {**json.loads(path.read_text()), **fields})
