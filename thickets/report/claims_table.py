"""The table of claims of studies of conventions, for the console and for pages."""

from collections.abc import Sequence

from thickets.analysis.convention_claims import Claim
from thickets.report.tables import DASH


def format_claims(title: str, claims: Sequence[Claim]) -> str:
  """Returns a Markdown table of claims with verdict, number, interval and n."""
  lines = [
    f"### {title}",
    "",
    "| claim | verdict | found [95 %] | over | n |",
    "|---|---|---|---|---|",
  ]
  lines += [
    f"| {claim.text} | **{claim.verdict}** | {_format_number(claim)} |"
    f" {claim.found.over if claim.found else DASH} | {claim.n} |"
    for claim in claims
  ]
  return "\n".join([*lines, ""])


def _format_number(claim: Claim) -> str:
  found = claim.found
  if found is None:
    return DASH
  values = (found.value, found.low, found.high)
  if claim.unit == "points":
    value, low, high = (f"{100 * v:+.1f}" for v in values)
    return f"{value} [{low}, {high}] points"
  value, low, high = (f"{v:.3f}" for v in values)
  return f"{value} [{low}, {high}] ({claim.unit})"
