"""Experiment binaries: each reads a config, calls the library, writes a run."""
