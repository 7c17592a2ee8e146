"""Measurements on the records of finished runs: density, diversity, votes."""
