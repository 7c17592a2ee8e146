"""Losses and gradients of GRPO and PPO, beside autograd on `transformers`."""

import functools
import pathlib
import tempfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from absl.testing import parameterized
from golden import transformer_cases as cases

from thickets.generation.decoding import Decoding
from thickets.models import checkpoint, hub
from thickets.training import policy_update
from thickets.training.policy_spec import (
  CriticSpec,
  OptimizerSpec,
  PolicySpec,
  RolloutSpec,
)

pytestmark = pytest.mark.slow
torch = transformers = None

NUM_ROWS, NUM_TOKENS, WIDTH = 6, 5, 12
MISSING = (3, 7)
TOLERANCE = 1e-5  # Relative, of losses and of the norm of gradients.


def setUpModule():
  global torch, transformers
  import torch
  import transformers


def _make_batch(vocab_size):
  """Roll-outs of several lengths, and old log-probabilities some way off."""
  rng = np.random.default_rng(0)
  lengths = np.array([5, 1, 3, 2, 4, 5])
  starts = np.array([7, 3, 5, 6, 2, 4], np.int32)
  mask = (np.arange(NUM_TOKENS)[None] < lengths[:, None]).astype(np.float32)
  tokens = rng.integers(8, vocab_size, (NUM_ROWS, WIDTH)).astype(np.int32)
  beyond = np.arange(WIDTH)[None] >= (starts + lengths)[:, None]
  return {
    "tokens": np.where(beyond, 0, tokens).astype(np.int32),
    "starts": starts,
    "mask": mask,
    "old_log_probs": mask * rng.normal(-4, 0.5, mask.shape).astype(np.float32),
    "reference": mask * rng.normal(-4, 0.5, mask.shape).astype(np.float32),
    "advantages": mask * rng.normal(size=(NUM_ROWS, 1)).astype(np.float32),
    "old_values": mask * rng.normal(size=mask.shape).astype(np.float32),
    "returns": mask * rng.normal(size=mask.shape).astype(np.float32),
  }


def _make_spec(divergence):
  return PolicySpec(
    RolloutSpec(3, 2, 0),
    OptimizerSpec(1e-3),
    critic=CriticSpec(OptimizerSpec(1e-3)),
    minibatch=3,
    clip_low=0.2,
    clip_high=0.3,
    divergence=divergence,
  )


class TorchTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(
      self.enter_context(tempfile.TemporaryDirectory())
    )

  def _publish(self, case):
    model = cases.make_model(case)
    hub.save(self.folder / "model", model)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(
      self.folder / "model", attn_implementation="eager"
    )
    return model, theirs.eval()

  def _check(self, model, theirs, loss, ours, gradients):
    """Compares the losses, and all gradients by the names of their tensors."""
    loss.backward()
    self.assertLess(abs(float(ours) / loss.item() - 1), TOLERANCE)
    hub.save(self.folder / "gradients", model, params=gradients)
    found = {}
    for file in checkpoint.find_files(self.folder / "gradients"):
      path = self.folder / "gradients" / file
      found |= safetensors.numpy.load_file(path)
    norm = apart = 0.0
    for name, weight in theirs.named_parameters():
      if weight.grad is None:  # The head, where a critic has another.
        continue
      norm += float((weight.grad**2).sum())
      difference = weight.grad.numpy() - found[name]
      apart += float((difference**2).sum())
      largest = float(weight.grad.abs().max())
      self.assertLess(np.abs(difference).max(), 2 * TOLERANCE * largest, name)
    self.assertGreater(norm, 1e-3)  # Or it would show little.
    self.assertLess(np.sqrt(apart / norm), TOLERANCE)

  @parameterized.parameters(
    ("qwen2", 0.0, None), ("qwen2", 0.1, 2), ("llama", 0.1, None)
  )
  def test_the_policy_learns_as_autograd_says(
    self, case, divergence, micro_rows
  ):
    model, theirs = self._publish(case)
    vocab_size = model.config.vocab_size
    batch, spec = _make_batch(vocab_size), _make_spec(divergence)
    decoding = Decoding(
      NUM_TOKENS, num_tokens=vocab_size - 1, missing_tokens=MISSING
    )
    # The last id of all, which no token has, must not be sampled either.
    batch["tokens"] = np.minimum(batch["tokens"], vocab_size - 2)

    trainable = policy_update.train_all(model.params)
    loss_fn = policy_update.make_policy_loss(
      model.config, decoding, spec, trainable
    )
    (ours, _), gradients = jax.jit(
      functools.partial(
        policy_update._accumulate, loss_fn, micro_rows=micro_rows
      )
    )(trainable.start(), {}, batch)

    log_probs = _their_log_probs(theirs, batch, vocab_size)
    given = {name: torch.tensor(array) for name, array in batch.items()}
    total, count = 0.0, 0
    for row in range(NUM_ROWS):  # Token by token, as the papers write it.
      for t in range(int(given["mask"][row].sum())):
        ratio = torch.exp(log_probs[row][t] - given["old_log_probs"][row, t])
        advantage = given["advantages"][row, t]
        kept = torch.clamp(ratio, 0.8, 1.3)
        total = total - torch.minimum(ratio * advantage, kept * advantage)
        x = given["reference"][row, t] - log_probs[row][t]
        total = total + divergence * (torch.exp(x) - x - 1)
        count += 1
    self._check(model, theirs, total / count, ours, gradients)

  def test_the_critic_learns_as_autograd_says(self):
    model, theirs = self._publish("llama")
    batch = _make_batch(model.config.vocab_size)
    trainable = policy_update.train_critic(
      model.config, model.params, jax.random.key(0)
    )
    loss_fn = policy_update.make_value_loss(model.config, 0.5, trainable)
    (ours, _), gradients = jax.jit(
      functools.partial(policy_update._accumulate, loss_fn, micro_rows=2)
    )(trainable.start(), {}, batch)

    head = torch.tensor(np.asarray(trainable.start()["value_head"][0]))
    head.requires_grad_()
    total, count = 0.0, 0
    for row in range(NUM_ROWS):
      states = _their_states(theirs, batch, row)
      for t in range(int(batch["mask"][row].sum())):
        value = states[batch["starts"][row] - 1 + t] @ head
        old, target = (
          torch.tensor(batch[name][row, t])
          for name in ("old_values", "returns")
        )
        near = torch.clamp(value, old - 0.5, old + 0.5)
        errors = torch.maximum((value - target) ** 2, (near - target) ** 2)
        total, count = total + errors / 2, count + 1
    gradients = dict(gradients)
    own = gradients.pop("value_head")
    # The critic has no head of tokens; `save` wants one.
    if "lm_head" in model.params:
      gradients["lm_head"] = jnp.zeros_like(model.params["lm_head"])
    self._check(model, theirs, total / count, ours, gradients)
    np.testing.assert_allclose(own[0], head.grad, rtol=1e-4, atol=1e-6)


def _their_states(theirs, batch, row):
  """What their model knows after each token of a roll-out, behind its last norm."""
  end = int(batch["starts"][row] + batch["mask"][row].sum())
  tokens = torch.tensor(batch["tokens"][row, :end][None].astype(np.int64))
  return theirs.base_model(tokens).last_hidden_state[0]


def _their_log_probs(theirs, batch, vocab_size):
  """[R][N] of the tokens of each response, among those that exist."""
  hidden = [*MISSING, vocab_size - 1]
  found = []
  for row in range(NUM_ROWS):
    start = int(batch["starts"][row])
    end = start + int(batch["mask"][row].sum())
    tokens = torch.tensor(batch["tokens"][row, :end][None].astype(np.int64))
    logits = theirs(tokens).logits[0].clone()
    logits[:, hidden] = -torch.inf
    log_probs = torch.log_softmax(logits, dim=-1)
    found.append([log_probs[at - 1, tokens[0, at]] for at in range(start, end)])
  return found
