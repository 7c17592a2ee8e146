"""Module cleanups of unittest, which pytest accepts and never runs.

Without them, what `setUpModule` patches stays patched for every file that the same
worker tests afterwards. This is a plugin of pytest; conftest.py registers it.
"""

import unittest

import pytest


@pytest.fixture(autouse=True, scope="module")
def run_module_cleanups():
  """Calls what a test file gave to `unittest.addModuleCleanup`, after its last test.

  Contexts that were entered with `unittest.enterModuleContext` are left, too.
  """
  yield
  unittest.doModuleCleanups()
