"""What one measurement says of tasks in pairs, which ask the same questions.

The two tasks of a pair want different answers, such as two conventions. What stands
here of a run is all that later comparisons of runs need: how often each respondent
is right by prompt, density and regime by task, how tasks rank members, how many
members lean to what a task wants, and the same of the *skill*: what is right by
either task of a pair, with members chosen by that.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from thickets.analysis import neighbourhood, vote_comparisons
from thickets.analysis.density import Density
from thickets.analysis.measurement import Measurement, TaskScores
from thickets.analysis.neighbourhood import Analysis, Settings
from thickets.analysis.vote_comparisons import TaskVotes
from thickets.runs.json_files import JsonObject
from thickets.search.answers import Answers

# The sets of tasks over which means are taken.
FIRST, SECOND, SKILL = "first", "second", "skill"
_DIGITS = 4  # Of means over tasks: finer than any of them is known.


def summarise(
  measured: Measurement,
  samples: Mapping[str, Answers],
  pairs: Sequence[tuple[str, str]],
  *,
  k: int,
  settings: Settings,
  same_questions: bool,
) -> JsonObject:
  """Summarises a measurement of tasks in pairs, by sigma.

  Args:
    measured: the records.
    samples: what was sampled from the base on the prompts of `dev`, by task; none
      where it was not.
    pairs: names of the two tasks of each pair, every task in one pair.
    k: number of members that vote, and of samples.
    settings: what is estimated.
    same_questions: whether the two tasks of a pair ask the same words. Where the
      questions say what is wanted, there is no skill beside the tasks.
  """
  analysis = neighbourhood.analyse(measured, settings)
  skill = _make_skill(measured, pairs) if same_questions else None
  skill_analysis = (
    None if skill is None else neighbourhood.analyse(skill, settings)
  )
  levels = {}
  for place, sigma in enumerate(np.unique(measured.sigmas).tolist()):
    rows = np.flatnonzero(measured.sigmas == sigma).tolist()
    tasks = _take(measured, rows)
    sets = _measure_sets(tasks, samples, pairs, k, same_questions)
    if skill is not None:
      sets[SKILL] = _measure_skill(_take(skill, rows), samples, pairs, k)
    levels[f"{sigma:g}"] = {
      "num_members": len(rows),
      "sets": sets,
      "tasks": {
        name: _describe_members(tasks[name], tasks[other])
        | {"density": _describe_density(analysis.densities[name], place)}
        for pair in pairs
        for name, other in (pair, pair[::-1])
      },
      "skill_density": {
        name: _describe_density(found, place)
        for name, found in skill_analysis.densities.items()
      }
      if skill_analysis is not None
      else {},
      **_describe_ranks(analysis, sigma),
    }
  return {
    "levels": levels,
    "regimes": _describe_calls(analysis),
    "skill_regimes": _describe_calls(skill_analysis),
  }


def _measure_sets(
  tasks: Mapping[str, TaskScores],
  samples: Mapping[str, Answers],
  pairs: Sequence[tuple[str, str]],
  k: int,
  same_questions: bool,
) -> JsonObject:
  """Who is right on the first tasks of all pairs, and on the second."""
  return {
    name: _pool(
      [
        vote_comparisons.measure_task_votes(
          tasks[pair[place]],
          k,
          samples.get(pair[place]),
          other=tasks[pair[1 - place]] if same_questions else None,
        )
        for pair in pairs
      ]
    )
    for place, name in enumerate((FIRST, SECOND))
  }


def _measure_skill(
  skill: Mapping[str, TaskScores],
  samples: Mapping[str, Answers],
  pairs: Sequence[tuple[str, str]],
  k: int,
) -> JsonObject:
  """Who is right by either task, where that also chose the members."""
  return _pool(
    [
      vote_comparisons.measure_task_votes(
        skill[first], k, _accept_samples(samples, first, second)
      )
      for first, second in pairs
    ]
  )


def _make_skill(
  measured: Measurement, pairs: Sequence[tuple[str, str]]
) -> Measurement:
  """The same run with one task for each pair, which accepts either answer."""
  return dataclasses.replace(
    measured,
    tasks={
      first: vote_comparisons.accept_either(
        measured.tasks[first], measured.tasks[second]
      )
      for first, second in pairs
    },
  )


def _take(measured: Measurement, rows: Sequence[int]) -> dict[str, TaskScores]:
  return {
    name: dataclasses.replace(task, members=task.members.take(rows))
    for name, task in measured.tasks.items()
  }


def _accept_samples(
  samples: Mapping[str, Answers], first: str, second: str
) -> Answers | None:
  if first not in samples:
    return None
  one, other = samples[first], samples[second]
  return dataclasses.replace(one, lenient=one.lenient | other.lenient)


def _pool(votes: Sequence[TaskVotes]) -> JsonObject:
  """The mean over tasks of what is right on the prompts of each number."""

  def mean(parts: Sequence[Mapping[str, np.ndarray]]) -> JsonObject:
    return {
      row: np.mean([part[row] for part in parts], axis=0)
      .round(_DIGITS)
      .tolist()
      for row in parts[0]
    }

  return {
    "right": mean([found.right for found in votes]),
    "either": mean([found.either for found in votes]),
  }


def _describe_members(task: TaskScores, other: TaskScores) -> JsonObject:
  """Members on all prompts: their mean, what they change, and where they lean."""
  mine, theirs = (t.scores.mean(axis=1) for t in (task, other))
  is_scored = np.isfinite(mine) & np.isfinite(theirs)
  # A member that is right as often by both leans to neither, and counts half.
  leaning = (mine > theirs) + 0.5 * (mine == theirs)
  changed = (task.members.score != task.base.score) | (
    task.members.vote != task.base.vote
  )
  return {
    "base": float(task.base_scores.mean()),
    "members": float(mine[is_scored].mean()),
    "form": float(task.members.format.mean()),
    "changed": float(changed.mean()),
    "leaning": float(leaning[is_scored].mean()),
    "num_scored": int(is_scored.sum()),
  }


def _describe_density(found: Density, place: int) -> JsonObject:
  """The density on new prompts at each margin above zero."""
  return {
    f"{margin:g}": [
      float(found.corrected[place, column]),
      *found.corrected_interval[place, column].tolist(),
    ]
    for column, margin in enumerate(found.margins.tolist())
    if margin > 0
  }


def _describe_ranks(analysis: Analysis, sigma: float) -> JsonObject:
  for found in analysis.diversity:
    if found.sigma == sigma and found.discordance is not None:
      return {
        "discordance": {
          "value": found.discordance.value,
          "interval": list(found.discordance.interval),
          "floor": found.discordance.floor,
          "names": list(found.discordance.names),
          "correlation": found.discordance.correlation.round(_DIGITS).tolist(),
        }
      }
  return {"discordance": None}


def _describe_calls(analysis: Analysis | None) -> JsonObject:
  if analysis is None:
    return {}
  return {
    name: {"regime": call.regime, "reason": call.reason}
    for name, call in analysis.regimes.items()
  }
