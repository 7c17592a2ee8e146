"""Tests of pictures as files: who has drawn them, and what is left to records."""

import dataclasses
import pathlib
import tempfile

import numpy as np
from absl.testing import parameterized

from thickets.generation.images import picture_files
from thickets.members import BASE, Member
from thickets.search.teams import Team

_ALONE = Team((0,))
_MEMBERS = (BASE, Member(7, 0.1), Member((7, 8), (0.1, 0.1)))


@dataclasses.dataclass(frozen=True)
class _Drawn:
  """An evaluator whose results are there already, and their handle."""

  channels: dict[str, np.ndarray]
  team: Team
  compile_s: float = 0.0

  def place(self, base, batch, num_members):
    raise NotImplementedError  # The protocol asks for it; nothing here calls it.

  def find_width(self, base, batch, num_members):
    raise NotImplementedError

  def __call__(self, base, members, batch):
    return self

  def result(self):
    return self.channels


def _save(folder, *, keeps=True, team=_ALONE):
  """(pictures, what is left to records) of three who drew two pictures each."""
  random = np.random.default_rng(0)
  pictures = random.integers(0, 256, (3, 2, 4, 6, 3)).astype(np.uint8)
  drawn = _Drawn({"picture": pictures, "score": pictures[..., 0, 0, 0]}, team)
  saving = picture_files.SavingEvaluator(drawn, folder, "judge", keeps)
  return pictures, saving({}, _MEMBERS, None).result()


class PictureFilesTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    folder = self.enterContext(tempfile.TemporaryDirectory())
    self.folder = pathlib.Path(folder)

  def test_what_is_read_is_what_each_has_drawn(self):
    pictures, left = _save(self.folder)
    self.assertEqual(set(left), {"score"})
    for member, drawn in zip(_MEMBERS, pictures, strict=True):
      found = picture_files.read_pictures(self.folder, "judge", member, 2)
      np.testing.assert_array_equal(found, drawn)

  @parameterized.parameters(
    {"keeps": False}, {"keeps": True, "team": Team((1, 2))}
  )
  def test_nothing_is_written_unless_asked_for_by_who_leads(self, **options):
    _, left = _save(self.folder, **options)
    self.assertEqual(set(left), {"score"})
    self.assertEmpty(list(self.folder.iterdir()))

  def test_ensembles_of_other_terms_have_other_folders(self):
    drawers = (
      *_MEMBERS,
      Member(8, 0.1),
      Member((7, 8), (0.1, 0.2)),
      Member((7, 9), (0.1, 0.1)),
      Member((7, 8, 9), (0.1, 0.1, 0.1)),
    )
    self.assertLen(set(map(picture_files.name_drawer, drawers)), len(drawers))
