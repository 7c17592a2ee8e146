r"""Worked cases of mathematical answers: right, wrong, and one key for equals."""

import itertools

from absl.testing import parameterized

from thickets.tasks import math500
from thickets.tasks.parsing import boxed

# Answers in a row have one key; answers of different rows have different ones.
SPELLINGS = (
  (
    "7",
    r"\text{7}",
    r"\textbf{7}",
    "{{7}}",
    r"\mathrm{7}",
    r"\mathbf{7}",
    "7.0",
  ),
  ("-7", "\u22127", r"-\$7", r"-7\text{ dollars}", "-{7}", r"\left(-7\right)"),
  ("10000", r"10\,000", "10,000", "10{,}000", r"10\!000", r"10,\!000"),
  ("10000", "10\u2009000", "10\u202f000", "10\u00a0000", r"10\;000", "10~000"),
  ("10000", r"\text{10,000}", r"\mathbf{10,000}", r"\text{\$10,000}"),
  ("10000", r"\frac{20,000}{2}", r"10\thinspace000"),
  ("1234567.5", r"1\,234\,567.5", "1,234,567.50", r"1{,}234{,}567.5"),
  ("5/4", "1 1/4", r"1\frac14", r"1\ 1/4", r"1 \frac{1}{4}", "1.25"),
  ("-5/4", "-1 1/4", r"-1\frac{1}{4}", r"-\frac{5}{4}", r"\frac{-5}4"),
  ("6", "2(3)", "(2)(3)", "(2)3", r"2\cdot 3", r"2 \times 3", "2*3", "2·3"),
  (r"\sqrt{13}", "√13", r"\sqrt{{13}}", "sqrt(13)", "√{13}", r"\sqrt {13}"),
  (r"\sqrt{13}", r"\sqrt13", r"\sqrt 13"),
  (
    "3/8",
    r"{3 \over 8}",
    r"3 \over 8",
    r"{{3}\over{8}}",
    r"\left({3\over8}\right)",
  ),
  (r"\frac{1+\sqrt5}{2}", r"{1+\sqrt{5} \over 2}", r"1+\sqrt5\over2"),
  ("35", r"{7 \choose 3}", r"\binom{7}{3}"),
  ("x^2+y^3", "x²+y³"),
  ("9/2", "4½", r"4\frac12"),
  (
    r"\begin{pmatrix}1\\3\end{pmatrix}",
    r"\begin{pmatrix}1\\[4pt]3\end{pmatrix}",
    r"\begin{pmatrix}1\cr 3\end{pmatrix}",
    r"\left[\begin{matrix}1\\3\end{matrix}\right]",
  ),
  ("[2,5)", r"\{x \mid 2\le x<5\}", r"\{x\in\mathbb{R} : 2\le x<5\}"),
  (r"\text{no solution}", "No solution", r"\text{No solution.}"),
  (r"\frac{a}{b}", r"\frac{a}b", r"\frac ab", "a/b", r"\dfrac{a}{b}"),
  (r"90^\circ", "90°", r"90^{\circ}", r"90\text{ degrees}", r"90\degree"),
  (r"\infty", "∞", r"+\infty", "infinity"),
  (r"(2,\infty)", "x>2", "2<x", r"x\in(2,\infty)", r"(2,+\infty)", r"]2,∞["),
  ("[-2,7]", r"-2\le x\le 7", r"7 ≥ x ≥ -2", r"x \in \left[-2,7\right]"),
  (r"(-\infty,0)\cup(3,\infty)", r"x<0 \text{ or } x>3", r"x>3\lor x<0"),
  (r"(-3,3)", "-3<x<3", r"x>-3 \text{ and } x<3", r"(-3,3)"),
  (r"\mathbb{R}", r"(-\infty,\infty)", "ℝ", r"x \in \mathbb{R}"),
  (r"x\ne 1", r"(-\infty,1)\cup(1,\infty)", r"\mathbb{R}\setminus\{1\}"),
  ("1/3", r"0.\overline{3}", r"0.\bar{3}", r"\frac{1}{3}=\frac{2}{6}"),
  ("2/1 - 1", "1", "3 - 2 = 1", r"1=1"),
  ("1,1,3,16", "16,3,1,1", r"\{1,3,1,16\}", r"1,1,3\text{ and }16"),
  (r"x=\pm2", "x=2,x=-2", "x=-2,2", r"x=2\text{ or }x=-2"),
  ("a=2,b=3", r"b=3,\ a=2", r"a=2\text{ and }b=3", "(a=2, b=3)"),
  ("a=2,b=3", r"\begin{aligned}a&=2\\b&=3\\\end{aligned}"),
  ("-9", "–9", "– 9", "\u20119"),
  ("y>=4", r"[4,\infty)", r"4 \le y"),
  ("5000000", r"5\text{ million}", "5 million", r"5{,}000{,}000"),
  (r"50\%", "50%", r"50\text{ percent}", r"50.0\%"),
  ("2^{10}", "1024", "2^10"),
  (r"x+y=5", "y+x=5", "5=x+y"),
  ("5x-7y+4=0", "7y-5x-4=0", "-10x+14y-8=0"),
  ("1F_{16}", r"1F_{16}"),
  ("-52_8", "-52_{8}"),
  (r"\log_2 7", r"\frac{\ln 7}{\ln 2}", r"\log_{2}{7}"),
)
# None of these is read, so each is an answer of its own.
REFUSED = (
  *("3 4", r"3\,4", r"10\,00", "1{,}80", r"3\ 4", "x 3", "1 1/4 5"),
  *(r"2\frac{9}{4}", r"\frac12\frac34", r"\sqrt2 3", "1.2.3", "1 3/2"),
  *("4=5", "x=4=5", r"\frac13=0.333", "12:00", "3:00"),
  *(r"10\text{ hours }30\text{ minutes}", r"5\text{ ft }2\text{ in}"),
  *(r"5\text{ or more}", r"\text{about }5", r"5\text{ dozen}", r"5^\circ 30'"),
  *(r"5\text{ hundred}", r"5\text{ squared}", r"5\text{th}", r"\frac50"),
  *(
    "0.333...",
    r"5\text{ p.m.}",
    "1,00",
    r"1\le x\ge3",
    "19_8",
    "x^2 3",
    "2^3^2",
  ),
  *("5;", "(1,2", "1,,2", "x>1, x<3", r"\boxed", r"\unknown{5}", "17-"),
  *(r"\sin x/2", "5+", "]5,2[", "0^{0}", r"\ldots", "1,2,\\ldots", "&"),
)


def _example(gold="", question="What?"):
  row = {"problem": question, "answer": gold}
  return math500.make_example(row, 0)


def _vote(answer, question="What?"):
  example = _example(question=question)
  return boxed.grade_standard(example, f"\\boxed{{{answer}}}").vote


class KeyTest(parameterized.TestCase):
  @parameterized.parameters(*((spellings,) for spellings in SPELLINGS))
  def test_spellings_have_one_key_and_are_right(self, spellings):
    self.assertLen({_vote(answer) for answer in spellings}, 1, spellings)
    for gold in spellings:
      grade = boxed.grade_standard(_example(gold), f"\\boxed{{{spellings[0]}}}")
      self.assertTrue(grade.correct, (gold, spellings[0]))

  def test_others_have_others(self):
    votes = {_vote(spellings[0]) for spellings in SPELLINGS}
    # Rows that begin alike are one row in two lines.
    answers = {spellings[0] for spellings in SPELLINGS}
    self.assertLen(votes, len(answers), votes)

  @parameterized.parameters(*((answer,) for answer in REFUSED))
  def test_what_is_not_understood_is_its_own_key(self, answer):
    vote = _vote(answer)
    self.assertTrue(vote.startswith("? "), vote)
    for gold in ("3", "4", "5", "7", "10", "12", "1", "17"):
      grade = boxed.grade_standard(_example(gold), f"\\boxed{{{answer}}}")
      self.assertFalse(grade.lenient, (gold, answer))

  @parameterized.parameters("What?", "Find $x$.", "Determine $a$ and $b$.")
  def test_the_same_vote_is_the_same_verdict(self, question):
    lists = ("2,3", "(2,3)", r"\{2,3\}", "x=2,3", r"x\in\{2,3\}", "2<x<3")
    for gold in ("x=5", "(-3,3)", "x>2", "a=2,b=3", "x+y=5", "3,-3", *lists):
      verdicts = {}
      for answer in (
        *(*itertools.chain(*SPELLINGS), "x=5", "y=5", "5", *lists),
      ):
        grade = boxed.grade_standard(
          _example(gold, question), f"\\boxed{{{answer}}}"
        )
        same = verdicts.setdefault(grade.vote, grade.lenient)
        self.assertEqual(grade.lenient, same, (gold, answer))

  @parameterized.parameters(
    ("Find $x$.", "x=5", "5"),
    ("Find $x$, not $y$.", "x>5", r"(5,\infty)"),
    ("Determine the values of $b$ and $c$.", "c=4, b=2", "2,4"),
    ("Determine the values of $b$ and $c$.", "(2,4)", "b=2,c=4"),
    ("Compute $T(10), T(11)$ and $T(12)$.", "2,4,3", "T(11)=4,T(12)=3,T(10)=2"),
    ("Determine $w, d, a$ and $b$.", "16,3,1,1", "w=16,d=3,a=1,b=1"),
    ("Find the set of roots.", "1,1,2", "2,1"),
    ("Find the length $m$.", r"6\text{m}", "6m"),
  )
  def test_the_question_may_make_answers_equal(self, question, one, other):
    self.assertEqual(_vote(one, question), _vote(other, question))


_VALUES = "Determine the values of $b$ and $c$."


class VerdictTest(parameterized.TestCase):
  @parameterized.parameters(
    # question, right answer, answer
    ("Determine $w, d, a$ and $b$.", "16,3,1,1", "w=16,d=3,a=1,b=1"),
    ("Determine $w, d, a$ and $b$.", "16,3,1,1", "b=1,a=1,d=3,w=16"),
    ("Determine $a$ and $b$.", "-2,-2", "(-2,-2)"),
    ("Determine all $x$.", "-2,1", "x=1,x=-2"),
    ("Determine all $x$.", "-2,1", "x=1,-2"),
    ("Determine all $x$.", "-2,1", r"x\in\{1,-2\}"),
    ("Determine all $x$.", r"k \geqslant 2", r"[2,\infty)"),
    (_VALUES, "-3,0", r"b=-3\text{ and }c=0"),
    (_VALUES, "-3,0", "(b,c)=(-3,0)"),
    (_VALUES, "(-3,0)", "b=-3,c=0"),
    (_VALUES, "-3,0", "(c,b)=(0,-3)"),
    ("What?", "f(x)=x^2", "f(n)=n^2"),
    ("What?", "52_8", "(52)_8"),
    ("Find w, d, a, and b.", "16,3,1,1", "w=16,d=3,a=1,b=1"),
    ("Solve for both.", "10^3,10", "y=10,x=1000"),
    # Without an order in the question, a list does not say whose value each is.
    ("What?", "16,3,1,1", "w=16,d=3,a=1,b=1"),
    ("What?", "16,3,1,1", "d=3,a=1,w=16,b=1"),
    ("What?", "16,3,1,1", r"\begin{cases}w=16\\d=3\\a=1\\b=1\end{cases}"),
    (_VALUES, "-2,-2", r"\{-2,-2\}"),
    ("What?", "2,4", "b=4,c=2"),
    ("What?", "a=90,b=90", "90,90"),
    ("What?", r"\frac{3}{4}", r"\frac{3}{4} \text{ or } 0.75"),
    ("What?", "60", r"\angle ABC = 60^\circ"),
    ("What?", "60", r"\therefore m\angle A = 60^\circ"),
    ("What?", "5", r"5\text{ in.}"),
    ("What?", r"\text{No solution}", "no solution"),
    (_VALUES, "-2,-2", "b=c=-2"),
    ("Sum $m+n$.", "17", "m+n=17"),
    ("What?", "17", "m+n=17"),
    ("What?", "17", "17=x"),
    ("What?", "17", r"S_{\max}=10+7=17"),
    ("What?", r"\frac{1}{3}", r"x=\frac{1}{3}\approx 0.333"),
    ("What?", "y=2x+3", "2x-y+3=0"),
    ("What?", "y=2x+3", "2x+3"),
    ("What?", "5x-7y+4=0", "7y-5x=4"),
    ("What?", r"\frac{1}{\sqrt{n}}", r"\sqrt{1/n}"),
    ("What?", r"\tan^2 y+1", r"\sec^2 y"),
    ("What?", r"\text{Evelyn}", "Evelyn"),
    ("In a group of $m$, what?", "6m", "6m"),
    ("What?", r"(1,2),(3,4)", "(3,4),(1,2)"),
    ("What?", r"(1,2),(3,4)", r"\{(3,4),(1,2)\}"),
    ("What?", "1+\\sqrt{2}", r"\sqrt{3+2\sqrt{2}}"),
    ("What?", "50", r"50\%"),
    ("What?", "0.5", r"50\%"),
  )
  def test_right(self, question, gold, answer):
    example = _example(gold, question)
    self.assertTrue(
      boxed.grade_standard(example, f"\\boxed{{{answer}}}").correct
    )

  @parameterized.parameters(
    ("What?", "16,3,1,1", "16,3,1"),
    ("What?", "16,3,1,1", "16,3,3,1"),
    ("What?", "16,3,1,1", r"\{16,3,1\}"),
    ("Determine $w, d, a$ and $b$.", "16,3,1,1", "w=3,d=16,a=1,b=1"),
    (_VALUES, "2,4", "b=4,c=2"),
    (_VALUES, "2,4", "c=2,b=4"),
    (_VALUES, "2,4", "(4,2)"),
    (_VALUES, "2,4", "(b=4,c=2)"),
    (_VALUES, "2,4", r"\{4,2\}"),
    (_VALUES, "2,4", r"\{2,4\}"),
    ("What?", "-1", "17–18"),
    ("What?", "1,2", r"\begin{cases}1&x=1\\2&x=2\end{cases}"),
    (_VALUES, "2,4", "(c,b)=(2,4)"),
    ("What?", "f(x)=x^2", "f(n)=x^2"),
    ("What?", "f(x)=x^2", "g(n)=n^2"),
    (_VALUES, "b=2,c=4", "c=2,b=4"),
    ("What?", "b=2,c=4", "b=4,c=2"),
    ("What?", "2,4", "b=4,c=4"),
    ("What?", "16,3,1,1", "w=16,d=3,a=3,b=1"),
    ("What?", "(2,4)", "b=4,c=2"),
    ("What?", r"\frac{1}{2}", r"x = 1 \over 2"),
    ("What?", "9/4", r"\frac{3}{4} \text{ or } 3"),
    ("What?", "(2,5)", r"\{x \mid y>2\}"),
    ("What?", r"(2,\infty)", r"\{x \in \mathbb{Z} \mid x>2\}"),
    ("What?", "5", r"5\text{ below zero}"),
    ("What?", "5", r"5\text{ in total}"),
    ("What?", "10000", r"(\text{10,000})"),
    ("What?", "28", "2²³"),
    ("What?", "b=2,c=4", "2,4"),
    ("What?", "10", "2x=10"),
    ("Find all $a$.", "a=2,a=3", "a=2,q=3"),
    ("What?", "f(x)=x,f(x)=-x", "f(x)=x,g(x)=-x"),
    ("What?", "x+y=5", "x+y=6"),
    ("What?", "b=2,c=4", "a=2,c=4"),
    ("Find $x$ where $y=3$.", "5", "y=5"),
    ("What?", "x=5", "y=5"),
    ("What?", "2", "-2,-2"),
    ("What?", "-2,-2", "-2"),
    ("In a group of $m$, what?", "6m", "6"),
    ("In a group of $m$, what?", "6m", r"6\text{ apples}"),
    ("In a group of $m$, what?", "6", r"6\text{ m}"),
    ("In a group of $m$, what?", "6", "6m"),
    ("What?", "6", "6m"),
    ("What?", "5", "2(3)"),
    ("What?", "7", "3 4"),
    ("What?", "34", "3 4"),
    ("What?", "34", "3{4}"),
    ("What?", "0", r"10\,000"),
    ("What?", "5", "4=5"),
    ("What?", "4", "4=5"),
    ("What?", "5", "x=4=5"),
    ("What?", "5", "2x=5"),
    ("What?", "x+y=5", "5"),
    ("What?", "5", r"5\text{ million}"),
    ("What?", "10", r"10\text{ hours }30\text{ minutes}"),
    ("What?", "3:00", "12:00"),
    ("What?", "12", "12:00"),
    ("What?", r"50\%", r"0.5\%"),
    ("What?", r"0.5\%", r"50\%"),
    ("What?", "[1,2)", "(1,2]"),
    ("What?", "[1,2)", r"1<x\le2"),
    ("What?", r"(2,\infty)", r"x\ge2"),
    ("What?", r"x \in [-2,7]", r"x \notin [-2,7]"),
    ("What?", r"x>1\text{ and }x<3", r"x>1\text{ or }x<3"),
    ("What?", "52_8", "52_9"),
    ("What?", "5.4", "5.5"),
    ("What?", "11111111100", "11111111101"),
    ("What?", r"\frac{16}{27}", r"\frac{16}{28}"),
    ("What?", r"1\pm\sqrt2", r"1+\sqrt2"),
    ("What?", "2x", "2y"),
    ("What?", "x", r"\sqrt{x^2}"),
    ("What?", r"\frac{1}{2004!}", r"\frac{1}{2006!}"),
    ("What?", r"\frac{1}{2^{99}}", r"\frac{1}{2^{98}}"),
    ("What?", r"1-\frac{1}{\mathrm{e}}", r"1+\frac{1}{\mathrm{e}}"),
    ("What?", "n=2,3,4", "n=1,2,3"),
    ("What?", "D=(0,1)", "D=(0,1.5)"),
    ("What?", r"1,2,\ldots,n", r"1,3,5,\ldots,2n-1"),
    ("What?", r"\pm 2021", "2021"),
    ("What?", "3x-y+13=0", "3x+4y+14=0"),
    ("What?", r"1331\text{ and }1728", "1728"),
    ("What?", "f(x)=0", r"\forall x>0, f(x)=0"),
    ("What?", r"(1,2),(3,4)", "(1,2),(4,3)"),
    ("What?", "{1,2}", "1"),
  )
  def test_wrong(self, question, gold, answer):
    example = _example(gold, question)
    grade = boxed.grade_standard(example, f"\\boxed{{{answer}}}")
    self.assertFalse(grade.correct or grade.lenient)
