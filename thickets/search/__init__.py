"""The search: draw members, score them, keep the best, let them vote."""
