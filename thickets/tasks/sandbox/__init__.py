"""Runs Python programs that nobody has read, and returns what their calls give.

A candidate runs in a process of its own, which sees an empty network, no other
process, no environment, the standard library (read-only) and a throw-away
directory, within limits of time, memory and size. It only returns values:
whoever compares them does so outside, where the candidate cannot reach.
`docs/sandbox.md` says what this does and does not protect from.
"""

from thickets.tasks.sandbox.limits import Limits
from thickets.tasks.sandbox.runner import (
  CallResult,
  ProgramOutcome,
  check_protection,
  find_trouble,
  run_calls,
)

__all__ = [
  "CallResult",
  "Limits",
  "ProgramOutcome",
  "check_protection",
  "find_trouble",
  "run_calls",
]
