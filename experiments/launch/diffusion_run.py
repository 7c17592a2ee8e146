"""One RandOpt run on pictures, from the search to the grid of pictures."""

import dataclasses
import hashlib
from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Float, Int

from experiments.launch.diffusion_specs import DiffusionSpec
from thickets.analysis import diffusion_results
from thickets.analysis.diffusion_results import Drawn, Judged
from thickets.analysis.picture_density import Selected
from thickets.generation.images import (
  evaluators,
  picture_files,
  pipeline_subject,
  shapes_subject,
  subjects,
)
from thickets.generation.images.picture_files import SavingEvaluator
from thickets.generation.images.subjects import PictureSubject
from thickets.members import BASE, Member
from thickets.perturbation import describe_kind
from thickets.report.figures import diffusion_figures
from thickets.report.figures.diffusion_figures import Column
from thickets.runs import directory
from thickets.runs.clock import Clock
from thickets.runs.directory import BASE_POSITION, Run
from thickets.runs.json_files import JsonObject
from thickets.search import engine, randopt, selection
from thickets.search.randopt import Base, Evaluation, Search

_ENSEMBLES = "judge ensembles"  # The split of records that are of ensembles.


@dataclasses.dataclass(frozen=True)
class _Judging:
  """Who draws the prompts of judging.

  Attributes:
    chosen: [K] positions of the best members, by rank.
    random: positions of the members that were drawn first, without those that
      failed; the best may be among them.
    ensembles: the mean of the best members, by their number from 2 on.
    random_ensembles: the mean of as many members that were drawn first, of
      those that did not fail.
  """

  chosen: Int[np.ndarray, " K"]
  random: Sequence[int]
  ensembles: dict[int, Member]
  random_ensembles: dict[int, Member]


def run(spec: DiffusionSpec, workdir: str) -> JsonObject:
  """Runs or resumes one experiment; returns the contents of results.json."""
  clock = Clock()
  subject = load_subject(spec)
  # Refuses patterns that match no tensor, before anything is written.
  describe_kind(subject.params, spec.population.kind, subject.names)
  batches = {
    split: subjects.make_batch(subject, split, count, seed=spec.seed)
    for split, count in (
      ("select", spec.task.num_select),
      ("judge", spec.task.num_judge),
    )
  }
  with directory.open_run(workdir, spec.config) as opened:
    select, judge, together = _make_evaluations(spec, subject, batches, opened)
    search = randopt.start_search(
      opened,
      Base(
        subject.params,
        precision=randopt.describe_precision(spec.dtype),
        names=subject.names,
        source=subject.source,
      ),
      spec.population,
      first=select,
      task=_describe_task(spec, subject, batches),
    )
    clock.lap("loading_s")
    scores = randopt.score_members(search, select)
    clock.lap("scoring_s")
    plan = _plan_judging(spec, search, scores)
    randopt.save_experts(
      search, plan.chosen, scores, primary_k=spec.ensemble.top_k
    )
    singles = sorted({int(plan.chosen[0]), *plan.random})
    randopt.score_members(search, judge, singles)
    for group in (plan.ensembles, plan.random_ensembles):
      _draw_together(search, together, list(group.values()))
    clock.lap("judging_s")
    results = _summarise(spec, subject, search, plan)
    if jax.process_index() == 0:
      _draw_figures(spec, subject, search, plan, results)
    clock.lap("figures_s")
    compile_s = sum(
      evaluation.evaluator.compile_s for evaluation in (select, judge, together)
    )
    return randopt.finish_run(opened, results, clock, compile_s)


def load_subject(spec: DiffusionSpec) -> PictureSubject:
  """Loads the base, and what is measured on its pictures.

  Raises:
    UserError: if it cannot be read, or the target is not known.
  """
  if spec.published is not None:
    return pipeline_subject.load_subject(
      spec.published.loading, spec.published.drawing, spec.published.asked
    )
  return shapes_subject.load_subject(
    spec.model,
    target=spec.task.target,
    num_steps=spec.num_steps,
    guidance=spec.guidance,
  )


def _make_evaluations(
  spec: DiffusionSpec, subject: PictureSubject, batches, opened: Run
) -> tuple[Evaluation, ...]:
  """Selection, which keeps no pictures; judging of members and of ensembles."""
  kind, names = spec.population.kind, subject.names
  selecting = evaluators.make_member_evaluator(
    subject.pipeline, subject.select, kind=kind, names=names
  )
  judging = evaluators.make_member_evaluator(
    subject.pipeline, subject.judge, kind=kind, names=names
  )
  together = evaluators.EnsembleEvaluator(
    subject.pipeline, subject.judge, kind=kind, names=names
  )
  saving = [
    Evaluation(
      split,
      SavingEvaluator(evaluator, opened.workdir, "judge", spec.keeps_pictures),
      batches["judge"],
      subject.why_not_finite,
    )
    for split, evaluator in (("judge", judging), (_ENSEMBLES, together))
  ]
  select = Evaluation(
    "select", selecting, batches["select"], subject.why_not_finite
  )
  return select, *saving


def _describe_task(
  spec: DiffusionSpec, subject: PictureSubject, batches
) -> JsonObject:
  """What the scores mean, for the header of the run."""
  return {
    "name": "pictures",
    "target": spec.task.target,
    "targets": list(subject.targets),
    "prompts": {split: list(subject.prompts[split]) for split in batches},
    "splits": subjects.describe_batches(batches),
    "num_steps": spec.num_steps,
    "guidance": spec.guidance,
    "ensembles": (
      f"records of {_ENSEMBLES} are of ensembles: each term is a member, and the"
      " mean of their predictions takes every step"
    ),
    **subject.judging,
  }


def _plan_judging(
  spec: DiffusionSpec, search: Search, scores: Float[np.ndarray, " P"]
) -> _Judging:
  """Decides, by the scores on select alone, who draws the prompts of judging."""
  chosen = selection.select_ensemble(scores, spec.ensemble)
  sizes = [k for k in spec.ensemble.sizes if k > 1]
  members = search.members
  usable = [int(p) for p in np.flatnonzero(np.isfinite(scores))]
  return _Judging(
    chosen=chosen,
    random=usable[: spec.num_random],
    ensembles={k: _join([members[p] for p in chosen[:k]]) for k in sizes},
    random_ensembles={
      k: _join([members[p] for p in usable[:k]]) for k in sizes
    },
  )


def _join(members: Sequence[Member]) -> Member:
  """The members of an ensemble, as the terms of one."""
  terms = [term for member in members for term in member.terms]
  return Member(*zip(*terms, strict=True))


def _draw_together(
  search: Search, together: Evaluation, ensembles: Sequence[Member]
) -> None:
  """Draws by ensembles, as far as the log lacks them."""
  if not ensembles:
    return
  engine.evaluate_members(
    search.run,
    together.evaluator,
    search.base.params,
    ensembles,
    together.batch,
    split=together.split,
    width=len(ensembles),
    positions=[_place(ensemble) for ensemble in ensembles],
    unit="ensembles",
  )


def _place(ensemble: Member) -> int:
  """A number for an ensemble, by its members: those of a larger N have others."""
  digest = hashlib.sha256(repr(ensemble.terms).encode()).digest()
  return int.from_bytes(digest[:4], "little") >> 1


def _summarise(
  spec: DiffusionSpec, subject: PictureSubject, search: Search, plan: _Judging
) -> JsonObject:
  """Reads the records, and turns them into the contents of results.json."""
  opened, k = search.run, spec.ensemble.top_k
  best = _read_drawn(opened, "judge", int(plan.chosen[0]))
  judged = Judged(
    base=_read_drawn(opened, "judge", BASE_POSITION),
    best=best,
    ensembles={1: best}
    | {
      size: _read_drawn(opened, _ENSEMBLES, _place(ensemble))
      for size, ensemble in plan.ensembles.items()
    },
    random_ensembles={
      size: _read_drawn(opened, _ENSEMBLES, _place(ensemble))
      for size, ensemble in plan.random_ensembles.items()
    },
    random=[_read_drawn(opened, "judge", p) for p in plan.random],
  )
  results = diffusion_results.summarise_diffusion(
    _read_selected(spec, subject, search),
    judged,
    primary_k=k,
    margins=spec.task.margins,
  )
  return {
    "settings": {
      "model": spec.model,
      "num_steps": spec.num_steps,
      "guidance": spec.guidance,
      "sigmas": list(spec.population.sigmas),
      "prompts": list(subject.prompts["judge"]),
    },
    **results,
  }


def _read_selected(
  spec: DiffusionSpec, subject: PictureSubject, search: Search
) -> Selected:
  opened, positions = search.run, range(len(search.members))
  base = opened.channels("select", BASE_POSITION)
  has_hits = "hit" in base
  return Selected(
    members=search.members,
    targets=opened.channel("select", positions, "targets"),
    hits=opened.channel("select", positions, "hit") if has_hits else None,
    base_targets=base["targets"],
    base_hits=base.get("hit"),
    names=subject.targets,
    target=subject.targets.index(spec.task.target),
  )


def _read_drawn(opened: Run, split: str, position: int) -> Drawn:
  channels = opened.channels(split, position)
  return Drawn(channels["score"], channels.get("hit"), channels["fidelity"])


def _draw_figures(
  spec: DiffusionSpec,
  subject: PictureSubject,
  search: Search,
  plan: _Judging,
  results: JsonObject,
) -> None:
  """Draws the figures that a run of this kind has."""
  folder = search.run.workdir / "figures"
  if any("hits" in row for row in results["table"]):
    diffusion_figures.plot_shares(folder / "hits.png", results)
  else:
    diffusion_figures.plot_gains(folder / "gains.png", results)
  diffusion_figures.plot_scores(
    folder / "scores.png",
    results,
    search.run.scores("select", range(len(search.members))),
    np.array([member.sigma for member in search.members]),
  )
  if not spec.keeps_pictures:
    return
  k, count = spec.ensemble.top_k, results["num_judge"]
  drawers = {"base": BASE, "best": search.members[plan.chosen[0]]}
  if k > 1:
    drawers[f"mean of\nbest {k}"] = plan.ensembles[k]
    drawers[f"mean of\nrandom {k}"] = plan.random_ensembles[k]
  drawers |= {
    f"random\n#{number}": search.members[p]
    for number, p in enumerate(plan.random, start=1)
  }
  diffusion_figures.plot_grid(
    folder / "grid.png",
    [
      Column(
        name,
        picture_files.read_pictures(search.run.workdir, "judge", drawer, count),
      )
      for name, drawer in drawers.items()
    ],
    subject.prompts["judge"],
    spec.task.num_judge,
    results,
  )
