"""Few exercises, where any will do: drawing them is slow while types are checked."""

import functools
from unittest import mock

from thickets.tasks.drills import held_out

# Made once, whatever test asks for it.
_make_small_pool = functools.lru_cache(held_out._make_pool.__wrapped__)
_SMALL = {
  "_NUM_DRAWS": 2000,
  "_NUM_DEVELOPMENT": 100,
  "_make_pool": _make_small_pool,
}


def use(test):
  """Lets a test draw few exercises."""
  for name, value in _SMALL.items():
    test.enterContext(mock.patch.object(held_out, name, value))
