"""The facts about a run at the top of its chapter: model, tasks, members, sigmas."""

from thickets.report.run_files import RunFiles


def list_facts(run: RunFiles) -> list[tuple[str, str]]:
  """Returns the names of the facts, each with its value as text."""
  return [
    ("Model", _describe_model(run)),
    ("Base identity", run.header["base"]["identity"]),
    ("Weights", f"{run.header['base']['num_weights']:,}"),
    ("Tasks", ", ".join(run.tasks)),
    ("Members", f"{run.num_members}, seed {run.config.get('seed', '?')}"),
    ("Sigmas", _list_sigmas(run)),
  ]


def _describe_model(run: RunFiles) -> str:
  return ", ".join(
    str(value) if name == "name" else f"{name} {value}"
    for name, value in sorted(
      run.config.get("model", {}).items(), key=lambda item: item[0] != "name"
    )
    if value != ""
  )


def _list_sigmas(run: RunFiles) -> str:
  settings = run.config.get("population", {})
  unit = settings.get("unit", "absolute")
  sigmas = ", ".join(f"{sigma:g}" for sigma in settings.get("sigmas", ()))
  return f"{sigmas} ({unit})" if unit != "absolute" else sigmas
