"""Figures, drawn with matplotlib in one visual style."""
