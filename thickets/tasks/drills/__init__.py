"""Drills: exercises that a procedure makes, without any data to load."""
