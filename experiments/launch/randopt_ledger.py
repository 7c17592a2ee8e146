"""What a run of RandOpt has cost, and what else it compares with, from its log."""

from collections.abc import Sequence

from experiments.launch.specs import RandOptSpec
from thickets.generation.ledger import Cost, Ledger, read_cost
from thickets.generation.subject import Subject
from thickets.runs.directory import BASE_POSITION
from thickets.runs.json_files import JsonObject
from thickets.runs.split_labels import Split
from thickets.search.randopt import Search


def read_ledgers(
  search: Search,
  subject: Subject,
  spec: RandOptSpec,
  chosen: Sequence[int],
  temperature: float | None,
) -> list[JsonObject]:
  """Reads what base, best member, vote and self-consistency have cost.

  Args:
    search: the search, with all records in its run.
    subject: the model, and the prompts that it was asked.
    spec: what the run was asked to do.
    chosen: positions of the best members, by rank.
    temperature: that of self-consistency; None without it.
  """
  num_votes = spec.ensemble.top_k
  tried = spec.consistency.temperatures

  def count(
    split: str, positions: Sequence[int], temperature: float | None = None
  ) -> Cost:
    label = Split(split, temperature=temperature).label
    batch = subject.batches[split]
    return read_cost(subject.model.config, search.run, label, positions, batch)

  members = count("select", range(len(search.members)))
  nothing = Cost()
  rows = [
    ("base", 0, nothing, nothing, count("judge", [BASE_POSITION])),
    ("best member", 1, members, nothing, count("judge", chosen[:1])),
    (
      f"vote, K={num_votes}",
      1,
      members,
      nothing,
      count("judge", chosen[:num_votes]),
    ),
  ]
  if temperature is not None:
    on_dev = nothing
    if len(tried) > 1:  # Otherwise there was nothing to choose.
      on_dev = sum((count("dev", range(num_votes), t) for t in tried), nothing)
    answers = count("judge", range(num_votes), temperature)
    name = f"self-consistency T={temperature:g}, K={num_votes}"
    rows.append((name, 0, nothing, on_dev, answers))
  num_prompts = len(subject.batches["judge"]["index"])
  return [Ledger(*row, num_prompts).to_json() for row in rows]
