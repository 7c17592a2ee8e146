"""Parts of diffusers and transformers with known weights, to compare ours with."""

import numpy as np
import torch
from golden import diffusion_cases as cases

from thickets.models.diffusion import part_files


def randomise(module, seed=0):
  """Gives a module weights that hide no mistake, and returns it."""
  with torch.no_grad():
    for name, tensor in module.state_dict().items():
      if tensor.is_floating_point():
        values = cases.randomise(name, tuple(tensor.shape), seed)
        tensor.copy_(torch.from_numpy(np.asarray(values)))
  return module.eval()


def take(module, description, spell=part_files.spell_as_published):
  """Our weights, from those of a module."""
  state = module.state_dict()

  def read(name):
    key = next(key for key in spell(name) if key in state)
    return state[key].numpy()

  return part_files.fill(description, read, np.float32)


def measure_error(ours, theirs):
  """The largest difference over the spread of theirs."""
  theirs = theirs.detach().numpy() if torch.is_tensor(theirs) else theirs
  ours = np.asarray(ours)
  assert ours.shape == theirs.shape, (ours.shape, theirs.shape)
  return np.abs(ours - theirs).max() / theirs.std()


def channels_last(tensor):
  """[B, C, H, W] as our [B, H, W, C]."""
  return np.ascontiguousarray(tensor.detach().numpy().transpose(0, 2, 3, 1))
