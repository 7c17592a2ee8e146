"""A mixture of experts: every token is sent through a few of many small MLPs.

The experts here are parts of one model, not members of a population.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap
from jaxtyping import Array, Float, Int

from thickets.models import attention
from thickets.models.config import Mixture

_MIN_BLOCK, _MAX_BLOCK = 8, 128  # Tokens of one expert in a product.

Experts = dict[str, Array]


def choose_experts(
  mixture: Mixture, logits: Float[Array, "T E"]
) -> tuple[Float[Array, "T C"], Int[Array, "T C"]]:
  """The experts of each token and their shares in its result, in float32."""
  shares = jax.nn.softmax(logits.astype(jnp.float32), axis=-1)
  shares, chosen = lax.top_k(shares, mixture.num_chosen)
  if mixture.is_normalised:
    shares = shares / jnp.sum(shares, axis=-1, keepdims=True)
  return shares, chosen


def run_experts(
  mixture: Mixture,
  x: Float[Array, "T D"],
  shares: Float[Array, "T C"],
  chosen: Int[Array, "T C"],
  experts: Experts,
  activate: Callable[[Array], Array],
) -> Float[Array, "T D"]:
  """Sums what the chosen experts make of each token, by their shares.

  The tokens are sorted by expert and go through theirs in blocks, so that an
  expert costs what its tokens cost and one without tokens costs nothing. Where
  experts are divided over devices, each device runs its own, and the sum at the
  end crosses them. `lax.ragged_dot` does the same in one call, but on CPU it
  multiplies every token with every expert: 12 times as slow as a loop of dense
  products over all experts, which itself took 3 to 6 times as long as blocks
  for 2048 tokens and 8 of 64 experts. For a single token blocks read 8 experts,
  a loop 64. It cannot be differentiated backwards.

  Args:
    mixture: how many experts there are, and in how many groups they run.
    x: [T, D] the tokens.
    shares: [T, C] from `choose_experts`.
    chosen: [T, C] from `choose_experts`.
    experts: gate_proj and up_proj [E, F, D], down_proj [E, D, F].
    activate: the activation of the gate.

  Returns:
    [T, D] in the dtype of `x`, summed in float32.
  """
  num_tokens, num_chosen = chosen.shape
  size = _block_size(mixture, num_tokens)
  groups = mixture.num_groups
  order = jnp.argsort(chosen.reshape(-1), stable=True).astype(jnp.int32)
  edges = jnp.searchsorted(
    chosen.reshape(-1)[order], jnp.arange(mixture.num_experts + 1)
  ).astype(jnp.int32)
  begins, counts = edges[:-1], edges[1:] - edges[:-1]
  num_blocks = (counts + size - 1) // size

  def split(array):
    return array.reshape(groups, -1, *array.shape[1:])

  lasts = jnp.cumsum(split(num_blocks), axis=1)  # Blocks up to each expert.
  parts = jax.tree.map(split, (begins, counts, num_blocks, experts))

  def run_block(step, total, lasts, part):
    """Adds one block of one group's tokens to the group's sum [T, D]."""
    begins, counts, num_blocks, experts = part
    expert = jnp.searchsorted(lasts, step, side="right")
    expert = jnp.minimum(expert, lasts.size - 1)
    block = step - (lasts[expert] - num_blocks[expert])
    rank = block * size + jnp.arange(size, dtype=jnp.int32)
    is_filled = (rank < counts[expert]) & (step < lasts[-1])
    place = order[jnp.minimum(begins[expert] + rank, order.size - 1)]
    tokens = place // num_chosen
    weights = {
      name: lax.dynamic_index_in_dim(weight, expert, 0, keepdims=False)
      for name, weight in experts.items()
    }
    y = _run_expert(weights, x[tokens], activate).astype(jnp.float32)
    y = y * shares.reshape(-1)[place][:, None]
    # Tokens of a block differ, so that each is added to once.
    return total.at[jnp.where(is_filled, tokens, num_tokens)].add(
      y, mode="drop"
    )

  def run_blocks(step, totals):
    run = functools.partial(run_block, step)
    return jax.vmap(run)(totals, lasts, parts)

  totals = jnp.zeros((groups, *x.shape), jnp.float32)
  num_steps = _largest(jnp.max(lasts[:, -1]))
  totals = lax.fori_loop(0, num_steps, run_blocks, totals)
  return jnp.sum(totals, axis=0).astype(x.dtype)


def _block_size(mixture: Mixture, num_tokens: int) -> int:
  """Twice the tokens of an expert if all had as many, within bounds."""
  mean = -(-num_tokens * mixture.num_chosen // mixture.num_experts)
  size = min(max(2 ** (2 * mean - 1).bit_length(), _MIN_BLOCK), _MAX_BLOCK)
  return min(size, num_tokens)


def _run_expert(
  weights: Experts, x: Array, activate: Callable[[Array], Array]
) -> Array:
  def product(name, x):
    return jnp.einsum(
      "td,fd->tf",
      x,
      weights[name].astype(x.dtype),
      precision=attention.precision(x.dtype),
    )

  hidden = activate(product("gate_proj", x)) * product("up_proj", x)
  return product("down_proj", hidden)


@custom_vmap
def _largest(count: Int[Array, ""]) -> Int[Array, ""]:
  """The largest count of all members, so that they share the trips of a loop.

  Members would otherwise copy their sums at every trip, to keep those of the
  members that are done. A further trip adds nothing to them.
  """
  return count


@_largest.def_vmap
def _share_largest(axis_size, in_batched, counts):
  del axis_size
  return (jnp.max(counts) if in_batched[0] else counts), False
