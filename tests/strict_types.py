"""The type checker of the tests: annotations hold, and an int is a float."""

import beartype

# As static checkers see it, by PEP 484.
check = beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))
