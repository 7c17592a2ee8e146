"""One model at test time, from its specs to its results."""

from collections.abc import Sequence

from experiments.launch import chat_dates
from experiments.launch.test_time_specs import TestTimeSpec
from thickets.analysis import test_time
from thickets.generation import ledger
from thickets.generation import subject as subject_lib
from thickets.generation.grading_workers import Grading
from thickets.generation.language_evaluator import LanguageEvaluator
from thickets.generation.ledger import Cost, Ledger
from thickets.generation.self_consistency import SelfConsistency
from thickets.generation.subject import Subject
from thickets.runs import directory
from thickets.runs.clock import Clock
from thickets.runs.directory import BASE_POSITION, Run
from thickets.runs.json_files import JsonObject
from thickets.runs.split_labels import Split
from thickets.search import answers, randopt
from thickets.search.population import PopulationSpec


def run(spec: TestTimeSpec, workdir: str) -> JsonObject:
  """Runs or resumes one experiment; returns the contents of results.json."""
  clock = Clock()
  directory.check_config(workdir, spec.config)  # Before anything is loaded.
  subject = subject_lib.load_subject(
    *(spec.model, spec.task, spec.answering),
    today=chat_dates.find_today(workdir),
  )
  with subject_lib.start_task_grading(subject) as grading:
    # Nothing is perturbed: the model itself is the only member.
    population = subject.settle_population(
      PopulationSpec(size=1, sigmas=(0.0,), seed=spec.seed, chunk=1)
    )
    greedy = subject_lib.make_evaluator(subject, grading, population.kind)
    subject.check_memory(greedy)
    with directory.open_run(workdir, spec.config) as run:
      clock.lap("loading_s")
      return _run(spec, subject, population, grading, greedy, run, clock)


def _run(
  spec: TestTimeSpec,
  subject: Subject,
  population: PopulationSpec,
  grading: Grading,
  greedy: LanguageEvaluator,
  run: Run,
  clock: Clock,
) -> JsonObject:
  """Answers greedily and by samples, in an open run directory."""
  judge = subject.evaluation("judge", greedy)
  search = randopt.start_search(
    run,
    subject.base,
    population,
    first=judge,
    task=subject.describe(population.kind),
  )
  randopt.score_base(search, judge)
  clock.lap("judge_s")
  consistency = SelfConsistency(
    subject_lib.make_sampler(subject, grading, spec.consistency, spec.seed),
    run,
    subject.model.params,
    subject.batches,
  )
  temperature, dev = consistency.choose_temperature(
    spec.consistency.temperatures, spec.num_samples
  )
  assert temperature is not None, "The config has one at least."
  consistency.sample("judge", temperature, spec.num_samples)
  clock.lap("samples_s")
  label = Split("judge", temperature=temperature).label
  results = test_time.summarise_test_time(
    answers.read_answers(run, "judge", [BASE_POSITION]),
    answers.read_answers(run, label, range(spec.num_samples)),
    counts=spec.counts,
    is_checkable=subject.task.is_checkable,
    groups=subject.splits.groups("judge"),
  ) | {
    "temperature": temperature,
    "dev": dev,
    "note": subject.describe_baseline(),
    "data": subject.splits.origin,
    "ledger": _read_ledgers(spec, subject, run, temperature),
  }
  return randopt.finish_run(
    run, results, clock, greedy.compile_s + consistency.compile_s
  )


def _read_ledgers(
  spec: TestTimeSpec, subject: Subject, run: Run, temperature: float
) -> list[JsonObject]:
  """What one pass and the vote of all samples have cost."""

  def count(split: str, positions: Sequence[int], at: float | None) -> Cost:
    label = Split(split, temperature=at).label
    return ledger.read_cost(
      *(subject.model.config, run, label, positions, subject.batches[split])
    )

  samples = range(spec.num_samples)
  on_dev = Cost()
  tried = spec.consistency.temperatures
  if len(tried) > 1:  # Otherwise there was nothing to choose.
    on_dev = sum((count("dev", samples, t) for t in tried), Cost())
  num_prompts = len(subject.batches["judge"]["index"])
  rows = [
    (test_time.GREEDY, Cost(), count("judge", [BASE_POSITION], None)),
    (
      test_time.name_vote(spec.num_samples),
      on_dev,
      count("judge", samples, temperature),
    ),
  ]
  return [
    Ledger(name, 0, Cost(), choosing, found, num_prompts).to_json()
    for name, choosing, found in rows
  ]
