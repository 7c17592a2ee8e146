"""What a distillation takes from a finished run of RandOpt."""

import dataclasses

import numpy as np
from jaxtyping import Int

from experiments.launch import finished_randopt
from experiments.launch.distil_specs import DistilSpec
from experiments.launch.specs import RandOptSpec
from thickets.analysis import measurement
from thickets.errors import UserError
from thickets.generation import ledger
from thickets.generation.ledger import Cost
from thickets.generation.subject import Subject
from thickets.runs import json_files
from thickets.runs.json_files import JsonObject
from thickets.runs.run_config import RunConfig
from thickets.search.answers import Answers


@dataclasses.dataclass(frozen=True)
class Teachers:
  """The members that teach, and what they have reached.

  Attributes:
    positions: [K] their positions in the population, by rank.
    judged: [K, Q] their answers to the prompts of judging.
    lengths: [K, Q] tokens of these responses.
    search: what finding them has cost.
    task: what the records of the run mean, as JSON values.
  """

  positions: tuple[int, ...]
  judged: Answers
  lengths: Int[np.ndarray, "K Q"]
  search: Cost
  task: JsonObject

  def make_config(self, spec: DistilSpec, run: RandOptSpec) -> RunConfig:
    """What the directory of the distillation keeps."""
    return RunConfig(
      {
        **spec.fields,
        "randopt": dict(run.config.fields),
        "teachers": list(self.positions),
      }
    )

  def count_judged(self, subject: Subject) -> Cost:
    """What all their answers to the prompts of judging have cost."""
    prompts = ledger.count_prompt_tokens(subject.batches["judge"])
    return ledger.count_responses(subject.model.config, prompts, self.lengths)

  def check_task(self, subject: Subject) -> None:
    """Refuses prompts or grading that are not those of the run.

    Raises:
      UserError: that says in what they differ.
    """
    here = json_files.as_read(subject.describe())
    if different := json_files.find_differences(self.task, here):
      raise UserError(
        "--run must hold records of these prompts, graded as here, got others:"
        f" {'; '.join(map(str, different))}. Go back to what it was made with."
      )


def read_teachers(spec: DistilSpec, run: RandOptSpec, workdir: str) -> Teachers:
  """Reads the best members of a run and their answers to the prompts of judging.

  Args:
    spec: what the distillation is asked to do.
    run: what the run was asked to do.
    workdir: its directory.

  Raises:
    UserError: if the run is not finished, has no prompts of dev, has ranked fewer
      members than are to teach, or its answers have no vote keys.
  """
  results = finished_randopt.read_results(workdir, run.population.size, "run")
  if not run.task.sizes.dev:
    raise UserError(
      f"--run must name a run with prompts of dev, which choose, got {workdir}."
      " Make it with a task.num_dev above 0."
    )
  count = spec.top_k or run.ensemble.top_k
  if spec.top_k and spec.top_k > run.ensemble.largest:
    raise UserError(
      f"teaching.top_k must be at most {run.ensemble.largest}, the members that the"
      f" run has judged, got {spec.top_k}."
    )
  positions = finished_randopt.read_ranked(results, count, workdir)
  header, found = measurement.read_records(workdir)
  judge = found.get("judge", {})
  if missing := [p for p in positions if p not in judge]:
    raise UserError(
      f"--run must hold the records of its best members on judge, got {workdir},"
      f" which lacks {len(missing)}. Finish it with its own command first."
    )
  names = [field.name for field in dataclasses.fields(Answers)]
  channels = [judge[p].channels([*names, "length"]) for p in positions]
  judged = Answers.stack(channels)
  if not (judged.vote != "").any():
    raise UserError(
      "--run must be on a task whose answers have vote keys, got none in"
      f" {judged.vote.size} answers to judge ({workdir}). Without a vote there is"
      " nothing to distil."
    )
  search = finished_randopt.read_search_cost(results, workdir)
  lengths = np.stack([found["length"] for found in channels])
  return Teachers(tuple(positions), judged, lengths, search, header["task"])
