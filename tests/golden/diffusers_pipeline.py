"""A tiny pipeline of SDXL, made by diffusers, with tokenizers made by hand."""

import json
import string

import diffusers
import transformers
from golden import diffusion_cases as cases
from golden import torch_parts

_START, _END = "<|startoftext|>", "<|endoftext|>"
_MERGES = ("a t</w>", "c at</w>", "r e", "re d</w>", "t h")
NUM_TOKENS = 20  # Of a text.


def write_vocabulary(folder, pad=_END, *, is_old=True):
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


def make(folder, *, seed=0):
  """The pipeline; its tokenizers lie below `folder`."""
  vocab_size = write_vocabulary(folder / "tokenizer")
  write_vocabulary(folder / "tokenizer_2", pad="!")
  tokenizers = [
    transformers.CLIPTokenizer.from_pretrained(folder / name)
    for name in ("tokenizer", "tokenizer_2")
  ]
  texts = [
    transformers.CLIPTextModel(
      transformers.CLIPTextConfig(**make_text_config(vocab_size))
    ),
    transformers.CLIPTextModelWithProjection(
      transformers.CLIPTextConfig(
        **make_text_config(vocab_size, hidden_act="gelu")
      )
    ),
  ]
  parts = [
    diffusers.AutoencoderKL.from_config(cases.TINY_VAE),
    *texts,
    diffusers.UNet2DConditionModel.from_config(cases.TINY_XL),
  ]
  for i, part in enumerate(parts):
    torch_parts.randomise(part, seed + i)
  vae, text, text_2, unet = parts
  return diffusers.StableDiffusionXLPipeline(
    vae=vae,
    text_encoder=text,
    text_encoder_2=text_2,
    tokenizer=tokenizers[0],
    tokenizer_2=tokenizers[1],
    unet=unet,
    scheduler=diffusers.EulerDiscreteScheduler.from_config(cases.SCHEDULER),
    force_zeros_for_empty_prompt=True,
    add_watermarker=False,
  )
