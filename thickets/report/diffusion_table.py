"""The results of a RandOpt run on pictures, for the console and for reports."""

from collections.abc import Mapping, Sequence
from typing import Any

from thickets.report import console, tables
from thickets.report.tables import TextTable

_COSINES = (
  " Scores are cosines of CLIP with the target, fidelity is the cosine with the"
  " prompt; differences from the base are of the same pictures."
)


def format_diffusion_results(results: Mapping[str, Any]) -> str:
  """Lays out what `diffusion_results.summarise_diffusion` found."""
  return _format(tabulate_diffusion(results))


def format_rescored(results: Mapping[str, Any]) -> str:
  """Lays out what `experiments.rescore` found."""
  best = TextTable(
    f"Cosines of {results['num_select']} pictures of selection with other targets,"
    f" of the base and of the best of {results['size']} members"
    f" ({results['num_failed']} failed), which was not judged: the best of many is"
    " chosen by chance, too.",
    ("target", "base", "best", "member"),
    tuple(
      (
        row["target"],
        f"{row['base']:.4f}",
        f"{row['best']:.4f}",
        str(row["position"]),
      )
      for row in results["best"]
    ),
  )
  return _format(
    [best, _tabulate_density(results), _tabulate_discordance(results)]
  )


def format_repeats(found: Mapping[str, Any]) -> str:
  """Lays out what `picture_repeats.summarise_repeats` found."""
  target = found["target"]
  return _format(
    [
      TextTable(
        f"% of pictures that are {target}, one of {found['num_targets']} hues:"
        f" {len(found['models'])} trainings, {len(found['seeds'])} populations each,"
        f" {found['num_pictures']} pictures each; intervals over all three.",
        ("who draws", "%", "[95 %]", "over base", "[95 %]", "runs from", "to"),
        tuple(
          (
            row["name"],
            *_share(row["hits"]),
            *_share(row.get("hits_gain"), sign=True),
            tables.format_percent(min(min(shares) for shares in row["by_run"])),
            tables.format_percent(max(max(shares) for shares in row["by_run"])),
          )
          for row in found["table"]
        ),
      )
    ]
  )


def _format(found: Sequence[TextTable]) -> str:
  lines = []
  for table in found:
    lines += [
      table.caption,
      *console.align_columns(table.header, table.rows),
      "",
    ]
  return "\n".join(lines[:-1])


def tabulate_diffusion(results: Mapping[str, Any]) -> list[TextTable]:
  """Returns who drew what, how many members are experts, and how they differ.

  Args:
    results: the contents of results.json of a run of `experiments.diffusion`.
  """
  found = [_tabulate_drawers(results), _tabulate_density(results)]
  if results["hit_density"]:
    found.append(_tabulate_hit_density(results))
  return [*found, _tabulate_discordance(results)]


def _tabulate_drawers(results: Mapping[str, Any]) -> TextTable:
  has_hits = any("hits" in row for row in results["table"])
  lay_out = _lay_out_hits if has_hits else _lay_out_cosines
  header = lay_out(results, None)
  whole = results["population"]
  better = whole["better_than_base"]
  return TextTable(
    f"{results['num_judge']} pictures of judging; intervals over pictures, those of"
    f" random members over members. {whole['size']} members, {whole['num_failed']}"
    f" failed; {better['count']} score above the base on {results['num_select']}"
    " pictures of selection." + ("" if has_hits else _COSINES),
    header,
    tuple(lay_out(results, row) for row in results["table"]),
  )


def _lay_out_hits(
  results: Mapping[str, Any], row: Mapping[str, Any] | None
) -> tuple[str, ...]:
  """A row where a judge sees hits; the header without one."""
  if row is None:
    return (
      *("who draws", f"% {results['target']}", "[95 %]", "over base", "[95 %]"),
      *("score", "[95 %]", "% fidelity", "[95 %]"),
    )
  return (
    _name(row),
    *_share(row.get("hits")),
    *_share(row.get("hits_gain"), sign=True),
    *_score(row["score"]),
    *_share(row["fidelity"]),
  )


def _lay_out_cosines(
  results: Mapping[str, Any], row: Mapping[str, Any] | None
) -> tuple[str, ...]:
  """A row where nothing but CLIP judges; the header without one."""
  if row is None:
    return (
      *("who draws", f"score: {results['target']}", "[95 %]"),
      *("over base", "[95 %]", "fidelity", "[95 %]", "over base", "[95 %]"),
    )
  cells = [
    cell
    for name in ("score", "fidelity")
    for cell in (
      *_score(row[name]),
      *_score(row.get(f"{name}_gain"), sign=True),
    )
  ]
  return (_name(row), *cells)


def _name(row: Mapping[str, Any]) -> str:
  """Who draws, and how much of that has failed."""
  failed = row.get("num_failed")
  return f"{row['name']} ({failed} failed)" if failed else row["name"]


def _tabulate_density(results: Mapping[str, Any]) -> TextTable:
  return TextTable(
    "Density: % of members whose score beats the base's by a margin, on the"
    " pictures of selection (95 % over members), and what it would be without any"
    " true gain.",
    ("target", "sigma", "margin", "%", "[95 %]", "without gain"),
    tuple(
      (
        row["target"],
        f"{row['sigma']:g}",
        f"{row['margin']:g}",
        tables.format_percent(row["plain"]),
        tables.format_interval(row["plain_low"], row["plain_high"]),
        tables.format_percent(row["null"]),
      )
      for row in results["density"]
      if row["margin"]
    ),
  )


def _tabulate_hit_density(results: Mapping[str, Any]) -> TextTable:
  return TextTable(
    "Density of hits: % of members with at least so many % of their pictures of"
    " selection of the target (95 % over members).",
    ("target", "sigma", "hits", "%", "[95 %]", "base's hits"),
    tuple(
      (
        row["target"],
        f"{row['sigma']:g}",
        f"{100 * row['least_hits']:g}",
        tables.format_percent(row["frac"]),
        tables.format_interval(row["low"], row["high"]),
        tables.format_percent(row["base_hits"]),
      )
      for row in results["hit_density"]
    ),
  )


def _tabulate_discordance(results: Mapping[str, Any]) -> TextTable:
  return TextTable(
    "Spectral discordance over targets: 0 where members rank alike for all of"
    " them, 1 where rankings are unrelated, at most as given.",
    ("sigma", "members", "discordance", "at most"),
    tuple(
      (
        f"{row['sigma']:g}",
        str(row["num_members"]),
        tables.DASH
        if row["discordance"] is None
        else f"{row['discordance']:.2f}",
        f"{row['most']:.2f}",
      )
      for row in results["discordance"]
    ),
  )


def _share(
  found: Mapping[str, Any] | None, *, sign: bool = False
) -> tuple[str, str]:
  """A mean in percent with its interval; a dash where there is none."""
  if found is None:
    return tables.DASH, ""
  ends = tables.format_interval(found["low"], found["high"], sign=sign)
  return tables.format_percent(found["mean"], sign=sign), ends


def _score(
  found: Mapping[str, Any] | None, *, sign: bool = False
) -> tuple[str, str]:
  """A mean score with four decimals, since cosines differ by hundredths."""
  if found is None:
    return tables.DASH, ""
  form = "+.4f" if sign else ".4f"
  return (
    f"{found['mean']:{form}}",
    f"[{found['low']:{form}}, {found['high']:{form}}]",
  )
