"""Tests of what a question says about its unknowns."""

from absl.testing import parameterized

from thickets.tasks.parsing import unknowns


class UnknownsTest(parameterized.TestCase):
  @parameterized.parameters(
    ("Determine the values of $b$ and $c$.", ("b", "c")),
    ("What are the values of $a, h$ and $k$?", ("a", "h", "k")),
    ("Determine the values of $w, d, a$ and $b$ if so.", ("w", "d", "a", "b")),
    ("Determine $T(10), T(11)$ and $T(12)$.", ("T(10)", "T(11)", "T(12)")),
    ("Compute $(a, b)$.", ("a", "b")),
    ("Find b, c, and d.", ("b", "c", "d")),
    ("Let $y=x$. Find the smallest positive integer $x$.", ("x",)),
    ("Solve for $x_1$, where $t=2$.", ("x_1",)),
    ("Let $n$ be odd. How many divisors has it?", ("n",)),
    ("Find the number of pairs of $x$ and $y$.", ()),
    ("What is the area of $ABC$?", ()),
    ("Compute $m+n$.", ()),
    ("How many?", ()),
  )
  def test_names_that_are_asked_for(self, question, asked):
    self.assertEqual(unknowns.read_unknowns(question).asked, asked)

  def test_letters_are_those_of_formulas_but_not_of_words_in_them(self):
    question = (
      r"He walks $6m$ of $\frac{x}{2}\text{ km}$; \[y\sin t\] is \(z\)."
    )
    self.assertEqual(unknowns.read_unknowns(question).letters, "mtxyz")

  @parameterized.parameters(
    ("Find the set of all $x$.", True),
    ("What is the solution set?", True),
    ("Find the sum of the elements of the set $S$.", False),
    ("Find all $x$ in this set.", False),
  )
  def test_asks_for_a_set(self, question, is_set):
    self.assertEqual(unknowns.read_unknowns(question).is_set, is_set)
