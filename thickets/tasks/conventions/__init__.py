"""Exercises that can be answered by either of two conventions."""
