"""Tests of teams: which processes evaluate a member together."""

import itertools
import types

from absl.testing import parameterized

from thickets.errors import UserError
from thickets.search import teams


def _devices(*counts):
  """So many devices of each process, numbered through."""
  processes = [p for p, count in enumerate(counts) for _ in range(count)]
  return [
    types.SimpleNamespace(id=number, process_index=process)
    for number, process in enumerate(processes)
  ]


class ChooseDevicesTest(parameterized.TestCase):
  @parameterized.parameters(
    ([4], 2, [[0, 1, 2, 3]]),
    ([2, 2], 1, [[0, 1], [2, 3]]),  # Processes share nothing.
    ([2, 2], 2, [[0, 1], [2, 3]]),
    ([2, 2, 2, 2], 4, [[0, 1, 2, 3], [4, 5, 6, 7]]),
    ([1, 1, 1], 3, [[0, 1, 2]]),
    ([4, 2], 2, [[0, 1, 2, 3], [4, 5]]),  # As long as none is shared.
  )
  def test_teams_divide_all_devices(self, counts, model, expected):
    devices = _devices(*counts)
    got = [
      [d.id for d in teams.choose_devices(devices, process, model)]
      for process in range(len(counts))
    ]
    self.assertEqual(sorted(map(list, set(map(tuple, got)))), expected)
    for process, team in enumerate(got):  # Each process is in its own team.
      own = {d.id for d in devices if d.process_index == process}
      self.assertContainsSubset(own, team)
      self.assertEqual(len(team) % model, 0)

  @parameterized.parameters(
    ([4], 3, "got 3 of 4. Choose"),
    ([4], 8, "got 8 of 4. Choose"),
    ([4], 0, "got 0 of 4. Choose"),
    ([4, 4], 6, "got 6 of 8 in 2 processes"),
    ([2, 2, 2], 4, "got 4 of 6 in 3 processes"),
    # The second process, which asks, has fewer devices than the first.
    ([4, 2], 4, "got 4 of 6 in 2 processes"),
  )
  def test_what_does_not_divide_is_refused(self, counts, model, message):
    with self.assertRaisesRegex(UserError, message):
      teams.choose_devices(_devices(*counts), len(counts) - 1, model)


class TeamTest(parameterized.TestCase):
  @parameterized.parameters((1, 4), (2, 2), (4, 1))
  def test_teams_take_turns_at_all_chunks(self, size, count):
    chunks = list(range(11))
    taken = [
      chunks[team.number :: team.count]
      for team in (
        teams.Team(tuple(range(first, first + size)), count)
        for first in range(0, 4, size)
      )
    ]
    self.assertEqual(sorted(itertools.chain(*taken)), chunks)

  def test_a_process_by_itself_leads(self):
    self.assertTrue(teams.alone().is_led_here)
