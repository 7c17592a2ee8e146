"""Compiles the programs of these tests without optimising them.

They run for milliseconds and compile for seconds, and half of that is optimisation.
Optimised programs are tested in `tests/end_to_end`, by the shipped model, and
where bits are the point (`RebuilderTest`).
"""

import functools
from unittest import mock

import pytest
import unoptimised

from thickets.search.compiled import Programs


# Not for the package: without `__init__.py` that is the whole session, and whatever a
# worker ran later had other bits than its processes.
@pytest.fixture(scope="module", autouse=True)
def _compile_without_optimising():
  get = Programs.get

  @functools.wraps(get)  # `Programs.get.__wrapped__` is the original.
  def get_fast(*arguments, **options):
    return get(*arguments, compiler_options=unoptimised.OPTIONS, **options)

  with mock.patch.object(Programs, "get", get_fast):
    yield
