"""What methods have cost, for the console."""

from collections.abc import Mapping, Sequence
from typing import Any

from thickets.report import console
from thickets.report.tables import DASH
from thickets.search.progress import format_duration

_HEADER = (
  "what it costs",
  "steps",
  "responses",
  "tokens",
  "FLOPs",
  "by formula",
  "ratio",
  "on dev",
  "votes",
  "FLOPs/answer",
)
_NOTE = (
  "FLOPs of the model, of all tokens read and generated; by formula: the paper's 2"
  " for each weight and token (8 of grpo, 14 of ppo); on dev: FLOPs that choose or watch there."
)


def format_ledgers(
  ledgers: Sequence[Mapping[str, Any]], timing: Mapping[str, Any]
) -> str:
  """Lays out ledgers, one method a row, and says what the process has used.

  Args:
    ledgers: of each method, what `Ledger.to_json` returns.
    timing: the `timing` of results.json, of this call of the command.
  """
  lines = console.align_columns(_HEADER, [_format_row(row) for row in ledgers])
  peaks = ", ".join(
    f"{size / 1e9:.2f} GB of the {place}"
    for place, size in timing["peak_memory_bytes"].items()
  )
  return "\n".join(
    [
      *lines,
      _NOTE,
      f"This call took {format_duration(timing['total_s'])}, and held at most"
      f" {peaks}.",
    ]
  )


def _format_row(ledger: Mapping[str, Any]) -> tuple[str, ...]:
  search, answer = ledger["search"], ledger["answer"]
  tokens = search["prompt_tokens"] + search["response_tokens"]
  ratio = search["flops_over_paper"]
  return (
    ledger["method"],
    str(ledger["num_steps"] or DASH),
    _count(search["num_responses"]),
    _count(tokens),
    _flops(search["flops"]),
    _flops(search["paper_flops"]),
    DASH if ratio is None else f"{ratio:.2f}",
    _flops(ledger["choosing"]["flops"]),
    f"{answer['num_responses']:g}",
    _flops(answer["flops"]),
  )


def _count(number: int) -> str:
  return f"{number:,}" if number else DASH


def _flops(number: float) -> str:
  return f"{number:.3g}" if number else DASH
