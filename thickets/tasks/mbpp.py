"""MBPP: write a Python function from its description and three tests.

Rows are those of `google-research-datasets/mbpp`, configuration `full`, also as
in its original file `mbpp.jsonl`. The tests are shown in the prompt. Responses
run in `thickets.tasks.sandbox` alone, which returns what the tests' calls give; the
comparison with what a test expects happens here. So every test must be one
`assert` in which one side is the program's (`sandbox.assertions.parse_test`); a row
with another one is refused. All 2922 tests of `full` fit. The other side is a
literal, or, in row 596 (`sys.getsizeof`), is evaluated in a sandbox of its own
without the program. Equality is Python's: 1 == 1.0 == True, a list is no tuple,
floats are equal exactly. A value of a type that cannot be returned
(`sandbox.values`), such as a generator or an object of the program's own class,
fails the test, whatever its `__eq__` says.

Rules `standard`: `test_setup_code` is executed after the program (rows 367 and
927 build trees from its class). The form is one `<answer>` block at the end of
the response; Markdown fences inside it are removed. The lenient program is that
of the last complete block, else of the last fence marked as Python, else of the
last fence. It has 4 times the processor time that the row's own solution takes
here, and at least 2 s, for everything, and ten times that by the clock (of
`full`, one solution takes more than 0.1 s: row 123, 3 s). The key of a vote is what the program does: a hash of what the tests' calls give,
equal values being equal, and of the kind of failure where one gives nothing.
Programs of which no call gives a value have no vote. An endless loop costs its
2 s and holds up nothing else. A program close to its limits may pass once and
fail once; all others are graded alike every time.

Rules `paper` are the authors', `utils/reward_score/mbpp.py` and
`data_handlers/mbpp.py`: fences inside `<answer>` stay, and are a syntax error;
`test_setup_code` is executed before the program, so that rows 367 and 927 always
fail; the key of a vote is the source; the form does not count. Other than there:
a program has 5 s of processor time in all, where they allow 5 s by the clock for
it and for each test; nothing that it does to `==`, `assert` or the interpreter
can pass a test; the other side of row 596's tests does not need the program to
have imported `sys`; only the standard library can be imported; memory is limited;
a program of more than 100,000 characters fails.
"""

import ast
import functools
import hashlib
import json
import math
from collections.abc import Sequence
from typing import Any

from thickets.tasks import base, sandbox
from thickets.tasks.parsing import tags
from thickets.tasks.sandbox import assertions

_SYSTEM = "You are an expert Python programmer. You write short, correct code."
_QUESTION = """\
{text}

The code has to pass these tests:
{tests}

Reason about the problem inside <think> </think> tags. Then give the complete \
program inside <answer> </answer> tags and stop, for example:
<answer>
def double(x):
  return 2 * x
</answer>"""

_NUM_SHOWN = 3
_MAX_CODE_CHARS = 100_000
_MIN_CPU_S, _MAX_CPU_S = 2, 30
_SLOWER = 4  # A program may take this many times the row's own solution.
_WALL_S_PER_CPU_S = 10
_PAPER_LIMITS = sandbox.Limits(cpu_s=5, wall_s=50)
_FENCE = "```"
_PYTHON_FENCE = "```python"


def _make_example(row: base.Row, number: int) -> base.Example:
  for name in ("text", "code", "test_setup_code"):
    if not isinstance(row[name], str):
      raise ValueError(f"{name} must be a text, got {row[name]!r:.200}.")
  tests = row["test_list"]
  is_list = isinstance(tests, Sequence) and not isinstance(tests, str)
  if not is_list or not tests or not all(isinstance(t, str) for t in tests):
    raise ValueError(f"test_list must be a list of texts, got {tests!r:.200}.")
  for test in tests:
    try:
      assertions.parse_test(test)
    except ValueError as error:
      raise ValueError(f"test_list: {error}") from error
  return base.Example(
    id=str(row["task_id"]),
    messages=base.ask(
      _QUESTION.format(
        text=row["text"].strip(),
        tests="\n".join(test.strip() for test in tests[:_NUM_SHOWN]),
      ),
      system=_SYSTEM,
    ),
    reference={
      "tests": list(tests),
      "setup": row["test_setup_code"],
      "solution": row["code"],
    },
  )


def grade_standard(
  example: base.Example, response: str, *, allow_unprotected: bool = False
) -> base.Grade:
  """Grades by rules `standard`; see the module.

  Raises:
    UserError: if programs cannot be kept apart and `allow_unprotected` is not
      set.
  """
  code, is_in_form = _find_code(response), _is_in_form(response)
  if code is None:
    return _no_answer(is_in_form)
  parsed = _parse(example)
  outcome = sandbox.run_calls(
    code,
    [check.call for check in parsed],
    setup=example.reference["setup"],
    limits=_find_limits(
      example.reference["solution"],
      tuple(example.reference["tests"]),
      example.reference["setup"],
      allow_unprotected,
    ),
    allow_unprotected=allow_unprotected,
  )
  is_right = _passes(parsed, outcome.results, allow_unprotected)
  is_correct = is_right and is_in_form
  return base.Grade(
    score=float(is_correct),
    correct=is_correct,
    lenient=is_right,
    vote=_name_behaviour(parsed, outcome.results),
    format=is_in_form,
  )


def grade_paper(
  example: base.Example, response: str, *, allow_unprotected: bool = False
) -> base.Grade:
  """Grades by rules `paper`; see the module.

  Raises:
    UserError: for the same reasons as `grade_standard`.
  """
  code, is_in_form = _find_code_as_paper(response), _is_in_form(response)
  if not code:
    return _no_answer(is_in_form)
  is_right = False
  if len(code) <= _MAX_CODE_CHARS:
    parsed, setup = _parse(example), example.reference["setup"]
    outcome = sandbox.run_calls(
      f"{setup}\n{code}" if setup.strip() else code,
      [check.call for check in parsed],
      limits=_PAPER_LIMITS,
      allow_unprotected=allow_unprotected,
    )
    is_right = _passes(parsed, outcome.results, allow_unprotected)
  return base.Grade(
    score=float(is_right),
    correct=is_right,
    lenient=is_right,
    vote=base.shorten_vote(code),
    format=is_in_form,
  )


def make_task(allow_unprotected: bool = False) -> base.Task:
  """Makes the task.

  Args:
    allow_unprotected: whether programs that a model wrote may run where the
      system has no namespaces to keep them apart (`docs/sandbox.md`). A Python
      file with `TASK = mbpp.make_task(allow_unprotected=True)`, named as the
      task, opts in.
  """
  option = {"allow_unprotected": allow_unprotected}
  return base.Task(
    name="mbpp",
    fields=("text", "code", "task_id", "test_setup_code", "test_list"),
    make_example=_make_example,
    graders={
      "standard": functools.partial(grade_standard, **option),
      "paper": functools.partial(grade_paper, **option),
    },
    max_new_tokens=2048,
    # As the authors' reader joins them: 374, 90 and 500 rows.
    train=base.Source(
      "google-research-datasets/mbpp", "full", "train+validation+test"
    ),
    num_threads=4,
    check=None if allow_unprotected else sandbox.check_protection,
    version=2,
  )


def _no_answer(is_in_form):
  return base.Grade(0.0, False, False, None, is_in_form)


def _is_in_form(response) -> bool:
  parts = tags.split_final_block(response, "answer")
  return parts is not None and bool(_strip_fence(parts[1]))


def _find_code(response) -> str | None:
  """Returns the lenient program, None if there is none."""
  code = tags.last_block(response, "answer")
  code = _last_fence(response) if code is None else _strip_fence(code)
  return code if code.strip() and len(code) <= _MAX_CODE_CHARS else None


def _strip_fence(block) -> str:
  """Returns what is inside the fence of an answer, or all of it without one."""
  block = block.strip()
  if not block.startswith(_FENCE) and _PYTHON_FENCE not in block:
    return block  # Fences in a docstring are code.
  return _last_fence(block) or _last_fence(f"{block}\n{_FENCE}")


def _last_fence(text) -> str:
  """Returns the last fenced program that is marked as Python, else the last."""
  code = _last_between(text, _PYTHON_FENCE)
  if code is None:
    code = _last_between(text, _FENCE)
  if code is None:
    return ""
  # What follows the fence on its line is not code: `python`, `py`, `python3`.
  first, newline, rest = code.partition("\n")
  return rest if newline and (not first.strip() or first.isalnum()) else code


def _last_between(text, opening) -> str | None:
  """Returns the last text between the opening and the next fence, or None."""
  last, at = None, 0
  while (start := text.find(opening, at)) >= 0:
    start += len(opening)
    end = text.find(_FENCE, start)
    if end < 0:
      break
    last, at = text[start:end], end + len(_FENCE)
  return last


def _find_code_as_paper(response) -> str:
  code = tags.last_lazy_match(response, "answer")
  for opening in (_PYTHON_FENCE, _FENCE):
    if code is None:
      code = _last_between(response, opening)
  return (code or "").strip()


def _parse(example) -> tuple[assertions.Assertion, ...]:
  return _parse_tests(tuple(example.reference["tests"]))


@functools.lru_cache(maxsize=4096)
def _parse_tests(tests):
  return tuple(assertions.parse_test(test) for test in tests)


@functools.lru_cache(maxsize=4096)
def _find_limits(solution, tests, setup, allow_unprotected) -> sandbox.Limits:
  """Times a row's own solution, once in each process."""
  outcome = sandbox.run_calls(
    solution,
    [check.call for check in _parse_tests(tests)],
    setup=setup,
    limits=sandbox.Limits(
      cpu_s=_MAX_CPU_S // _SLOWER, wall_s=_MAX_CPU_S * _WALL_S_PER_CPU_S
    ),
    allow_unprotected=allow_unprotected,
  )
  cpu_s = max(_MIN_CPU_S, math.ceil(_SLOWER * outcome.cpu_s))
  return sandbox.Limits(cpu_s=cpu_s, wall_s=cpu_s * _WALL_S_PER_CPU_S)


def _passes(parsed, results, allow_unprotected) -> bool:
  return all(
    result.kind == "value"
    and check.passes(result.value, _expect(check, allow_unprotected))
    for check, result in zip(parsed, results, strict=True)
  )


@functools.lru_cache(maxsize=16384)
def _expect(check, allow_unprotected) -> Any:
  """Returns what a test expects, never from the process of the program."""
  if check.expected is None:
    return None
  if check.is_literal:
    return ast.literal_eval(assertions.parse(check.expected, mode="eval"))
  outcome = sandbox.run_calls(
    "\n".join(f"import {name}" for name in check.modules),
    [check.expected],
    allow_unprotected=allow_unprotected,
  )
  (result,) = outcome.results
  if result.kind != "value":
    raise ValueError(
      f"a test must expect a value, got {result.kind} ({result.detail}) from"
      f" {check.expected!r:.200}."
    )
  return result.value


def _name_behaviour(parsed, results) -> str | None:
  if not any(result.kind == "value" for result in results):
    return None
  parts = [
    [result.kind, check.make_vote_key(result.value)]
    if result.kind == "value"
    else [result.kind, result.detail if result.kind == "exception" else ""]
    for check, result in zip(parsed, results, strict=True)
  ]
  digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
  return f"behaviour:{digest[:32]}"


TASK = make_task()
