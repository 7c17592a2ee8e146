"""The same prompts through `generate` of transformers, for comparison."""

import importlib.util
from collections.abc import Sequence
from typing import Any

import jax
import ml_collections
import numpy as np

from experiments import launch
from thickets.errors import UserError

NAMES = ("", "transformers")  # The values of a config's field `compare`.


def check(config: ml_collections.ConfigDict) -> None:
  """Raises a UserError if what `compare` asks for is not installed."""
  if config.compare:
    check_installed(f"compare={config.compare}")


def check_installed(name: str) -> None:
  """Raises a UserError if there is no PyTorch.

  Args:
    name: what needs it.
  """
  if importlib.util.find_spec("torch") is None:
    launch.refuse(
      [
        f"{name} needs PyTorch, got none. Install it with"
        " pip install -e '.[torch]'."
      ]
    )


class Transformers:
  """A model in PyTorch that generates greedily for all prompts in one batch.

  Args:
    model: the model of transformers.
    prompts: [Q] token ids of each prompt.
    new_tokens: how many tokens a response has at most.
    stop_tokens: ids of the tokens that end a response.

  Raises:
    UserError: if PyTorch does not see the GPU that JAX sees.
  """

  def __init__(
    self,
    model: Any,
    prompts: Sequence[Sequence[int]],
    new_tokens: int,
    stop_tokens: Sequence[int] = (),
  ):
    import torch

    if jax.default_backend() == "gpu" and not torch.cuda.is_available():
      raise UserError(
        "PyTorch must run on the GPU that JAX runs on, got"
        f" {torch.__version__}, which sees none. Install a build for the CUDA"
        " that the driver supports."
      )
    self._torch = torch
    self._new_tokens, self._stop_tokens = new_tokens, list(stop_tokens)
    model = model.eval()
    self._model = model.cuda() if torch.cuda.is_available() else model
    # Padded on the left, as their documentation asks for.
    width = max(map(len, prompts))
    ids = np.zeros((len(prompts), width), np.int64)
    mask = np.zeros_like(ids)
    for row, prompt in enumerate(prompts):
      ids[row, width - len(prompt) :] = prompt
      mask[row, width - len(prompt) :] = 1
    self._ids, self._mask = (
      torch.tensor(part, device=self._model.device) for part in (ids, mask)
    )

  def generate(self) -> None:
    """Generates, and waits for the tokens."""
    with self._torch.inference_mode():
      texts = self._model.generate(
        self._ids,
        attention_mask=self._mask,
        max_new_tokens=self._new_tokens,
        do_sample=False,
        repetition_penalty=1.0,  # Not as the model's own files may ask for.
        no_repeat_ngram_size=0,
        eos_token_id=self._stop_tokens or None,
        pad_token_id=0,
      )
    num_tokens = texts.shape[1] - self._ids.shape[1]
    assert self._stop_tokens or num_tokens == self._new_tokens, num_tokens
    texts.cpu()
