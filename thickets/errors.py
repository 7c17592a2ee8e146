"""The exception for what a user can mend, as opposed to what only a bug breaks."""


class UserError(ValueError):
  """Says what was wrong, where, and what to do; binaries print it alone."""
