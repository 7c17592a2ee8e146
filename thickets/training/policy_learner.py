"""A policy that learns from roll-outs, with its critic if it has one.

The state of a training is a tree of arrays: weights that move, in float32, and the
moments of their optimizers. Each program is compiled once, since all steps have
roll-outs of one shape.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Float

from thickets import placement
from thickets.errors import UserError
from thickets.generation.decoding import Decoding
from thickets.models.config import TransformerConfig
from thickets.naming import Params
from thickets.search.compiled import Programs
from thickets.training import policy_losses, policy_update
from thickets.training.policy_rollouts import Rollouts
from thickets.training.policy_spec import PolicySpec
from thickets.training.policy_update import Trainable

State = dict[str, Any]
Measures = dict[str, float]
_CRITIC_HEAD = 3  # The purpose of a key.


def choose_mesh(mesh: Mesh) -> Mesh:
  """The devices that learn, of those that sample.

  On CPUs the first of the axis `population`, which has all cores to itself: two
  devices with a core each took twice the time of processors.

  Args:
    mesh: the devices that sample, with an axis `population` before all others.
  """
  if mesh.devices.flat[0].platform != "cpu":
    return mesh
  return Mesh(mesh.devices[:1], mesh.axis_names, axis_types=mesh.axis_types)


class Learner:
  """Learns from the roll-outs of one step after the other.

  Args:
    config: the architecture of the model.
    decoding: which tokens can be sampled.
    spec: how it learns.
    base: the weights before the first step, laid out on the mesh.
    mesh: the devices; the rows of a batch are spread over its axis `population`.
    trainable: which weights learn, all by default.

  Attributes:
    programs: what was compiled, with counts and seconds.
  """

  def __init__(
    self,
    config: TransformerConfig,
    decoding: Decoding,
    spec: PolicySpec,
    base: Params,
    mesh: Mesh,
    *,
    trainable: Trainable | None = None,
  ):
    self._config, self._decoding, self._spec = config, decoding, spec
    self._base, self._mesh, self.programs = base, mesh, Programs()
    self._policy = trainable or policy_update.train_all(base)
    self._optimizer = policy_update.make_optimizer(spec.optimizer)
    self._update = policy_update.make_update(
      policy_update.make_policy_loss(config, decoding, spec, self._policy),
      self._optimizer,
      spec.micro_rows,
    )
    if spec.critic is not None:
      key = jax.random.key(spec.rollout.seed)
      self._critic = policy_update.train_critic(
        config, base, jax.random.fold_in(key, _CRITIC_HEAD)
      )
      self._critic_optimizer = policy_update.make_optimizer(
        spec.critic.optimizer
      )
      self._critic_update = policy_update.make_update(
        policy_update.make_value_loss(config, spec.critic.clip, self._critic),
        self._critic_optimizer,
        spec.micro_rows,
      )

  def start(self) -> State:
    """The state before the first step."""
    state = {"policy": self._begin(self._policy, self._optimizer)}
    if self._spec.critic is not None:
      state["critic"] = self._begin(self._critic, self._critic_optimizer)
    return state

  def read_weights(self, state: State) -> Params:
    """The weights of the policy, in the dtypes of the base."""
    arguments = (self._policy.frozen, state["policy"][0])
    return self.programs.get("weights", self._policy.expand, arguments)(
      *arguments
    )

  def learn(
    self, state: State, rollouts: Rollouts
  ) -> tuple[State, Measures, bool]:
    """Learns from the roll-outs of a step; takes the buffers of the state.

    Args:
      state: the state after the steps before.
      rollouts: those that its weights have sampled.

    Returns:
      The next state, measures of its updates, and whether anything was to be
      learnt: GRPO learns nothing where the responses to each prompt score alike,
      unless the divergence from the base counts.

    Raises:
      UserError: if the loss or its gradient is not finite.
    """
    batch = rollouts.to_batch()
    if self._spec.has_reference:
      batch["reference"] = self._run_rows(
        "reference", self._read_log_probs, self._base, batch
      )
    critic_batch = {}
    if self._spec.critic is None:
      batch["advantages"] = self._compare_groups(rollouts)
    else:
      critic_batch, batch["advantages"] = self._criticise(state, rollouts)
    is_still = (
      self._spec.critic is None
      and not self._spec.has_reference
      and not batch["advantages"].any()
    )
    if is_still:
      return state, {}, False
    state, measures = self._learn_all(state, batch, critic_batch)
    bad = [name for name, value in measures.items() if not np.isfinite(value)]
    if bad:
      raise UserError(
        f"The loss and its gradient must stay finite, got {measures[bad[0]]} for"
        f" {bad[0]}. Lower policy.learning_rate."
      )
    return state, measures, True

  def _begin(
    self, trainable: Trainable, optimizer: optax.GradientTransformation
  ) -> tuple[Params, Any]:
    """The weights and moments before the first step, on the mesh."""
    # A copy, since an update takes the buffers of the state before.
    moved = jax.tree.map(
      lambda leaf: placement.put(jnp.array(leaf), self._shard(leaf)),
      trainable.start(),
    )
    moments = optax.tree_map_params(
      optimizer,
      lambda moment, weight: placement.put(moment, weight.sharding),
      optimizer.init(moved),
      moved,
      transform_non_params=lambda leaf: placement.put(leaf, self._whole),
    )
    return moved, moments

  @property
  def _whole(self) -> NamedSharding:
    return NamedSharding(self._mesh, PartitionSpec())

  def _shard(self, leaf: Any) -> NamedSharding:
    """Where a leaf of the weights lies: as the base, or whole on each device."""
    found = getattr(leaf, "sharding", None)
    if isinstance(found, NamedSharding) and found.mesh == self._mesh:
      return found
    return self._whole

  def _put_rows(self, batch: Mapping[str, Any]) -> dict[str, Any]:
    """Spreads the rows of a batch over the devices, where these divide them."""
    size = self._mesh.shape["population"]
    num_rows = len(batch["mask"])
    at_once = self._spec.micro_rows or num_rows
    is_even = num_rows % size == 0 and at_once % size == 0
    axes = ("population",) if is_even else ()
    sharding = NamedSharding(self._mesh, PartitionSpec(*axes))
    return {n: placement.put(array, sharding) for n, array in batch.items()}

  def _compare_groups(self, rollouts: Rollouts) -> Float[np.ndarray, "R N"]:
    """The advantages of GRPO, the same for all tokens of a response."""
    groups = rollouts.scores.reshape(-1, self._spec.rollout.group)
    found = policy_losses.normalise_groups(
      groups, is_scaled=self._spec.is_scaled
    )
    return found.reshape(-1, 1) * rollouts.mask

  def _criticise(
    self, state: State, rollouts: Rollouts
  ) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """What the critic learns from, and the advantages of PPO."""
    critic = self._spec.critic
    assert critic is not None
    batch, mask = rollouts.to_batch(), jnp.asarray(rollouts.mask)
    values = self._run_rows(
      "values", self._read_values, state["critic"][0], batch
    )
    rewards = np.zeros_like(rollouts.mask)
    last = rollouts.mask.sum(axis=1).astype(np.int32) - 1
    rewards[np.arange(len(last)), last] = rollouts.scores
    advantages = policy_losses.estimate_advantages(
      jnp.asarray(rewards),
      jnp.asarray(values),
      mask,
      discount=critic.discount,
      trace=critic.trace,
    )
    returns = np.asarray(advantages) + values
    del batch["old_log_probs"]
    batch |= {"old_values": values, "returns": returns}
    return batch, np.asarray(policy_losses.whiten(advantages, mask))

  def _read_log_probs(self, params: Params, batch: Any) -> Any:
    return policy_update.read_log_probs(
      self._config, self._decoding, params, batch
    )

  def _read_values(self, moved: Params, batch: Any) -> Any:
    params = self._critic.expand(self._critic.frozen, moved)
    return policy_update.read_values(self._config, params, batch)

  def _run_rows(
    self, name: str, function: Any, params: Params, batch: Mapping[str, Any]
  ) -> np.ndarray:
    """Runs a forward pass over all rows of a step, as many at once as an update."""
    size = self._spec.micro_rows or self._spec.num_update_rows
    batch = {n: batch[n] for n in ("tokens", "starts", "mask")}
    parts = []
    for start in range(0, len(batch["mask"]), size):
      rows = self._put_rows(
        {n: a[start : start + size] for n, a in batch.items()}
      )
      program = self.programs.get(name, function, (params, rows))
      parts.append(program(params, rows))
    return np.concatenate([placement.fetch(part) for part in parts])

  def _learn_all(
    self,
    state: State,
    batch: Mapping[str, np.ndarray],
    critic_batch: Mapping[str, np.ndarray],
  ) -> tuple[State, Measures]:
    """All updates of a step: of its minibatches in turn, and so on each epoch."""
    size, found = self._spec.num_update_rows, []
    for _ in range(self._spec.num_epochs):
      for start in range(0, len(batch["mask"]), size):
        rows = slice(start, start + size)
        part = self._put_rows({n: a[rows] for n, a in batch.items()})
        arguments = (state["policy"], self._policy.frozen, part)
        state["policy"], measures = self._run_update(
          "update", self._update, arguments
        )
        if critic_batch:
          part = self._put_rows({n: a[rows] for n, a in critic_batch.items()})
          arguments = (state["critic"], self._critic.frozen, part)
          state["critic"], of_critic = self._run_update(
            "critic update", self._critic_update, arguments
          )
          measures |= {f"critic_{n}": of_critic[n] for n in of_critic}
        found.append(measures)
    return state, _join_measures(placement.fetch(found))

  def _run_update(
    self, name: str, update: Any, arguments: tuple[Any, ...]
  ) -> tuple[Any, dict[str, Any]]:
    """Runs an update whose state stays where it lies."""
    where = jax.tree.map(lambda leaf: leaf.sharding, arguments[0])
    program = self.programs.get(
      name, update, arguments, donate=(0,), out_shardings=(where, self._whole)
    )
    return program(*arguments)


def _join_measures(found: list[dict[str, np.ndarray]]) -> Measures:
  """The means over the updates of a step, but for the gap of the first of them.

  Only before the first update are the weights those that sampled, so that what lies
  between their log-probabilities and the generator's is rounding.
  """
  first = found[0]
  means = {n: float(np.mean([one[n] for one in found])) for n in first}
  return means | {n: float(first[n]) for n in ("gap", "gap_max")}
