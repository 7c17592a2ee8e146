"""The shape of a small vision-language model for scenes."""

import dataclasses
from typing import Any

from thickets.errors import UserError
from thickets.models import families, word_tokenizer
from thickets.models.vision import fields as vision_fields
from thickets.models.vision import pixel_fields
from thickets.tasks.scenes.scene import SIZE
from thickets.training import scene_corpora, spec_checks

_MERGE, _TEMPORAL = 2, 2  # As in the published models.
# All of a picture's values from 0 to 255 become numbers from -1 to 1.
_MEAN = _STD = [0.5, 0.5, 0.5]


@dataclasses.dataclass(frozen=True)
class SceneShape:
  """Shape of a Qwen2.5-VL in miniature.

  Attributes:
    width: width of the text model's residual stream.
    mlp_width: width of its MLP's hidden layer.
    num_layers: its number of layers.
    num_heads: its heads of queries.
    num_kv_heads: its heads of keys and values.
    context: tokens of a prompt and its response together, at most.
    tower_width: width of the tower's residual stream.
    tower_mlp_width: width of the tower's MLP's hidden layer.
    num_blocks: number of the tower's blocks; every second one sees the whole
      picture, the others windows of half its side.
    num_tower_heads: the tower's heads.
    patch: side of a patch, in pixels.
    init_std: standard deviation of the first matrices.

  Raises:
    SpecError: if a number is below 1, or there is no such model.
  """

  width: int
  mlp_width: int
  num_layers: int
  num_heads: int
  num_kv_heads: int
  context: int
  tower_width: int
  tower_mlp_width: int
  num_blocks: int
  num_tower_heads: int
  patch: int
  init_std: float

  def __post_init__(self):
    problems = []
    for name, value in dataclasses.asdict(self).items():
      least = 0 if name == "init_std" else 1
      problems += spec_checks.check_range(f"model.{name}", value, least)
    spec_checks.raise_problems(problems)
    if SIZE % (self.patch * _MERGE):
      raise spec_checks.SpecError(
        [
          f"model.patch must be a side of which {_MERGE} divide the {SIZE} pixels"
          f" of a picture, got {self.patch}."
        ]
      )
    try:
      fields = self.to_fields(_ANY_TOKENIZER)
      tower = vision_fields.read_tower(fields, self.width)
      families.parse_config(fields)
      pixel_fields.read_pixels(self.to_processor(), tower)
    except UserError as error:
      raise spec_checks.SpecError([str(error)]) from error

  def to_fields(self, tokenizer: Any) -> dict[str, Any]:
    """Returns the contents of config.json for a model with this tokenizer."""
    sections = self.width // self.num_heads // 2
    rest = sections - sections // 6
    start, end, image, video = _vision_ids(tokenizer)
    return {
      "model_type": "qwen2_5_vl",
      "architectures": ["Qwen2_5_VLForConditionalGeneration"],
      "vocab_size": len(tokenizer),
      "hidden_size": self.width,
      "intermediate_size": self.mlp_width,
      "num_hidden_layers": self.num_layers,
      "num_attention_heads": self.num_heads,
      "num_key_value_heads": self.num_kv_heads,
      "max_position_embeddings": self.context,
      "hidden_act": "silu",
      "rms_norm_eps": 1e-6,
      "rope_theta": 1e4,
      # A sixth of the frequencies is turned by time, about as in published models.
      "rope_scaling": {
        "type": "mrope",
        "mrope_section": [sections // 6, rest - rest // 2, rest // 2],
      },
      "tie_word_embeddings": True,
      "use_sliding_window": False,
      "initializer_range": self.init_std,
      "bos_token_id": tokenizer.bos_token_id,
      "eos_token_id": tokenizer.eos_token_id,
      "pad_token_id": tokenizer.pad_token_id,
      "vision_start_token_id": start,
      "vision_end_token_id": end,
      "image_token_id": image,
      "video_token_id": video,
      "vision_config": {
        "model_type": "qwen2_5_vl",
        "hidden_size": self.tower_width,
        "intermediate_size": self.tower_mlp_width,
        "depth": self.num_blocks,
        "num_heads": self.num_tower_heads,
        "hidden_act": "silu",
        "in_chans": 3,
        "out_hidden_size": self.width,
        "patch_size": self.patch,
        "spatial_merge_size": _MERGE,
        "temporal_patch_size": _TEMPORAL,
        "window_size": SIZE // 2,
        "fullatt_block_indexes": [*range(1, self.num_blocks, 2)],
        "tokens_per_second": 2,
        "initializer_range": self.init_std,
      },
    }

  def to_processor(self) -> dict[str, Any]:
    """Returns the contents of preprocessor_config.json."""
    return {
      "image_processor_type": "Qwen2VLImageProcessor",
      "patch_size": self.patch,
      "merge_size": _MERGE,
      "temporal_patch_size": _TEMPORAL,
      # Smaller pictures are enlarged to a scene's size, larger ones shrunk to twice
      # its sides.
      "min_pixels": SIZE**2,
      "max_pixels": 4 * SIZE**2,
      "image_mean": _MEAN,
      "image_std": _STD,
    }

  def make_tokenizer(self) -> Any:
    """Makes the tokenizer, which knows the words of scenes."""
    return word_tokenizer.make_tokenizer(scene_corpora.WORDS)


def _vision_ids(tokenizer: Any) -> list[int]:
  return tokenizer.convert_tokens_to_ids([*word_tokenizer.VISION])


class _AnyTokenizer:
  """Stands for a tokenizer where only its shape matters."""

  bos_token_id, eos_token_id, pad_token_id = 1, 2, 0

  def __len__(self) -> int:
    return 64

  def convert_tokens_to_ids(self, names: list[str]) -> list[int]:
    return [*range(4, 4 + len(names))]


_ANY_TOKENIZER = _AnyTokenizer()
