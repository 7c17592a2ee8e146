"""Every logical tensor of a tree on its own, as the tests compare them."""

import numpy as np

from thickets import naming


def list_tensors(base, names=None):
  """Yields (logical name, array) of every tensor, slices of stacks included."""
  for template, leaf in naming.named_leaves(base, names):
    slices = naming.slice_names(template, leaf)
    for index in np.ndindex(slices.shape):
      yield str(slices[index]), leaf[index] if index else leaf
