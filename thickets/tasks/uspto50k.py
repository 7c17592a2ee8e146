"""USPTO-50K: name the class, of ten, of a chemical reaction.

Rows have a `class` from 1 to 10 and the reaction as SMILES in `rxn_smiles`, as
in `pingzhili/uspto-50k` on the hub, or in `reactants>reagents>production`, as
in the files of retrosynthesis papers. Atom map numbers are removed by the
authors' pattern, which leaves the brackets: `[CH3:1]` becomes `[CH3]`. The
classes are very unbalanced; report `majority_baseline` beside every accuracy.

Rules `standard`: the form is one `<answer>` block with the number of a class,
at the end of the response. The lenient answer is looked for in the last
complete block or, if there is none, in the last 2000 characters: it is the last
number of a class that follows the word class or answer, else the last that
stands alone, in brackets or not. A block that names several classes is no
answer. Leading zeros do not count: 07 is 7. Numbers
inside SMILES do not stand alone.

Rules `paper` are the authors', `utils/reward_score/uspto50k.py`: the last block
that holds digits only, of any number and with leading zeros, else the last
number from 1 to 10 between word boundaries, wherever it is. The key of a vote
is the digits as written, so `7` and `07` are different votes that are both
right. Where these rules differ from the authors': only ASCII digits are digits,
and a number outside of a block is looked for in the last 20000 characters.
"""

import collections
import re
from collections.abc import Sequence

from thickets.tasks import base
from thickets.tasks.parsing import tags

CLASSES = {
  1: "heteroatom alkylation or arylation: a new bond from N, O or S to carbon",
  2: "acylation: N, O, S or C takes up an acyl group, as in amides and esters",
  3: "C-C bond formation, as in Suzuki, Heck or Grignard reactions",
  4: "heterocycle formation: a new ring with N, O or S",
  5: "protection: a protecting group is put on (Boc, Bn, TBS, ...)",
  6: "deprotection: a protecting group is taken off",
  7: "reduction, as of ketones to alcohols or of nitro groups to amines",
  8: "oxidation, as of alcohols to ketones",
  9: "functional group interconversion: one functional group becomes another",
  10: "functional group addition: a new functional group, as in halogenation",
}
_SYSTEM = (
  "You are an expert organic chemist. You sort chemical reactions into ten"
  " classes by the kind of transformation:\n"
  + "\n".join(f"{number}: {text}" for number, text in CLASSES.items())
)
_QUESTION = """\
Of which class is this reaction?

Reactants >> product:
{reaction}

Look at what changes, say so briefly, and end with the number of the class \
(1-10) in answer tags: <answer>X</answer>."""

_REACTIONS = ("rxn_smiles", "reactants>reagents>production")
_ATOM_MAP = re.compile(r":[0-9]+\]")

_CLASS = re.compile(r"10|[1-9]")
_TAIL_CHARS = 2000
_NUMBER = "(0{0,4}(?:10|[1-9]))"
_END = r"(?=[\s.,:;!?)*\"'`<}$]|\](?![(\w])|$)(?!\.[0-9])"
_NAMED = re.compile(
  rf"\b(?:class|answer)(?: number| is)?[ :*#(=\[{{$\"'`]{{0,4}}{_NUMBER}{_END}",
  re.IGNORECASE,
)
_ALONE = re.compile(
  rf"(?:(?<![^\s(*\"'`#:>{{$])|(?<![^\s(*\"'`#:>{{$]\[)(?<=\[)){_NUMBER}{_END}"
)

_PAPER_CHARS = 20_000
_PAPER_BLOCK = re.compile(
  r"<answer>\s*([0-9]+)\s*</answer>", re.IGNORECASE | re.ASCII
)
_PAPER_ALONE = re.compile(r"\b([1-9]|10)\b")


def _make_example(row: base.Row, number: int) -> base.Example:
  label = str(row["class"]).strip()
  if not _CLASS.fullmatch(label):
    raise ValueError(f"class must be from 1 to 10, got {row['class']!r}.")
  names = [name for name in _REACTIONS if name in row]
  if not names:
    raise ValueError(
      f"a reaction must have the field {' or '.join(_REACTIONS)}, got"
      f" {', '.join(map(str, row))}."
    )
  reaction = row[names[0]]
  if not isinstance(reaction, str) or reaction.count(">") != 2:
    raise ValueError(
      f"{names[0]} must be reactants>reagents>product, got {reaction!r:.200}."
    )
  return base.Example(
    id=str(number),
    messages=base.ask(
      _QUESTION.format(reaction=_ATOM_MAP.sub("]", reaction)), system=_SYSTEM
    ),
    reference=int(label),
  )


def majority_baseline(
  train_examples: Sequence[base.Example], judge_examples: Sequence[base.Example]
) -> tuple[int, float]:
  """Answers every question with the commonest class of other examples.

  Returns:
    That class, the smallest of equally common ones, and its share of the judged
    examples, in [0, 1].

  Raises:
    ValueError: if either is empty.
  """
  if not train_examples or not judge_examples:
    raise ValueError(
      "majority_baseline must have examples of both kinds, got"
      f" {len(train_examples)} and {len(judge_examples)}."
    )
  counts = collections.Counter(example.reference for example in train_examples)
  commonest = min(counts, key=lambda label: (-counts[label], label))
  hits = sum(example.reference == commonest for example in judge_examples)
  return commonest, hits / len(judge_examples)


def _baseline(
  select: Sequence[base.Example], judge: Sequence[base.Example]
) -> tuple[str, float]:
  commonest, accuracy = majority_baseline(select, judge)
  return f"always class {commonest}", accuracy


def _grade(example: base.Example, response: str) -> base.Grade:
  label, in_form = _lenient_class(response), _class_in_form(response)
  is_correct = in_form == str(example.reference)
  return base.Grade(
    score=float(is_correct),
    correct=is_correct,
    lenient=label == str(example.reference),
    vote=label,
    format=in_form is not None,
  )


def _class_in_form(response):
  parts = tags.split_final_block(response, "answer")
  if parts is None or not _CLASS.fullmatch(parts[1]):
    return None
  return parts[1]


def _lenient_class(response):
  answer = tags.last_block(response, "answer")
  text = (response if answer is None else answer).strip()[-_TAIL_CHARS:]
  found = _NAMED.findall(text) or _ALONE.findall(text)
  classes = [digits.lstrip("0") for digits in found]
  if answer is not None and len(set(classes)) > 1:
    return None  # Several classes are no answer.
  return classes[-1] if classes else None


def _grade_as_paper(example: base.Example, response: str) -> base.Grade:
  found = _PAPER_BLOCK.findall(response)
  found = found or _PAPER_ALONE.findall(response[-_PAPER_CHARS:])
  digits = found[-1] if found else None
  is_right = digits is not None and digits.lstrip("0") == str(example.reference)
  return base.Grade(
    score=float(is_right),
    correct=is_right,
    lenient=is_right,
    vote=None if digits is None else base.shorten_vote(digits),
    format=_class_in_form(response) is not None,
  )


TASK = base.Task(
  name="uspto50k",
  fields=("class",),  # And one of two for the reaction: `_make_example` looks.
  make_example=_make_example,
  graders={"standard": _grade, "paper": _grade_as_paper},
  max_new_tokens=64,
  train=base.Source("pingzhili/uspto-50k", split="train"),
  # The authors' reader takes this one where it is not given a file.
  test=base.Source("pingzhili/uspto-50k", split="validation"),
  question="rxn_smiles",
  blank={"class": 1},
  baseline=_baseline,
  version=2,
)
