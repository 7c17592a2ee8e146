"""A run that makes one model out of a population: dev chooses, judge judges."""

import dataclasses
from collections.abc import Sequence

from experiments.launch import consolidation
from experiments.launch.consolidation import Candidate, Source
from thickets.analysis import trained_results
from thickets.generation import ledger
from thickets.generation.ledger import Cost, Ledger
from thickets.generation.subject import Subject
from thickets.naming import Params
from thickets.runs.directory import BASE_POSITION, Run
from thickets.runs.json_files import JsonObject
from thickets.search import answers, randopt
from thickets.search.population import PopulationSpec
from thickets.search.randopt import Evaluation
from thickets.training import evolution, trained_weights, updates_file


@dataclasses.dataclass(frozen=True)
class Consolidated:
  """What dev has chosen.

  Attributes:
    watched: what the base and each candidate reached on dev, as JSON values.
    chosen: number of the chosen candidate, from 1; None where the base is kept.
    weights: its weights; None where the base is kept.
  """

  watched: list[JsonObject]
  chosen: int | None
  weights: Params | None


def consolidate(
  run: Run,
  subject: Subject,
  dev: Evaluation,
  judge: Evaluation,
  population: PopulationSpec,
  candidates: Sequence[Candidate],
) -> Consolidated:
  """Evaluates base and candidates on dev, and judges the base and the choice.

  In the log the first candidate has the position 1.

  Args:
    run: the open run directory, which gets the terms of the choice as well.
    subject: the model and its prompts.
    dev: the prompts that choose.
    judge: the prompts that judge.
    population: the members that the candidates are made of.
    candidates: at least one.
  """
  base = subject.base
  search = randopt.start_search(
    run,
    base,
    population,
    first=dev,
    task=subject.describe(population.kind),
  )

  def make_weights(candidate: Candidate) -> Params:
    replayed = evolution.replay(
      base.params, [candidate.update], population.kind, base.names
    )
    return evolution.narrow(replayed, base.params)

  randopt.score_base(search, dev)
  for number, candidate in enumerate(candidates, start=1):
    weights = make_weights(candidate)
    trained_weights.evaluate_weights(run, dev, weights, number)
  names = ["base", *(candidate.name for candidate in candidates)]
  found = {
    position: answers.read_answers(run, "dev", [position])
    for position in _list_positions(len(candidates))
  }
  rows = trained_results.describe_watched(found, subject.splits.groups("dev"))
  watched = [row | {"name": n} for row, n in zip(rows, names, strict=True)]
  best = consolidation.choose_candidate(watched)
  randopt.score_base(search, judge)
  if best is None:
    return Consolidated(watched, None, None)
  update = candidates[best].update
  weights = make_weights(candidates[best])
  trained_weights.evaluate_weights(run, judge, weights, best + 1)
  run.save_json(
    "updates.json",
    updates_file.describe_updates(search.header, [update], base.source),
  )
  return Consolidated(watched, best + 1, weights)


def summarise(
  run: Run, subject: Subject, source: Source, consolidated: Consolidated
) -> JsonObject:
  """Compares base and choice on the prompts of judging, with what they cost."""
  chosen, watched = consolidated.chosen, consolidated.watched
  models = {"base": answers.read_answers(run, "judge", [BASE_POSITION])}
  name = None if chosen is None else watched[chosen]["name"]
  if name is not None:
    models[name] = answers.read_answers(run, "judge", [chosen])

  def count(split: str, positions: Sequence[int]) -> Cost:
    batch = subject.batches[split]
    return ledger.read_cost(subject.model.config, run, split, positions, batch)

  cost = Ledger(
    "consolidation",
    1,
    source.search,
    count("dev", _list_positions(len(watched) - 1)),
    count("judge", [chosen or BASE_POSITION]),
    len(subject.batches["judge"]["index"]),
  )
  results = trained_results.summarise_trained(
    models, subject.splits.groups("judge")
  )
  return results | {
    "watched": watched,
    "chosen": name,
    "data": subject.splits.origin,
    "ledger": [cost.to_json()],
  }


def _list_positions(num_candidates: int) -> list[int]:
  """Positions in the log of the base and the candidates."""
  return [BASE_POSITION, *range(1, num_candidates + 1)]
