"""Tests of what a picture says about itself, and of the file that it is in."""

import pathlib
import shutil
import tempfile

import matplotlib.image
from absl.testing import parameterized

from thickets.report.figures import style
from thickets.report.figures.captions import Caption, Topic, read_caption

CAPTION = Caption(Topic.DENSITY, "Members × σ, “all” of them. </script>")


class CaptionsTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(
      self.enter_context(tempfile.TemporaryDirectory())
    )
    self.path = self.folder / "new" / "figure.png"

  def draw(self):
    fig, _ = style.make_panel(2.0, 1.5)
    style.save_figure(fig, self.path, CAPTION)

  def test_is_read_as_it_was_written_wherever_the_file_goes(self):
    self.draw()
    copy = self.folder / "other.png"
    shutil.copy(self.path, copy)
    self.assertEqual(read_caption(copy), CAPTION)

  def test_a_file_is_written_whole_at_150_pixels_per_inch(self):
    self.draw()
    self.assertEqual([*self.path.parent.iterdir()], [self.path])
    self.assertEqual(matplotlib.image.imread(self.path).shape[:2], (225, 300))

  def test_one_figure_gives_the_same_bytes_again(self):
    self.draw()
    before = self.path.read_bytes()
    self.draw()
    self.assertEqual(self.path.read_bytes(), before)

  @parameterized.parameters(
    ({},),
    ({"Description": "A text without a topic."},),
    ({"Subject": "Density"},),
    ({"Subject": "Unheard of", "Description": "A text."},),
  )
  def test_figures_of_other_programs_have_none(self, metadata):
    self.path.parent.mkdir()
    fig, _ = style.make_panel(2.0, 1.5)
    fig.savefig(self.path, metadata=metadata)
    self.assertIsNone(read_caption(self.path))

  @parameterized.parameters(b"", b"no picture", 100)
  def test_what_is_no_picture_has_none(self, content):
    self.draw()
    if isinstance(content, int):  # A picture that is cut off in its texts.
      content = self.path.read_bytes()[:content]
    self.path.write_bytes(content)
    self.assertIsNone(read_caption(self.path))

  @parameterized.parameters(
    ("drills/sorting", "drills_sorting"),
    ("docs/example_task/largest.py", "largest"),
    ("gsm8k", "gsm8k"),
  )
  def test_tasks_in_the_names_of_files(self, task, expected):
    self.assertEqual(style.name_file(task), expected)
