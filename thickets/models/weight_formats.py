"""Which forms of weights are read, and the remedy for each of the others.

Read are plain weights in safetensors. Models are also published quantised, as
adapters, and in formats of other programs, which are told by the names of their
tensors and files, since not all say so in config.json.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from thickets.errors import UserError, shorten

WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"

_NUM_SHOWN = 4  # Words of a list that a message shows.
_CONVERT = "load and save the model with transformers"

_TENSORS = (  # How names of tensors end, and of which form they are.
  (r"\.(qweight|qzeros|g_idx)", "weights quantised by GPTQ or AWQ"),
  (
    r"\.(absmax|nested_absmax|quant_map|nested_quant_map|SCB|weight_format)"
    r"|\.quant_state\.bitsandbytes__\w+",
    "weights quantised by bitsandbytes",
  ),
  (
    r"[._](weight_scale|weight_scale_inv|weight_scale_2|input_scale"
    r"|activation_scale|scale_inv)",
    "weights in 8 bits or fewer",
  ),
  (
    r"\.weight_(packed|shape|zero_point|g_idx)",
    "weights quantised by compressed-tensors",
  ),
  (r"_proj_(blocks|scales)", "weights quantised to MXFP4"),
  (r":(qdata|scale|zero_point)|_weight_(qdata|scale)", "weights of torchao"),
  (r"\.(scales|biases)", "weights quantised by MLX, GPTQ or AWQ"),
  (r"\.(W_q|codebooks|codes|centroids|indices)", "quantised weights"),
  (
    r"\.(lora_[AB]|lora_embedding_[AB]|lora_magnitude_vector|base_layer)"
    r"(\.\w+)*",
    "an adapter that was not merged",
  ),
)

_FILES = (  # Names of files, what they are, and the remedy.
  (
    r"adapter_model\..*|adapter_config\.json",
    "an adapter of PEFT",
    "merge it into its base (merge_and_unload) and save the whole model",
  ),
  (r".*\.gguf", "GGUF", "pass the file itself"),
  (
    r"model-\d+-of-\d+\.safetensors",
    f"shards without {INDEX_FILE}",
    "fetch the index",
  ),
  (r"model\..+\.safetensors", "a variant", f"rename it to {WEIGHTS_FILE}"),
  (
    r"consolidated.*\.(safetensors|pth)|params\.json",
    "the format of the model's authors",
    "fetch the files that are made for transformers, or convert it with the"
    " script of transformers for its family",
  ),
  (r"pytorch_model.*\.bin.*|.*\.(pt|pth|ckpt|bin)", "PyTorch", _CONVERT),
  (r".*\.(h5|msgpack|onnx|npz|ot)", "another program's weights", _CONVERT),
  (r".*\.safetensors", "safetensors", f"rename it to {WEIGHTS_FILE}"),
)


def check_fields(fields: Mapping[str, Any]) -> None:
  """Refuses a config.json that says its weights are not plain.

  Raises:
    UserError: if it describes a quantisation, even an empty one, or names the
      weights' file; null describes none.
  """
  quantization = fields.get("quantization_config")
  if quantization is not None:
    method = ""
    if isinstance(quantization, Mapping) and "quant_method" in quantization:
      method = f" for {quantization['quant_method']}"
    raise UserError(
      f"A model must have plain weights, got a quantization_config{method} in"
      " config.json. Load the model that it was quantised from; if the weights"
      " are plain, remove the field."
    )
  file = fields.get("transformers_weights")
  if file not in (None, WEIGHTS_FILE):
    raise UserError(
      f"transformers_weights must be {WEIGHTS_FILE} where it is given, got"
      f" {file!r}. Give the file that name, and remove the field from"
      " config.json."
    )


def check_names(names: Iterable[str], where: str) -> None:
  """Refuses tensors that are not plain weights.

  Args:
    names: published names of tensors.
    where: the file or directory that they were found in.

  Raises:
    UserError: if the names are those of quantised weights or of an adapter.
  """
  names = list(names)
  for pattern, form in _TENSORS:
    expression = re.compile(rf".*({pattern})$")
    if found := [name for name in names if expression.match(name)]:
      remedy = "Load the model that it was quantised from"
      if "adapter" in form:
        remedy = "Merge it (merge_and_unload of PEFT) and save the model again"
      raise UserError(
        f"A model must have plain weights, got {form} in {where}:"
        f" {shorten(found, _NUM_SHOWN)}. {remedy}."
      )


def check_no_adapter(listed: Collection[str], where: str) -> None:
  """Refuses a model with an adapter, which some programs apply and some do not.

  Args:
    listed: the names of the files of a model.
    where: the directory, or the name, of the model.

  Raises:
    UserError: if there is an adapter of PEFT.
  """
  if "adapter_config.json" in listed:
    raise UserError(
      f"A model must be whole, got the adapter_config.json of PEFT in {where}."
      " Merge the adapter into its base (merge_and_unload) and save the model"
      " again; if the model is whole without it, remove the adapter's files."
    )


def choose_file(listed: Collection[str], where: str) -> str:
  """The file to begin with: that of all weights, or the index of shards.

  Where a model has both, the file is read, as `transformers` does.

  Args:
    listed: the names of the files of a model.
    where: the directory, or the name, of the model.

  Raises:
    UserError: if there is neither; it names what was found, and the remedy.
  """
  for file in (WEIGHTS_FILE, INDEX_FILE):
    if file in listed:
      return file
  must_have = f"{where} must have {WEIGHTS_FILE}, or shards with {INDEX_FILE}"
  for pattern, what, remedy in _FILES:
    if found := [
      file for file in sorted(listed) if re.fullmatch(pattern, file)
    ]:
      raise UserError(
        f"{must_have}, got {shorten(found, _NUM_SHOWN)} ({what}). Other formats"
        f" are not read: {remedy}."
      )
  raise UserError(
    f"{must_have}, got {shorten(sorted(listed), _NUM_SHOWN) or 'nothing'}. Fetch"
    " the weights, or name another directory."
  )
