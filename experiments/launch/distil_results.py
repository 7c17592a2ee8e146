"""What a distillation found, from its log, beside the base and the vote."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.launch.distil_source import Teachers
from experiments.launch.distil_specs import DistilSpec
from thickets.analysis import recovered_gain, trained_results
from thickets.generation.subject import Subject
from thickets.report.tables import format_interval, format_percent
from thickets.runs.directory import BASE_POSITION, Run
from thickets.runs.json_files import JsonObject
from thickets.search import answers
from thickets.search.answers import Answers
from thickets.training import trained_weights
from thickets.training.distillation import Text


def summarise(
  spec: DistilSpec,
  subject: Subject,
  run: Run,
  teachers: Teachers,
  texts: Sequence[Text],
  *,
  watched: Sequence[int],
  chosen: int | None,
) -> JsonObject:
  """Compares base, vote and the distilled model on the prompts of judging.

  Args:
    spec: what the distillation was asked to do.
    subject: the model, and the prompts that it was asked.
    run: the open run directory, with all records.
    teachers: the members that vote.
    texts: what they taught.
    watched: the numbers of steps after which dev was asked.
    chosen: the number of steps that was chosen; None for the base.
  """
  groups, k = subject.splits.groups, len(teachers.positions)
  vote = elect(teachers.judged)
  judged = {
    "base": answers.read_answers(run, "judge", [BASE_POSITION]),
    f"vote, K={k}": vote,
  }
  if chosen is not None:
    name = f"distilled, {chosen} steps"
    position = trained_weights.find_position(chosen)
    judged[name] = answers.read_answers(run, "judge", [position])
  found = {
    step: answers.read_answers(
      run, "dev", [trained_weights.find_position(step)]
    )
    for step in watched
  }
  right = [answer.lenient[0] for answer in judged.values()]
  return trained_results.summarise_trained(judged, groups("judge")) | {
    "note": subject.describe_baseline(),
    "data": subject.splits.origin,
    "teachers": f"{k} {spec.teaching.teachers}",
    "num_votes": k,
    "num_texts": len(texts),
    "num_prompts_taught": len({text.prompt for text in texts}),
    "num_prompts_asked": len(subject.batches["select"]["index"]),
    "num_steps": watched[-1],
    "chosen": chosen,
    "watched": trained_results.describe_watched(found, groups("dev")),
    "recovered": None
    if chosen is None
    else recovered_gain.measure_recovered(*right, groups("judge")),
  }


def elect(judged: Answers) -> Answers:
  """The answers [1, Q] that all of [K, Q] voters elect.

  What is elected has no form and no score of its own: both are whether it is right.
  """
  right = judged.elect()[:, -1][None]
  first = judged.take([0])
  return dataclasses.replace(
    first, score=right.astype(np.float64), correct=right, lenient=right
  )


def describe_teaching(results: Mapping[str, Any]) -> str:
  """Says what was taught, and how much of the vote's gain was kept."""
  lines = [
    f"{results['teachers']} taught {results['num_texts']} right"
    f" responses to {results['num_prompts_taught']} of"
    f" {results['num_prompts_asked']} prompts, in {results['num_steps']} steps."
  ]
  found = results["recovered"]
  if found is None:
    lines.append("No step that was watched beats the base on dev.")
  elif found["share"] is None:
    lines.append(
      "The vote gains nothing over the base that prompts could not explain, so that"
      " there is no share of its gain."
    )
  else:
    interval = format_interval(found["low"], found["high"])
    lines.append(
      f"The distilled model has {format_percent(found['share'])} % {interval} of"
      f" the vote's gain over the base, in one pass in place of"
      f" {results['num_votes']}."
    )
  return "\n".join([*lines, *filter(None, [results["note"]])])
