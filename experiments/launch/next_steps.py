"""What a finished run is good for: commands that can be copied as they are."""

import os
import pathlib
import shlex
import shutil
import sys
from collections.abc import Iterable, Mapping

from thickets.generation.specs import TaskSpec
from thickets.search.progress import format_duration
from thickets.tasks import registry


def format_ending(
  where: str, timing: Mapping[str, float], commands: Mapping[str, str]
) -> str:
  """Says where the files of a run are, how long it took, and what follows.

  Args:
    where: one sentence on the files.
    timing: the seconds of the run, of which `total_s` and `compile_s` count.
    commands: what follows, by what it is for; none where nothing does.
  """
  took = f"This took {format_duration(timing['total_s'])}"
  if round(timing.get("compile_s", 0.0)):
    took += f", {format_duration(timing['compile_s'])} of it compilation"
  lines = ["", f"{where} {took}."]
  if commands:
    lines.append("Next:")
  lines += [f"  {what}:\n    {command}" for what, command in commands.items()]
  return "\n".join(lines)


def end_randopt(
  workdir: str, task_name: str, timing: Mapping[str, float]
) -> str:
  """Says what a finished run of `experiments.randopt` leaves behind, and for what.

  Args:
    workdir: the directory of the run.
    task_name: name of its task.
    timing: the seconds of the run, as `format_ending` takes them.
  """
  task = registry.load_task(task_name)
  return format_ending(
    f"Figures, results.json and experts.json are in {workdir}.",
    timing,
    after_randopt(
      workdir,
      has_questions=task.question is not None,
      has_pictures=task.picture is not None,
    ),
  )


def after_randopt(
  workdir: str, *, has_questions: bool, has_pictures: bool = False
) -> dict[str, str]:
  """Returns the commands that use a finished run of `experiments.randopt`.

  Args:
    workdir: the directory of the run.
    has_questions: whether its task answers plain lines of text.
    has_pictures: whether these are about a picture.
  """
  experts = shlex.quote(f"--experts={workdir}/experts.json")
  on_disk = "" if "://" in workdir else f"{workdir}/"
  out = shlex.quote(f"--out={on_disk}expert_0")
  commands = {}
  if has_questions:
    about = " about picture.png" if has_pictures else ""
    picture = " --picture=picture.png" if has_pictures else ""
    commands[f"answer questions{about} from standard input, one a line"] = (
      f"{_python()} -m experiments.predict {experts}{picture}"
    )
  return commands | {
    "write the best expert as a Hugging Face directory": (
      f"{_python()} -m experiments.export {experts} --rank=0 {out}"
    ),
    **after_signals(workdir),
  }


def after_signals(workdir: str) -> dict[str, str]:
  """Returns the command that shows a finished run."""
  return {
    "see everything on one page": f"{_python()} -m experiments.report{_at(workdir)}"
  }


def after_measure(workdir: str) -> dict[str, str]:
  """Returns the commands that analyse a finished run of `experiments.measure`."""
  return {
    "how many members are experts, and how they differ": (
      f"{_python()} -m experiments.density{_at(workdir)}"
    ),
    "where they lie": f"{_python()} -m experiments.landscape{_at(workdir)}",
    "what smaller budgets reach": (
      f"{_python()} -m experiments.budgets{_at(workdir)}"
    ),
    **after_signals(workdir),
  }


def after_pretraining_shapes(workdir: str) -> dict[str, str]:
  """Returns the command that searches around a new model of shapes."""
  return {
    "members that paint it in one colour": (
      f"{_python()} -m experiments.diffusion --config=configs/diffusion.py"
      f" --config.model.name={shlex.quote(f'{workdir}/model')}"
      " --workdir=runs/diffusion"
    )
  }


def after_ladder(workdir: str) -> dict[str, str]:
  """Returns the command that compares the models of a finished ladder."""
  return {
    "what changes with size and training": (
      f"{_python()} -m experiments.scaling{_at(workdir)}"
    )
  }


def after_pretraining(workdir: str) -> dict[str, str]:
  """Returns the command that measures the neighbourhood of a new model."""
  model = shlex.quote(f"--config.model.name={workdir}/model")
  out = shlex.quote(f"--workdir={workdir}/measure")
  return {
    "measure the neighbourhood of the model": (
      f"{_python()} -m experiments.measure --config=configs/measure.py {model} {out}"
    )
  }


def after_one_model(
  workdir: str, task: TaskSpec, sigma: float
) -> dict[str, str]:
  """Returns the command that lets members around the new weights vote.

  Args:
    workdir: the directory of a finished run, with the model in it.
    task: what the model was asked; its prompts are those of the command.
    sigma: the standard deviation of its members' noise.
  """
  flags = (
    f"--config.model.name={workdir}/model",
    *_ask(task),
    f"--config.population.sigmas=({sigma:g},)",
    f"--workdir={workdir}/randopt",
  )
  return {
    "let members around the new weights vote (its defaults need an accelerator)": (
      f"{_python()} -m experiments.randopt --config=configs/randopt.py"
      f" {' '.join(map(shlex.quote, flags))}"
    )
  }


def _ask(task: TaskSpec) -> list[str]:
  """The flags by which configs/randopt.py asks the prompts of a task."""
  settings = {
    "task.name": task.name,
    "task.num_select": task.sizes.select,
    "task.num_dev": task.sizes.dev,
    "task.num_judge": task.sizes.judge,
    # What is empty or as the config has it is left out.
    "task.train": task.train,
    "task.test": task.test,
    "task.revision": task.revision,
    "task.rules": "" if task.rules == "standard" else task.rules,
    "seed": task.seed or "",
  }
  flags = [
    f"--config.{key}={value}"
    for key, value in settings.items()
    if value not in (None, "")
  ]
  if not task.sizes.dev:  # Which would choose among several temperatures.
    flags.append("--config.consistency.temperatures=(0.7,)")
  return flags


def after_conventions(workdir: str, columns: Iterable[str]) -> dict[str, str]:
  """Returns the commands that show what was found around each base.

  Args:
    workdir: the directory of a finished run of `experiments.conventions`.
    columns: the names of its columns, each a folder of the workdir.
  """
  return {
    f"density, diversity and regimes of the column {name}": (
      f"{_python()} -m experiments.density{_at(f'{workdir}/{name}')}"
    )
    for name in columns
  }


def after_convention_study(workdir: str) -> dict[str, str]:
  """Returns the command that reads the summaries of finished studies."""
  return {
    "what follows, with figures": (
      f"{_python()} -m experiments.convention_claims{_at(workdir)}"
    )
  }


def after_pretraining_conventions(workdir: str, column: str) -> dict[str, str]:
  """Returns the command that sets a new model beside the shipped ones.

  Args:
    workdir: the directory of a finished pretraining.
    column: the column of configs/conventions.py whose place it takes.
  """
  model = shlex.quote(f"--config.columns.{column}.model={workdir}/model")
  out = shlex.quote(f"--workdir={workdir}/conventions")
  return {
    "call needle, thicket or plateau around the model": (
      f"{_python()} -m experiments.conventions --config=configs/conventions.py"
      f" {model} {out}"
    )
  }


def after_pretraining_scenes(workdir: str) -> dict[str, str]:
  """Returns the command that lets members around a new model of scenes vote.

  Args:
    workdir: the directory of a finished pretraining.
  """
  model = shlex.quote(f"--config.model.name={workdir}/model")
  out = shlex.quote(f"--workdir={workdir}/randopt")
  return {
    "let members around the model vote on questions about pictures": (
      f"{_python()} -m experiments.randopt --config=configs/vision.py {model} {out}"
    )
  }


def _python() -> str:
  """The Python that runs, in the shortest form that starts it from here."""
  running = pathlib.Path(sys.executable)
  found = shutil.which("python")
  if found is not None and pathlib.Path(os.path.abspath(found)) == running:
    return "python"
  here = pathlib.Path.cwd()
  if running.is_relative_to(here):
    running = running.relative_to(here)
  return shlex.quote(str(running))


def _at(workdir: str) -> str:
  """The directory as an argument, whatever it begins with."""
  return f"{' --' if workdir.startswith('-') else ''} {shlex.quote(workdir)}"
