"""One update of a policy and of its critic: forward, backward, optimizer.

Weights that learn are held in float32 and rounded to the dtype of the model where
they read texts. They are sharded over the mesh as the model is, and the rows of a
batch over its axis `population`.

Axes: R roll-outs, S tokens of a prompt and its response, N tokens of a response.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from thickets.generation.decoding import Decoding
from thickets.models import transformer
from thickets.models.config import TransformerConfig
from thickets.naming import Names, Params
from thickets.training import lora, policy_losses
from thickets.training.evolution import narrow, widen
from thickets.training.lora import LoraSpec
from thickets.training.policy_spec import OptimizerSpec, PolicySpec

Batch = Mapping[str, Any]  # Arrays [R, ...] by name.
# Maps (moved, frozen, batch, number of tokens) to a share of the loss, and sums.
LossFn = Callable[..., tuple[Float[Array, ""], dict[str, Any]]]


@dataclasses.dataclass(frozen=True)
class Trainable:
  """Which weights learn, and how a whole model is made of them.

  Attributes:
    frozen: a tree of arrays that `expand` needs and that does not move.
    start: makes the tree of weights that move, in float32, as they are before the
      first step.
    expand: maps (frozen, moved) to the weights of a model, in the dtypes in which
      it computes; pure and differentiable in `moved`.
  """

  frozen: Any
  start: Callable[[], Params]
  expand: Callable[[Any, Params], Params]


def train_all(base: Params) -> Trainable:
  """All weights of a model learn.

  Args:
    base: the weights before the first step.
  """
  like = jax.tree.map(
    lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), base
  )
  return Trainable(
    {}, lambda: widen(base), lambda _, moved: narrow(moved, like)
  )


def train_adapters(base: Params, spec: LoraSpec, names: Names) -> Trainable:
  """Low-rank adapters learn, and the weights that they are added to do not.

  Args:
    base: the weights before the first step.
    spec: which matrices are adapted.
    names: the tree of logical names of the base.
  """
  return Trainable(
    base,
    lambda: lora.init(spec, base, names),
    lambda frozen, moved: lora.merge(spec, frozen, moved, names),
  )


def train_critic(
  config: TransformerConfig, base: Params, key: PRNGKeyArray
) -> Trainable:
  """A critic learns: a copy of a model whose head gives one number.

  Args:
    config: the architecture of the model.
    base: its weights.
    key: draws the head, whose values are small at first.
  """
  trunk = {name: leaf for name, leaf in base.items() if name != "lm_head"}
  head = 1e-2 * jax.random.normal(key, (1, config.width))
  dtype = base["embed_tokens"].dtype
  return train_all({**trunk, "value_head": head.astype(dtype)})


def make_optimizer(spec: OptimizerSpec) -> optax.GradientTransformation:
  """Makes AdamW at a constant rate behind a linear warm-up."""
  rate = spec.learning_rate
  if spec.warmup:
    rate = optax.linear_schedule(0.0, spec.learning_rate, spec.warmup)
  return optax.chain(
    optax.clip_by_global_norm(spec.clip_norm),
    optax.adamw(rate, weight_decay=spec.weight_decay),
  )


def read_log_probs(
  config: TransformerConfig,
  decoding: Decoding,
  params: Params,
  batch: Batch,
) -> Float[Array, "R N"]:
  """Log-probabilities of the tokens of responses, as the generator counts them.

  Args:
    config: the architecture.
    decoding: which tokens exist.
    params: the weights.
    batch: `tokens` [R, S], each row a prompt and its response from the first column
      on; `starts` [R], where the response begins, at least 1; and `mask` [R, N].

  Returns:
    [R, N] in float32, 0 behind the end of a response.
  """
  tokens, mask = batch["tokens"], batch["mask"]
  x = _read_before(config, params, batch)
  logits = transformer.unembed(config, params, x)
  exists = _find_existing(decoding, config.vocab_size)
  if not all(exists):
    exists = jnp.asarray(exists)[None, None]
    logits = jnp.where(exists, logits, jnp.float32(-jnp.inf))
  chosen = jnp.take_along_axis(tokens, _find_columns(batch), axis=1)
  losses = optax.softmax_cross_entropy_with_integer_labels(logits, chosen)
  return jnp.where(mask > 0, -losses, jnp.float32(0))


def read_values(
  config: TransformerConfig, params: Params, batch: Batch
) -> Float[Array, "R N"]:
  """What a critic expects before each token of a response; 0 behind its end.

  Args:
    config: the architecture of the model that the critic was copied from.
    params: the critic's weights, as `train_critic` lays them out.
    batch: as for `read_log_probs`.
  """
  head = params["value_head"]
  trunk = {n: leaf for n, leaf in params.items() if n != "value_head"}
  # Neither has a part in reading: an untied head and what is done to its logits.
  reads = dataclasses.replace(config, is_tied=True)
  ends = dataclasses.replace(
    config, vocab_size=1, is_tied=False, logits_divisor=1.0, logits_cap=None
  )
  x = _read_before(reads, trunk, batch)
  values = transformer.unembed(
    ends, {**trunk, "embed_tokens": head, "lm_head": head}, x
  )
  return values[..., 0] * batch["mask"]


def make_policy_loss(
  config: TransformerConfig,
  decoding: Decoding,
  spec: PolicySpec,
  trainable: Trainable,
) -> LossFn:
  """Makes the share of a few roll-outs in the loss of an update.

  The loss is the mean over all tokens of the update. Beside what `read_log_probs`
  needs, a batch holds `old_log_probs` and `advantages` [R, N], and `reference`
  [R, N] where the divergence from the base counts.
  """

  def loss_fn(moved, frozen, batch, num_tokens):
    mask, old = batch["mask"], batch["old_log_probs"]
    params = trainable.expand(frozen, moved)
    log_probs = read_log_probs(config, decoding, params, batch)
    losses = policy_losses.policy_losses(
      log_probs,
      old,
      batch["advantages"],
      clip_low=spec.clip_low,
      clip_high=spec.clip_high,
    )
    gaps = jnp.abs(log_probs - old) * mask
    ratios = jnp.exp(log_probs - old)
    is_beyond = (ratios < 1 - spec.clip_low) | (ratios > 1 + spec.clip_high)
    sums = {
      "clip_frac": jnp.sum(jnp.where(is_beyond, mask, 0.0)),
      "gap": jnp.sum(gaps),
      "moved": jnp.sum(policy_losses.divergences(old, log_probs) * mask),
    }
    if spec.has_reference:
      apart = policy_losses.divergences(log_probs, batch["reference"])
      losses += spec.divergence * apart
      sums["divergence"] = jnp.sum(apart * mask)
    loss = jnp.sum(losses * mask) / num_tokens
    sums = {name: total / num_tokens for name, total in sums.items()}
    return loss, {"sums": sums, "largest": {"gap_max": jnp.max(gaps)}}

  return loss_fn


def make_value_loss(
  config: TransformerConfig, clip: float, trainable: Trainable
) -> LossFn:
  """Makes the share of a few roll-outs in the loss of the critic.

  Beside what `read_log_probs` needs, a batch holds `old_values` and `returns`
  [R, N].
  """

  def loss_fn(moved, frozen, batch, num_tokens):
    values = read_values(config, trainable.expand(frozen, moved), batch)
    losses = policy_losses.value_losses(
      values, batch["old_values"], batch["returns"], clip=clip
    )
    loss = jnp.sum(losses * batch["mask"]) / num_tokens
    return loss, {"sums": {}, "largest": {}}

  return loss_fn


def make_update(
  loss_fn: LossFn,
  optimizer: optax.GradientTransformation,
  micro_rows: int | None,
) -> Callable[..., tuple[Any, dict[str, Any]]]:
  """Makes what maps (state, frozen, batch) to the next state and its measures.

  A state is (moved, moments). The measures are scalars: the `loss`, the norm of
  its gradients before they are clipped, and what `loss_fn` sums.

  Args:
    loss_fn: the loss of some rows.
    optimizer: moves the weights by their gradients.
    micro_rows: rows whose gradients are computed at once, None for all.
  """

  def update(state, frozen, batch):
    moved, moments = state
    (loss, found), gradients = _accumulate(
      loss_fn, moved, frozen, batch, micro_rows
    )
    changes, moments = optimizer.update(gradients, moments, moved)
    measures = {
      "loss": loss,
      "gradient_norm": _find_norm(gradients),
      **found["sums"],
      **found["largest"],
    }
    return (optax.apply_updates(moved, changes), moments), measures

  return update


def _accumulate(
  loss_fn: LossFn,
  moved: Params,
  frozen: Any,
  batch: Batch,
  micro_rows: int | None,
) -> Any:
  """The loss of all rows, what it sums, and its gradients, a few rows at a time."""
  num_tokens = jnp.sum(batch["mask"])
  grad_fn = jax.value_and_grad(loss_fn, has_aux=True)
  num_rows = batch["mask"].shape[0]
  if micro_rows is None or micro_rows == num_rows:
    return grad_fn(moved, frozen, batch, num_tokens)
  parts = jax.tree.map(
    lambda leaf: leaf.reshape(-1, micro_rows, *leaf.shape[1:]), batch
  )

  def add(total, part):
    (loss, found), gradients = grad_fn(moved, frozen, part, num_tokens)
    return jax.tree.map(jnp.add, total, gradients), (loss, found)

  start = jax.tree.map(jnp.zeros_like, moved)
  gradients, (losses, found) = lax.scan(add, start, parts)
  found = {
    "sums": jax.tree.map(jnp.sum, found["sums"]),
    "largest": jax.tree.map(jnp.max, found["largest"]),
  }
  return (jnp.sum(losses), found), gradients


def _find_norm(tree: Params) -> Float[Array, ""]:
  """The norm of all leaves together."""
  return jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(tree)))


def _read_before(
  config: TransformerConfig, params: Params, batch: Batch
) -> Float[Array, "R N D"]:
  """What the model knows before each token of a response."""
  # The last token of a text is never read.
  x = transformer.read(config, params, batch["tokens"][:, :-1])
  columns = _find_columns(batch) - 1
  return jnp.take_along_axis(x, columns[..., None], axis=1)


def _find_columns(batch: Batch) -> Int[Array, "R N"]:
  """The column of each token of a response; the last one behind its end."""
  last = batch["tokens"].shape[1] - 1
  offsets = jnp.arange(batch["mask"].shape[1])[None]
  return jnp.minimum(batch["starts"][:, None] + offsets, last)


def _find_existing(decoding: Decoding, vocab_size: int) -> list[bool]:
  """Which ids of the vocabulary have a token."""
  missing = set(decoding.missing_tokens)
  highest = decoding.num_tokens or vocab_size
  return [i < highest and i not in missing for i in range(vocab_size)]
