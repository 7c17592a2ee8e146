"""Tests of what all talk with the hub shares."""

import sys
import warnings
from unittest import mock

import tqdm.notebook
from absl.testing import absltest

from thickets import huggingface


class ProgressBarsTest(absltest.TestCase):
  def test_a_notebook_without_widgets_is_not_warned(self):
    shell = mock.Mock()
    shell.get_ipython.return_value.config = {"IPKernelApp": {}}
    kept = {
      name: module
      for name, module in sys.modules.items()
      if name not in ("tqdm.auto", "tqdm.autonotebook")
    }
    with (
      mock.patch.dict(sys.modules, kept | {"IPython": shell}, clear=True),
      mock.patch.object(tqdm.notebook, "IProgress", None),
      warnings.catch_warnings(),
    ):
      warnings.simplefilter("error")
      huggingface.import_progress_bars()
      self.assertIn("tqdm.auto", sys.modules)


if __name__ == "__main__":
  absltest.main()
