"""Tasks: data, prompts, grading, and disjoint splits."""
