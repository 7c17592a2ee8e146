"""What a pretraining on exercises is, as records that check themselves.

Names in messages are those of a field of `PretrainingSpec`, and of its config.
"""

import dataclasses
from typing import Any

from thickets.errors import UserError
from thickets.models import byte_tokenizer
from thickets.models.config import ACTIVATIONS
from thickets.models.families import parse_config
from thickets.training import spec_checks
from thickets.training.corpora import Corpus
from thickets.training.dev_accuracy import NUM_DEV
from thickets.training.scene_corpora import SceneCorpus
from thickets.training.scene_models import SceneShape
from thickets.training.train import Schedule

_MAX_SEED = 2**32 - 1


@dataclasses.dataclass(frozen=True)
class ModelShape:
  """Shape of the decoder-only transformer that is trained.

  Attributes:
    width: width of the residual stream.
    mlp_width: width of the MLP's hidden layer.
    num_layers: number of layers.
    num_heads: heads of queries.
    num_kv_heads: heads of keys and values.
    context: tokens of a prompt and its response together, at most.
    activation: one of `models.config.ACTIVATIONS`.

  Raises:
    SpecError: if a number is below 1, the activation is unknown, or there is no
      such transformer.
  """

  width: int
  mlp_width: int
  num_layers: int
  num_heads: int
  num_kv_heads: int
  context: int
  activation: str

  def __post_init__(self):
    problems = spec_checks.check_choice(
      "model.activation", self.activation, ACTIVATIONS
    )
    for name, value in dataclasses.asdict(self).items():
      if name != "activation":
        problems += spec_checks.check_range(f"model.{name}", value, 1)
    spec_checks.raise_problems(problems)
    try:
      parse_config(self.to_fields(byte_tokenizer.make_tokenizer()))
    except UserError as error:
      raise spec_checks.SpecError([str(error)]) from error

  def make_tokenizer(self) -> Any:
    """Makes the tokenizer, which has a token for each byte."""
    return byte_tokenizer.make_tokenizer()

  def to_processor(self) -> None:
    """Returns that there is no preprocessor_config.json: it sees no pictures."""

  def to_fields(self, tokenizer: Any) -> dict[str, Any]:
    """Returns the contents of config.json for a model with this tokenizer."""
    return {
      "model_type": "llama",
      "vocab_size": len(tokenizer),
      "hidden_size": self.width,
      "intermediate_size": self.mlp_width,
      "num_hidden_layers": self.num_layers,
      "num_attention_heads": self.num_heads,
      "num_key_value_heads": self.num_kv_heads,
      "max_position_embeddings": self.context,
      "hidden_act": self.activation,
      "rms_norm_eps": 1e-6,
      "rope_theta": 1e4,
      "tie_word_embeddings": True,
      "bos_token_id": tokenizer.bos_token_id,
      "eos_token_id": tokenizer.eos_token_id,
      "pad_token_id": tokenizer.pad_token_id,
    }


@dataclasses.dataclass(frozen=True)
class OptimizerSpec:
  """AdamW with a linear warm-up and a cosine decay.

  Attributes:
    learning_rate: the largest learning rate; it ends at a tenth of that.
    warmup: steps until the largest learning rate.
    weight_decay: decay of matrices; norms do not decay.

  Raises:
    SpecError: if a number is below 0.
  """

  learning_rate: float
  warmup: int
  weight_decay: float

  def __post_init__(self):
    spec_checks.raise_problems(
      problem
      for name, value in dataclasses.asdict(self).items()
      for problem in spec_checks.check_range(f"optimizer.{name}", value, 0)
    )


@dataclasses.dataclass(frozen=True)
class DevSpec:
  """How the accuracy on held-out exercises is followed.

  Attributes:
    num_prompts: exercises of each family, from 1 to `NUM_DEV`.
    every: steps between two measurements.

  Raises:
    SpecError: if a number is out of range.
  """

  num_prompts: int
  every: int

  def __post_init__(self):
    spec_checks.raise_problems(
      [
        *spec_checks.check_range(
          "dev.num_prompts", self.num_prompts, 1, NUM_DEV
        ),
        *spec_checks.check_range("dev.every", self.every, 1),
      ]
    )


@dataclasses.dataclass(frozen=True)
class PretrainingSpec:
  """All that decides which model a pretraining ends with.

  Attributes:
    seed: root of the first weights and of the text, an unsigned 32-bit number.
    model: shape of the model.
    corpus: text that it is trained on.
    optimizer: the settings of the optimizer.
    schedule: when to save and to report.
    dev: how accuracy on held-out exercises is measured.

  Raises:
    SpecError: if the seed is out of range, or the warm-up is as long as the
      training.
  """

  seed: int
  model: ModelShape | SceneShape
  corpus: Corpus | SceneCorpus
  optimizer: OptimizerSpec
  schedule: Schedule
  dev: DevSpec

  def __post_init__(self):
    spec_checks.raise_problems(
      [
        *check_seed(self.seed),
        *check_warmup(self.optimizer, self.schedule),
      ]
    )


def check_seed(seed: int) -> list[str]:
  """Returns a message if a seed is no unsigned 32-bit number."""
  return spec_checks.check_range("seed", seed, 0, _MAX_SEED)


def check_warmup(optimizer: OptimizerSpec, schedule: Schedule) -> list[str]:
  """Returns a message if the warm-up is as long as the training."""
  return spec_checks.check_range(
    "optimizer.warmup", optimizer.warmup, 0, schedule.num_steps - 1
  )
