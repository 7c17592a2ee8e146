"""The multilayer perceptron of the paper's 1-D setting.

Five linear layers with ReLU between them map a window of the last values to the
next one. Biases start at zero.

Reference: Gan and Isola (2026), section 3; layer sizes from the authors' code.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax

from thickets import errors
from thickets.errors import UserError

INITIALISERS = {
  "xavier": nn.initializers.xavier_uniform(),
  # Uniform within sqrt(6 / fan_in), as torch's kaiming_uniform_ for ReLU.
  "kaiming": nn.initializers.variance_scaling(2.0, "fan_in", "uniform"),
  "orthogonal": nn.initializers.orthogonal(),
}


class MLP(nn.Module):
  """Maps windows [Q, C] to the next values [Q].

  Attributes:
    features: widths of the hidden layers.
    kernel_init: initialiser of the weights.
  """

  features: Sequence[int]
  kernel_init: nn.initializers.Initializer

  @nn.compact
  def __call__(self, windows_QC: jax.Array) -> jax.Array:
    """Predicts the next value of every window."""
    hidden_QF = windows_QC
    for layer, width in enumerate(self.features):
      hidden_QF = nn.Dense(
        width, kernel_init=self.kernel_init, name=f"layer_{layer}"
      )(hidden_QF)
      hidden_QF = nn.relu(hidden_QF)
    output_Q1 = nn.Dense(1, kernel_init=self.kernel_init, name="head")(
      hidden_QF
    )
    return output_Q1[:, 0]


def make_mlp(*, width: int, depth: int, init: str) -> MLP:
  """Makes an MLP of `depth` linear layers, the last of which has one output.

  Args:
    width: number of channels of each hidden layer.
    depth: number of linear layers, at least two.
    init: how weights are initialised, a key of `INITIALISERS`.

  Raises:
    UserError: if `init` is unknown.
  """
  if init not in INITIALISERS:
    raise UserError(
      f"init must be one of {sorted(INITIALISERS)}, got {init!r}. Nearest:"
      f" {errors.nearest(init, list(INITIALISERS), count=1)}."
    )
  return MLP(features=(width,) * (depth - 1), kernel_init=INITIALISERS[init])
