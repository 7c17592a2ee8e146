"""Small tokenizers in the shapes of the published ones, as files."""

import json
import pathlib

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

TEXTS = (
  "don't stop  at 1234 , café\n\n naïve .",
  " leading and trailing ",
  "Hello world<|end|>Hello world",
  "",
)
# The directories that the families are published in: the type of the model, the
# tokenizer's rules, and what tokenizer_config.json says.
SHAPES = {
  "llama 2": ("llama", "metaspace", {"tokenizer_class": "LlamaTokenizer"}),
  "llama 2, legacy": (
    "llama",
    "metaspace",
    {
      "tokenizer_class": "LlamaTokenizer",
      "legacy": True,
      "add_bos_token": True,
      "add_eos_token": False,
      "bos_token": "<s>",
      "eos_token": "</s>",
    },
  ),
  "llama 3": (
    "llama",
    "bytes_bos",
    {
      "tokenizer_class": "PreTrainedTokenizerFast",
      "bos_token": "<s>",
      "eos_token": "<|end|>",
      "clean_up_tokenization_spaces": True,
    },
  ),
  "llama by GPT2Tokenizer": (
    "llama",
    "bytes",
    {"tokenizer_class": "GPT2Tokenizer", "eos_token": "<|end|>"},
  ),
  "llama by LlamaTokenizer, of bytes": (
    "llama",
    "bytes_bos",
    {"tokenizer_class": "LlamaTokenizerFast", "bos_token": "<s>"},
  ),
  "qwen2": (
    "qwen2",
    "bytes",
    {
      "tokenizer_class": "Qwen2Tokenizer",
      "add_bos_token": False,
      "add_prefix_space": False,
      "bos_token": None,
      "eos_token": "<|end|>",
    },
  ),
  "qwen2 by LlamaTokenizer": (
    "qwen2",
    "metaspace",
    {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>"},
  ),
  "gemma": (
    "gemma3_text",
    "metaspace_bare",
    {"tokenizer_class": "GemmaTokenizer", "bos_token": "<s>"},
  ),
  "mistral": (
    "mistral",
    "metaspace",
    {
      "tokenizer_class": "LlamaTokenizer",
      "add_bos_token": True,
      "bos_token": "<s>",
      "eos_token": "</s>",
      "add_prefix_space": True,
    },
  ),
  "gpt2": ("gpt2", "bytes", None),
  "no config": ("olmo2", "bytes", None),
  "unknown class": ("qwen2", "bytes", {"tokenizer_class": "FooTokenizer"}),
  "code": (
    "qwen2",
    "bytes",
    {
      "tokenizer_class": "FooTokenizer",
      "auto_map": {"AutoTokenizer": ["tokenization_foo.FooTokenizer", None]},
    },
  ),
}


def make_backend(rules):
  """A tokenizer of `tokenizers`, trained on a few words.

  Args:
    rules: "bytes" as in GPT-2; "bytes_bos", which begins with <s>; "metaspace"
      as in Llama 2, with <s> too; "metaspace_bare", which puts no space before
      a text, as in Gemma.
  """
  specials = ["<unk>", "<s>", "</s>", "<|end|>", "<|endoftext|>"]
  if rules.startswith("metaspace"):
    alphabet = [f"<0x{byte:02X}>" for byte in range(256)]
    letters = sorted(set("".join(TEXTS)) - set("\n "))
    vocabulary = [*specials, *alphabet, "▁", *letters, "▁H", "ll", "lo"]
    backend = tokenizers.Tokenizer(
      models.BPE(
        {token: number for number, token in enumerate(vocabulary)},
        [("▁", "H"), ("l", "l"), ("l", "o")],
        unk_token="<unk>",
        byte_fallback=True,
        fuse_unk=True,
      )
    )
    backend.normalizer = normalizers.Sequence(
      [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    backend.decoder = decoders.Sequence(
      [
        decoders.Replace("▁", " "),
        decoders.ByteFallback(),
        decoders.Fuse(),
        decoders.Strip(" ", 1, 0),
      ]
    )
    if rules == "metaspace_bare":
      backend.normalizer = normalizers.Replace(" ", "▁")
  else:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = [*specials, *letters, "ĠH", "12", "34", "'t"]
    merges = [("Ġ", "H"), ("1", "2"), ("3", "4"), ("'", "t")]
    backend = tokenizers.Tokenizer(
      models.BPE(
        {token: number for number, token in enumerate(vocabulary)}, merges
      )
    )
    # Three digits at a time, unlike GPT-2 (all) and Qwen (one).
    backend.pre_tokenizer = pre_tokenizers.Sequence(
      [
        pre_tokenizers.Split(
          tokenizers.Regex(r"\p{N}{1,3}| ?\p{L}+"), "isolated"
        ),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
      ]
    )
    backend.decoder = decoders.ByteLevel()
  backend.add_special_tokens(specials)
  if rules != "bytes":
    backend.post_processor = processors.TemplateProcessing(
      single="<s> $A", special_tokens=[("<s>", 1)]
    )
  return backend


def write_shape(directory, name, **more):
  """Writes a directory of `SHAPES`, and `more` into tokenizer_config.json."""
  model_type, rules, declared = SHAPES[name]
  directory = pathlib.Path(directory)
  directory.mkdir(parents=True, exist_ok=True)
  make_backend(rules).save(str(directory / "tokenizer.json"))
  write_json(directory / "config.json", {"model_type": model_type})
  if declared is not None or more:
    write_json(directory / "tokenizer_config.json", (declared or {}) | more)
  return directory


def write_json(path, contents):
  """Writes a file of JSON."""
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(json.dumps(contents), encoding="utf-8")
