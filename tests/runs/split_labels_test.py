"""Tests of the labels of splits, whose spelling is a part of the file format."""

import hypothesis
import hypothesis.strategies as st
from absl.testing import parameterized

from thickets.errors import UserError
from thickets.runs.split_labels import SLICE, Split

# What the logs of finished runs hold.
LABELS = (
  (Split("select"), "select"),
  (Split("judge"), "judge"),
  (Split("select", group=0), "select, group 0"),
  (Split(SLICE, group=12), "slice, group 12"),
  (Split("judge", temperature=0.7), "judge sampled at 0.7"),
  (Split("dev", temperature=1), "dev sampled at 1.0"),
  (Split("dev", temperature=1e-07), "dev sampled at 1e-07"),
)


class SplitTest(parameterized.TestCase):
  @parameterized.parameters(*LABELS)
  def test_the_labels_of_old_logs(self, split, label):
    self.assertEqual(split.label, label)
    self.assertEqual(Split.parse(label), split)

  @hypothesis.given(
    st.sampled_from(["select", "dev", "judge", SLICE, "a, b", ""]),
    st.none() | st.integers(0, 99),
    st.none() | st.floats(0, 10),
  )
  def test_parsing_is_the_inverse(self, name, group, temperature):
    split = Split(name, group, temperature)
    self.assertEqual(Split.parse(split.label), split)

  def test_a_name_that_only_resembles_a_label(self):
    for name in ("slices", "select, group one", "sampled at noon"):
      self.assertEqual(Split.parse(name), Split(name))

  @parameterized.parameters(
    ("select, group 0", None), ("judge sampled at 0.7", None), ("select", -1)
  )
  def test_refusals(self, name, group):
    with self.assertRaisesRegex(UserError, "must be .*got"):
      Split(name, group)
