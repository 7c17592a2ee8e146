"""Neural thickets: task experts around pretrained weights, in JAX."""

from thickets.analysis.density import solution_density
from thickets.analysis.diversity import spectral_discordance
from thickets.members import BASE, Member
from thickets.perturbation import Gaussian, perturb
from thickets.search.engine import score_population
from thickets.search.ensemble import majority_vote, mean_ensemble
from thickets.search.population import sample_members
from thickets.search.selection import select_top_k
from thickets.version import __version__

__all__ = [
  "BASE",
  "Gaussian",
  "Member",
  "__version__",
  "majority_vote",
  "mean_ensemble",
  "perturb",
  "sample_members",
  "score_population",
  "select_top_k",
  "solution_density",
  "spectral_discordance",
]
