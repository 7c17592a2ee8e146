import pytest

from thickets.errors import UserError
from thickets.tasks import registry, splits
from thickets.tasks.questions.question_tasks import QUESTION_TASKS


@pytest.mark.parametrize("name", QUESTION_TASKS)
def test_questions_are_distinct_and_their_answers_are_right_in_form(name):
  task = registry.load_task(name)
  rows = task.generate(300, 0)
  assert len({row["question"] for row in rows}) == 300
  assert list(task.generate(300, 0)) == list(rows)
  assert list(task.generate(300, 1)) != list(rows)
  for number, row in enumerate(rows):
    grade = task.grader("standard")(
      task.make_example(row, number), f" {row['answer'].capitalize()}.\n"
    )
    assert grade == (1.0, True, True, row["answer"], True), row


@pytest.mark.parametrize("name", QUESTION_TASKS)
def test_each_answer_to_choose_from_is_right_equally_often(name):
  """Without reading the question, no choice is right more often than by chance."""
  task = registry.load_task(name)
  answers = [row["answer"] for row in task.generate(300, 0)]
  chance = {"sentiment": 1 / 2, "parity": 1 / 2, "topic": 1 / 3}.get(
    name.split("/")[1], 0.0
  )
  most = max(map(answers.count, set(answers))) / 300
  assert chance <= most < chance + 0.1


@pytest.mark.parametrize("name", ["questions/larger", "questions/odd_word"])
def test_where_the_right_answer_stands_tells_nothing(name):
  places = []
  for row in registry.load_task(name).generate(400, 0):
    last = row["question"].rstrip("?").replace(",", "").split()[-1]
    places.append(last == row["answer"])
  choices = 2 if name.endswith("larger") else 4
  assert abs(sum(places) / 400 - 1 / choices) < 0.08


def test_a_response_without_an_answer_has_neither_form_nor_vote():
  task = registry.load_task("questions/sum")
  (row,) = task.generate(1, 0)
  grade = task.grader("standard")(task.make_example(row, 0), "I do not know.")
  assert grade == (0.0, False, False, None, False)


def test_more_questions_than_there_are_is_an_error_that_says_how_many():
  task = registry.load_task("questions/sum")
  assert len(task.generate(780, 0)) == 780
  with pytest.raises(UserError, match="at most 780, the number of questions"):
    task.generate(780 + 1, 0)


@pytest.mark.parametrize("name", ["sentiment", "topic", "odd_word"])
def test_words_that_decide_in_one_split_do_not_in_another(name):
  """Except for one word at each border; and answers take turns."""
  task = registry.load_task(f"questions/{name}")
  found = splits.load_splits(task, splits.Sizes(60, 60, 200), seed=1)
  words = [{*found.groups(split)} for split in ("select", "dev", "judge")]
  assert len(words[0] & words[1]) <= 1
  assert len((words[0] | words[1]) & words[2]) <= 1
  if name != "odd_word":  # Whose answers are its words.
    answers = [example.reference for example in found.select]
    assert max(map(answers.count, answers)) <= 1.3 * 60 / len({*answers})


def test_splits_have_no_question_in_common():
  task = registry.load_task("questions/topic")
  found = splits.load_splits(task, splits.Sizes(30, 20, 50), seed=3)
  asked = [example.messages[-1].content for example in found.examples]
  assert len({*asked}) == 100
