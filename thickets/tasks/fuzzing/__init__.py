"""Hostile responses, and the laws that every grader holds under them."""
