"""Tests that several tasks with pictures are asked together."""

from thickets.generation import subject, task_groups, towers
from thickets.generation.specs import AnsweringSpec, ModelSpec, TaskSpec
from thickets.perturbation import Gaussian
from thickets.tasks.splits import Sizes


def test_tasks_that_are_asked_together_share_their_pictures():
  answering = AnsweringSpec()
  model = subject.load_model(ModelSpec("shipped/scenes"), answering.compute)
  tasks = [
    TaskSpec(name, Sizes(2, 0, 1)) for name in ("scenes/shape", "scenes/color")
  ]
  loaded = task_groups.load_subjects(model, tasks, answering, today=None)
  kind = towers.settle_kind(Gaussian())
  with task_groups.start_groups(loaded, kind) as groups:
    (group,) = groups
    assert group.batches["select"]["pictures"].shape == (4, 1, 32)
    group.check_memory()  # For which all pictures must be known.
    assert all(one.pictures is loaded[0].pictures for one in loaded)
