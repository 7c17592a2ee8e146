"""RandOpt on a language model: search, select, vote, and an honest table.

    python -m experiments.randopt --config=configs/countdown_tiny.py --workdir=DIR

Scores a population of members around a pretrained model on the prompts of
selection, and judges the vote of the best, of random ones, and of the base with
itself, on prompts that took no part in choosing anything. The same command
resumes a run that was stopped.
"""

from typing import Any

import jax
import numpy as np

from configs import randopt as reference
from experiments import launch
from experiments.launch import language
from thickets.analysis import randopt_results
from thickets.analysis.randopt_results import Judged
from thickets.errors import UserError
from thickets.generation import self_consistency
from thickets.generation.sampling import Sampling
from thickets.generation.self_consistency import SelfConsistency
from thickets.models import transformer
from thickets.perturbation import describe_kind
from thickets.report.figures import randopt_plots
from thickets.runs import directory
from thickets.search import answers, population, randopt, selection

# The reported K is not among them: it is chosen before the judging is seen.
_EXTENDABLE = (
  "population.size",
  "ensemble.also",
  # How the work is laid out changes records no further than rounding.
  *(
    f"compute.{name}"
    for name in ("devices_per_member", "lanes", "rows", "num_workers")
  ),
)
_SAMPLES = 0  # Purpose of a key.


def main(_) -> None:
  """Reads the flags, runs, and prints the table."""
  with launch.ending_well():
    config = launch.read_config()
    language.check_config(config, reference.get_config())
    launch.start_devices()
    results = run(config, launch.WORKDIR.value)
    print(randopt_results.format_results(results))
    print(
      f"Figures, results.json and experts.json are in {launch.WORKDIR.value}."
    )


def run(config, workdir: str) -> dict[str, Any]:
  """Runs or resumes one experiment; returns the contents of results.json."""
  clock = launch.Clock()
  fields = launch.to_json(config)
  # Before the directory is begun, so that a name can still be corrected.
  directory.check_config(workdir, fields, _EXTENDABLE)
  subject = language.load_subject(config)
  with directory.Run(workdir, fields, extendable=_EXTENDABLE) as folder:
    names = transformer.tensor_names(subject.model.params)
    # Patterns are checked against the weights' names before anything is scored.
    describe_kind(subject.model.params, language.make_kind(config), names)
    clock.lap("loading_s")
    with language.start_grading(config, subject) as grader:
      evaluator = language.make_evaluator(config, subject, grader)
      spec = _population_spec(config)
      found = randopt.Search(
        folder,
        subject.model.params,
        spec,
        find_width=lambda: evaluator.find_width(
          subject.model.params, subject.batches["select"], spec.size
        ),
        task=subject.describe(),
        precision=language.describe_precision(subject.model),
        names=names,
        identity=subject.model.identity,
        source=subject.describe_source(),
      )
      scores = found.evaluate(
        evaluator, subject.batches["select"], split="select"
      )
      _check_base(folder, "select", config)
      clock.lap("select_s")
      chosen = _choose(config, scores)
      _save_experts(found, chosen, scores, config)
      itself = _make_consistency(config, subject, grader, folder)
      temperatures = config.consistency.temperatures
      dev = []
      if len(temperatures) > 1:
        dev = itself.compare("dev", temperatures, config.ensemble.top_k)
      clock.lap("dev_s")
      shown = range(len(chosen))  # As they were drawn, whatever they scored.
      positions = sorted({*shown, *map(int, chosen)})
      found.evaluate(
        evaluator, subject.batches["judge"], split="judge", positions=positions
      )
      _check_base(folder, "judge", config)
      clock.lap("judge_s")
      temperature = self_consistency.choose_temperature(
        config.consistency.temperatures, dev
      )
      if temperature is not None:
        itself.sample("judge", temperature, len(chosen))
      clock.lap("consistency_s")
    results = summarise(
      config, subject.task, subject.splits, folder, chosen, dev
    )
    if jax.process_index() == 0:
      draw(found.members, scores, results, folder)
      clock.lap("figures_s")
      compile_s = evaluator.compile_s + itself.evaluator.compile_s
      timing = clock.timing | {"compile_s": compile_s}
      folder.save_json("results.json", results | {"timing": timing})
  return results


def summarise(config, task, examples, folder, chosen, dev) -> dict[str, Any]:
  """Reads the answers back from the log, and compares them."""
  members = _population_spec(config).sample()
  temperature = self_consistency.choose_temperature(
    config.consistency.temperatures, dev
  )
  judged = Judged(
    base=answers.read_answers(folder, "judge", [directory.BASE_POSITION]),
    chosen=answers.read_answers(folder, "judge", chosen),
    random=answers.read_answers(folder, "judge", range(len(chosen))),
    samples=None
    if temperature is None
    else answers.read_answers(
      folder,
      self_consistency.name_split("judge", temperature),
      range(len(chosen)),
    ),
    temperature=temperature,
  )
  return randopt_results.summarise_run(
    members,
    folder.scores("select", range(len(members))),
    answers.read_answers(folder, "select", [directory.BASE_POSITION]),
    [int(position) for position in chosen],
    judged,
    top_k=config.ensemble.also,
    primary_k=config.ensemble.top_k,
    dev=dev,
    note=_note(task, examples),
  ) | {"data": examples.origin}


def draw(members, scores, results, folder) -> None:
  """Draws the figures of a run."""
  sigmas = np.array([member.sigma for member in members])
  randopt_plots.plot_scores(
    folder.figure_path("scores.png"), sigmas, scores, results
  )
  randopt_plots.plot_curves(folder.figure_path("vote.png"), results)
  randopt_plots.plot_selection(folder.figure_path("selection.png"), results)


def _population_spec(config) -> population.PopulationSpec:
  settings = config.population
  return population.PopulationSpec(
    size=settings.size,
    sigmas=tuple(settings.sigmas),
    seed=config.seed,
    design=settings.design,
    kind=language.make_kind(config),
    chunk=settings.chunk or None,
  )


def _choose(config, scores) -> np.ndarray:
  """[K] positions by rank, K the largest ensemble."""
  most = max(config.ensemble.top_k, *config.ensemble.also, 1)
  num_finite = int(np.isfinite(scores).sum())
  if most > num_finite:
    raise UserError(
      f"the largest ensemble needs {most} members with a finite score, but only"
      f" {num_finite} of {len(scores)} have one. Lower population.sigmas or"
      " ensemble.top_k."
    )
  return selection.select_top_k(scores, most)


def _check_base(folder, split, config) -> None:
  """Refuses a base that fails, since everything is compared with it."""
  (score,) = folder.scores(split, [directory.BASE_POSITION])
  if not np.isfinite(score):
    raise UserError(
      f"The base must have finite logits on the prompts of {split}, got others"
      f" with model.dtype={config.model.dtype}. Choose another dtype."
    )


def _save_experts(found, chosen, scores, config) -> None:
  if jax.process_index() == 0:
    found.save_experts(chosen, scores, primary_k=config.ensemble.top_k)


def _make_consistency(config, subject, grader, folder) -> SelfConsistency:
  settings = config.consistency
  sampling = Sampling(1.0, settings.top_k, settings.top_p)
  evaluator = language.make_evaluator(
    config,
    subject,
    grader,
    decoding=language.make_decoding(
      config, subject.task, subject.model, sampling
    ),
    key=language.make_key(config, _SAMPLES),
  )
  return SelfConsistency(
    evaluator, folder, subject.model.params, subject.batches
  )


def _note(task, examples) -> str:
  if task.baseline is None:
    return ""
  answer, accuracy = task.baseline(examples.select, examples.judge)
  return (
    f"Without reading the question: {answer}, the most frequent of"
    f" select, is right on {accuracy:.1%} of judge."
  )


if __name__ == "__main__":
  launch.run(main)
