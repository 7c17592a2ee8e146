"""How tests look at a figure: drawn, found to be a picture, and handed back."""

import pathlib
import tempfile
from unittest import mock

import matplotlib.image
import numpy as np
from absl.testing import parameterized
from matplotlib.figure import Figure

from thickets.report.figures import captions, style

_DPI = 30  # Few pixels: drawing them takes most of a test's time.


class DrawingTestCase(parameterized.TestCase):
  """Draws figures of one module, whose `save_figure` is listened to.

  Attributes:
    module: the module of figures; each test class names its own.
    caption: what the picture that was drawn last says about itself.
  """

  module: object = None
  caption: captions.Caption | None = None

  def draw(self, plot, *args, module=None, **options) -> Figure:
    """Draws, checks that the file is a picture, and returns the figure."""
    folder = self.enter_context(tempfile.TemporaryDirectory())
    path = pathlib.Path(folder) / "figures" / "figure.png"
    with (
      mock.patch.object(style, "DPI", _DPI),
      mock.patch.object(
        module or self.module, "save_figure", side_effect=style.save_figure
      ) as spy,
    ):
      plot(path, *args, **options)
    fig = spy.call_args.args[0]
    pixels = matplotlib.image.imread(path)
    np.testing.assert_allclose(
      pixels.shape[1::-1], fig.get_size_inches() * _DPI, atol=1
    )
    self.assertGreater(np.ptp(pixels[..., :3]), 0.5)
    self.caption = captions.read_caption(path)
    self.assertEqual(self.caption, spy.call_args.args[2])
    return fig


def read_legend(ax) -> list[str]:
  """Returns the words of a panel's legend."""
  return [text.get_text() for text in ax.get_legend().texts]
