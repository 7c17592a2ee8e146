"""Reading answers that a model wrote, without executing any of them.

Mathematical answers: `boxed` finds the answer in a response, and `phrases` does
where there is no box; `latex` reads it in a process that can be killed. There
`notation` makes tokens of the text, `expressions`, `quantities`, `relations` and
`answers` read them, `forms` writes what was read in one way, and `equality`
compares it; `unknowns` and `names` know what the question calls what it asks for.

Numbers in prose: `numerals` reads one, `worded_numbers` an answer with its unit.
Formulas of arithmetic: `formulas`. Answers between tags: `tags`.
"""
