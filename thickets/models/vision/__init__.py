"""Images that a model reads among its text."""
