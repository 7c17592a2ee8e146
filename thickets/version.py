"""The version of the package, which runs and experts files record."""

__version__ = "0.1.0"
