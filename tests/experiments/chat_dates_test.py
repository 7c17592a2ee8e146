"""Tests of the day that a run's prompts say, from its start to its predictions."""

import datetime
import pathlib
import tempfile
from unittest import mock

import numpy as np
from absl.testing import parameterized
from golden import small_subjects
from golden import transformer_cases as cases

from experiments.launch import chat_dates, saved_experts
from thickets.errors import UserError
from thickets.generation import task_grading
from thickets.generation.prompts import Chat
from thickets.members import BASE
from thickets.runs import clock, directory, json_files
from thickets.runs.run_config import RunConfig

DATED = (
  "{% for m in messages %}{{ m.content }} {% endfor %}"
  "w{{ strftime_now('%d') | int }}{% if think is defined %} w2{% endif %}"
)
FIRST, SECOND = datetime.date(2026, 1, 7), datetime.date(2026, 1, 8)


class RunTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    folder = self.enterContext(tempfile.TemporaryDirectory())
    self.workdir = str(pathlib.Path(folder) / "run")
    self.today = self.enterContext(mock.patch.object(clock, "today"))
    self.today.return_value = FIRST

  def load(self, chat=None, template=DATED):
    """What a run asks, as of the day of its directory."""
    self.model = cases.make_model(
      tokenizer=cases.make_tokenizer(chat_template=template)
    )
    return small_subjects.make_subject(
      self.model, chat=chat, today=chat_dates.find_today(self.workdir)
    )

  def describe(self, subject):
    """The task in the header, without what needs a registered grader."""
    with mock.patch.object(task_grading, "describe_grader", return_value={}):
      return json_files.as_read(subject.describe())

  def begin(self, task):
    with directory.open_run(self.workdir, RunConfig({})) as run:
      run.write_header({"task": task})
      scores = np.zeros(1)
      run.append("select", [0], [BASE], scores, {"score": scores[:, None]})

  @parameterized.parameters(
    (lambda task: task,),
    # As `experiments.measure` has it, where another task says no day.
    (lambda task: {"tasks": {"other": {"chat_template": True}, "T": task}},),
  )
  def test_a_run_is_continued_and_asked_on_another_day(self, arrange):
    subject = self.load(Chat(arguments={"think": True}))
    task = self.describe(subject)
    self.assertEqual(
      task["chat"], {"date": "2026-01-07", "arguments": {"think": True}}
    )
    self.begin(arrange(task))
    self.today.return_value = SECOND
    self.assertEqual(chat_dates.find_today(self.workdir), FIRST)
    again = self.load(Chat(arguments={"think": True}))
    self.assertEqual(self.describe(again), task)
    found = saved_experts.render_examples(
      self.model, task, small_subjects.EXAMPLES
    )
    self.assertEqual(
      [prompt.tokens for prompt in found], [[n, 7, 2] for n in (3, 4, 5)]
    )

  def test_a_run_that_has_not_begun_is_of_its_own_day(self):
    with directory.open_run(self.workdir, RunConfig({})) as run:
      run.write_header({"task": self.describe(self.load())})
    self.today.return_value = SECOND
    self.assertEqual(chat_dates.find_today(self.workdir), SECOND)

  def test_a_run_of_an_earlier_version_goes_on_unless_it_says_the_day(self):
    plain = "{{ messages[0].content }} w7"
    task = self.describe(self.load(template=plain))
    self.assertNotIn("chat", task)
    self.begin(task)
    self.today.return_value = SECOND
    self.assertEqual(self.describe(self.load(template=plain)), task)
    with self.assertRaisesRegex(
      UserError,
      "test, task T: .* prints the day.*choose another workdir",
    ):
      self.load()

  def test_an_experts_file_of_an_earlier_version_is_asked_today(self):
    self.load()
    with self.assertLogs("absl", "WARNING") as logged:
      found = saved_experts.render_examples(
        self.model,
        {"name": "T", "chat_template": True},
        small_subjects.EXAMPLES,
      )
    self.assertEqual(found[0].tokens, [3, 7])
    self.assertIn("does not say the day", logged.output[0])

  def test_experts_that_had_a_template_are_not_asked_without(self):
    self.load(template=None)
    with self.assertRaisesRegex(UserError, "test, task T: the tokenizer must"):
      saved_experts.render_examples(
        self.model,
        {"name": "T", "chat_template": True},
        small_subjects.EXAMPLES,
      )
