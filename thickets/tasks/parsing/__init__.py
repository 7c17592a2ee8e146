"""Reading answers that a model wrote, without executing any of them."""
