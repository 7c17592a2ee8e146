"""The report: one self-contained page for a run, to open in a browser."""
