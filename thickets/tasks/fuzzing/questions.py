"""Small questions of every task, made by hand, with right and wrong answers."""

import ast
import itertools
from collections.abc import Mapping
from fractions import Fraction

from thickets.tasks.fuzzing.generated_questions import GENERATED
from thickets.tasks.fuzzing.pictured_questions import PICTURED
from thickets.tasks.fuzzing.question import Question

_FRAMES = (
  "<answer>{}</answer>",
  "<think>so</think>\n<answer>{}</answer>",
  "<think>so</think><answer> {} </answer>",
  "<answer>{}</answer> done",
  "\\boxed{{{}}}",
  "#### {}",
  "The answer is {}.",
  "{}",
)


# --- Countdown: [3, 5, 7] to 22.

_NUMBERS, _TARGET = (3, 5, 7), 22


def _wrong_formula(rng):
  """A formula of other numbers, or of these with another value."""
  while True:
    numbers = list(
      rng.choice([(3, 5, 7), (3, 5, 7, 0), (22,), (15, 7), (35, 7)])
    )
    if rng.random() < 0.3:
      numbers = [rng.randrange(30) for _ in range(rng.randrange(1, 5))]
    rng.shuffle(numbers)
    text = "".join(
      f"{rng.choice('+-*/')}{number}" for number in numbers
    ).lstrip("*/+-")
    if sorted(numbers) != sorted(_NUMBERS) or _value(text) != _TARGET:
      return rng.choice(_FRAMES).format(text)


def _value(text):
  """By Python's own parser, of which the grader's is independent."""

  def walk(node):
    if isinstance(node, ast.Constant):
      assert isinstance(node.value, int)
      return Fraction(node.value)
    left, right = walk(node.left), walk(node.right)
    match node.op:
      case ast.Add():
        return left + right
      case ast.Sub():
        return left - right
      case ast.Mult():
        return left * right
    return left / right if right else None

  return walk(ast.parse(text, mode="eval").body)


_COUNTDOWN = Question(
  row={"numbers": list(_NUMBERS), "target": str(_TARGET)},
  right=(
    "<think>15 and 7</think>\n<answer>3*5+7</answer>",
    "<answer> (3 * 5) + 7 </answer>",
    "<think>\nno, yes\n</think>\n\n<answer>7 - -3*5</answer>\n",
  ),
  wrong=(
    "<answer>22</answer>",
    "<answer>7+15</answer>",
    "<answer>3*5+7+0</answer>",
    "<answer>35-7</answer>",
    "<answer>3**5+7</answer>",
    "<answer>3*5//7</answer>",
    "<answer>03*5+7</answer>",
    "<answer>3*5+7+3-3</answer>",
    "<answer>3*5+7</answer><answer>3+5+7</answer>",
    "<answer>３*５+７</answer>",
    "<answer>٣*٥+٧</answer>",
    "<answer>3 5 7 22</answer>",
    "<answer>(3*5+7</answer>",
    "<answer>3*5+7)</answer>",
    "<answer>3(5)+7</answer>",
    "<answer>__import__('os')</answer>",
    "<answer>3*5+7/(7-7)</answer>",
  ),
  make_wrong=_wrong_formula,
)
_COUNTDOWN_DECIMAL = Question(
  row={"numbers": [98, 47, 47, 52], "target": "27.4"},
  right=("<think>a</think>\n<answer>((98 / (47 - 52)) + 47)</answer>",),
  wrong=(
    "<answer>27.4</answer>",
    "<answer>137/5</answer>",
    "<answer>98+47+47+52</answer>",
    "<answer>98/(47-47)+52</answer>",
  ),
)

# --- ROCStories.

_STORY = (
  "Nina baked a cake on Monday.",
  "She put it on the sill to cool.",
  "A dog jumped up and took it.",
  "Nina ran after the dog in vain.",
  "On Tuesday she baked another one.",
)
_ORDER = "CADBE"


def _wrong_order(rng):
  orders = ["".join(order) for order in itertools.permutations("ABCDE")]
  orders.remove(_ORDER)
  order = rng.choice(orders)
  separator = rng.choice([",", ", ", " ", "", " -> ", "-", "\n"])
  frame = rng.choice(["{}", "The order is {}.", "**{}**", "[{}]"])
  return frame.format(separator.join(order))


_ROCSTORIES = Question(
  row={
    "title": "The cake",
    "shuffled_sentences": [_STORY[_ORDER.index(letter)] for letter in "ABCDE"],
    "gold_order": ["ABCDE".index(letter) for letter in _ORDER],
  },
  right=("C,A,D,B,E", " C, A, D, B, E\n"),
  wrong=("A,B,C,D,E", "C,A,D,B,C", "E,B,D,A,C", "C,A,D,B", "C,A,D,B,F"),
  make_wrong=_wrong_order,
)

# --- USPTO-50K.


def _wrong_class(rng):
  label = rng.choice([0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 70, 77, 17])
  return rng.choice(
    ["<answer>{}</answer>", "Reduced.\n<answer> {} </answer>", "Class {}"]
  ).format(label)


_USPTO50K = Question(
  row={
    "class": 7,
    "rxn_smiles": "O=[C:1]([CH3:2])[CH3:3]>>[OH][CH:1]([CH3:2])[CH3:3]",
  },
  right=("<answer>7</answer>", "A ketone is reduced.\n<answer> 7 </answer>\n"),
  wrong=(
    "<answer>8</answer>",
    "<answer>-7.5</answer>",
    "<answer>７</answer>",
    "<answer>٧</answer>",
    "<answer>77</answer>",
    "<answer>7</answer><answer>8</answer>",
    "oxidation",
  ),
  make_wrong=_wrong_class,
)

# --- Numbers and expressions.


def _wrong_number(rng):
  number = rng.choice([n for n in range(-99, 999) if n != 72])
  return rng.choice(
    [
      "\\boxed{{{}}}",
      "#### {}",
      "The answer is {}.",
      "x\n\\boxed{{{}}}\n#### {}",
    ]
  ).format(number, number)


_RIGHT_NUMBER = ("It is \\boxed{72}.", "48 + 24 = 72\n#### 72")
_GSM8K = Question(
  row={
    "question": "Ann has 48 pears and gets 24 more. How many has she?",
    "answer": "48 + 24 = <<48+24=72>>72\n#### 72",
  },
  right=_RIGHT_NUMBER,
  wrong=("#### 71", "#### 720", "#### 7 2", "#### ٧٢", "#### 48"),
  make_wrong=_wrong_number,
)
_MATH = {
  "problem": "Compute $48+24$.",
  "solution": "It is \\boxed{72}.",
  "answer": "72",
  "subject": "Prealgebra",
  "level": 1,
  "unique_id": "made/by/hand",
}
_MATH500 = Question(
  row=_MATH,
  right=_RIGHT_NUMBER,
  wrong=(
    "\\boxed{71}",
    "\\boxed{}",
    "\\boxed{720}",
    "\\boxed{7^2}",
    "\\boxed{70(2)}",
    "\\boxed{72=73}",
    "\\boxed{72\\text{ hours }30\\text{ minutes}}",
    "\\boxed{72:00}",
    "The answer is 72 to 73.",
  ),
  confusing=(
    "\\boxed{7 2}",
    "\\boxed{7\\,2}",
    "\\boxed{72\\text{ million}}",
    "The answer is 72\\pi.",
  ),
  make_wrong=_wrong_number,
)
_MATH500_FRACTION = Question(
  row=_MATH | {"problem": "Halve 1.", "answer": "\\frac{1}{2}"},
  right=("\\boxed{\\frac{1}{2}}", "\\boxed{1/2}"),
  wrong=("\\boxed{2}", "\\boxed{1}", "\\boxed{\\frac{2}{1}}"),
)
_OLYMPIADBENCH = Question(
  row={
    "id": 1,
    "subfield": "Algebra",
    "context": None,
    "question": "Compute $48+24$.",
    "solution": ["It is 72."],
    "final_answer": ["$72$"],
    "is_multiple_answer": False,
    "unit": None,
    "answer_type": "Numerical",
    "error": None,
  },
  right=_RIGHT_NUMBER,
  wrong=("\\boxed{71}", "\\boxed{}", "\\boxed{720}"),
  make_wrong=_wrong_number,
)


def _wrong_pair(rng):
  first, second = rng.choices(range(-9, 10), k=2)
  if (first, second) == (-3, 0):
    first = 3
  form = rng.choice(
    ["{},{}", "b={},c={}", "({},{})", "b={}, \\text{{ and }}c={}"]
  )
  return f"\\boxed{{{form.format(first, second)}}}"


_OLYMPIADBENCH_PAIR = Question(
  row={
    "id": 2,
    "question": "Determine the values of $b$ and $c$.",
    "final_answer": ["-3,0"],
    "error": None,
  },
  right=(
    "\\boxed{-3,0}",
    "\\boxed{b=-3,c=0}",
    "\\boxed{c=0,\\ b=-3}",
    "\\boxed{(-3,0)}",
  ),
  wrong=(
    "\\boxed{0,-3}",
    "\\boxed{b=0,c=-3}",
    "\\boxed{-3,0,0}",
    "\\boxed{-3}",
    "\\boxed{\\{-3\\}}",
  ),
  confusing=("\\boxed{[-3,0]}",),
  make_wrong=_wrong_pair,
)

# --- Programs.

_MBPP = Question(
  row={
    "text": "Write a function add to add two numbers.",
    "code": "def add(a, b):\n  return a + b",
    "task_id": 11,
    "test_setup_code": "",
    "test_list": [
      "assert add(1, 2) == 3",
      "assert add(0, 0) == 0",
      "assert add(-1, 1) == 0",
    ],
    "challenge_test_list": [],
  },
  right=("<think>a</think>\n<answer>def add(a, b):\n  return a + b</answer>",),
  wrong=(
    "<answer>def add(a, b):\n  return a - b</answer>",
    "<answer>while True: pass</answer>",
    "<answer>import os\nos._exit(0)</answer>",
    "<answer>raise SystemExit(0)</answer>",
    "<answer>import sys\nsys.exit(0)</answer>",
    "<answer>def add(a, b):\n  raise SystemExit(0)</answer>",
  ),
)

QUESTIONS: Mapping[str, tuple[Question, ...]] = {
  **{name: (q,) for name, q in {**GENERATED, **PICTURED}.items()},
  "countdown": (_COUNTDOWN, _COUNTDOWN_DECIMAL),
  "gsm8k": (_GSM8K,),
  "math500": (_MATH500, _MATH500_FRACTION),
  "mbpp": (_MBPP,),
  "olympiadbench": (_OLYMPIADBENCH, _OLYMPIADBENCH_PAIR),
  "rocstories": (_ROCSTORIES,),
  "uspto50k": (_USPTO50K,),
}
