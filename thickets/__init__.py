"""Neural thickets: task experts around pretrained weights, in JAX."""

from thickets.ensemble import majority_vote, mean_ensemble
from thickets.perturb import BASE, Gaussian, Member, perturb
from thickets.population import score_population
from thickets.randopt import sample_members, select_top_k

__all__ = [
  "BASE",
  "Gaussian",
  "Member",
  "majority_vote",
  "mean_ensemble",
  "perturb",
  "sample_members",
  "score_population",
  "select_top_k",
]
__version__ = "0.1.0"
