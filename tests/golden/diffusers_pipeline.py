"""A tiny pipeline of SDXL, made by diffusers."""

import diffusers
import transformers
from golden import diffusion_cases as cases
from golden import pipeline_files, torch_parts


def make(folder, *, seed=0, unet_fields=cases.TINY_XL):
  """The pipeline; its tokenizers lie below `folder`."""
  vocab_size = pipeline_files.write_tokenizer(folder / "tokenizer")
  pipeline_files.write_tokenizer(folder / "tokenizer_2", pad="!")
  tokenizers = [
    transformers.CLIPTokenizer.from_pretrained(folder / name)
    for name in ("tokenizer", "tokenizer_2")
  ]
  texts = [
    transformers.CLIPTextModel(
      transformers.CLIPTextConfig(**pipeline_files.make_text_config(vocab_size))
    ),
    transformers.CLIPTextModelWithProjection(
      transformers.CLIPTextConfig(
        **pipeline_files.make_text_config(vocab_size, hidden_act="gelu")
      )
    ),
  ]
  parts = [
    diffusers.AutoencoderKL.from_config(cases.TINY_VAE),
    *texts,
    diffusers.UNet2DConditionModel.from_config(unet_fields),
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
